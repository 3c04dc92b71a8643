//! The first process of a guest: makes it ready, then runs the tests and switches it off, or does what it is told.

use std::fs::{self, File};
use std::io::{self, BufRead, Write};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use rustix::mount::{MountFlags, mount};
use rustix::process::{Pid, Signal, kill_process_group};
use rustix::system::{RebootCommand, finit_module, reboot, sethostname, uname};

use crate::vm::modules;
use crate::vm::plan::{self, Kind, Test};
use crate::vm::report::Line;

/// What the tested programs expect to be mounted: type, and where.
const FILE_SYSTEMS: [(&str, &str); 7] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("devpts", "/dev/pts"),
    ("bpf", "/sys/fs/bpf"),
    ("tmpfs", "/run"),
    ("tmpfs", "/tmp"),
];
/// Where a guest has every program that tests and clients run.
const PATH: &str = "/bin";
/// Where the daemon with the debug object is.
pub(crate) const DEBUG_IMDSD: &str = "/bin/imdsd-debug";
/// Most tests wait for something most of the time.
const TESTS_AT_ONCE: usize = 4;
/// How long one test may take in a guest that is emulated.
const TEST_LIMIT: Duration = Duration::from_secs(240);
/// How often a test's process is looked at.
const STEP: Duration = Duration::from_millis(20);

/// What the first process does when all is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Runs the tests of the image's list.
    Tests,
    /// Runs every line of its input by a shell: prints each line of output after `> `, and the exit code after `= `.
    Instance,
    /// Ends, which its kernel takes for a reason to panic.
    Panic,
    /// Does nothing any more.
    Hang,
}

impl Role {
    /// As it stands on the kernel's command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tests => "tests",
            Self::Instance => "instance",
            Self::Panic => "panic",
            Self::Hang => "hang",
        }
    }
}

/// Plays its role; never returns in a guest.
pub(crate) fn run(role: Role) -> Result<()> {
    ensure!(
        std::process::id() == 1,
        "vm-init runs as the first process of a virtual machine: use `cargo xtask vm-test`"
    );
    // Without the report's last line the host counts an error as a failure.
    if let Err(error) = play(role) {
        println!("vm-init: {error:#}");
    }
    reboot(RebootCommand::PowerOff).context("the guest can't be switched off")
}

fn play(role: Role) -> Result<()> {
    for (kind, path) in FILE_SYSTEMS {
        fs::create_dir_all(path).with_context(|| format!("can't make {path}"))?;
        mount(kind, path, kind, MountFlags::empty(), None).with_context(|| format!("can't mount {path}"))?;
    }
    // iproute2 keeps namespaces' names below the old path.
    symlink("/run", "/var/run").context("can't make /var/run")?;
    println!("{}", Line::Kernel(&uname().release().to_string_lossy()));
    match role {
        Role::Tests => {
            make_ready()?;
            report(&plan::read(&fs::read_to_string(plan::LIST).context("there is no list of tests")?)?);
        }
        Role::Instance => {
            make_ready()?;
            obey()?;
        }
        Role::Panic => std::process::exit(1),
        Role::Hang => loop {
            thread::park();
        },
    }
    Ok(())
}

fn make_ready() -> Result<()> {
    load_modules()?;
    sethostname(b"guest").context("can't set the hostname")?;
    let up = command("ip").args(["link", "set", "lo", "up"]).status().context("can't start ip")?;
    ensure!(up.success(), "the loopback interface can't be set up");
    Ok(())
}

fn load_modules() -> Result<()> {
    let entries = fs::read_dir(modules::DIRECTORY).context("the image has no modules")?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    for path in files {
        let file = File::open(&path).with_context(|| format!("can't read {}", path.display()))?;
        finit_module(&file, c"", 0).with_context(|| format!("can't load {}", path.display()))?;
    }
    Ok(())
}

/// A program of the guest's, which gets nothing to read.
fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", PATH).stdin(Stdio::null());
    command
}

fn report(tests: &[Test]) {
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..TESTS_AT_ONCE {
            scope.spawn(|| {
                while let Some(test) = tests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if !passes(test) {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    println!("{}", Line::End { passed: tests.len() - failed, failed });
}

fn passes(test: &Test) -> bool {
    let (output, failure) = match outcome(test) {
        Ok((output, failure)) => (output, failure),
        Err(error) => (String::new(), Some(format!("{error:#}"))),
    };
    // Held, so that no other test's lines come between.
    let mut console = io::stdout().lock();
    let mut say = |line: Line<'_>| {
        // A guest without a console has nobody to tell.
        let _ = writeln!(console, "{line}");
    };
    if failure.is_some() || test.kind == Kind::Check {
        for text in output.lines() {
            say(Line::Output { test: &test.name, text });
        }
    }
    match &failure {
        None => say(Line::Passed(&test.name)),
        Some(reason) => say(Line::Failed { test: &test.name, reason }),
    }
    failure.is_none()
}

/// Runs a test; what it printed, and what is wrong, if anything.
fn outcome(test: &Test) -> Result<(String, Option<String>)> {
    let said = PathBuf::from("/run").join(test.name.replace('/', "-"));
    let file = File::create(&said).with_context(|| format!("can't write {}", said.display()))?;
    let mut command = command(&test.program);
    match &test.kind {
        Kind::Check => command.arg("check"),
        Kind::OfBinary(name) => command.args(["--exact", name]),
    };
    command
        .env("IMDS_BIN_DIR", PATH)
        .env("IMDS_DEBUG_IMDSD", DEBUG_IMDSD)
        .env("IMDS_SLOW", "1")
        .env("RUST_BACKTRACE", "0")
        .process_group(0);
    command.stdout(file.try_clone()?).stderr(file);
    let mut child = command.spawn().with_context(|| format!("{} can't be started", test.program))?;
    let status = wait(&mut child)?;
    let output = String::from_utf8_lossy(&fs::read(&said)?).into_owned();
    let failure = match status {
        None => Some(format!("took longer than {} s", TEST_LIMIT.as_secs())),
        Some(status) if !status.success() => Some(status.to_string()),
        // A name that the binary doesn't know makes it succeed without a test.
        Some(_) if test.kind != Kind::Check && !output.contains("test result: ok. 1 passed; 0 failed; 0 ignored;") => {
            Some("the binary ran another number of tests than one".to_owned())
        }
        Some(_) => None,
    };
    Ok((output, failure))
}

/// Waits for a test's end, and ends it with all that it started where that takes too long.
fn wait(child: &mut Child) -> Result<Option<ExitStatus>> {
    let deadline = Instant::now() + TEST_LIMIT;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(STEP);
    }
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a process without an id")?;
    kill_process_group(group, Signal::KILL)?;
    child.wait()?;
    Ok(None)
}

fn obey() -> Result<()> {
    println!("= ready");
    for line in io::stdin().lock().lines() {
        let output = command("sh").args(["-c", &format!("exec 2>&1; {}", line?)]).output().context("can't start sh")?;
        for text in String::from_utf8_lossy(&output.stdout).lines() {
            println!("> {text}");
        }
        println!("= {}", output.status.code().map_or_else(|| output.status.to_string(), |code| code.to_string()));
    }
    Ok(())
}
