//! The last events of one slot and owner, and all of them while somebody traces it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use imds_common::counters::Counter;

use super::Seen;

/// Refusals and drops that are kept.
pub const KEPT: usize = 64;
/// Events of a traced slot that are kept until the tracer comes for them; it comes several times a second.
const KEPT_TRACED: usize = 1_024;

/// The number of the newest event: one sequence for all, so that those of several slots have an order.
static NEWEST: AtomicU64 = AtomicU64::new(0);

/// The number of the newest event.
#[must_use]
pub fn newest() -> u64 {
    NEWEST.load(Ordering::Acquire)
}

/// An event and its number.
pub type Numbered = (u64, Seen);

#[derive(Default)]
struct Lists {
    refused: VecDeque<Numbered>,
    traced: Option<VecDeque<Numbered>>,
    /// How many a tracer never came for.
    overflowed: u64,
}

/// The events of one slot, as long as one owner has it.
#[derive(Default)]
pub struct Recent {
    lists: Mutex<Lists>,
}

impl Recent {
    fn lists(&self) -> MutexGuard<'_, Lists> {
        // Every critical section leaves the lists whole.
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an event.
    pub fn note(&self, seen: Seen) {
        let mut lists = self.lists();
        let lists = &mut *lists;
        let number = NEWEST.fetch_add(1, Ordering::AcqRel) + 1;
        if let Some(traced) = &mut lists.traced {
            if traced.len() == KEPT_TRACED {
                traced.pop_front();
                lists.overflowed += 1;
            }
            traced.push_back((number, seen.clone()));
        }
        if !matches!(seen.counter, Counter::Delivered | Counter::Answered) {
            if lists.refused.len() == KEPT {
                lists.refused.pop_front();
            }
            lists.refused.push_back((number, seen));
        }
    }

    /// The refusals and drops, the oldest first.
    #[must_use]
    pub fn refused(&self) -> Vec<Numbered> {
        self.lists().refused.iter().cloned().collect()
    }

    /// Begins a trace, or lets one go on.
    pub fn trace(&self) {
        self.lists().traced.get_or_insert_default();
    }

    /// Ends a trace and forgets what it holds.
    pub fn end_trace(&self) {
        let mut lists = self.lists();
        (lists.traced, lists.overflowed) = (None, 0);
    }

    /// What a trace holds of numbers after `after` and up to `until`, and how many events it lost in all.
    #[must_use]
    pub fn traced(&self, after: u64, until: u64) -> (Vec<Numbered>, u64) {
        let lists = self.lists();
        let later = lists.traced.iter().flatten().filter(|(number, _)| *number > after && *number <= until);
        (later.cloned().collect(), lists.overflowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(port: u16, counter: Counter) -> Seen {
        Seen::request(None, port, b"", counter)
    }

    fn ports(events: &[Numbered]) -> Vec<u16> {
        events.iter().filter_map(|(_, seen)| seen.port).collect()
    }

    #[test]
    fn the_last_refusals_are_kept_and_deliveries_are_not() {
        let recent = Recent::default();
        for port in 0..100 {
            recent.note(seen(port, Counter::DroppedPort));
            recent.note(seen(port, Counter::Delivered));
        }
        assert_eq!(ports(&recent.refused()), (36..100).collect::<Vec<_>>());
        assert!(recent.refused().is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(recent.traced(0, u64::MAX), (vec![], 0));
    }

    #[test]
    fn a_trace_holds_everything_until_it_ends() {
        let recent = Recent::default();
        recent.note(seen(1, Counter::Delivered));
        recent.trace();
        recent.note(seen(2, Counter::Delivered));
        recent.trace();
        recent.note(seen(3, Counter::DroppedPort));
        let (first, _) = recent.traced(0, u64::MAX);
        assert_eq!(ports(&first), [2, 3]);
        assert_eq!(ports(&recent.traced(first[0].0, u64::MAX).0), [3]);
        assert_eq!(ports(&recent.traced(0, first[0].0).0), [2]);
        recent.end_trace();
        recent.note(seen(4, Counter::Delivered));
        assert_eq!(recent.traced(0, u64::MAX), (vec![], 0));
        assert_eq!(ports(&recent.refused()), [3]);
    }

    #[test]
    fn a_trace_that_nobody_comes_for_is_bounded() {
        let recent = Recent::default();
        recent.trace();
        for _ in 0..KEPT_TRACED + 5 {
            recent.note(seen(1, Counter::Delivered));
        }
        let (events, lost) = recent.traced(0, u64::MAX);
        assert_eq!((events.len(), lost), (KEPT_TRACED, 5));
    }
}
