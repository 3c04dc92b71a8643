//! `cargo xtask build`: the kernel programs, and the binaries that embed them.

use std::path::PathBuf;

use anyhow::Result;

use crate::ebpf::Toolchain;
use crate::process;
use crate::setup::compiler::{Compiler, Core};
use crate::workspace::{Profile, Workspace};

/// Names the kernel programs' object to the build script of imds-userspace.
pub(crate) const OBJECT_VARIABLE: &str = "IMDS_EBPF_OBJECT";

/// Builds each profile; returns the kernel programs' objects in the same order.
pub(crate) fn run(workspace: &Workspace, core: Core, profiles: &[Profile]) -> Result<Vec<PathBuf>> {
    let toolchain = Toolchain::new(workspace, Compiler::ensure(core)?)?;
    profiles.iter().map(|profile| build(workspace, &toolchain, *profile)).collect()
}

fn build(workspace: &Workspace, toolchain: &Toolchain<'_>, profile: Profile) -> Result<PathBuf> {
    let object = toolchain.build(profile)?;
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--package", "imds-userspace", "--bins", "--locked"]).env(OBJECT_VARIABLE, &object);
    if profile == Profile::Release {
        cargo.arg("--release");
    }
    process::run(&mut cargo)?;
    println!("xtask: built {0}/imdsd and {0}/imdsctl", workspace.binaries(profile).display());
    Ok(object)
}
