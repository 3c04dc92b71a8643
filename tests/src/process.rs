//! Commands that end within a bound.

use std::ffi::OsStr;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long any command may take that isn't given a bound of its own.
const LIMIT: Duration = Duration::from_secs(60);

/// How often a process that is waited for is looked at.
const STEP: Duration = Duration::from_millis(5);

/// What came of a command.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// Whether it succeeded.
    #[must_use]
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }
}

/// Runs a command to its end, 60 seconds at most.
#[must_use]
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    run_within(command, LIMIT)
}

/// Runs a command to its end, within a time.
#[must_use]
#[track_caller]
pub fn run_within(command: &mut Command, limit: Duration) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?} can't be started: {error}"));
    let stdout = reader(child.stdout.take());
    let stderr = reader(child.stderr.take());
    let status = wait(&mut child, limit);
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let stdout = stdout.join().expect("reading doesn't panic");
    let stderr = stderr.join().expect("reading doesn't panic");
    let status = status.unwrap_or_else(|| panic!("{command:?} took longer than {limit:?}\n{stdout}{stderr}"));
    Output { code: status.code(), stdout, stderr }
}

fn reader(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    let mut pipe = pipe.expect("the pipe was asked for");
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Waits for a process's end: none if it takes longer.
#[must_use]
pub fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => thread::sleep(STEP),
            Ok(None) => return None,
            Err(error) => panic!("process {} can't be waited for: {error}", child.id()),
        }
    }
}

/// Runs `ip`, which must succeed.
#[track_caller]
pub fn ip<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) {
    succeed(Command::new("ip").args(arguments));
}

/// Runs a command that must succeed.
#[track_caller]
pub fn succeed(command: &mut Command) {
    let output = run(command);
    assert!(output.success(), "{command:?}: {}", output.stderr);
}

/// Runs `ip` for a removal: what is gone already is no failure.
pub fn ip_remove(arguments: &[&str]) {
    let _ = run(Command::new("ip").args(arguments));
}
