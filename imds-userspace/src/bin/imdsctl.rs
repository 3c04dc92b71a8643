//! `imdsctl`, the command line of `imdsd`.

use std::process::ExitCode;

use clap::Parser;
use imds_userspace::cli::{self, Arguments};

fn main() -> ExitCode {
    ExitCode::from(cli::run(Arguments::parse()))
}
