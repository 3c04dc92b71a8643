//! The last events of one slot and owner, and all of them while somebody traces it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use imds_common::event;

use super::Seen;

/// Refusals and drops that are kept.
pub const KEPT: usize = 64;
/// Events of a traced slot that are kept until every tracer came for them; they come several times a second.
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

/// How far somebody is who traces.
#[derive(Default)]
struct Tracer {
    /// The number of the last event that it came for.
    fetched: u64,
    /// How many it didn't come for in time.
    missed: u64,
}

#[derive(Default)]
struct Lists {
    refused: VecDeque<Numbered>,
    /// What some tracer hasn't come for yet.
    traced: VecDeque<Numbered>,
    tracers: BTreeMap<u64, Tracer>,
}

impl Lists {
    /// Makes room for one more event of a trace, which costs those who didn't come for the oldest one.
    fn make_room(&mut self) {
        if self.traced.len() < KEPT_TRACED {
            return;
        }
        if let Some((number, _)) = self.traced.pop_front() {
            let late = self.tracers.values_mut().filter(|tracer| tracer.fetched < number);
            late.for_each(|tracer| tracer.missed += 1);
        }
    }

    /// Drops what every tracer has.
    fn trim(&mut self) {
        let all_have = self.tracers.values().map(|tracer| tracer.fetched).min().unwrap_or(u64::MAX);
        while self.traced.front().is_some_and(|(number, _)| *number <= all_have) {
            self.traced.pop_front();
        }
    }
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
        if !lists.tracers.is_empty() {
            lists.make_room();
            lists.traced.push_back((number, seen.clone()));
        }
        if !event::is_for_tracers(seen.counter) {
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

    /// What there is for a tracer, which begins by that or goes on, of numbers after `after` and up to `until`, and how
    /// many events it missed in all. What is not after `after` it has.
    #[must_use]
    pub fn traced(&self, tracer: u64, after: u64, until: u64) -> (Vec<Numbered>, u64) {
        let mut lists = self.lists();
        let state = lists.tracers.entry(tracer).or_default();
        state.fetched = after;
        let missed = state.missed;
        lists.trim();
        let later = lists.traced.iter().filter(|(number, _)| *number > after && *number <= until);
        (later.cloned().collect(), missed)
    }

    /// Ends a trace.
    pub fn end_trace(&self, tracer: u64) {
        let mut lists = self.lists();
        lists.tracers.remove(&tracer);
        lists.trim();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Client;
    use imds_common::counters::Counter;

    /// Two who trace.
    const ONE: u64 = 1;
    const OTHER: u64 = 2;

    fn seen(port: u16, counter: Counter) -> Seen {
        Seen::request(Client::Address([10, 0, 0, 1].into()), port, b"", counter)
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
            recent.note(seen(port, Counter::AnsweredNeighbour));
        }
        assert_eq!(ports(&recent.refused()), (36..100).collect::<Vec<_>>());
        assert!(recent.refused().is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(recent.traced(ONE, 0, u64::MAX), (vec![], 0));
    }

    #[test]
    fn a_trace_holds_everything_until_it_ends() {
        let recent = Recent::default();
        recent.note(seen(1, Counter::Delivered));
        assert_eq!(recent.traced(ONE, newest(), newest()), (vec![], 0));
        recent.note(seen(2, Counter::Delivered));
        recent.note(seen(3, Counter::DroppedPort));
        let (first, _) = recent.traced(ONE, 0, u64::MAX);
        assert_eq!(ports(&first), [2, 3]);
        assert_eq!(ports(&recent.traced(ONE, 0, first[0].0).0), [2]);
        assert_eq!(ports(&recent.traced(ONE, first[0].0, u64::MAX).0), [3]);
        recent.end_trace(ONE);
        recent.note(seen(4, Counter::Delivered));
        assert_eq!(recent.traced(ONE, 0, u64::MAX), (vec![], 0));
        assert_eq!(ports(&recent.refused()), [3]);
    }

    #[test]
    fn a_trace_that_nobody_comes_for_is_bounded() {
        let recent = Recent::default();
        let _ = recent.traced(ONE, 0, 0);
        for _ in 0..KEPT_TRACED + 5 {
            recent.note(seen(1, Counter::Delivered));
        }
        let (events, missed) = recent.traced(ONE, 0, u64::MAX);
        assert_eq!((events.len(), missed), (KEPT_TRACED, 5));
    }

    #[test]
    fn what_a_tracer_came_for_is_not_missed_later() {
        let recent = Recent::default();
        let mut after = newest();
        let _ = recent.traced(ONE, after, after);
        for _ in 0..2 * KEPT_TRACED {
            recent.note(seen(1, Counter::Delivered));
            let (events, missed) = recent.traced(ONE, after, u64::MAX);
            assert_eq!((events.len(), missed), (1, 0));
            after = events[0].0;
        }
    }

    #[test]
    fn one_tracer_s_end_and_one_that_doesn_t_come_take_nothing_from_another() {
        let recent = Recent::default();
        for tracer in [ONE, OTHER] {
            let _ = recent.traced(tracer, 0, 0);
        }
        recent.note(seen(1, Counter::Delivered));
        let (events, _) = recent.traced(ONE, 0, u64::MAX);
        let _ = recent.traced(ONE, events[0].0, u64::MAX);
        recent.end_trace(ONE);
        assert_eq!(ports(&recent.traced(OTHER, 0, u64::MAX).0), [1]);
        recent.end_trace(OTHER);

        let _ = recent.traced(OTHER, 0, 0);
        let mut after = 0;
        for _ in 0..KEPT_TRACED + 5 {
            recent.note(seen(1, Counter::Delivered));
            let (events, missed) = recent.traced(ONE, after, u64::MAX);
            assert_eq!((events.len(), missed), (1, 0));
            after = events[0].0;
        }
        assert_eq!(recent.traced(OTHER, 0, u64::MAX).1, 5);
    }
}
