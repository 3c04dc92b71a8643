//! When a role's provider is asked. Pure: the time comes in, in seconds since 1970.

/// How long before the old end new credentials have to be there, in seconds: as EC2 promises its clients.
const PROMISED: u64 = 5 * 60;
/// How long asking may take, in seconds: the largest time limit that a process can be given.
const ASKING_MAX: u64 = 100;
/// How long it may take until a due try begins, and until what it gave is served, in seconds: it is looked each second.
const SLACK: u64 = 5;
/// How long before the end a provider is asked at the latest, in seconds.
const AHEAD_MIN: u64 = PROMISED + ASKING_MAX + SLACK;
/// How long before the end credentials of an hour are renewed, in seconds: SDKs begin to ask for new ones 15 minutes
/// ahead, and a failing provider shall have some tries before.
const AHEAD: u64 = 20 * 60;
/// How long before the end credentials of any life are renewed, in seconds: a third of it, up to this.
const AHEAD_MAX: u64 = 2 * 60 * 60;
/// The shortest wait after a success, in seconds: for a provider whose credentials live no longer than [`AHEAD_MIN`].
const WAIT_MIN: u64 = 10;
/// The wait after the first failure, in seconds; it doubles with each further one.
const BACK_OFF: u64 = 1;
/// The longest wait after a failure, in seconds.
const BACK_OFF_MAX: u64 = 60;

/// When the next try is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    last: u64,
    next: u64,
    failures: u32,
}

impl Schedule {
    /// Due at once.
    pub(super) const fn new() -> Self {
        Self { last: 0, next: 0, failures: 0 }
    }

    /// Whether a try is due. A clock that was set back makes it due: nobody knows what the last times meant.
    pub(super) const fn is_due(&self, now: u64) -> bool {
        now >= self.next || now < self.last
    }

    /// Credentials came that expire then.
    pub(super) fn succeeded(&mut self, now: u64, expiration: u64) {
        *self = Self { last: now, next: now.saturating_add(wait(expiration.saturating_sub(now))), failures: 0 };
    }

    /// None came.
    pub(super) fn failed(&mut self, now: u64) {
        let wait = BACK_OFF.checked_shl(self.failures).unwrap_or(BACK_OFF_MAX).min(BACK_OFF_MAX);
        let failures = (self.failures + 1).min(u64::BITS - 1);
        *self = Self { last: now, next: now.saturating_add(wait), failures };
    }
}

/// How long credentials that live for `life` seconds are kept before new ones are asked for: a third of their life is
/// left then, within bounds, but they are never renewed before half of it is over unless the promise needs it.
fn wait(life: u64) -> u64 {
    let ahead = (life / 3).clamp(AHEAD, AHEAD_MAX).min(life / 2).max(AHEAD_MIN);
    life.saturating_sub(ahead).max(WAIT_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    #[test]
    fn credentials_are_renewed_ahead() {
        for (life, kept) in [
            (0, 10),
            (399, 10),
            (410, 10),
            (500, 95),
            (15 * 60, 450),
            (60 * 60, 40 * 60),
            (6 * 60 * 60, 4 * 60 * 60),
            (12 * 60 * 60, 10 * 60 * 60),
        ] {
            let mut schedule = Schedule::new();
            schedule.succeeded(NOW, NOW + life);
            assert!(!schedule.is_due(NOW + kept - 1) && schedule.is_due(NOW + kept), "{life}: {schedule:?}");
        }
    }

    #[test]
    fn new_ones_can_be_there_five_minutes_before_the_old_end() {
        for life in AHEAD_MIN + WAIT_MIN..24 * 60 * 60 {
            let mut schedule = Schedule::new();
            schedule.succeeded(NOW, NOW + life);
            assert!(schedule.is_due(NOW + life - 5 * 60 - 100 - 2), "{life}: {schedule:?}");
            assert!(!schedule.is_due(NOW + WAIT_MIN - 1), "{life}: {schedule:?}");
        }
    }

    #[test]
    fn failures_are_repeated_with_back_off_and_forgotten_by_a_success() {
        let mut schedule = Schedule::new();
        assert!(schedule.is_due(0) && schedule.is_due(NOW));
        for _ in 0..2 {
            let mut now = NOW;
            for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
                schedule.failed(now);
                assert!(!schedule.is_due(now + wait - 1) && schedule.is_due(now + wait), "{wait}: {schedule:?}");
                now += wait;
            }
            schedule.succeeded(NOW, NOW + 3600);
        }
        (0..100).for_each(|_| schedule.failed(NOW));
        assert!(!schedule.is_due(NOW + 59) && schedule.is_due(NOW + 60));
    }

    #[test]
    fn a_clock_that_was_set_back_makes_it_due() {
        let mut schedule = Schedule::new();
        schedule.succeeded(NOW, NOW + 3600);
        assert!(!schedule.is_due(NOW) && schedule.is_due(NOW - 1));
    }
}
