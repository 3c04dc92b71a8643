//! `cargo xtask soak`: everything at once, for as long as is wanted.

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};

use crate::setup::clients;
use crate::setup::compiler::Core;
use crate::workspace::{Profile, Workspace};
use crate::{build, process, test};

/// Builds, then becomes the soak.
pub(crate) fn run(workspace: &Workspace, core: Core, minutes: u32) -> Result<()> {
    process::require_root("the soak (it makes network namespaces and loads kernel programs)")?;
    clients::ensure(workspace)?;
    build::run(workspace, core, &[Profile::Release])?;
    let mut soak = test::binary(workspace, "soak")?;
    soak.arg((u64::from(minutes) * 60).to_string());
    Err(soak.exec()).with_context(|| process::cannot_start(&soak))
}
