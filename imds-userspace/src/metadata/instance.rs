//! What an instance is: what was made at its creation, and what its operator says of it.

use serde::{Deserialize, Serialize};

use super::bearer::ByBearer;
use super::document::{AccountId, AvailabilityZone, Mac, PackedDocument, RoleName, Time};

/// One instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// `i-` and 8 or 17 hexadecimal digits.
    pub instance_id: String,
    /// `r-` and 17 hexadecimal digits.
    pub reservation_id: String,
    /// When it was created.
    pub pending_time: Time,
    /// The MACs of the guest's interfaces, the primary first, as the host knows them.
    pub macs: Vec<Mac>,
    /// The account that the daemon's config gave it.
    pub account_id: AccountId,
    /// The zone that the daemon's config gave it.
    pub availability_zone: AvailabilityZone,
    /// When it was last changed.
    pub modified: Time,
    /// What its operator says, without its secrets: its user data, and its own credentials.
    pub document: PackedDocument,
    /// Credentials that it has of its own: when they expire. They themselves stand elsewhere; this is stored and shown.
    #[serde(default)]
    pub own_credentials: ByBearer<Time>,
}

impl Instance {
    /// The role whose credentials it gets: its own, or those that the daemon's config has for a role of this name.
    #[must_use]
    pub fn role(&self) -> Option<RoleName> {
        self.document.unpack().iam.role
    }
}
