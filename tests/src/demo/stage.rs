//! Who plays: a daemon, two guests with one address, and a client behind the first.

use crate::credentials::{self, ROLE};
use crate::guest::{Bridge, Guest};
use crate::host::Host;
use crate::namespace::Namespace;

/// The address that both guests have.
pub(super) const ADDRESS: &str = "10.0.0.1";
/// The region of both.
pub(super) const REGION: &str = "eu-central-1";
const ZONE: &str = "eu-central-1a";

/// A guest and its instance.
pub(super) struct Player {
    /// The guest.
    pub(super) guest: Guest,
    /// Its instance's id.
    pub(super) id: String,
}

/// All that the demo needs.
pub(super) struct Stage {
    /// One hop behind the first.
    pub(super) behind: Namespace,
    /// At a veth of its own.
    pub(super) first: Player,
    /// At a veth on a bridge, with a role.
    pub(super) second: Player,
    /// The bridge.
    pub(super) bridge: Bridge,
    /// The daemon.
    pub(super) host: Host,
    /// The first one's token, once it has asked for it.
    pub(super) token: String,
}

impl Stage {
    /// Makes and starts all of it.
    pub(super) fn set_up() -> Self {
        let host = Host::start();
        let bridge = Bridge::new();
        let first = Guest::on_veth(ADDRESS);
        let second = Guest::on_bridge(&bridge, ADDRESS);
        let behind = first.client_behind();
        let first_id = host.create(
            first.interface(),
            &["--instance-id", "i-0000000000000000a", "--private-ip", ADDRESS, "--availability-zone", ZONE],
        );
        let file = credentials::file();
        let role = ["--iam-role", ROLE, "--credentials-file", file.to_str().expect("a path in UTF-8")];
        let second_id = host.create(
            second.interface(),
            &[&["--instance-id", "i-0000000000000000b", "--availability-zone", ZONE][..], &role].concat(),
        );
        let (first, second) = (Player { guest: first, id: first_id }, Player { guest: second, id: second_id });
        Self { behind, first, second, bridge, host, token: String::new() }
    }

    /// Says who is where.
    pub(super) fn describe(&self) {
        let Self { behind, first, second, bridge, host, token: _ } = self;
        println!("  imdsd with process id {} on {}", host.pid().unwrap_or_default(), host.run_dir().display());
        println!("  A  {}  {ADDRESS}, namespace {}, veth {}", first.id, first.guest.name(), first.guest.interface());
        println!(
            "  B  {}  {ADDRESS} too, namespace {}, veth {} on bridge {}",
            second.id,
            second.guest.name(),
            second.guest.interface(),
            bridge.name()
        );
        println!("  C  one hop behind A, namespace {}", behind.name());
    }

    /// The counters, as `imdsctl stats` prints them.
    pub(super) fn counters(&self) -> String {
        let stats = self.host.ctl(&["stats"]);
        stats.stdout + &stats.stderr
    }
}
