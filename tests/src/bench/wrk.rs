//! wrk: a load of HTTP requests, and what came of it.

use std::collections::HashMap;
use std::fmt::Write;

use super::round::Extent;
use crate::client::URL;
use crate::namespace::Namespace;
use crate::{names, process};

/// Connections at once.
const CONNECTIONS: &str = "16";

/// What the script prints at the end: a name and a number a line, marked.
const DONE: &str = r#"
done = function(summary, latency, requests)
    local function say(name, number) io.write(string.format("bench %s %d\n", name, number)) end
    say("requests", summary.requests)
    say("microseconds", summary.duration)
    say("refused", summary.errors.status)
    say("errors", summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout)
    say("p50", latency:percentile(50))
    say("p99", latency:percentile(99))
end
"#;

/// A request that is sent over and over.
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) headers: &'a [(&'a str, &'a str)],
}

/// What came of a load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    /// Answers.
    pub(super) requests: u64,
    /// Answers of 400 and above.
    pub(super) refused: u64,
    /// Connections, reads and writes that failed, and time-outs.
    pub(super) errors: u64,
    /// Answers a second.
    pub(super) rate: f64,
    /// Half of the answers took no longer, in milliseconds.
    pub(super) p50: f64,
    /// 99 of 100 answers took no longer, in milliseconds.
    pub(super) p99: f64,
}

/// Loads the service from a guest: 16 connections, one thread.
pub(super) fn load(guest: &Namespace, request: &Request<'_>, extent: Extent) -> Outcome {
    load_at(URL, guest, request, extent.seconds())
}

/// Loads another server.
pub(super) fn load_at(url: &str, guest: &Namespace, request: &Request<'_>, seconds: u32) -> Outcome {
    let mut script = format!("wrk.method = \"{}\"\n", request.method);
    for (name, value) in request.headers {
        let _ = writeln!(script, "wrk.headers[\"{name}\"] = \"{value}\"");
    }
    let script = names::file("load.lua", (script + DONE).as_bytes(), 0o600);
    let mut command = guest.command("wrk");
    command.args(["--threads", "1", "--connections", CONNECTIONS, "--duration"]);
    command.arg(format!("{seconds}s")).arg("--script").arg(script);
    let output = process::run(command.arg(format!("{url}{}", request.path)));
    assert!(output.success(), "wrk: {}{}", output.stdout, output.stderr);
    let said: HashMap<_, u64> = output
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("bench ")?.split_once(' '))
        .filter_map(|(name, number)| Some((name, number.parse().ok()?)))
        .collect();
    let number = |name| *said.get(name).unwrap_or_else(|| panic!("wrk says no {name}: {}", output.stdout));
    #[expect(clippy::cast_precision_loss, reason = "microseconds and answers of a few seconds")]
    let real = |name| number(name) as f64;
    Outcome {
        requests: number("requests"),
        refused: number("refused"),
        errors: number("errors"),
        rate: real("requests") / real("microseconds") * 1e6,
        p50: real("p50") / 1e3,
        p99: real("p99") / 1e3,
    }
}
