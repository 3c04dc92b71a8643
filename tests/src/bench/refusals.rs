//! Reads without a token where one is required: the kernel's own answers.

use std::time::{Duration, Instant};

use super::round::{Extent, Pairs};
use super::stack::{Daemon, Replaced};
use super::wrk::{self, Outcome, Request};

const REQUEST: Request<'_> = Request { method: "GET", path: "/latest/meta-data/instance-id", headers: &[] };
const AIM: f64 = 1.2;
/// Requests in all, over the rounds.
const REQUESTS: u64 = 100_000;
/// How soon the namespace is to be empty again, and how empty.
const SETTLED: (Duration, usize) = (Duration::from_secs(2), 50);

/// Prints the row.
pub(super) fn measure(extent: &Extent) {
    let ours = Daemon::start();
    ours.host.set(&ours.id, &["--http-tokens", "required"]);
    let nginx = Replaced::start(1, "location / { keepalive_timeout 0; return 401 \"\"; }");
    let load = |guest| wrk::load(guest, &REQUEST, *extent);
    let mut pairs = Pairs(Vec::new());
    let total = |pairs: &Pairs<Outcome>| pairs.0.iter().map(|(ours, _)| ours.requests).sum::<u64>();
    while pairs.0.is_empty() || !extent.quick && total(&pairs) < REQUESTS {
        pairs.0.extend(extent.alternate(|| load(&ours.guest), || load(&nginx.guest)).0);
    }
    let settled = settle(&ours);

    let rate = pairs.compare(|outcome| outcome.rate);
    println!("refusals: tokenless GETs while HttpTokens is required, 16 connections, a connection each");
    println!("  imds {:.0}/s, {} (401, closing) {:.0}/s; {}", rate.ours, nginx.name(), rate.theirs, rate.beside(AIM));
    let sum = |number: fn(&Outcome) -> u64| pairs.0.iter().map(|(ours, _)| number(ours)).sum::<u64>();
    let stats = ours.host.stats(&ours.id);
    println!(
        "  {} of {} answers are refusals, {} by the kernel for want of a token; {} socket errors (nginx {})",
        sum(|outcome| outcome.refused),
        total(&pairs),
        stats.kernel("refused-token-missing"),
        sum(|outcome| outcome.errors),
        pairs.0.iter().map(|(_, theirs)| theirs.errors).sum::<u64>()
    );
    println!("  {} requests in the daemon; sockets in its namespace: {settled}", stats.requests());
}

/// How soon the namespace has few sockets again.
fn settle(daemon: &Daemon) -> String {
    let (limit, few) = SETTLED;
    let start = Instant::now();
    let at_once = daemon.namespace.tcp_sockets();
    loop {
        let sockets = daemon.namespace.tcp_sockets();
        let elapsed = start.elapsed();
        if sockets < few {
            return format!("{at_once} at the end, {sockets} after {:.1} s", elapsed.as_secs_f64());
        }
        if elapsed > limit {
            return format!("{at_once} at the end, still {sockets} after {} s: MISSED", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
