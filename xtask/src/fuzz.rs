//! `cargo xtask fuzz`: the rules against whatever bytes reach new code in them.
//!
//! The engine is LLVM's libFuzzer. What code an input reaches is told by rustc's own instrumentation, which needs no
//! nightly compiler.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::process;
use crate::setup::cxx;
use crate::workspace::Workspace;

/// Instrumentation for the engine, and checks that a release build leaves out.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions=on -Coverflow-checks=on";

/// What is fuzzed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// The request grammar, as kernel and daemon judge by it
    Head,
    /// The token codec
    Token,
    /// The flow machine, in a model of what stands around it
    Flow,
}

/// How much is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// For so many seconds each, from where the last run ended.
    Seconds(u32),
    /// The same few inputs each time, from the committed corpus on.
    Bounded,
}

impl Target {
    fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Token => "token",
            Self::Flow => "flow",
        }
    }

    /// Longest input in bytes: heads that the kernel leaves to the daemon for their length are a little longer.
    fn longest(self) -> u32 {
        match self {
            Self::Head => 1_100,
            Self::Token => 128,
            Self::Flow => 400,
        }
    }

    /// Inputs of a bounded run: a few seconds.
    fn runs(self) -> u32 {
        match self {
            Self::Head => 60_000,
            Self::Token => 500_000,
            Self::Flow => 60_000,
        }
    }
}

/// Where everything of a target is.
struct Places {
    program: PathBuf,
    /// The committed file, a line for each input, and its inputs as the engine wants them, a file for each.
    corpus: PathBuf,
    committed: PathBuf,
    found: PathBuf,
    failures: PathBuf,
}

impl Places {
    fn of(workspace: &Workspace, built: &Path, target: Target) -> Self {
        let name = target.name();
        let work = workspace.target.join("fuzz").join(name);
        Self {
            program: built.join(format!("fuzz-{name}")),
            corpus: workspace.fuzz().join(format!("corpus/{name}.hex")),
            committed: work.join("committed"),
            found: work.join("found"),
            failures: work.join("failures"),
        }
    }
}

/// Fuzzes the targets, all if none is named; how many there were. With `accept`, the committed corpus becomes the least
/// that reaches all that is known then.
pub(crate) fn run(workspace: &Workspace, targets: &[Target], extent: Extent, accept: bool) -> Result<usize> {
    let targets = if targets.is_empty() { Target::value_variants() } else { targets };
    let built = build(workspace)?;
    for &target in targets {
        let places = Places::of(workspace, &built, target);
        for directory in [&places.found, &places.failures] {
            fs::create_dir_all(directory).with_context(|| format!("can't make {}", directory.display()))?;
        }
        unpack(&places)?;
        fuzz(workspace, target, &places, extent)?;
        if accept {
            merge(&places)?;
        }
    }
    Ok(targets.len())
}

/// Builds the targets; where they are.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    cxx::ensure()?;
    let host = host(workspace)?;
    // With a target named, the flags are not those of build scripts.
    let arguments = ["build", "--package", "imds-fuzz", "--features", "engine", "--bins", "--release", "--locked"];
    process::run(workspace.cargo().args(arguments).args(["--target", &host]).env("RUSTFLAGS", FLAGS))?;
    Ok(workspace.target.join(host).join("release"))
}

/// The compiler's name for this machine.
fn host(workspace: &Workspace) -> Result<String> {
    let version = process::output(workspace.cargo().arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("cargo doesn't say what machine this is")
}

fn fuzz(workspace: &Workspace, target: Target, places: &Places, extent: Extent) -> Result<()> {
    let mut command = Command::new(&places.program);
    command.arg(format!("-max_len={}", target.longest()));
    command.arg(format!("-artifact_prefix={}/", places.failures.display()));
    let dictionary = workspace.fuzz().join(format!("{}.dict", target.name()));
    if dictionary.is_file() {
        command.arg(format!("-dict={}", dictionary.display()));
    }
    match extent {
        Extent::Seconds(seconds) => command.arg(format!("-max_total_time={seconds}")).arg(&places.found),
        Extent::Bounded => command.args(["-seed=1", "-verbosity=0"]).arg(format!("-runs={}", target.runs())),
    };
    command.arg(&places.committed);
    let status = command.status().with_context(|| process::cannot_start(&command))?;
    ensure!(
        status.success(),
        "fuzzing {} found an input that breaks a rule ({status}): it is in {}, and `{} FILE` plays it again",
        target.name(),
        places.failures.display(),
        places.program.display()
    );
    println!("xtask fuzz: {}: nothing found", target.name());
    Ok(())
}

/// Makes the committed corpus the least that reaches every edge of the code that is reached by it and what was found.
fn merge(places: &Places) -> Result<()> {
    let least = places.found.with_file_name("least");
    make_empty(&least)?;
    let mut command = Command::new(&places.program);
    command.args(["-merge=1", "-use_counters=0", "-verbosity=0"]);
    process::run(command.args([&least, &places.committed, &places.found]))?;
    let inputs = fs::read_dir(&least).with_context(|| format!("can't read {}", least.display()))?;
    let mut lines = Vec::new();
    for input in inputs {
        let input = input?.path();
        let bytes = fs::read(&input).with_context(|| format!("can't read {}", input.display()))?;
        lines.push(bytes.iter().fold(String::new(), |line, byte| line + &format!("{byte:02x}")) + "\n");
    }
    lines.sort_by_key(|line| (line.len(), line.clone()));
    fs::write(&places.corpus, lines.concat()).with_context(|| format!("can't write {}", places.corpus.display()))
}

/// Gives the engine the committed inputs.
fn unpack(places: &Places) -> Result<()> {
    make_empty(&places.committed)?;
    let corpus = &places.corpus;
    let text = fs::read_to_string(corpus).with_context(|| format!("can't read {}", corpus.display()))?;
    for (number, line) in text.lines().enumerate() {
        let bytes = line.as_bytes().chunks(2).map(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok());
        let bytes: Option<Vec<_>> = bytes.collect();
        let bytes = bytes.with_context(|| format!("{}:{} is not hexadecimal", corpus.display(), number + 1))?;
        let file = places.committed.join(number.to_string());
        fs::write(&file, bytes).with_context(|| format!("can't write {}", file.display()))?;
    }
    Ok(())
}

fn make_empty(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("can't remove {}", directory.display()));
        }
        _ => {}
    }
    fs::create_dir_all(directory).with_context(|| format!("can't make {}", directory.display()))
}
