//! Counters of an instance, added up over its slots, those that it no longer has among them.

use std::collections::BTreeMap;

use imds_common::counters::{Counter, SlotCounters};
use serde::{Deserialize, Serialize};

use crate::registry::view::InstanceStats;

/// Counts by their number, which is never reused; what is zero is left out.
type Counts = BTreeMap<usize, u64>;

/// What was counted, by the kernel and by the daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    kernel: Counts,
    daemon: Counts,
}

impl Totals {
    /// Adds the counters of a slot.
    pub fn add(&mut self, kernel: &SlotCounters, daemon: &SlotCounters) {
        for (counts, slot) in [(&mut self.kernel, kernel), (&mut self.daemon, daemon)] {
            for (number, &count) in slot.iter().enumerate().filter(|(_, count)| **count > 0) {
                let total = counts.entry(number).or_default();
                *total = total.saturating_add(count);
            }
        }
    }

    /// As replies show them.
    #[must_use]
    pub fn stats(&self, instance_id: &str) -> InstanceStats {
        let kernel = |counter: Counter| count(&self.kernel, counter);
        let daemon = |counter: Counter| count(&self.daemon, counter);
        let missing = Counter::RefusedTokenMissing;
        InstanceStats {
            instance_id: instance_id.to_owned(),
            metadata_no_token: daemon(Counter::NoToken),
            metadata_no_token_rejected: kernel(missing).saturating_add(daemon(missing)),
            tokens_issued: daemon(Counter::TokensIssued),
            requests: daemon(Counter::Requests),
            kernel: kernel_counters().map(|counter| (counter.as_str().to_owned(), kernel(counter))).collect(),
            daemon: refusals().map(|counter| (counter.as_str().to_owned(), daemon(counter))).collect(),
        }
    }
}

/// A slot's kernel counters by name, as replies show those of slot 0.
#[must_use]
pub fn kernel_counts(slot: &SlotCounters) -> BTreeMap<String, u64> {
    kernel_counters().map(|counter| (counter.as_str().to_owned(), slot[counter.index()])).collect()
}

fn count(counts: &Counts, counter: Counter) -> u64 {
    counts.get(&counter.index()).copied().unwrap_or(0)
}

fn kernel_counters() -> impl Iterator<Item = Counter> {
    let daemons_own = [Counter::Requests, Counter::TokensIssued, Counter::NoToken];
    Counter::ALL.iter().copied().filter(move |counter| !daemons_own.contains(counter))
}

fn refusals() -> impl Iterator<Item = Counter> {
    Counter::ALL.iter().copied().filter(|counter| counter.as_str().starts_with("refused-"))
}

#[cfg(test)]
mod tests {
    use imds_common::counters::COUNTERS;

    use super::*;

    fn slot(counts: &[(Counter, u64)]) -> SlotCounters {
        let mut slot = [0; COUNTERS];
        for &(counter, count) in counts {
            slot[counter.index()] = count;
        }
        slot
    }

    #[test]
    fn counts_add_up_over_slots_and_sides() {
        let mut totals = Totals::default();
        totals.add(
            &slot(&[(Counter::Delivered, 5), (Counter::RefusedTokenMissing, 2)]),
            &slot(&[(Counter::RefusedTokenMissing, 1), (Counter::NoToken, 7), (Counter::Requests, 9)]),
        );
        totals.add(&slot(&[(Counter::Delivered, 1)]), &slot(&[(Counter::TokensIssued, 3)]));
        let stored: Totals = serde_json::from_str(&serde_json::to_string(&totals).expect("JSON")).expect("the same");
        assert_eq!(stored, totals);
        let stats = stored.stats("i-1");
        assert_eq!(stats.metadata_no_token, 7);
        assert_eq!(stats.metadata_no_token_rejected, 3);
        assert_eq!((stats.tokens_issued, stats.requests), (3, 9));
        assert_eq!((stats.kernel["delivered"], stats.kernel["refused-token-missing"]), (6, 2));
        assert_eq!(stats.daemon["refused-token-missing"], 1);
    }

    #[test]
    fn every_name_is_there() {
        let stats = Totals::default().stats("i-1");
        assert_eq!(stats.kernel.len(), Counter::ALL.len() - 3);
        assert!(stats.kernel.keys().all(|name| !["requests", "tokens-issued", "no-token"].contains(&name.as_str())));
        assert_eq!(stats.daemon.len(), 12);
        assert!(stats.daemon.keys().all(|name| name.starts_with("refused-")));
        assert_eq!(kernel_counts(&slot(&[(Counter::DroppedUnowned, 4)]))["dropped-unowned"], 4);
    }
}
