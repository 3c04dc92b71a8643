//! The file system that keeps programs, links and maps while no daemon runs.

use std::io;
use std::path::Path;

use rustix::fs::{StatVfsMountFlags, statvfs};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

use super::{Feature, State, reason};
use crate::dataplane::layout;
use crate::dataplane::names::BPF_FS;

/// Whether it is mounted, or could be.
pub(super) fn probe() -> Feature {
    Feature::new("BPF file system", state().unwrap_or_else(|error| State::Lacking(explain(&error))))
}

fn state() -> io::Result<State> {
    if !layout::is_bpf_fs_mounted()? {
        mount_nowhere()?;
        return Ok(State::There("yes, to be mounted"));
    }
    if statvfs(BPF_FS)?.f_flag.contains(StatVfsMountFlags::RDONLY) {
        let way_out = format!("{BPF_FS} is mounted read-only: `mount -o remount,rw {BPF_FS}`");
        return Ok(State::Lacking(way_out));
    }
    Ok(State::There("yes"))
}

fn explain(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound && !Path::new(BPF_FS).exists() {
        return format!("there is no {BPF_FS}: mount sysfs on /sys, of a kernel with CONFIG_BPF_SYSCALL");
    }
    reason(error, &format!("mount it by hand: `mount -t bpf bpf {BPF_FS}`"))
}

/// Mounts one that has no place, so that nobody sees it, and that is gone with its file descriptors.
fn mount_nowhere() -> io::Result<()> {
    let context = fsopen("bpf", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    Ok(())
}
