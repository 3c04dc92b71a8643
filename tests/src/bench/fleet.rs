//! A host of many instances of a full document, in a network namespace of its own: one of them is a guest, the others are
//! behind taps that nobody uses.

use std::fmt::Write;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::round::Extent;
use crate::guest::Guest;
use crate::host::Host;
use crate::namespace::Namespace;
use crate::{names, process};

/// Instances where there are many, and where all that matters is that it works.
const MANY: usize = 10_000;
const FEW: usize = 200;
/// A document with everything in it.
const DOCUMENT: &str = include_str!("../../../docs/examples/everything.json");
/// As many slots as there can be.
const CONFIG: &str = "max-slots = 16384\npacket-budget = 0\n[log]\nlevel = \"warn\"\n";
/// How long it may take to create one instance: its identity is signed, and what is stored is on the disk when it is there.
const CREATION: Duration = Duration::from_millis(200);
/// How long the other commands on a large host may take, each.
const COMMAND: Duration = Duration::from_secs(60);

/// What the guest is asked by.
const ADDRESS: &str = "10.0.0.1";

/// Two hosts, of many instances and of one.
pub(super) struct Fleets {
    pub(super) many: Fleet,
    pub(super) one: Fleet,
}

impl Fleets {
    /// Makes both.
    pub(super) fn start(extent: Extent) -> Self {
        let count = if extent.quick { FEW } else { MANY };
        Self { many: Fleet::start(count), one: Fleet::start(1) }
    }
}

/// A host of so many instances.
pub(super) struct Fleet {
    /// The first instance.
    pub(super) guest: Guest,
    // Before its host: see there.
    pub(super) network: Namespace,
    pub(super) host: Host,
    pub(super) count: usize,
    /// The daemon's memory once they were created, in bytes.
    pub(super) memory_as_created: u64,
}

impl Fleet {
    fn start(count: usize) -> Self {
        let (network, guest) = network(count);
        let mut host = Host::prepare();
        names::write(&host.config(), CONFIG.as_bytes(), 0o600);
        host.move_to(&network);
        host.launch();
        let mut fleet = Self { guest, network, host, count, memory_as_created: 0 };
        fleet.create();
        fleet.memory_as_created = fleet.memory();
        fleet
    }

    fn create(&self) {
        let document: Value = serde_json::from_str(DOCUMENT).expect("JSON");
        let instance = |number| {
            let interface = if number == 0 { self.guest.interface().to_owned() } else { tap(number) };
            json!({ "instance-id": id(number), "interfaces": [interface], "document": document })
        };
        let instances: Vec<_> = (0..self.count).map(instance).collect();
        let file = names::file("instances.json", json!({ "instances": instances }).to_string().as_bytes(), 0o600);
        let limit = COMMAND + CREATION * u32::try_from(self.count).unwrap_or(u32::MAX);
        let applied = process::run_within(self.host.imdsctl().arg("apply").arg("--file").arg(&file), limit);
        assert!(applied.success(), "imdsctl apply: {}\n{}", applied.stderr, self.host.log());
        let _ = fs::remove_file(file);
    }

    /// Lets a network of so many of the interfaces take the place of the host's, as after a reboot. The daemon is dead
    /// then, and everything of it is gone but its state.
    pub(super) fn reboot(&mut self, count: usize) {
        self.host.kill();
        let (network, guest) = network_of(count, self.guest.interface());
        // The former network goes here.
        (self.network, self.guest) = (network, guest);
        let detached = self.host.detach();
        assert!(detached.success(), "imdsd detach: {}", detached.stderr);
        self.host.move_to(&self.network);
    }

    /// Kills the daemon and starts it again.
    pub(super) fn restart(&mut self) {
        self.host.kill();
        self.host.launch();
    }

    /// Interfaces that are enforced, as `imdsctl` shows them.
    pub(super) fn enforced(&self) -> usize {
        let list = process::run_within(self.host.imdsctl().args(["--output", "json", "instance", "list"]), COMMAND);
        let list: Value = serde_json::from_str(&list.stdout).unwrap_or_else(|_| panic!("no list: {}", list.stderr));
        let instances = list["instances"].as_array().or_else(|| list.as_array()).expect("a list");
        let interfaces = instances.iter().filter_map(|instance| instance["interfaces"].as_array()).flatten();
        interfaces.filter(|interface| interface["status"] == "enforced").count()
    }

    /// The daemon's memory now, in bytes: its own, and its part of what it shares.
    pub(super) fn memory(&self) -> u64 {
        let path = format!("/proc/{}/smaps_rollup", self.host.pid().expect("the daemon runs"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path} can't be read: {error}"));
        let number = |line: &str| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.parse().ok();
        let pss: Option<u64> = text.lines().find_map(number);
        1_024 * pss.unwrap_or_else(|| panic!("no Pss in {text}"))
    }

    /// The size of each instance's document, as JSON without spaces, in bytes.
    pub(super) fn document_bytes() -> usize {
        let document: Value = serde_json::from_str(DOCUMENT).expect("JSON");
        document.to_string().len()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.host.kill();
    }
}

fn id(number: usize) -> String {
    format!("i-{number:017x}")
}

fn tap(number: usize) -> String {
    format!("tap{number}")
}

/// A network of a guest at a veth and, for the rest of `count`, of taps.
fn network(count: usize) -> (Namespace, Guest) {
    network_of(count, &names::link())
}

fn network_of(count: usize, name: &str) -> (Namespace, Guest) {
    let network = Namespace::new();
    let guest = Guest::on_veth_named(name, ADDRESS);
    guest.move_to(&network);
    let mut batch = String::new();
    for number in 1..count {
        let _ = writeln!(batch, "tuntap add {} mode tap", tap(number));
    }
    let batch = names::file("taps", batch.as_bytes(), 0o600);
    network.ip(["-batch", &batch.display().to_string()]);
    (network, guest)
}
