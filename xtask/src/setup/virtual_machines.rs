//! QEMU, and Debian kernels to boot in it: unpacked into the target folder, not installed.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process;
use crate::setup::apt::{self, Extent};
use crate::vm::kernel::{self, Series};
use crate::workspace::Workspace;

/// The program that boots kernels, and its package.
const QEMU: &str = "qemu-system-x86_64";
const QEMU_PACKAGE: &str = "qemu-system-x86";
/// Where Debian's libraries are, in a file tree.
const LIBRARIES: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];
/// Every series that is kept.
pub(crate) const ALL: [Series; 2] = [Series::V6_1, Series::V6_12];

/// The program that boots kernels: the installed one, or one with its libraries in the target folder.
pub(crate) struct Qemu {
    program: PathBuf,
    libraries: Vec<PathBuf>,
}

impl Qemu {
    /// Finds QEMU, or fetches it where it is missing.
    pub(crate) fn ensure(workspace: &Workspace) -> Result<Self> {
        ensure!(
            cfg!(target_arch = "x86_64"),
            "the virtual machines boot x86-64 kernels, which this machine isn't made for: leave them out (--no-vm)"
        );
        if let Some(program) = process::find(QEMU) {
            return Ok(Self { program, libraries: Vec::new() });
        }
        let root = workspace.target.join("vm/qemu");
        let program = root.join("usr/bin").join(QEMU);
        if !program.exists() {
            apt::unpack(|| Ok(QEMU_PACKAGE.to_owned()), Extent::WithMissing, "it boots the other kernels", &root)?;
            ensure!(program.exists(), "{QEMU_PACKAGE} holds no {QEMU}");
        }
        Ok(Self { program, libraries: LIBRARIES.map(|directory| root.join(directory)).to_vec() })
    }

    /// A command that runs it.
    pub(crate) fn command(&self) -> Result<Command> {
        let mut command = Command::new(&self.program);
        command.envs(self.library_path()?.map(|path| ("LD_LIBRARY_PATH", path)));
        Ok(command)
    }

    /// Where its libraries are, for `LD_LIBRARY_PATH`; none if they are installed.
    pub(crate) fn library_path(&self) -> Result<Option<OsString>> {
        if self.libraries.is_empty() {
            return Ok(None);
        }
        env::join_paths(&self.libraries).context("a ':' is in the project's path").map(Some)
    }

    /// The program's path.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }
}

/// A kernel's unpacked package.
pub(crate) struct Kernel {
    /// The package's files.
    pub(crate) directory: PathBuf,
    /// What is booted.
    pub(crate) image: PathBuf,
}

/// Fetches a series' newest kernel where there is none yet.
pub(crate) fn ensure_kernel(workspace: &Workspace, series: Series) -> Result<Kernel> {
    let directory = workspace.target.join("vm/kernels").join(series.name());
    if let Some(image) = image(&directory) {
        return Ok(Kernel { directory, image });
    }
    apt::unpack(|| newest(series), Extent::Alone, "a kernel that the kernel programs are tried on", &directory)?;
    let image = image(&directory).with_context(|| format!("{} holds no kernel image", directory.display()))?;
    Ok(Kernel { directory, image })
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
