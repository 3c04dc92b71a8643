//! How long a daemon with many stored instances takes until it enforces.

use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use super::fleet::{Fleet, Fleets};
use super::round::{Extent, median, word};

/// Seconds.
const AIM: f64 = 3.0;
/// Instances whose interfaces are there.
const SERVED: usize = 200;
/// Of those where all that matters is that it works.
const SERVED_QUICKLY: usize = 20;
/// How long a start may take.
const LIMIT: Duration = Duration::from_secs(120);
/// How often the socket is tried.
const STEP: Duration = Duration::from_millis(1);

/// Prints the row.
pub(super) fn measure(extent: &Extent, Fleets { many, .. }: &mut Fleets) {
    let served = if extent.quick { SERVED_QUICKLY } else { SERVED };
    let (mut anew, mut again) = (Vec::new(), Vec::new());
    for _ in 0..extent.rounds {
        many.reboot(served);
        anew.push(start(many, served));
        many.host.kill();
        again.push(start(many, served));
    }
    let (anew, again) = (median(anew), median(again));
    println!(
        "start: a daemon of {} stored instances, {served} of whose interfaces are there, until all of them are enforced",
        many.count
    );
    println!("  after a reboot: {anew:.2} s, aim at most {AIM:.0}: {}", word(anew <= AIM));
    println!("  of a daemon that was killed, enforced all the while: {again:.2} s");
}

/// Starts the daemon, which answers when all is enforced: seconds.
fn start(fleet: &mut Fleet, served: usize) -> f64 {
    let start = Instant::now();
    fleet.host.spawn();
    while UnixStream::connect(fleet.host.socket()).is_err() {
        assert!(start.elapsed() < LIMIT, "imdsd doesn't answer\n{}", fleet.host.log());
        thread::sleep(STEP);
    }
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(fleet.enforced(), served, "{}", fleet.host.log());
    seconds
}
