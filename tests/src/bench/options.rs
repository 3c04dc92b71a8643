//! How long a change of options takes, and when it is true.

use std::time::Instant;

use serde_json::Value;

use super::round::{Extent, median, word};
use super::stack::Daemon;

const PATH: &str = "/latest/meta-data/instance-id";
/// Milliseconds without the store.
const AIM: f64 = 10.0;
/// Calls in a round.
const CALLS: usize = 10;

/// Prints the row.
pub(super) fn measure(extent: &Extent) {
    let daemon = Daemon::start();
    let calls = if extent.quick { 2 } else { extent.rounds * CALLS };
    let (mut whole, mut old) = (Vec::new(), 0);
    for call in 0..calls {
        let (mode, status) = if call % 2 == 0 { ("required", 401) } else { ("optional", 200) };
        let mut command = daemon.host.imdsctl();
        command.args(["options", "set", &daemon.id, "--http-tokens", mode]);
        let start = Instant::now();
        let output = command.output().unwrap_or_else(|error| panic!("{command:?} can't be started: {error}"));
        whole.push(start.elapsed().as_secs_f64() * 1e3);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        old += usize::from(daemon.guest.get(PATH, None).status != status);
    }
    let store: Vec<_> = daemon.host.log().lines().filter_map(store_time).collect();
    assert_eq!(store.len(), calls, "the daemon logs the store's time of each call:\n{}", daemon.host.log());
    let without = median(whole.iter().zip(&store).map(|(whole, store)| whole - store).collect());
    println!("options: `imdsctl options set`, from its start to its end");
    println!(
        "  {without:.1} ms without the store's commit, aim at most {AIM:.0}: {}; the commit, its fsyncs included, \
         {:.1} ms; together {:.1} ms",
        word(without <= AIM),
        median(store),
        median(whole)
    );
    println!("  {old} of {calls} reads right after it saw the old value");
}

/// The store's part of a call, in milliseconds, from a line of the daemon's log in JSON.
fn store_time(line: &str) -> Option<f64> {
    let line: Value = serde_json::from_str(line).ok()?;
    line["store_ms"].as_f64()
}
