//! QEMU, and Debian kernels to boot in it: unpacked into the target folder, not installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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
    let kernels = workspace.target.join("vm/kernels");
    let directory = kernels.join(series.name());
    if let Some(image) = image(&directory) {
        return Ok(image);
    }
    let package = newest(series)?;
    println!("setup: downloading {package} (not installing it): a kernel that the kernel programs are tried on");
    let scratch = kernels.join(format!(".{}", series.name()));
    remove(&scratch)?;
    remove(&directory)?;
    fs::create_dir_all(&scratch).with_context(|| format!("can't make {}", scratch.display()))?;
    if apt::download(&package, &scratch).is_err() {
        process::require_root("bringing apt's package lists up to date")?;
        apt::update()?;
        apt::download(&newest(series)?, &scratch)?;
    }
    let archive = sole_file(&scratch).with_context(|| format!("apt-get left no file of {package}"))?;
    let unpacked = scratch.join("unpacked");
    process::run(Command::new("dpkg-deb").arg("-x").arg(archive).arg(&unpacked))?;
    fs::rename(&unpacked, &directory).with_context(|| format!("can't make {}", directory.display()))?;
    remove(&scratch)?;
    image(&directory).with_context(|| format!("{package} holds no kernel image"))
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

fn sole_file(directory: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(directory).ok()?;
    entries
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
}

fn remove(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("can't remove {}", directory.display()))
        }
        _ => Ok(()),
    }
}
