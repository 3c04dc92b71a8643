//! Roles and credentials.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::section::section;
use super::text::{Line, Name, RoleName};
use super::{DocumentError, Time};
use crate::metadata::field;

section! {
    /// `iam`
    Iam {
        /// The role's name: one of the daemon's config, or any with `credentials`.
        role: RoleName,
        /// Credentials of the role that this instance alone has, static values. Never shown.
        credentials: Credentials,
        /// Left out: made of the account and the role's name.
        instance_profile_arn: Line,
        /// Left out: made of the account and the role's name.
        instance_profile_id: Name,
        /// When the profile was last changed; left out: when the instance was launched.
        last_updated: Time,
    }
}

section! {
    /// `identity-credentials`
    IdentityCredentials {
        /// The instance's own credentials, static values. Never shown.
        credentials: Credentials,
    }
}

impl Iam {
    pub(super) fn check(&self) -> Result<(), DocumentError> {
        let error = |reason| Err(DocumentError::at("iam", reason));
        match (&self.role, &self.credentials) {
            (Some(_), None) => Ok(()),
            (None, Some(_)) => error("credentials are given without a role; give both, or neither"),
            (Some(_), Some(credentials)) => credentials.check("iam/credentials"),
            (None, None) if *self != Self::default() => {
                error("a profile is given without a role; give both, or neither")
            }
            (None, None) => Ok(()),
        }
    }
}

impl IdentityCredentials {
    pub(super) fn check(&self) -> Result<(), DocumentError> {
        self.credentials.as_ref().map_or(Ok(()), |credentials| credentials.check("identity-credentials/credentials"))
    }
}

/// Static credentials, under the names of EC2's JSON.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub struct Credentials {
    /// Not a secret.
    pub access_key_id: String,
    /// A secret.
    pub secret_access_key: String,
    /// A secret.
    pub token: String,
    /// When they expire, as `YYYY-MM-DDTHH:MM:SSZ`.
    pub expiration: String,
}

impl Credentials {
    /// When they expire. An expiration that can't be read is one that has passed.
    #[must_use]
    pub fn end(&self) -> Time {
        Time::parse(&self.expiration).unwrap_or_default()
    }

    fn check(&self, path: &str) -> Result<(), DocumentError> {
        field::credentials(self).map_err(|error| DocumentError::at(path, error.to_string()))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { access_key_id: _, secret_access_key: _, token: _, expiration } = self;
        f.debug_struct("Credentials").field("expiration", expiration).finish_non_exhaustive()
    }
}
