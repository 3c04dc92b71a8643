//! `cargo xtask demo`: the main job on real packets.

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};

use crate::setup::clients;
use crate::setup::compiler::Core;
use crate::workspace::{Profile, Workspace};
use crate::{build, process, test};

/// Builds, then becomes the demo, so that its exit code and every signal are its own.
pub(crate) fn run(workspace: &Workspace, core: Core, keep: bool) -> Result<()> {
    process::require_root("the demo (it makes network namespaces and loads kernel programs)")?;
    clients::ensure(workspace)?;
    build::run(workspace, core, &[Profile::Release])?;
    let mut demo = test::binary(workspace, "demo")?;
    if keep {
        demo.arg("--keep");
    }
    Err(demo.exec()).with_context(|| process::cannot_start(&demo))
}
