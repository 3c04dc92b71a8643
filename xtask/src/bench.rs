//! `cargo xtask bench`: how fast the path is, against named peers in the same run.

mod machine;

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::setup::compiler::Core;
use crate::setup::{clients, rivals};
use crate::verifier_costs::{self, List};
use crate::workspace::{Profile, Workspace};
use crate::{build, process, test};

/// How often each object is loaded: of its times the shortest counts.
const LOADS: usize = 5;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Row {
    /// Reads without a token while one is required, refused by the kernel
    Refusals,
    /// Reads with a token on connections that are kept
    Reads,
    /// Reads with a token, a connection each
    ReadsClosing,
    /// Tokens, a connection each
    Tokens,
    /// The whole tree as cloud-init reads it
    Crawl,
    /// Bulk TCP through an attached interface
    Bulk,
    /// Frames that are dropped in a second, by tc and by XDP before it
    Drops,
    /// The program's time on a packet that isn't for it
    Bystander,
    /// Changes of options
    Options,
    /// The programs' time on each golden packet
    Golden,
    /// Reads with a token while another instance floods the service, or another address
    Flood,
    /// The kernel's memory of the maps
    Maps,
    /// The daemon's memory with 10,000 instances and with one
    Memory,
    /// Reads with a token, of 10,000 instances and of one
    Scale,
    /// The program's time on a packet that isn't for it, with 10,000 slots and with one
    BystanderScale,
    /// Starts with 10,000 stored instances
    Start,
    /// What the verifier walks of each program, and the time of its load
    Verifier,
}

/// Prints what it runs on, measures what the verifier walks, then becomes the program that measures the rest. `rounds`
/// is none where a quick run is wanted; no row means all of them.
pub(crate) fn run(workspace: &Workspace, core: Core, rows: &[Row], rounds: Option<u32>) -> Result<()> {
    process::require_root("the benchmark (it makes network namespaces and loads kernel programs)")?;
    rivals::ensure(workspace)?;
    clients::ensure(workspace)?;
    build::run(workspace, core, &[Profile::Debug, Profile::Release])?;
    let mut bench = test::binary(workspace, "bench")?;
    machine::describe(workspace)?;
    let wanted = |row| rows.is_empty() || rows.contains(row);
    if wanted(&Row::Verifier) {
        print_verifier_costs(workspace)?;
    }
    let names: Vec<_> = Row::value_variants()
        .iter()
        .filter(|row| **row != Row::Verifier && wanted(row))
        .filter_map(ValueEnum::to_possible_value)
        .collect();
    if names.is_empty() {
        return Ok(());
    }
    bench.arg(rounds.map_or_else(|| "quick".to_owned(), |rounds| rounds.to_string()));
    bench.args(names.iter().map(|name| name.get_name()));
    Err(bench.exec()).with_context(|| process::cannot_start(&bench))
}

/// Writes what the running kernel's verifier walks into the committed list.
pub(crate) fn accept(workspace: &Workspace, core: Core) -> Result<()> {
    process::require_root("loading kernel programs")?;
    build::run(workspace, core, &[Profile::Debug, Profile::Release])?;
    let mut list = List::read(workspace)?;
    for profile in [Profile::Debug, Profile::Release] {
        let programs = verifier_costs::parse(check(workspace, profile)?.lines());
        print!("{}", list.compare(&machine::series(), profile.directory(), &programs));
        list.accept(&machine::series(), profile.directory(), programs)?;
    }
    Ok(())
}

fn print_verifier_costs(workspace: &Workspace) -> Result<()> {
    let list = List::read(workspace)?;
    println!("verifier: instructions walked and the shortest of {LOADS} loads");
    for profile in [Profile::Debug, Profile::Release] {
        let programs = verifier_costs::parse(check(workspace, profile)?.lines());
        print!("{}", list.compare(&machine::series(), profile.directory(), &programs));
    }
    Ok(())
}

/// What `imdsd check` of a profile says, over and over.
fn check(workspace: &Workspace, profile: Profile) -> Result<String> {
    let imdsd = workspace.binaries(profile).join("imdsd");
    (0..LOADS).map(|_| process::output(Command::new(&imdsd).arg("check"))).collect()
}
