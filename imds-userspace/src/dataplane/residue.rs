//! What a daemon makes on the host, found by its names, and the removal of it.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use aya::maps::{HashMap, Map, MapData};
use imds_common::slot::MADE_CLSACT;
use rustix::mount::{MountFlags, mount};

use super::interface::name_of;
use super::names::{BPF_FS, Names};
use super::{DataplaneError, host, links, namespace, netlink};

/// Mounts the BPF file system where no distribution has.
pub(super) fn mount_bpf_fs() -> io::Result<()> {
    /// `BPF_FS_MAGIC` (include/uapi/linux/magic.h).
    const BPF_FS_MAGIC: i64 = 0xcafe_4a11;
    if rustix::fs::statfs(BPF_FS)?.f_type == BPF_FS_MAGIC {
        return Ok(());
    }
    Ok(mount("bpf", BPF_FS, "bpf", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, None)?)
}

/// Refuses to work beside the pins of another layout: two builds would hang on the same interfaces.
pub(super) fn refuse_other_layouts(names: &Names) -> Result<(), DataplaneError> {
    let Ok(entries) = fs::read_dir(&names.pins) else { return Ok(()) };
    for entry in entries.flatten() {
        if entry.path() != names.layout() {
            let what = format!(
                "{} is the layout of another version of imdsd, this one makes {}; run `imdsd detach` of either, which drops enforcement, and start again",
                entry.path().display(),
                names.layout().display()
            );
            return Err(host(what)(io::ErrorKind::AlreadyExists.into()));
        }
    }
    Ok(())
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

/// Removes everything, in the order that keeps interfaces closed as long as anything of ours hangs on them.
pub(super) async fn remove(names: &Names) -> Result<Vec<String>, DataplaneError> {
    let netlink = netlink::connect()?;
    let mut removed = Vec::new();
    let mut failure = None;
    for layout in layouts(names) {
        for (ifindex, value) in interfaces(&layout) {
            let name = name_of(ifindex).ok().flatten();
            links::detach(&layout, ifindex, name.as_deref());
            if value & MADE_CLSACT != 0 && name.is_some() {
                failure = failure.or(netlink::delete_idle_clsact(&netlink, ifindex).await.err().map(Into::into));
            }
            removed
                .push(format!("program on {}", name.unwrap_or_else(|| format!("interface {ifindex}, gone already"))));
        }
    }
    if names.pins.exists() {
        match remove_tree(&names.pins) {
            Ok(()) => removed.push(format!("pins {}", names.pins.display())),
            Err(source) => failure = failure.or(Some(host(format!("removing {}", names.pins.display()))(source))),
        }
    }
    match netlink::delete(&netlink, &names.host_link).await {
        Ok(true) => removed.push(format!("link {}", names.host_link)),
        Ok(false) => {}
        Err(source) => failure = failure.or(Some(source.into())),
    }
    match namespace::remove(names) {
        Ok(true) => removed.push(format!("namespace {}", names.namespace)),
        Ok(false) => {}
        Err(source) => failure = failure.or(Some(host(format!("removing namespace {}", names.namespace))(source))),
    }
    failure.map_or(Ok(removed), Err)
}

fn layouts(names: &Names) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(&names.pins).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// The interfaces that a layout's programs hang on, as far as its map can be read.
fn interfaces(layout: &Path) -> Vec<(u32, u32)> {
    let Ok(data) = MapData::from_pin(layout.join("IMDS_INTERFACES")) else { return Vec::new() };
    let Ok(map) = HashMap::<_, u32, u32>::try_from(Map::HashMap(data)) else { return Vec::new() };
    map.iter().flatten().collect()
}

/// Removes a directory of pins with all that is in it: bpffs has nothing but files and directories.
fn remove_tree(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() { remove_tree(&path)? } else { fs::remove_file(&path)? }
    }
    fs::remove_dir(directory)
}
