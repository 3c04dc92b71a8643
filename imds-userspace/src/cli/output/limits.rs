//! Limits as a table.

use super::table::{Look, lines, text};
use crate::registry::view::{InstanceView, LimitsView};

/// The limits of one instance, a line each.
pub(super) fn one(look: Look, instance: &InstanceView) -> String {
    let mut table = look.bare();
    table.add_row([text("Instance"), text(&instance.instance_id)]);
    for (label, value) in rows(&instance.limits) {
        table.add_row([text(label), text(&value)]);
    }
    lines(table)
}

/// Each limit, and what it is.
pub(super) fn rows(limits: &LimitsView) -> [(&'static str, String); 4] {
    let LimitsView { allow_addresses, allow_macs, packet_budget, request_budget } = limits;
    [
        ("Addresses", list(allow_addresses)),
        ("MACs", list(allow_macs)),
        ("Packet budget", rate(*packet_budget)),
        ("Request budget", rate(*request_budget)),
    ]
}

fn list(entries: &[String]) -> String {
    if entries.is_empty() { "any".to_owned() } else { entries.join(", ") }
}

fn rate(per_second: u32) -> String {
    if per_second == 0 { "none".to_owned() } else { format!("{per_second} a second") }
}
