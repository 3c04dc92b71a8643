//! User data in the document: text, or bytes in base64. A secret.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::metadata::field::{self, FieldError};

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
    Text(#[cfg_attr(test, schemars(extend("maxLength" = field::USER_DATA_MAX)))] String),
    /// Bytes in base64, standard alphabet with padding.
    Base64(#[cfg_attr(test, schemars(extend("maxLength" = field::USER_DATA_BASE64_MAX)))] String),
}

impl UserData {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// What is wrong with what is written in one of the two forms.
    pub(super) fn fault(value: &Value) -> Option<FieldError> {
        Self::try_from(Form::deserialize(value).ok()?).err()
    }
}

impl TryFrom<Form> for UserData {
    type Error = FieldError;
    fn try_from(form: Form) -> Result<Self, FieldError> {
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
