//! What is stored of one instance: what was asked for, and which slots it was given. No credentials: those are in the
//! [vault](crate::credentials::vault).

use std::sync::Arc;

use imds_common::options::MetadataOptions;
use serde::{Deserialize, Serialize};
use siphasher::sip128::SipHasher24;

use super::limits::Limits;
use super::options::stored;
use super::totals::Totals;
use crate::dataplane::SlotStatus;
use crate::dataplane::attach::Attach;
use crate::metadata::bearer::ByBearer;
use crate::metadata::document::{PackedDocument, Time};
use crate::metadata::identity::Identity;
use crate::metadata::instance::Instance;

/// One instance as the store keeps it. Its user data stands beside it, in a table of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// What it is.
    pub instance: Instance,
    /// Its identity document as of its start, whatever `instance` became since; none in a store of a daemon that gave
    /// none, until the next start of this one.
    #[serde(default)]
    pub identity: Option<Arc<Identity>>,
    /// Its options.
    #[serde(with = "stored")]
    pub options: MetadataOptions,
    /// Its options when it was created: what a repeated create is compared with.
    #[serde(with = "stored")]
    pub created_options: MetadataOptions,
    /// Its limits.
    #[serde(default, skip_serializing_if = "Limits::is_default")]
    pub limits: Limits,
    /// Its limits when it was created.
    #[serde(default, skip_serializing_if = "Limits::is_default")]
    pub created_limits: Limits,
    /// Its document when it was created, if it is another now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_document: Option<PackedDocument>,
    /// When the credentials of its own that it was created with expire, if it was given others or none since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_credentials: Option<ByBearer<Time>>,
    /// The digest of its user data when it was created, if it had any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_user_data: Option<String>,
    /// Its interfaces, the primary first.
    pub interfaces: Vec<InterfaceRecord>,
    /// Size of its user data in bytes.
    pub user_data_bytes: Option<usize>,
    /// What was counted on slots that it had before those of `interfaces`.
    pub carried: Totals,
}

impl Record {
    /// Its document when it was created.
    #[must_use]
    pub fn created_document(&self) -> &PackedDocument {
        self.created_document.as_ref().unwrap_or(&self.instance.document)
    }

    /// The generation that its tokens are of: that of the slots it has now, once those are gone from it that the kernel
    /// doesn't confirm.
    #[must_use]
    pub fn token_generation(&self) -> Option<u64> {
        self.interfaces.iter().find_map(|interface| Some(interface.assignment?.token_generation))
    }

    /// The slots it has now.
    pub fn slots(&self) -> impl Iterator<Item = u16> {
        self.interfaces.iter().filter_map(|interface| interface.assignment.map(|assignment| assignment.slot))
    }
}

/// One interface of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InterfaceRecord {
    /// Its name on the host.
    pub name: String,
    /// How programs are attached to it; none: as the daemon does by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attach: Option<Attach>,
    /// The slot it was given; none while it isn't there.
    pub assignment: Option<Assignment>,
}

/// A slot as an interface was given it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// Its number.
    pub slot: u16,
    /// The interface's index.
    pub ifindex: u32,
    /// The slot's address generation.
    pub generation: u16,
    /// The token generation, which the slots of one instance share.
    pub token_generation: u64,
}

impl Assignment {
    /// Whether the kernel's slot still has the owner that was given it, whatever became of the interface.
    #[must_use]
    pub fn owns(&self, status: &SlotStatus) -> bool {
        self.slot == status.slot
            && self.generation == status.generation
            && self.token_generation == status.token_generation
    }
}

impl From<SlotStatus> for Assignment {
    fn from(status: SlotStatus) -> Self {
        let SlotStatus { slot, ifindex, generation, token_generation, rules: _, xdp: _ } = status;
        Self { slot, ifindex, generation, token_generation }
    }
}

/// What tells user data from other user data. It guards nothing: whoever gives the data is trusted.
#[must_use]
pub fn user_data_digest(bytes: &[u8]) -> String {
    format!("{:032x}", SipHasher24::new().hash(bytes).as_u128())
}
