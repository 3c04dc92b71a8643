//! Guests that must be found out: one whose kernel panics, and one that hangs.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::setup::virtual_machines::{self, Qemu};
use crate::vm::accelerator::Accelerator;
use crate::vm::guest::{Boot, Guest};
use crate::vm::image::Image;
use crate::vm::kernel::Series;
use crate::vm_init::Role;
use crate::workspace::Workspace;

/// How long an emulated guest may take to its first process, on a busy machine.
const BOOT_LIMIT: Duration = Duration::from_secs(120);
/// How long the guest is given that hangs.
const HUNG_LIMIT: Duration = Duration::from_secs(2);

/// Boots both; how many were found out. Fails if one was not.
pub(crate) fn run(workspace: &Workspace, qemu: &Qemu, accelerator: Accelerator, series: Series) -> Result<usize> {
    let kernel = virtual_machines::ensure_kernel(workspace, series)?;
    let image = workspace.target.join("vm/guests/mishaps.cpio");
    Image::new(&[])?.write(&image)?;
    let boot = Boot { kernel: kernel.image, image, parameters: "" };
    let start = |role| Guest::start(qemu, accelerator, &boot, role, Stdio::inherit());
    println!("vm-test: booting a guest that panics, and one that hangs");
    let (panicked, hung) = thread::scope(|scope| {
        let panics = scope.spawn(|| Ok(start(Role::Panic)?.report(BOOT_LIMIT, "panics")));
        let hangs = scope.spawn(|| {
            let mut guest = start(Role::Hang)?;
            ensure!(guest.reaches_first_process(BOOT_LIMIT), "the guest that was to hang didn't boot");
            Ok(guest.report(HUNG_LIMIT, "hangs"))
        });
        (panics.join(), hangs.join())
    });
    for (what, report, word) in [("panics", panicked, "panicked"), ("hangs", hung, "was killed")] {
        let report = report.map_err(|_| anyhow::anyhow!("the thread of the guest that {what} panicked"))?;
        match report.with_context(|| format!("the guest that {what}"))?.judge(&["a test"]) {
            Err(reason) if reason.contains(word) => println!("vm-test: found out: {reason}"),
            other => bail!("the guest that {what} was not found out: {other:?}"),
        }
    }
    Ok(2)
}
