//! How many packets, requests or events a second are within a budget: the generic cell rate algorithm (ITU-T I.371), whose
//! whole state is one number, so that a race of two processors costs no more than a few packets.
//!
//! EC2 gives each network interface 1,024 packets a second and drops the rest silently (behaviour.md section 9).

/// Most a second that can be asked for; 0 asks for no limit.
pub const RATE_MAX: u32 = 1_000_000;
/// How much may come at once after a silence: what may come in so long. In nanoseconds.
pub const BURST_NS: u64 = 1_000_000_000;

/// Nanoseconds from one to the next, for so many a second; 0 for no limit.
#[must_use]
pub const fn interval_ns(per_second: u32) -> u32 {
    match 1_000_000_000_u32.checked_div(per_second) {
        Some(interval) => interval,
        None => 0,
    }
}

/// Charges one at `now_ns`. `due_ns` is when the budget would be whole again: the new one, or `None` if this one is
/// over budget. Both are on one clock that never goes back.
#[inline(always)]
#[must_use]
pub const fn charge(due_ns: u64, interval_ns: u32, now_ns: u64) -> Option<u64> {
    charge_within(due_ns, interval_ns, BURST_NS, now_ns)
}

/// The same, where another time's worth than [`BURST_NS`] may come at once.
#[inline(always)]
#[must_use]
pub const fn charge_within(due_ns: u64, interval_ns: u32, burst_ns: u64, now_ns: u64) -> Option<u64> {
    let due_ns = if due_ns > now_ns { due_ns } else { now_ns };
    if due_ns - now_ns > burst_ns {
        return None;
    }
    Some(due_ns + interval_ns as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn intervals_are_those_of_the_rates() {
        assert_eq!(interval_ns(0), 0);
        assert_eq!(interval_ns(1), 1_000_000_000);
        assert_eq!(interval_ns(1_024), 976_562);
        assert_eq!(interval_ns(RATE_MAX), 1_000);
    }

    /// How many of the packets at these times pass.
    fn passed(rate: u32, times: impl Iterator<Item = u64>) -> u64 {
        let mut due = 0;
        let mut passed = 0;
        for now in times {
            if let Some(next) = charge(due, interval_ns(rate), now) {
                (due, passed) = (next, passed + 1);
            }
        }
        passed
    }

    #[test]
    fn a_silent_instance_may_send_a_second_s_worth_at_once() {
        assert_eq!(passed(100, std::iter::repeat_n(5_000_000_000, 1_000)), 101);
        assert_eq!(passed(1, std::iter::repeat_n(5_000_000_000, 1_000)), 2);
    }

    #[test]
    fn a_burst_may_be_another() {
        let (mut due, interval) = (0, interval_ns(1_000));
        let mut passed = 0;
        while let Some(next) = charge_within(due, interval, 250_000_000, 5_000_000_000) {
            (due, passed) = (next, passed + 1);
        }
        assert_eq!(passed, 251);
    }

    #[test]
    fn a_flood_gets_its_rate_and_no_more() {
        // 10,000 a second for ten seconds.
        let flood = (0..100_000).map(|packet| 1_000_000_000 + packet * 100_000);
        let passed = passed(1_000, flood);
        assert!((10_990..=11_010).contains(&passed), "{passed}");
    }

    #[test]
    fn what_keeps_to_the_rate_passes_for_ever() {
        let steady = (0..10_000).map(|packet| packet * u64::from(interval_ns(1_024)));
        assert_eq!(passed(1_024, steady), 10_000);
    }

    proptest! {
        #[test]
        fn never_more_than_rate_and_burst(rate in 1_u32..10_000, gaps in prop::collection::vec(0_u64..2_000_000, 1..500)) {
            let mut now = 7_000_000_000;
            let times: Vec<_> = gaps.iter().map(|gap| { now += gap; now }).collect();
            let span = now - times[0];
            let allowed = (span + BURST_NS) / u64::from(interval_ns(rate)) + 2;
            prop_assert!(passed(rate, times.into_iter()) <= allowed);
        }
    }
}
