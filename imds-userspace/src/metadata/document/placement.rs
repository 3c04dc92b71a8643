//! Where the instance and the services are.

use super::section::section;
use super::text::{AvailabilityZone, Hostname, Line, Name};

section! {
    /// `placement`
    Placement {
        /// Left out: as the daemon's config says.
        availability_zone: AvailabilityZone,
        /// The zone's id, the same in all accounts.
        availability_zone_id: Name,
        /// The placement group's name.
        group_name: Line,
        /// The dedicated host.
        host_id: Name,
        /// The partition of a partition placement group.
        partition_number: u32,
        /// Left out: the zone's name up to its first number.
        region: Name,
    }
}

section! {
    /// `services`
    Services {
        /// Left out: the partition's, `amazonaws.com`.
        domain: Hostname,
        /// Left out: the region's, `aws`.
        partition: Name,
    }
}
