//! `imdsd`, the instance metadata daemon.

mod arguments;
mod daemon;
mod log;

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use clap::Parser as _;
use imds_userspace::config::Config;
use imds_userspace::control::run_dir::{self, RunDir};
use imds_userspace::dataplane::Dataplane;
use imds_userspace::dataplane::attach::Attach;
use imds_userspace::dataplane::features::Features;
use imds_userspace::dataplane::names::Names;
use rustix::fs::Mode;

use self::arguments::{Arguments, Command, ConfigCommand};

/// What the daemon makes is its user's alone.
const UMASK: Mode = Mode::RWXG.union(Mode::RWXO);

fn main() -> ExitCode {
    // Process-wide, so before there is a second thread.
    rustix::process::umask(UMASK);
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            // That it can't be written has nowhere to be said.
            let _ = writeln!(io::stderr(), "imdsd: {}", describe(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        None => {
            let config = arguments.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
            log::start(&config.log);
            require_root()?;
            // Before anything is made: a start that can't succeed leaves nothing behind.
            Features::probe(arguments.attach).require()?;
            runtime()?.block_on(daemon::run(arguments, &config))?;
        }
        Some(Command::Detach { dry_run }) => {
            require_root()?;
            detach(arguments, *dry_run)?;
        }
        Some(Command::Config { command: ConfigCommand::Default }) => print(&Config::default_file())?,
        Some(Command::Check) => {
            require_root()?;
            check(arguments.attach)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the kernel gives no threads")
}

fn require_root() -> anyhow::Result<()> {
    let reason = "imdsd needs root: it loads eBPF programs and makes a network namespace; run it with sudo";
    ensure!(rustix::process::geteuid().is_root(), reason);
    Ok(())
}

fn detach(arguments: &Arguments, dry_run: bool) -> anyhow::Result<()> {
    let path = run_dir::real_path(&arguments.run_dir);
    let names = Names::new(&path);
    let things = if dry_run {
        runtime()?.block_on(Dataplane::leftovers(&names))?
    } else {
        // Held to the end, so that no daemon starts on what is being removed.
        let taken = if path.exists() { Some(RunDir::take(&path)?) } else { None };
        let removed = runtime()?.block_on(Dataplane::detach(&names))?;
        taken.map_or(Ok(()), RunDir::remove)?;
        removed
    };
    things.iter().try_for_each(|thing| print(&format!("{thing}\n")))
}

fn check(attach: Attach) -> anyhow::Result<()> {
    let features = Features::probe(attach);
    print(&features.to_string())?;
    features.require()?;
    let reports = Dataplane::check()?;
    if reports.is_empty() {
        bail!("this imdsd has no programs in it; build it with `cargo xtask build`");
    }
    for report in reports {
        let instructions = report.verified_instructions.map_or_else(|| "?".to_owned(), |count| count.to_string());
        let milliseconds = report.duration.as_secs_f64() * 1000.0;
        print(&format!("{}: {instructions} instructions verified, loaded in {milliseconds:.1} ms\n", report.program))?;
    }
    Ok(())
}

/// Writes to standard output. A reader who has gone away is no failure.
fn print(text: &str) -> anyhow::Result<()> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("standard output can't be written")
        }
        _ => Ok(()),
    }
}

/// An error with its causes, but for those that it names itself.
fn describe(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
