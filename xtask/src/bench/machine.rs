//! What the benchmark runs on.

use std::fs;

use anyhow::Result;
use rustix::system::uname;

use crate::setup::rivals;
use crate::verifier_costs;
use crate::workspace::Workspace;

/// Prints kernel, processors, what else runs on them, and the versions of the peers.
pub(super) fn describe(workspace: &Workspace) -> Result<()> {
    let cpus = std::thread::available_parallelism()?;
    let load = fs::read_to_string("/proc/loadavg")?;
    let load = load.split(' ').next().unwrap_or("?");
    println!("kernel {}, {cpus} CPUs: {}, load {load}", release(), cpu());
    println!("peers: {}", rivals::versions(workspace)?);
    Ok(())
}

/// The series of the running kernel.
pub(super) fn series() -> String {
    verifier_costs::series(&release())
}

fn release() -> String {
    uname().release().to_string_lossy().into_owned()
}

fn cpu() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or("of an unknown model", |(_, model)| model).to_owned()
}
