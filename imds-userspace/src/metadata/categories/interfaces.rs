//! `network/interfaces/macs`

use super::{public, text, value, values};
use crate::metadata::document::{Document, NetworkInterface};
use crate::metadata::tree::Planting;

pub(super) fn plant(document: &Document, tree: &mut Planting) {
    for interface in document.network.interfaces.iter().flatten() {
        if let Some(mac) = &interface.mac {
            plant_one(interface, &["meta-data", "network", "interfaces", "macs", mac], tree);
        }
    }
}

fn plant_one(interface: &NetworkInterface, directory: &[&str], tree: &mut Planting) {
    let path = |name| [directory, &[name]].concat();
    for (name, given) in [
        ("device-number", text(&interface.device_number)),
        ("interface-id", text(&interface.interface_id)),
        ("local-hostname", text(&interface.local_hostname)),
        ("mac", text(&interface.mac)),
        // The one is documented, the other is what clients read.
        ("network-card", text(&interface.network_card)),
        ("network-card-index", text(&interface.network_card)),
        ("owner-id", text(&interface.owner_id)),
        ("public-hostname", public(&interface.public_hostname)),
        ("subnet-id", text(&interface.subnet_id)),
        ("subnet-ipv4-cidr-block", text(&interface.subnet_ipv4_cidr_block)),
        ("vpc-id", text(&interface.vpc_id)),
        ("vpc-ipv4-cidr-block", text(&interface.vpc_ipv4_cidr_block)),
    ] {
        value(tree, &path(name), given);
    }
    values(tree, &path("ipv6s"), interface.ipv6s.as_ref());
    values(tree, &path("local-ipv4s"), interface.local_ipv4s.as_ref());
    values(tree, &path("public-ipv4s"), interface.public_ipv4s.as_ref());
    values(tree, &path("security-group-ids"), interface.security_group_ids.as_ref());
    values(tree, &path("security-groups"), interface.security_groups.as_ref());
    values(tree, &path("subnet-ipv6-cidr-blocks"), interface.subnet_ipv6_cidr_blocks.as_ref());
    values(tree, &path("vpc-ipv4-cidr-blocks"), interface.vpc_ipv4_cidr_blocks.as_ref());
    values(tree, &path("vpc-ipv6-cidr-blocks"), interface.vpc_ipv6_cidr_blocks.as_ref());
    for (public, private) in interface.ipv4_associations.iter().flatten() {
        values(tree, &[&path("ipv4-associations")[..], &[&public.to_string()]].concat(), Some(private));
    }
}
