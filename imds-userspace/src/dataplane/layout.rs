//! The directory of the pins, and the check that what is found there is what this build makes.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};

use rustix::mount::{MountFlags, mount};

use super::names::{BPF_FS, Names};
use super::object::ObjectError;
use super::{DataplaneError, host, links, tables};

/// Checks, before anything is made or changed, that this build can take over what is pinned: two layouts would hang on
/// the same interfaces. Returns how many slots there are to be, which pinned maps have a say in.
pub(super) fn check(names: &Names, slots: u16) -> Result<u16, DataplaneError> {
    refuse_others(names)?;
    let slots = tables::pinned_slots(&names.layout()).unwrap_or(slots);
    tables::check_pins(&names.layout(), slots.into()).map_err(ObjectError::from)?;
    Ok(slots)
}

fn refuse_others(names: &Names) -> Result<(), DataplaneError> {
    let unreadable = || host(format!("reading {}", names.pins.display()));
    let entries = match fs::read_dir(&names.pins) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unreadable()(error)),
    };
    for entry in entries {
        let found = entry.map_err(unreadable())?.path();
        if found != names.layout() {
            return Err(DataplaneError::OtherLayout { found, ours: names.layout(), run_dir: names.run_dir.clone() });
        }
    }
    Ok(())
}

/// Whether the BPF file system is where it belongs.
pub(super) fn is_bpf_fs_mounted() -> io::Result<bool> {
    /// `BPF_FS_MAGIC` (include/uapi/linux/magic.h).
    const BPF_FS_MAGIC: i64 = 0xcafe_4a11;
    Ok(rustix::fs::statfs(BPF_FS)?.f_type == BPF_FS_MAGIC)
}

/// Mounts the BPF file system where no distribution has.
pub(super) fn mount_bpf_fs() -> io::Result<()> {
    if is_bpf_fs_mounted()? {
        return Ok(());
    }
    Ok(mount("bpf", BPF_FS, "bpf", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, None)?)
}

/// Makes the directories of the pins, 0700.
pub(super) fn make_directories(names: &Names) -> Result<(), DataplaneError> {
    for directory in [names.pins.clone(), names.layout(), links::directory(&names.layout())] {
        let made = fs::DirBuilder::new().mode(0o700).recursive(true).create(&directory);
        made.and_then(|()| fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)))
            .map_err(host(format!("making {}", directory.display())))?;
    }
    Ok(())
}
