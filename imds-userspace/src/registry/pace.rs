//! When interfaces are looked at again: every time where that costs nothing; where there are thousands, as often as it
//! takes no guest its time, and whenever a link has changed.

use std::time::{Duration, Instant};

/// How many times longer than it took nothing is looked at: the guests of thousands of others would notice more.
const REST: u32 = 250;
/// The longest rest: what no link tells of is found then, such as a map that somebody else has changed.
const REST_MAX: Duration = Duration::from_secs(10);

/// When interfaces were looked at, and what the links were then.
#[derive(Debug, Default)]
pub(super) struct Pace {
    looked: Option<Looked>,
}

#[derive(Debug)]
struct Looked {
    next: Instant,
    links: u64,
}

impl Pace {
    /// Whether it is time to look, with the number of changes of links until now.
    pub(super) fn is_due(&self, now: Instant, links: u64) -> bool {
        self.looked.as_ref().is_none_or(|looked| now >= looked.next || links != looked.links)
    }

    /// Notes that all was looked at, from one moment to another, and how many changes of links there were before.
    pub(super) fn looked(&mut self, start: Instant, end: Instant, links: u64) {
        let rest = end.saturating_duration_since(start).saturating_mul(REST).min(REST_MAX);
        self.looked = Some(Looked { next: end + rest, links });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn few_are_looked_at_every_second() {
        let mut pace = Pace::default();
        let now = Instant::now();
        assert!(pace.is_due(now, 0), "nobody has looked yet");
        pace.looked(now, now + Duration::from_millis(1), 0);
        assert!(pace.is_due(now + SECOND, 0));
    }

    #[test]
    fn many_are_left_alone_for_longer_but_never_for_long() {
        let mut pace = Pace::default();
        let now = Instant::now();
        let end = now + Duration::from_millis(20);
        pace.looked(now, end, 0);
        assert!(!pace.is_due(now + SECOND, 0));
        assert!(pace.is_due(end + SECOND * 5, 0));
        let end = now + SECOND * 100;
        pace.looked(now, end, 0);
        assert!(!pace.is_due(end + SECOND * 9, 0));
        assert!(pace.is_due(end + REST_MAX, 0));
    }

    #[test]
    fn a_link_that_changes_is_looked_at_at_once() {
        let mut pace = Pace::default();
        let now = Instant::now();
        pace.looked(now, now + SECOND, 3);
        assert!(!pace.is_due(now + SECOND, 3));
        assert!(pace.is_due(now + SECOND, 4));
    }
}
