//! Who is measured: a guest, and behind the kernel programs a daemon, or nginx in its place.

use super::rival::Nginx;
use crate::guest::Guest;
use crate::host::Host;
use crate::namespace::Namespace;

/// What every guest is asked by.
const ADDRESS: &str = "10.0.0.1";

/// A guest of a daemon's.
pub(super) struct Daemon {
    pub(super) host: Host,
    pub(super) guest: Guest,
    /// Its instance's id.
    pub(super) id: String,
    /// Where the daemon listens.
    pub(super) namespace: Namespace,
}

impl Daemon {
    /// Starts a daemon for one instance.
    pub(super) fn start() -> Self {
        Self::with_config("[log]\nformat = \"json\"\n")
    }

    /// Starts one with a config.
    pub(super) fn with_config(toml: &str) -> Self {
        let host = Host::with_config(toml);
        let guest = Guest::on_veth(ADDRESS);
        let id = host.create(guest.interface(), &[]);
        let namespace = host.service_namespace();
        Self { host, guest, id, namespace }
    }
}

/// A guest whose packets take the same way to an nginx: the kernel programs stay when their daemon ends.
pub(super) struct Replaced {
    // First, so that it goes first: it lives in the daemon's namespace.
    nginx: Nginx,
    _host: Host,
    pub(super) guest: Guest,
    /// Of the daemon that is gone: the kernel programs go on asking for it.
    pub(super) token: String,
}

impl Replaced {
    /// Lets nginx answer as `locations` say, with so many workers. `HttpTokens` is optional, so that all is delivered.
    pub(super) fn start(workers: usize, locations: &str) -> Self {
        let Daemon { mut host, guest, namespace, .. } = Daemon::start();
        let token = guest.token();
        host.kill();
        let nginx = Nginx::start(&namespace, workers, locations);
        Self { nginx, _host: host, guest, token }
    }

    /// How it is called in what is printed.
    pub(super) fn name(&self) -> String {
        format!("nginx x{}", self.nginx.workers)
    }
}

/// As many workers as the daemon has threads.
pub(super) fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
