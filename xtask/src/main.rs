//! The project's own commands, run as `cargo xtask COMMAND`.

mod bench;
mod build;
mod demo;
mod ebpf;
mod lint;
mod process;
mod setup;
mod soak;
mod test;
mod verifier_costs;
mod vm;
mod vm_init;
mod vm_test;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::bench::Row;
use crate::setup::compiler::Core;
use crate::vm::kernel::Series;
use crate::workspace::{Profile, Workspace};

const EXAMPLES: &str = "\
Examples:
  cargo xtask demo                    show the main job on real packets (as root)
  cargo xtask demo --keep             the same, and leave it running to try by hand
  cargo xtask build --release         target/release/imdsd and imdsctl
  cargo xtask test --no-vm            every test but those in virtual machines (as root)
  cargo xtask bench --only tokens     measure one row against nginx, 5 rounds (as root)
  cargo xtask vm-test --kernel 6.1    load the kernel programs on one kernel only

Each command installs what it misses, once, and says so; afterwards it works offline.";

/// Sets up, builds, lints, tests and shows this project.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", after_help = EXAMPLES)]
struct Arguments {
    /// Where `core` for the eBPF target comes from.
    #[arg(long, global = true, value_enum, default_value_t = Core::Auto, env = "IMDS_XTASK_CORE")]
    core: Core,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install everything that the other commands need, and name what is in use
    Setup,
    /// Build the kernel programs, then imdsd (which embeds them) and imdsctl
    Build {
        /// Optimised, and without debug lines from the kernel: target/release
        #[arg(long)]
        release: bool,
    },
    /// Run clippy on the kernel programs for their own target, warnings denied
    Lint,
    /// Run all tests: unit, black-box on real packets, and in virtual machines (as root)
    Test {
        /// Leave the virtual machines out
        #[arg(long)]
        no_vm: bool,
    },
    /// Let mixed clients, option flips, instances that come and go and kills of the daemon loose on it (as root)
    Soak {
        /// For how long
        #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
        minutes: u32,
    },
    /// Show the main job on real packets between network namespaces (as root)
    Demo {
        /// Leave everything running, and print how to try and how to end it
        #[arg(long)]
        keep: bool,
    },
    /// Measure the speed of the path against named peers in the same run (as root); aims are shown, not demanded
    Bench {
        /// Rounds of each row, the peers taking turns; what is printed is their median
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
        rounds: u32,
        /// One of the rows, and no other
        #[arg(long, value_name = "NAME", value_enum, value_delimiter = ',')]
        only: Vec<Row>,
        /// One short round of each row, to see that all of it works: its numbers mean nothing
        #[arg(long, conflicts_with = "rounds")]
        quick: bool,
        /// Write what the verifier walks on this kernel into the committed list, and measure nothing else
        #[arg(long, conflicts_with_all = ["rounds", "only", "quick"])]
        accept: bool,
    },
    /// Load the kernel programs, debug and release, on other kernels in QEMU
    VmTest {
        /// Kernel series to boot
        #[arg(long = "kernel", value_name = "SERIES", value_enum, value_delimiter = ',',
              default_values_t = [Series::V6_1, Series::V6_12])]
        kernels: Vec<Series>,
        /// Write what the verifiers walk into the committed list
        #[arg(long)]
        accept: bool,
    },
    /// What runs as the first process inside a virtual machine of vm-test
    #[command(hide = true)]
    VmInit,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // On one line, and without a backtrace: it is for who ran the command.
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    let core = arguments.core;
    match arguments.command {
        Command::Setup => setup::run(&Workspace::locate()?, core),
        Command::Build { release } => {
            let profile = if release { Profile::Release } else { Profile::Debug };
            build::run(&Workspace::locate()?, core, &[profile]).map(drop)
        }
        Command::Lint => lint::run(&Workspace::locate()?, core),
        Command::Test { no_vm } => test::run(&Workspace::locate()?, core, !no_vm),
        Command::Soak { minutes } => soak::run(&Workspace::locate()?, core, minutes),
        Command::Demo { keep } => demo::run(&Workspace::locate()?, core, keep),
        Command::Bench { accept: true, .. } => bench::accept(&Workspace::locate()?, core),
        Command::Bench { rounds, only, quick, accept: false } => {
            bench::run(&Workspace::locate()?, core, &only, (!quick).then_some(rounds))
        }
        Command::VmTest { kernels, accept } => vm_test::run(&Workspace::locate()?, core, &kernels, accept).map(drop),
        Command::VmInit => vm_init::run(),
    }
}
