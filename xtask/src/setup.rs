//! Finds what is missing and installs it, once; milliseconds where nothing is.

mod apt;
pub(crate) mod clients;
pub(crate) mod compiler;
pub(crate) mod cxx;
pub(crate) mod linker;
pub(crate) mod rivals;
pub(crate) mod virtual_machines;

use anyhow::Result;

use crate::setup::compiler::{Compiler, Core};
use crate::setup::virtual_machines::Qemu;
use crate::workspace::Workspace;

/// `cargo xtask setup`: everything that any command needs.
pub(crate) fn run(workspace: &Workspace, core: Core) -> Result<()> {
    let compiler = Compiler::ensure(core)?;
    let clippy = compiler.ensure_clippy()?;
    let linker = linker::ensure(workspace)?;
    let clients = clients::ensure_for_tests(workspace)?;
    let nginx = rivals::ensure(workspace)?;
    let cxx = cxx::ensure()?;
    let qemu = Qemu::ensure(workspace)?;
    println!("eBPF compiler   {compiler}");
    println!("eBPF linter     {}", clippy.display());
    println!("eBPF linker     bpf-linker {} in {}", linker::VERSION, linker.display());
    println!("clients         curl, wget, boto3, AWS CLI, AWS SDKs, cloud-init in {}", clients.display());
    println!("benchmark       {} in {}", rivals::versions(workspace)?, nginx.display());
    println!("fuzzer          libFuzzer, by {}", cxx.display());
    println!("QEMU            {}", qemu.program().display());
    for series in virtual_machines::ALL {
        println!("kernel {:<9}{}", series.name(), virtual_machines::ensure_kernel(workspace, series)?.image.display());
    }
    Ok(())
}
