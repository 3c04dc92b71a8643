//! Whether guests run on the hardware or are emulated.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Result;

use crate::setup::virtual_machines::Qemu;
use crate::vm::guest::{Boot, Guest};
use crate::vm::suite::Extent;
use crate::vm_init::Role;

/// A guest reaches its first process within 2 s where KVM works.
const PROBE_LIMIT: Duration = Duration::from_secs(15);

/// What runs a guest's instructions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accelerator {
    /// The processor, through /dev/kvm.
    Kvm,
    /// QEMU's emulation.
    Tcg,
}

impl Accelerator {
    /// Tries KVM by booting each kernel as far as its first process. Less proves nothing: /dev/kvm may be there and
    /// never run a guest, or run one until it meets an instruction that a nested KVM can't.
    pub(crate) fn probe(qemu: &Qemu, boots: &[&Boot]) -> Result<Self> {
        if !Path::new("/dev/kvm").exists() {
            println!("vm-test: emulating (TCG): there is no /dev/kvm");
            return Ok(Self::Tcg);
        }
        for boot in boots {
            if !Self::Kvm.reaches_first_process(qemu, boot)? {
                println!(
                    "vm-test: emulating (TCG): /dev/kvm is there, but didn't boot {} within {} s",
                    boot.kernel.file_name().unwrap_or_default().display(),
                    PROBE_LIMIT.as_secs()
                );
                return Ok(Self::Tcg);
            }
        }
        println!("vm-test: on KVM, which boots the kernels");
        Ok(Self::Kvm)
    }

    /// QEMU's name for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }

    /// How long a guest may take from its start to its final line: twice and more what an idle machine needs for the slice.
    /// The whole suite was never timed.
    pub(crate) fn guest_limit(self, extent: Extent) -> Duration {
        match (self, extent) {
            (Self::Kvm, _) => Duration::from_secs(300),
            (Self::Tcg, Extent::Slice) => Duration::from_secs(3_300),
            (Self::Tcg, Extent::All) => Duration::from_secs(4 * 3_600),
        }
    }

    fn reaches_first_process(self, qemu: &Qemu, boot: &Boot) -> Result<bool> {
        Ok(Guest::start(qemu, self, boot, Role::Hang, Stdio::null())?.reaches_first_process(PROBE_LIMIT))
    }
}
