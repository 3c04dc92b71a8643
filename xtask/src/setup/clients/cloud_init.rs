//! cloud-init, whose crawl of an instance's metadata is the longest that any client makes.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;
use crate::setup::apt::{self, Extent};
use crate::workspace::Workspace;

/// Debian's, for which its packages are.
const PYTHON: &str = "/usr/bin/python3";

/// Unpacks Debian's package, and those that it needs and this machine lacks.
pub(super) fn ensure(workspace: &Workspace) -> Result<()> {
    let directory = workspace.clients().join("cloud-init");
    if is_usable(&directory).is_ok() {
        return Ok(());
    }
    // Not installed, since it would take this host for an instance at its next start.
    apt::unpack(
        || Ok("cloud-init".to_owned()),
        Extent::WithMissing,
        "its crawl is one of the tests' clients",
        &directory,
    )?;
    is_usable(&directory).context("Debian's cloud-init is unpacked, but can't be used").map(drop)
}

fn is_usable(directory: &Path) -> Result<String> {
    process::output(
        Command::new(PYTHON)
            .args(["-c", "import cloudinit.sources.DataSourceEc2"])
            .env("PYTHONPATH", directory.join("usr/lib/python3/dist-packages"))
            // Nothing but apt writes there.
            .env("PYTHONDONTWRITEBYTECODE", "1"),
    )
}
