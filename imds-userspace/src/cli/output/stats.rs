//! Counters as tables: what is read most in columns, then each refusal and drop that happened.

use std::collections::BTreeMap;

use imds_common::counters::Counter;

use super::table::{Look, lines, number, printable, text};
use crate::events::advice;
use crate::registry::view::{InstanceStats, StatsView};

/// The kernel's counters that have columns of their own.
const COLUMNS: [Counter; 3] = [Counter::Delivered, Counter::Answered, Counter::Limited];

/// Two tables; the second one only where something was refused or dropped, or the host has counted anything.
pub(super) fn table(look: Look, stats: &StatsView) -> String {
    let mut main = look.headed(&[
        "Instance",
        "MetadataNoToken",
        "MetadataNoTokenRejected",
        "Tokens issued",
        "Requests",
        "Delivered",
        "Answered",
        "Limited",
    ]);
    let mut reasons = look.headed(&["Instance", "By", "Reason", "Count"]);
    for instance in &stats.instances {
        let InstanceStats { instance_id, kernel, daemon, .. } = instance;
        let counted = COLUMNS.map(|counter| kernel.get(counter.as_str()).copied().unwrap_or(0));
        main.add_row(
            [text(instance_id)].into_iter().chain(
                [
                    instance.metadata_no_token,
                    instance.metadata_no_token_rejected,
                    instance.tokens_issued,
                    instance.requests,
                ]
                .into_iter()
                .chain(counted)
                .map(number),
            ),
        );
        let in_columns = |name: &str| COLUMNS.iter().any(|counter| counter.as_str() == name);
        for (by, counters) in [("kernel", kernel), ("daemon", daemon)] {
            for (name, count) in happened(counters).filter(|(name, _)| !in_columns(name)) {
                reasons.add_row([text(instance_id), text(by), text(name), number(count)]);
            }
        }
    }
    for (name, count) in stats.host.iter().flat_map(happened) {
        reasons.add_row([text("(host)"), text("kernel"), text(name), number(count)]);
    }
    let mut output = lines(main);
    if !reasons.is_empty() {
        output.push('\n');
        output.push_str(&lines(reasons));
    }
    let hops = Counter::DroppedTimeExceeded;
    for instance in &stats.instances {
        let count = instance.kernel.get(hops.as_str()).copied().unwrap_or(0);
        if let Some(advice) = advice::of(hops, None).filter(|_| count > 0) {
            output +=
                &format!("\n{}: {count} answers ended on their way: {advice}\n", printable(&instance.instance_id));
        }
    }
    output
}

fn happened(counters: &BTreeMap<String, u64>) -> impl Iterator<Item = (&str, u64)> {
    counters.iter().filter(|(_, count)| **count > 0).map(|(name, count)| (name.as_str(), *count))
}
