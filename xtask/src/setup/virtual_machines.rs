//! QEMU, and Debian kernels to boot in it: unpacked into the target folder, not installed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::process;
use crate::setup::apt;
use crate::vm::kernel::{self, Series};
use crate::workspace::Workspace;

/// The program that boots kernels.
pub(crate) const QEMU: &str = "qemu-system-x86_64";
/// Every series that is kept.
pub(crate) const ALL: [Series; 2] = [Series::V6_1, Series::V6_12];

/// Installs QEMU where it is missing.
pub(crate) fn ensure_qemu() -> Result<()> {
    ensure!(
        cfg!(target_arch = "x86_64"),
        "the virtual machines boot x86-64 kernels, which this machine isn't made for: leave them out (--no-vm)"
    );
    if process::find(QEMU).is_none() {
        apt::install(&["qemu-system-x86"], "it boots the kernels that the kernel programs are tried on")?;
    }
    Ok(())
}

/// Fetches a series' newest kernel where there is none yet; returns the path of its image.
pub(crate) fn ensure_kernel(workspace: &Workspace, series: Series) -> Result<PathBuf> {
    let directory = workspace.target.join("vm/kernels").join(series.name());
    if let Some(image) = image(&directory) {
        return Ok(image);
    }
    apt::unpack(|| newest(series), "a kernel that the kernel programs are tried on", &directory)?;
    image(&directory).with_context(|| format!("{} holds no kernel image", directory.display()))
}

fn newest(series: Series) -> Result<String> {
    if let Some(package) = kernel::newest(series, &apt::search(kernel::PACKAGES)?) {
        return Ok(package.to_owned());
    }
    process::require_root("bringing apt's package lists up to date")?;
    apt::update()?;
    kernel::newest(series, &apt::search(kernel::PACKAGES)?).map(str::to_owned).with_context(|| {
        format!(
            "apt offers no cloud kernel of Linux {}: the virtual machines want the packages of Debian 12 with its \
             security updates; leave them out with --no-vm",
            series.name()
        )
    })
}

fn image(directory: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(directory.join("boot")).ok()?;
    entries
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with("vmlinuz-"))
        .map(|entry| entry.path())
}
