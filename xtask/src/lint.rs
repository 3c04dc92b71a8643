//! `cargo xtask lint`: clippy on the kernel programs, for their own target.

use anyhow::Result;

use crate::ebpf::Toolchain;
use crate::setup::compiler::{Compiler, Core};
use crate::workspace::{Profile, Workspace};

/// Lints what both objects are made of.
pub(crate) fn run(workspace: &Workspace, core: Core) -> Result<()> {
    let toolchain = Toolchain::new(workspace, Compiler::ensure(core)?)?;
    toolchain.lint(Profile::Debug)?;
    toolchain.lint(Profile::Release)
}
