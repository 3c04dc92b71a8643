//! What a daemon holds.

use std::fmt;
use std::fs;
use std::path::Path;

use crate::bpf;
use crate::host::Host;

/// What a daemon holds, on the host and in the kernel.
#[derive(Clone, Debug)]
pub(super) struct Footprint {
    /// Its resident memory, in KiB.
    memory: u64,
    /// Its open files.
    files: usize,
    /// Files in its directories.
    stored: usize,
    /// TCP sockets in the service's namespace that are more than the memory of one.
    sockets: usize,
    /// Interfaces that its map has on record.
    entries: usize,
    /// What `imdsd detach --dry-run` lists, a line each: programs on interfaces, pins, links.
    in_kernel: usize,
}

/// By how much memory may differ from cycle to cycle without being a leak: the allocator keeps what a peak took, in KiB.
const MEMORY_SLACK: u64 = 16 * 1024;
/// Files that may be open more: a control connection that is just being closed.
const FILES_SLACK: usize = 8;

/// Sockets that may be more: such as are just ending.
const SOCKETS_SLACK: usize = 8;

impl Footprint {
    #[track_caller]
    pub(super) fn of(host: &Host) -> Self {
        let pid = host.pid().expect("the daemon runs");
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let namespace = host.service_namespace();
        let memory =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
        Self {
            memory: memory.expect("a process has memory"),
            files: fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").count(),
            stored: count_files(&host.run_dir()) + count_files(&host.state_dir()),
            sockets: namespace.live_sockets().values().sum(),
            entries: bpf::count_entries(&namespace.pin("IMDS_INTERFACES")),
            in_kernel: host.leftovers().len(),
        }
    }

    /// Asserts that nothing has grown since `first`.
    #[track_caller]
    pub(super) fn assert_no_more_than(&self, first: &Self) {
        assert!(self.memory <= first.memory + first.memory / 2 + MEMORY_SLACK, "memory grew: {first} to {self}");
        assert!(self.files <= first.files + FILES_SLACK, "open files grew: {first} to {self}");
        assert!(self.stored <= first.stored, "stored files grew: {first} to {self}");
        assert!(self.sockets <= first.sockets + SOCKETS_SLACK, "sockets grew: {first} to {self}");
        assert!(self.entries <= first.entries, "entries of maps grew: {first} to {self}");
        assert!(self.in_kernel <= first.in_kernel, "what is in the kernel grew: {first} to {self}");
    }
}

impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory, files, stored, sockets, entries, in_kernel } = self;
        write!(f, "{memory} KiB, {files} open and {stored} stored files, {sockets} sockets, {entries} interfaces on ")?;
        write!(f, "record, {in_kernel} things in the kernel")
    }
}

fn count_files(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { count_files(&entry.path()) } else { 1 }).sum()
}
