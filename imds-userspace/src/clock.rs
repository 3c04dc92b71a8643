//! The clock that tokens live by.

use rustix::time::{ClockId, clock_gettime};

/// Milliseconds on `CLOCK_BOOTTIME`, which nobody sets and which runs on while the host sleeps.
pub(crate) fn boottime_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let (seconds, nanoseconds) = (now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs());
    seconds * 1_000 + nanoseconds / 1_000_000
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
