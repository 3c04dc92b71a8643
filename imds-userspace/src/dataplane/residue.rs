//! What a daemon has on the host now, found by its names, and the removal of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aya::maps::{HashMap, Map, MapData, MapInfo};
use aya::programs::{ProgramInfo, SchedClassifier, TcAttachType, loaded_programs};
use imds_common::slot::MADE_CLSACT;
use rtnetlink::Handle;

use super::names::Names;
use super::netlink::{self, Direction};
use super::{DataplaneError, host, links, namespace};

/// One thing of a daemon's on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// A program on this interface.
    Program(String),
    /// A program that the kernel still has, though it is on no interface that a daemon has on record.
    Loaded(u32),
    /// The clsact qdisc that was made for a program on this interface.
    Qdisc(String),
    /// The directory of its pins.
    Pins(PathBuf),
    /// The host's end of the service link.
    Link(String),
    /// The network namespace.
    Namespace(String),
}

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program(interface) => write!(f, "program on {interface}"),
            Self::Loaded(id) => write!(f, "program {id} (see `bpftool prog show id {id}`)"),
            Self::Qdisc(interface) => write!(f, "clsact qdisc on {interface}"),
            Self::Pins(path) => write!(f, "pins {}", path.display()),
            Self::Link(name) => write!(f, "link {name}"),
            Self::Namespace(name) => write!(f, "namespace {name}"),
        }
    }
}

/// How long the kernel may take to let go of programs whose pins are gone: it is some milliseconds.
const PARTING: Duration = Duration::from_secs(5);
/// How often that is looked at.
const STEP: Duration = Duration::from_millis(5);

/// What the pins tell, as long as they are there, of everything that doesn't go with them.
#[derive(Debug, Default)]
struct Survey {
    /// Every interface that a program was attached to, and its value in the map.
    interfaces: BTreeMap<u32, u32>,
    /// The ids of the pinned maps: what uses them is this daemon's.
    maps: BTreeSet<u32>,
}

impl Survey {
    fn new(names: &Names) -> Self {
        let mut survey = Self::default();
        for layout in layouts(names) {
            survey.interfaces.extend(links::pinned(&layout).into_iter().map(|ifindex| (ifindex, 0)));
            survey.interfaces.extend(interfaces(&layout));
            let entries = fs::read_dir(&layout).into_iter().flatten().flatten();
            let maps = entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"IMDS_"));
            survey.maps.extend(maps.filter_map(|map| Some(MapInfo::from_pin(map.path()).ok()?.id())));
        }
        survey
    }

    fn is_ours(&self, program: &ProgramInfo) -> bool {
        let maps = program.map_ids().ok().flatten().unwrap_or_default();
        maps.iter().any(|id| self.maps.contains(id))
    }

    /// What there is now.
    async fn find(&self, names: &Names, netlink: &Handle) -> Result<Vec<Leftover>, DataplaneError> {
        let mut found = Vec::new();
        let links = netlink::links(netlink).await?;
        for link in links.iter().filter(|link| link.name != names.host_link) {
            let Some(value) = self.interfaces.get(&link.index) else { continue };
            let filters = netlink::filters(netlink, link.index, Direction::Ingress).await?;
            let others = filters.iter().filter(|&&(priority, handle)| !links::is_our_filter(priority, handle)).count();
            let xdp = link.xdp.is_some_and(|id| self.is_loaded(id));
            if others < filters.len() || xdp || self.has_link(&link.name) {
                found.push(Leftover::Program(link.name.clone()));
            }
            if value & MADE_CLSACT != 0
                && others == 0
                && netlink::filters(netlink, link.index, Direction::Egress).await?.is_empty()
                && netlink::has_clsact(netlink, link.index).await?
            {
                found.push(Leftover::Qdisc(link.name.clone()));
            }
        }
        if names.pins.exists() {
            found.push(Leftover::Pins(names.pins.clone()));
        }
        if links.iter().any(|link| link.name == names.host_link) {
            found.push(Leftover::Link(names.host_link.clone()));
        }
        if names.namespace_file().exists() {
            found.push(Leftover::Namespace(names.namespace.clone()));
        }
        Ok(found)
    }

    /// Whether the program with this id is ours.
    fn is_loaded(&self, id: u32) -> bool {
        loaded_programs().flatten().any(|program| program.id() == id && self.is_ours(&program))
    }

    /// Whether a tcx program of ours hangs on the interface.
    fn has_link(&self, name: &str) -> bool {
        // A kernel without tcx doesn't know the question.
        let programs = SchedClassifier::query_tcx(name, TcAttachType::Ingress);
        programs.is_ok_and(|(_, programs)| programs.iter().any(|program| self.is_ours(program)))
    }

    /// What is there though everything was removed: programs too that no record leads to.
    async fn left(&self, names: &Names, netlink: &Handle) -> Result<Vec<Leftover>, DataplaneError> {
        let deadline = Instant::now() + PARTING;
        loop {
            let mut left = self.find(names, netlink).await?;
            let programs = loaded_programs().flatten().filter(|program| self.is_ours(program));
            left.extend(programs.map(|program| Leftover::Loaded(program.id())));
            if left.is_empty() || Instant::now() > deadline {
                return Ok(left);
            }
            tokio::time::sleep(STEP).await;
        }
    }
}

/// Everything that a daemon with these names has on the host.
pub(super) async fn find(names: &Names) -> Result<Vec<Leftover>, DataplaneError> {
    Survey::new(names).find(names, &netlink::connect()?).await
}

/// Removes everything, in the order that keeps interfaces closed as long as anything of ours hangs on them, and looks
/// whether it is gone. Returns what there was.
pub(super) async fn remove(names: &Names) -> Result<Vec<Leftover>, DataplaneError> {
    let netlink = netlink::connect()?;
    let survey = Survey::new(names);
    let found = survey.find(names, &netlink).await?;
    let mut failure = None;
    for layout in layouts(names) {
        for (&ifindex, value) in &survey.interfaces {
            let name = super::interface::name_of(ifindex).ok().flatten();
            links::detach(&layout, ifindex, name.as_deref());
            if value & MADE_CLSACT != 0 && name.is_some() {
                failure = failure.or(netlink::delete_idle_clsact(&netlink, ifindex).await.err().map(Into::into));
            }
        }
    }
    if let Err(source) = remove_tree(&names.pins) {
        failure = failure.or(Some(host(format!("removing {}", names.pins.display()))(source)));
    }
    if let Err(source) = netlink::delete(&netlink, &names.host_link).await {
        failure = failure.or(Some(source.into()));
    }
    if let Err(source) = namespace::remove(names) {
        failure = failure.or(Some(host(format!("removing namespace {}", names.namespace))(source)));
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    let left = survey.left(names, &netlink).await?;
    if left.is_empty() { Ok(found) } else { Err(DataplaneError::Left(left)) }
}

fn layouts(names: &Names) -> Vec<PathBuf> {
    let entries = fs::read_dir(&names.pins).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// The interfaces that a layout's programs hang on, as far as its map can be read.
fn interfaces(layout: &Path) -> Vec<(u32, u32)> {
    let Ok(data) = MapData::from_pin(layout.join("IMDS_INTERFACES")) else { return Vec::new() };
    let Ok(map) = HashMap::<_, u32, u32>::try_from(Map::HashMap(data)) else { return Vec::new() };
    map.iter().flatten().collect()
}

/// Removes a directory of pins with all that is in it: bpffs has nothing but files and directories. None there is fine.
fn remove_tree(directory: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() { remove_tree(&path)? } else { fs::remove_file(&path)? }
    }
    fs::remove_dir(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_has_a_line_that_names_it() {
        for (thing, line) in [
            (Leftover::Program("tap0".into()), "program on tap0"),
            (Leftover::Loaded(7), "program 7 (see `bpftool prog show id 7`)"),
            (Leftover::Qdisc("tap0".into()), "clsact qdisc on tap0"),
            (Leftover::Pins("/sys/fs/bpf/imds".into()), "pins /sys/fs/bpf/imds"),
            (Leftover::Link("imds0".into()), "link imds0"),
            (Leftover::Namespace("imds".into()), "namespace imds"),
        ] {
            assert_eq!(thing.to_string(), line);
        }
    }
}
