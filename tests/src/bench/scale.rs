//! What other instances cost a guest in time.

use super::fleet::Fleets;
use super::round::Extent;
use super::wrk::{self, Request};
use crate::guest::Guest;
use crate::http::TOKEN;

const PATH: &str = "/latest/meta-data/instance-id";
const AIM: f64 = 1.1;
/// Pairs of a round: the slowest answers of some seconds are the scheduler's more than anybody's.
const PAIRS: usize = 4;

/// Prints the row.
pub(super) fn measure(extent: &Extent, Fleets { many, one }: &mut Fleets) {
    let (of_many, of_one) = (many.guest.token(), one.guest.token());
    let load = |guest: &Guest, token: &str| {
        wrk::load(guest, &Request { method: "GET", path: PATH, headers: &[(TOKEN, token)] }, *extent)
    };
    let pairs = extent.times(PAIRS).alternate(|| load(&many.guest, &of_many), || load(&one.guest, &of_one));
    let (p99, rate) = (pairs.compare(|outcome| outcome.p99), pairs.compare(|outcome| outcome.rate));
    println!("scale: GETs with a token, 16 connections kept, one of {} instances, and the only one", many.count);
    println!("  p99 {:.2} ms and {:.2} ms; {}", p99.ours, p99.theirs, p99.beside_at_most(AIM));
    println!("  {:.0}/s and {:.0}/s", rate.ours, rate.theirs);
    let wrong: u64 = pairs.0.iter().flat_map(|(a, b)| [a, b]).map(|outcome| outcome.refused + outcome.errors).sum();
    println!("  refusals and socket errors {wrong}");
}
