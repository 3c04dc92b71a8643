//! The benchmark works: a short round of each row, whose numbers nobody looks at, and nothing of it is left.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use imds_tests::{environment, process, wait};

/// How long a short round may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// A running benchmark.
struct Bench(Child);

impl Bench {
    fn start(arguments: &[&str]) -> Self {
        environment::require();
        let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        Self(command.spawn().expect("it is built beside this test"))
    }

    /// Where everything of it is, and what its processes' command lines name.
    fn root(&self) -> PathBuf {
        std::env::temp_dir().join(format!("imt{:x}", self.0.id()))
    }

    /// Waits for its end; what it printed.
    fn finish(mut self) -> String {
        let output = self.0.stdout.take().expect("it was asked for");
        let status = process::wait(&mut self.0, LIMIT).expect("an end in time");
        let text = std::io::read_to_string(output).expect("UTF-8");
        assert!(status.success(), "{text}");
        assert!(!self.root().exists(), "its directory is left");
        text
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Processes of a program whose command lines name `root`.
fn processes(program: &str, root: &Path) -> usize {
    let root = root.as_os_str().as_encoded_bytes();
    let of_root = |process: &PathBuf| {
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        line.windows(root.len()).any(|part| part == root)
            && fs::read_link(process.join("exe")).is_ok_and(|file| file.ends_with(program))
    };
    let all = fs::read_dir("/proc").expect("mounted").flatten().map(|entry| entry.path());
    all.filter(of_root).count()
}

/// Plays a row; each of `lines` must be the beginning of a line that it prints.
fn play(row: &str, lines: &[&str]) {
    let printed = Bench::start(&["quick", row]).finish();
    let begins = |beginning: &&str| printed.lines().any(|line| line.trim_start().starts_with(*beginning));
    for beginning in [format!("{row}: ").as_str()].iter().chain(lines) {
        assert!(begins(beginning), "no line begins with {beginning}:\n{printed}");
    }
    assert!(!printed.contains("NaN") && !printed.contains("inf"), "{printed}");
}

#[test]
fn refusals() {
    play("refusals", &["imds "]);
}

#[test]
fn reads() {
    play("reads", &["imds ", "p50 "]);
}

#[test]
fn reads_closing() {
    play("reads-closing", &["imds ", "p50 "]);
}

#[test]
fn tokens() {
    play("tokens", &["imds "]);
}

#[test]
fn crawl() {
    play("crawl", &["imds "]);
}

#[test]
fn bulk() {
    play(
        "bulk",
        &[
            "veth, from the guest, tc: ",
            "veth on a bridge, to the guest, tc+xdp-generic: ",
            "tap, from the guest, tc+xdp-driver: ",
        ],
    );
}

#[test]
fn drops() {
    play(
        "drops",
        &[
            "a drop by the program itself: imds_ingress ",
            "veth, tc: ",
            "veth on a bridge, tc+xdp-generic: ",
            "tap, tc+xdp-driver: ",
        ],
    );
}

#[test]
fn bystander() {
    play("bystander", &["IPv4: ", "IPv6: ", "ARP: "]);
}

#[test]
fn golden() {
    play("golden", &["drops", "refusals: at most "]);
}

#[test]
fn options() {
    play("options", &["0 of 2 reads right after it saw the old value"]);
}

#[test]
fn flood() {
    play("flood", &["no flood: ", "GETs without a token: ", "SYNs: ", "garbage: "]);
}

#[test]
fn maps() {
    play("maps", &["a slot: "]);
}

#[test]
fn memory() {
    play("memory", &["created: ", "restarted: "]);
}

#[test]
fn scale() {
    play("scale", &["p99 ", "refusals and socket errors 0"]);
}

#[test]
fn bystander_scale() {
    play("bystander-scale", &["IPv4: ", "IPv6: ", "ARP: "]);
}

#[test]
fn start() {
    play("start", &["after a reboot: ", "of a daemon that was killed"]);
}

#[test]
fn nothing_is_left_of_a_benchmark_that_was_killed() {
    let bench = Bench::start(&["1000", "tokens"]);
    let root = bench.root();
    let running = || ["imdsd", "nginx"].map(|program| processes(program, &root));
    wait::until("both sides to run", running, |found| found.iter().all(|&count| count > 0));
    drop(bench);
    wait::until("both sides to be gone", running, |found| *found == [0, 0]);
    wait::until("its directory to be gone", || root.exists(), |there| !there);
}

#[test]
fn unknown_rows_and_no_rounds_are_refused() {
    for arguments in [&["quick", "such"][..], &["quick"], &["0", "tokens"], &["many", "tokens"], &[]] {
        let refused = process::run(Command::new(env!("CARGO_BIN_EXE_bench")).args(arguments));
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""), "{arguments:?}");
    }
}
