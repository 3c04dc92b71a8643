//! What an instance is: the values that its tree is made of.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// One instance, as `imdsctl instance create` describes it, every default filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// `i-` and 8 or 17 hexadecimal digits.
    pub instance_id: String,
    /// `ami-…`
    pub image_id: String,
    /// For example `t3.micro`.
    pub instance_type: String,
    /// For example `us-east-1a`; the region is this without the letters at its end.
    pub availability_zone: String,
    /// The instance's own address.
    pub private_ip: Ipv4Addr,
    /// The private DNS name.
    pub hostname: String,
    /// Twelve digits.
    pub account_id: String,
    /// `r-` and 17 hexadecimal digits.
    pub reservation_id: String,
    /// The MAC of the guest's first interface, `aa:bb:cc:dd:ee:ff`.
    pub mac: String,
    /// When it was created, as `YYYY-MM-DDTHH:MM:SSZ`.
    pub pending_time: String,
    /// Names of security groups.
    pub security_groups: Vec<String>,
    /// Tags by key.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The role whose credentials it gets.
    #[serde(default)]
    pub role: Option<Role>,
}

/// A role, and where its credentials come from. They themselves stand elsewhere: this is stored and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// The role's name.
    pub name: String,
    /// Who gives its credentials.
    pub provider: RoleProvider,
}

impl Role {
    /// Whether the instance has credentials of its own.
    #[must_use]
    pub const fn has_own_credentials(&self) -> bool {
        matches!(self.provider, RoleProvider::Static { .. })
    }
}

/// Who gives a role's credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum RoleProvider {
    /// The instance has static values of its own.
    Static {
        /// When they expire, as `YYYY-MM-DDTHH:MM:SSZ`.
        expiration: String,
    },
    /// The daemon's config has a role of this name.
    Config,
}

/// A role's credentials, under the names of EC2's JSON.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
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

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { access_key_id: _, secret_access_key: _, token: _, expiration } = self;
        f.debug_struct("Credentials").field("expiration", expiration).finish_non_exhaustive()
    }
}
