//! Waiting for something to become true, within a bound.

use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

/// How long a condition may take to come true; far more than it takes on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(20);

/// How often it is looked at.
const STEP: Duration = Duration::from_millis(20);

/// Looks until `condition` holds of what `look` sees, and returns that.
#[track_caller]
pub fn until<T: Debug>(what: &str, mut look: impl FnMut() -> T, condition: impl Fn(&T) -> bool) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        let seen = look();
        if condition(&seen) {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited {LIMIT:?} for {what}; last seen: {seen:?}");
        thread::sleep(STEP);
    }
}
