//! `cargo xtask vm-instance`: virtual machines as instances of a daemon on the running kernel.

use anyhow::Result;

use crate::setup::clients;
use crate::setup::compiler::Core;
use crate::vm::kernel::Series;
use crate::vm::machine;
use crate::workspace::{Profile, Workspace};
use crate::{build, process, test};

/// Runs the tests that boot machines of this kernel; returns how many passed. Fails if any did not.
pub(crate) fn run(workspace: &Workspace, core: Core, series: Series) -> Result<usize> {
    process::require_root("virtual machines as instances (they hang on taps, and kernel programs on those)")?;
    clients::ensure_programs()?;
    build::run(workspace, core, &[Profile::Release])?;
    let command = machine::command(workspace, series)?;
    let mut cargo = workspace.cargo();
    cargo
        .args(["test", "--package", "imds-tests", "--features", "machines", "--test", "machines", "--locked"])
        .envs(test::black_box_environment(workspace))
        .env(machine::VARIABLE, command);
    test::run_counted(&mut cargo)
}
