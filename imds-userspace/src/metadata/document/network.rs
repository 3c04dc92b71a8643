//! Network interfaces.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use super::DocumentError;
use super::section::section;
use super::text::{AccountId, Cidr, Hostname, Line, Mac, Name, PublicHostname};

/// Interfaces that an instance may have, on the host and in its tree: EC2's largest instances have 30.
pub const INTERFACES_MAX: usize = 64;

section! {
    /// `network`
    Network {
        /// The interfaces, the primary first; left out, or fewer than the instance has on the host: those of the host.
        interfaces: Vec<NetworkInterface> ["maxItems" = INTERFACES_MAX],
    }
}

section! {
    /// One interface: `network/interfaces/macs/<mac>`. What the primary repeats of the instance is the same in both.
    NetworkInterface {
        /// Left out: its place among the interfaces.
        device_number: u32,
        /// Left out: made of the instance's id.
        interface_id: Name,
        /// Private addresses by the public address that leads to them; left out: `public-ipv4s` to the first of
        /// `local-ipv4s`.
        ipv4_associations: BTreeMap<Ipv4Addr, Vec<Ipv4Addr>>,
        /// Left out: `ipv6`, for the primary.
        ipv6s: Vec<Ipv6Addr>,
        /// Left out: `local-hostname` for the primary, else EC2's IP name of its first address.
        local_hostname: Hostname,
        /// Left out: `local-ipv4`, for the primary.
        local_ipv4s: Vec<Ipv4Addr>,
        /// Left out: the guest's as the host sees it.
        mac: Mac,
        /// The network card, `network-card` and `network-card-index`.
        network_card: u32,
        /// Left out: the account.
        owner_id: AccountId,
        /// Left out: `public-hostname`, for the primary; empty: none.
        public_hostname: PublicHostname,
        /// Left out: `public-ipv4`, for the primary.
        public_ipv4s: Vec<Ipv4Addr>,
        /// Ids of security groups.
        security_group_ids: Vec<Name>,
        /// Left out: `security-groups`.
        security_groups: Vec<Line>,
        /// The subnet.
        subnet_id: Name,
        /// The subnet's IPv4 network.
        subnet_ipv4_cidr_block: Cidr,
        /// The subnet's IPv6 networks.
        subnet_ipv6_cidr_blocks: Vec<Cidr>,
        /// The VPC.
        vpc_id: Name,
        /// The VPC's first IPv4 network.
        vpc_ipv4_cidr_block: Cidr,
        /// The VPC's IPv4 networks; left out: the first one.
        vpc_ipv4_cidr_blocks: Vec<Cidr>,
        /// The VPC's IPv6 networks.
        vpc_ipv6_cidr_blocks: Vec<Cidr>,
    }
}

impl Network {
    pub(super) fn check(&self) -> Result<(), DocumentError> {
        let interfaces = self.interfaces.as_deref().unwrap_or_default();
        if interfaces.len() > INTERFACES_MAX {
            let reason = format!("{} interfaces are given, at most {INTERFACES_MAX} are taken", interfaces.len());
            return Err(DocumentError::at("network/interfaces", reason));
        }
        let mut seen = BTreeSet::new();
        for (number, interface) in interfaces.iter().enumerate() {
            if interface.mac.as_ref().is_some_and(|mac| !seen.insert(mac)) {
                let reason = "another interface has this MAC address already; give each its own";
                return Err(DocumentError::at(format!("network/interfaces/{number}/mac"), reason));
            }
        }
        Ok(())
    }
}
