//! The clock that tokens live by, and budgets.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds in a millisecond.
pub(crate) const MILLISECOND_NS: u64 = 1_000_000;

/// Nanoseconds on `CLOCK_BOOTTIME`, which nobody sets and which runs on while the host sleeps.
pub(crate) fn boottime_ns() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec.unsigned_abs() * 1_000 * MILLISECOND_NS + now.tv_nsec.unsigned_abs()
}

/// Milliseconds on the same clock.
pub(crate) fn boottime_ms() -> u64 {
    boottime_ns() / MILLISECOND_NS
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn it_counts_milliseconds_since_boot() {
        let uptime = std::fs::read_to_string("/proc/uptime").expect("mounted");
        let seconds: f64 = uptime.split(' ').next().and_then(|text| text.parse().ok()).expect("a number");
        let difference = Duration::from_millis(boottime_ms()).as_secs_f64() - seconds;
        assert!((-0.1..1.0).contains(&difference), "{difference}");
    }
}
