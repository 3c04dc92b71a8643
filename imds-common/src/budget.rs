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

/// How many packets a frame of so many bytes is, whose sender leaves it to others to cut it into packets with `size`
/// bytes each (GSO): `segments`, or 0 where the sender gives no number, as in the virtio header of a tap. Then the headers
/// count as if they were cut, too, which makes one too many at most. Without a size it is one.
#[inline(always)]
#[must_use]
pub const fn packets(segments: u32, size: u32, length: u32) -> u32 {
    let packets = match segments {
        0 if size == 0 => 1,
        0 => length.div_ceil(size),
        segments => segments,
    };
    // Of an empty frame.
    if packets == 0 { 1 } else { packets }
}

/// Charges one at `now_ns`. `due_ns` is when the budget would be whole again: the new one, or `None` if this one is
/// over budget. Both are on one clock that never goes back.
#[inline(always)]
#[must_use]
pub const fn charge(due_ns: u64, interval_ns: u32, now_ns: u64) -> Option<u64> {
    charge_within(due_ns, interval_ns, BURST_NS, (now_ns, 1))
}

/// Charges so many (1 at least) at `now_ns`, all or none, where another time's worth than [`BURST_NS`] may come at once.
#[inline(always)]
#[must_use]
pub const fn charge_within(due_ns: u64, interval_ns: u32, burst_ns: u64, (now_ns, count): (u64, u32)) -> Option<u64> {
    let due_ns = if due_ns > now_ns { due_ns } else { now_ns };
    let next_ns = due_ns + interval_ns as u64 * count as u64;
    // When the last of them would be due.
    if next_ns - interval_ns as u64 - now_ns > burst_ns {
        return None;
    }
    Some(next_ns)
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
        while let Some(next) = charge_within(due, interval, 250_000_000, (5_000_000_000, 1)) {
            (due, passed) = (next, passed + 1);
        }
        assert_eq!(passed, 251);
    }

    #[test]
    fn a_frame_is_as_many_packets_as_it_is_cut_into() {
        for (segments, size, length, expected) in [
            (0, 0, 0, 1),
            (0, 0, 60, 1),
            (0, 0, 65_535, 1),
            (1, 0, 60, 1),
            // A guest's own TCP, on a veth.
            (7, 1_448, 9_200, 7),
            (45, 1_448, 65_226, 45),
            // A tap's: of 4 and of 4.1 segments, behind 66 bytes of headers.
            (0, 1_448, 66 + 4 * 1_448, 5),
            (0, 1_448, 66 + 4 * 1_448 + 145, 5),
            (0, 1, 65_535, 65_535),
            (0, 65_535, 60, 1),
            (0, 1_448, 0, 1),
        ] {
            assert_eq!(packets(segments, size, length), expected, "{segments} of {size} in {length}");
        }
    }

    #[test]
    fn a_frame_of_more_packets_than_may_come_at_once_never_passes() {
        let (interval, now) = (interval_ns(10), 5_000_000_000);
        let at_once = |count| charge_within(0, interval, BURST_NS, (now, count));
        assert_eq!(at_once(11), Some(now + 1_100_000_000));
        assert_eq!(at_once(12), None);
        // Neither does the longest frame at the slowest rate overflow anything.
        assert_eq!(charge_within(u64::MAX / 2, interval_ns(1), BURST_NS, (u64::MAX / 2, 65_535)), None);
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
        fn packets_of_one_frame_cost_what_they_do_one_by_one(rate in 1_u32..10_000, count in 1_u32..2_000, ahead in 0_u64..2_000_000_000) {
            let (interval, now) = (interval_ns(rate), 7_000_000_000);
            let one_by_one = (0..count).try_fold(now + ahead, |due, _| charge(due, interval, now));
            prop_assert_eq!(charge_within(now + ahead, interval, BURST_NS, (now, count)), one_by_one);
        }

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
