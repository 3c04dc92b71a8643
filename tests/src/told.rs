//! What an operator is told of packets, by `imdsctl explain` and `imdsctl trace`.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::host::Host;
use crate::packet::SERVICE;
use crate::tap::Tap;
use crate::wait;

/// The events in a document of `explain`'s.
#[must_use]
pub fn events(explained: &Value) -> &[Value] {
    explained["events"].as_array().map_or(&[], Vec::as_slice)
}

/// How many more there were, by a document of `explain`'s or a line of `trace`'s.
#[must_use]
#[track_caller]
pub fn lost(told: &Value) -> u64 {
    told["lost"].as_u64().unwrap_or_else(|| panic!("no count in {told}"))
}

/// Waits until the newest event has this reason, and returns it.
#[must_use]
#[track_caller]
pub fn newest(host: &Host, id: &str, reason: &str) -> Value {
    let last = || events(&host.ask(&["explain", id, "--last", "1"])).first().cloned().unwrap_or_default();
    wait::until(reason, last, |event| event["reason"] == reason)
}

/// Sends so many packets from 10.0.0.1 that are dropped: to a port that the service isn't on.
pub fn send_drops(tap: &mut Tap, count: usize) {
    let mut frame = Vec::new();
    let builder = tap.frame().ipv4([10, 0, 0, 1], SERVICE, 64).tcp(41_000, 443, 1_000, 64_000).syn();
    builder.write(&mut frame, &[]).expect("a Vec takes every frame");
    (0..count).for_each(|_| tap.send(&frame));
}

/// A tracer, and where it writes to. Killed with this value.
#[derive(Debug)]
pub struct Tracer {
    /// Its process.
    pub child: Child,
    file: PathBuf,
}

impl Tracer {
    /// Starts one, the only one of that daemon.
    #[must_use]
    #[track_caller]
    pub fn start(host: &Host, arguments: &[&str]) -> Self {
        let file = host.directory().join("trace");
        let output = File::create(&file).expect("writable");
        let child = host.imdsctl().args(arguments).stdin(Stdio::null()).stdout(output).spawn().expect("starts");
        Self { child, file }
    }

    /// What it has written.
    #[must_use]
    pub fn lines(&self) -> String {
        fs::read_to_string(&self.file).unwrap_or_default()
    }

    /// Sends drops until it shows one.
    #[track_caller]
    pub fn wait_for_drops(&self, tap: &mut Tap) {
        let look = || {
            send_drops(tap, 1);
            self.lines()
        };
        wait::until("the trace's first line", look, |lines| lines.contains("TCP SYN to port 443, "));
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
