//! The namespace of a daemon's listening sockets, seen from outside.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::host::Host;
use crate::namespace::Namespace;

/// Where namespaces have names.
const NAMESPACES: &str = "/run/netns";
/// Where pinned programs are, in a directory that is called as the namespace is.
const PINS: &str = "/sys/fs/bpf";
/// `TCP_LISTEN` (include/net/tcp_states.h).
const LISTEN: &str = "0A";
/// `TCP_TIME_WAIT`: the memory of an ended connection, which the kernel keeps for a minute.
const TIME_WAIT: &str = "06";

impl Host {
    /// The namespace of its daemon, which runs: the one of the named ones that the daemon holds open.
    #[must_use]
    #[track_caller]
    pub fn service_namespace(&self) -> Namespace {
        let pid = self.pid().expect("the daemon runs");
        let files = |directory: &str| fs::read_dir(directory).into_iter().flatten().flatten();
        let identity = |path: &Path| fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
        let open: Vec<_> = files(&format!("/proc/{pid}/fd")).filter_map(|file| identity(&file.path())).collect();
        let named = files(NAMESPACES).find(|file| identity(&file.path()).is_some_and(|file| open.contains(&file)));
        let named = named.unwrap_or_else(|| panic!("imdsd {pid} holds no namespace open\n{}", self.log()));
        Namespace::of_another(named.file_name().to_string_lossy().into_owned())
    }
}

impl Namespace {
    /// TCP sockets in it over IPv6, those of ended connections among them.
    #[must_use]
    pub fn tcp_sockets(&self) -> usize {
        self.tcp_states().len()
    }

    /// TCP sockets in it over IPv6 that are more than the memory of one, by their states, the kernel's two digits.
    #[must_use]
    pub fn live_sockets(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for state in self.tcp_states().into_iter().filter(|state| state != TIME_WAIT) {
            *counts.entry(state).or_default() += 1;
        }
        counts
    }

    /// Whether anybody in it listens over IPv6.
    #[must_use]
    pub fn listens(&self) -> bool {
        self.tcp_states().iter().any(|state| state == LISTEN)
    }

    /// The state of each TCP socket over IPv6, in the kernel's two digits.
    fn tcp_states(&self) -> Vec<String> {
        let table = self.inside(|| fs::read_to_string("/proc/thread-self/net/tcp6"));
        let table = table.unwrap_or_else(|error| panic!("its sockets can't be read: {error}"));
        // Below a heading, after a number and two addresses.
        table.lines().skip(1).filter_map(|line| line.split_whitespace().nth(3)).map(str::to_owned).collect()
    }

    /// A daemon's pinned object of that name, where this is a daemon's namespace.
    #[must_use]
    #[track_caller]
    pub fn pin(&self, name: &str) -> PathBuf {
        let layouts = Path::new(PINS).join(self.name());
        let layouts = fs::read_dir(&layouts).unwrap_or_else(|error| panic!("{}: {error}", layouts.display()));
        let mut pins = layouts.flatten().map(|layout| layout.path().join(name));
        pins.find(|pin| pin.exists()).unwrap_or_else(|| panic!("{} has no pin {name}", self.name()))
    }
}
