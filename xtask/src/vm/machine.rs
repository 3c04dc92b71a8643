//! A command that boots a guest to be an instance: the tests add its network card, and tell it what to run.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::setup::virtual_machines::{self, Qemu};
use crate::vm::accelerator::Accelerator;
use crate::vm::guest::Boot;
use crate::vm::image::Image;
use crate::vm::kernel::Series;
use crate::vm::modules::{self, Modules};
use crate::vm_init::Role;
use crate::workspace::Workspace;

/// Names the command to the tests.
pub(crate) const VARIABLE: &str = "IMDS_MACHINE";
/// What a guest that is an instance runs: clients, and what sets up its network.
const PROGRAMS: [&str; 5] = ["curl", "ip", "sh", "sysctl", "wget"];

/// Writes the command; its path.
pub(crate) fn command(workspace: &Workspace, series: Series) -> Result<PathBuf> {
    let qemu = Qemu::ensure(workspace)?;
    let directory = workspace.target.join("vm/instances").join(series.name());
    let boot = [boot(workspace, series, &directory)?];
    let accelerator = Accelerator::probe(&qemu, &boot.each_ref())?;

    let libraries = qemu.library_path()?.map(|path| format!("LD_LIBRARY_PATH={} ", quoted(&path)));
    let arguments = boot.iter().flat_map(|boot| boot.arguments(accelerator, Role::Instance));
    let words = [qemu.program().into()].into_iter().chain(arguments);
    let words = words.map(|word: OsString| quoted(&word)).collect::<Vec<_>>().join(" ");
    let script = format!("#!/bin/sh\n{}exec {words} \"$@\"\n", libraries.unwrap_or_default());
    let command = directory.join("machine");
    fs::write(&command, script).with_context(|| format!("can't write {}", command.display()))?;
    fs::set_permissions(&command, Permissions::from_mode(0o755))?;
    Ok(command)
}

fn boot(workspace: &Workspace, series: Series, directory: &Path) -> Result<Boot> {
    let kernel = virtual_machines::ensure_kernel(workspace, series)?;
    let modules = Modules::of(&kernel.directory)?.unpack(modules::OF_AN_INSTANCE, &directory.join("modules"))?;
    let mut image = Image::new(&modules)?;
    image.installed(&PROGRAMS)?;
    let to = directory.join("initramfs.cpio");
    image.write(&to)?;
    Ok(Boot { kernel: kernel.image, image: to, parameters: "" })
}

/// One word for the shell.
fn quoted(word: &OsStr) -> String {
    format!("'{}'", word.display().to_string().replace('\'', r"'\''"))
}
