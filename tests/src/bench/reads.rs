//! Reads with a token, which the daemon answers.

use super::rival;
use super::round::Extent;
use super::stack::{self, Daemon, Replaced};
use super::wrk::{self, Outcome, Request};
use crate::http::{TOKEN, request};

const PATH: &str = "/latest/meta-data/instance-id";
const AIM: f64 = 1.0;

/// Prints the row of connections that are kept.
pub(super) fn measure_kept(extent: &Extent) {
    measure(*extent, false);
}

/// Prints the row of a connection each.
pub(super) fn measure_closing(extent: &Extent) {
    measure(*extent, true);
}

fn headers(token: &str, closing: bool) -> Vec<(&str, &str)> {
    let mut headers = vec![(TOKEN, token)];
    if closing {
        headers.push(("Connection", "close"));
    }
    headers
}

fn measure(extent: Extent, closing: bool) {
    let ours = Daemon::start();
    let token = ours.guest.token();
    let answer = ours.guest.exchange(&request("GET", PATH, &headers(&token, closing)));
    let nginx = Replaced::start(stack::workers(), &rival::the_same(&answer, closing));
    let theirs = nginx.guest.exchange(&request("GET", PATH, &headers(&nginx.token, closing)));
    assert_eq!((theirs.status, theirs.text()), (200, answer.text()), "nginx doesn't answer as imdsd does");
    let load = |guest, token| {
        wrk::load(guest, &Request { method: "GET", path: PATH, headers: &headers(token, closing) }, extent)
    };
    let pairs = extent.alternate(|| load(&ours.guest, &token), || load(&nginx.guest, &nginx.token));

    let (name, how) = if closing { ("reads-closing", "a connection each") } else { ("reads", "connections kept") };
    let rate = pairs.compare(|outcome| outcome.rate);
    println!("{name}: GETs with a token, 16 connections, {how}");
    println!("  imds {:.0}/s, {} {:.0}/s; {}", rate.ours, nginx.name(), rate.theirs, rate.beside(AIM));
    let (half, most) = (pairs.compare(|outcome| outcome.p50), pairs.compare(|outcome| outcome.p99));
    println!(
        "  p50 {:.2} ms, nginx {:.2} ms; p99 {:.2} ms, nginx {:.2} ms",
        half.ours, half.theirs, most.ours, most.theirs
    );
    let size = |answer: &crate::http::Answer| answer.head.len() + answer.body.len();
    let wrong = |outcome: &Outcome| outcome.refused + outcome.errors;
    let (of_ours, of_theirs) = pairs.0.iter().fold((0, 0), |(a, b), (x, y)| (a + wrong(x), b + wrong(y)));
    println!(
        "  answers of {} bytes, nginx {}; refusals and socket errors {of_ours}, nginx {of_theirs}",
        size(&answer),
        size(&theirs)
    );
}
