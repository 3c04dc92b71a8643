//! Tokens, each on a connection of its own.

use super::round::Extent;
use super::stack::{self, Daemon, Replaced};
use super::wrk::{self, Request};
use crate::http::TTL;

const REQUEST: Request<'_> = Request { method: "PUT", path: "/latest/api/token", headers: &[(TTL, "21600")] };
const AIM: f64 = 0.9;

/// Prints the row.
pub(super) fn measure(extent: &Extent) {
    let ours = Daemon::start();
    let token = ours.guest.token();
    let fixed = format!("location / {{ keepalive_timeout 0; return 200 \"{token}\"; }}");
    let nginx = Replaced::start(stack::workers(), &fixed);
    let load = |guest| wrk::load(guest, &REQUEST, *extent);
    let pairs = extent.alternate(|| load(&ours.guest), || load(&nginx.guest));

    let rate = pairs.compare(|outcome| outcome.rate);
    println!("tokens: PUTs, 16 connections, a connection each");
    println!(
        "  imds {:.0}/s, {} ({} fixed bytes) {:.0}/s; {}",
        rate.ours,
        nginx.name(),
        token.len(),
        rate.theirs,
        rate.beside(AIM)
    );
    let errors = |side: fn(&(wrk::Outcome, wrk::Outcome)) -> u64| pairs.0.iter().map(side).sum::<u64>();
    println!(
        "  refusals and socket errors {}, nginx {}",
        errors(|(ours, _)| ours.refused + ours.errors),
        errors(|(_, theirs)| theirs.refused + theirs.errors)
    );
}
