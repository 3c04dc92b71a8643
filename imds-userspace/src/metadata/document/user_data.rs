//! User data in the document: text, or bytes in base64. A secret.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::{Deserialize, Serialize};

use crate::metadata::field;

/// User data.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(try_from = "Form", into = "Form")]
pub struct UserData(#[cfg_attr(test, schemars(with = "Form"))] Box<[u8]>);

/// How it is written: exactly one of the two.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
enum Form {
    /// Text as it is.
    Text(String),
    /// Bytes in base64, standard alphabet with padding.
    Base64(String),
}

impl UserData {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<Form> for UserData {
    type Error = field::FieldError;
    fn try_from(form: Form) -> Result<Self, field::FieldError> {
        let bytes = match form {
            Form::Text(text) => field::user_data_bytes(text.into_bytes())?,
            Form::Base64(text) => field::user_data(&text)?,
        };
        Ok(Self(bytes.into()))
    }
}

impl From<UserData> for Form {
    fn from(data: UserData) -> Self {
        Self::Base64(BASE64_STANDARD.encode(data.0))
    }
}

impl fmt::Debug for UserData {
    /// Shows the size alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserData").field("bytes", &self.0.len()).finish_non_exhaustive()
    }
}
