//! A host of many instances of a full document, in a network namespace of its own: one of them is a guest, the others are
//! behind taps that nobody uses.

use std::fmt::Write;
use std::time::Duration;
use std::{fs, thread};

use serde_json::{Value, json};

use super::round::Extent;
use crate::guest::Guest;
use crate::host::Host;
use crate::namespace::Namespace;
use crate::process::Output;
use crate::{names, process};

/// Instances where there are many, and where all that matters is that it works.
const MANY: usize = 10_000;
const FEW: usize = 200;
/// A document with everything in it.
const DOCUMENT: &str = include_str!("../../../docs/examples/everything.json");
/// As many slots as there can be.
const CONFIG: &str = "max-slots = 16384\npacket-budget = 0\nrequest-budget = 0\n[log]\nlevel = \"warn\"\n";
/// How long it may take to create one instance, or to take the program off its interface.
const PER_INSTANCE: Duration = Duration::from_millis(200);
/// How long the kernel may take to begin with a network that is to go.
const SETTLING: Duration = Duration::from_secs(1);
/// How often they are tried to be created.
const ATTEMPTS: usize = 5;
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
    /// How many interfaces its daemon has programs on.
    attached: usize,
    /// The daemon's memory once they were created, in bytes.
    pub(super) memory_as_created: u64,
}

impl Fleet {
    fn start(count: usize) -> Self {
        let guest = guest(&names::link());
        let network = network(count, &guest);
        let mut host = Host::prepare();
        names::write(&host.config(), CONFIG.as_bytes(), 0o600);
        host.move_to(&network);
        host.launch();
        let mut fleet = Self { guest, network, host, count, attached: count, memory_as_created: 0 };
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
        let limit = COMMAND + PER_INSTANCE * u32::try_from(self.count).unwrap_or(u32::MAX);
        let apply = || process::run_within(self.host.imdsctl().arg("apply").arg("--file").arg(&file), limit);
        // On a busy host a part of it may take longer than `imdsctl` waits; what was done is done.
        let applied = (0..ATTEMPTS).map(|_| apply()).find(|applied| applied.success() || !is_late(applied));
        let applied = applied.unwrap_or_else(apply);
        assert!(applied.success(), "imdsctl apply: {}\n{}", applied.stderr, self.host.log());
        let _ = fs::remove_file(file);
    }

    /// Lets a network of so many of the interfaces take the place of the host's, as after a reboot. The daemon is dead
    /// then, and everything of it is gone but its state.
    pub(super) fn reboot(&mut self, count: usize) {
        self.take_down();
        self.attached = count;
        let guest = guest(self.guest.interface());
        let network = network(count, &guest);
        (self.guest, self.network) = (guest, network);
        self.host.move_to(&self.network);
        settle();
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

impl Fleet {
    /// Kills the daemon and takes its programs off, one after the other. A network that goes with all of them on it would
    /// keep the kernel from whatever else is asked of any network, for as long.
    fn take_down(&mut self) {
        self.host.kill();
        let limit = COMMAND + PER_INSTANCE * u32::try_from(self.attached).unwrap_or(u32::MAX);
        let detached = self.host.detach_within(limit);
        assert!(detached.success() || thread::panicking(), "imdsd detach: {}", detached.stderr);
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.take_down();
    }
}

/// Waits until the kernel has taken down the network before, whose interfaces it holds up all others for: it begins when
/// it likes, and then nobody makes an interface until it has done.
fn settle() {
    for _ in 0..2 {
        thread::sleep(SETTLING);
        drop(guest(&names::link()));
    }
}

fn is_late(output: &Output) -> bool {
    output.stderr.contains("has not answered within")
}

fn id(number: usize) -> String {
    format!("i-{number:017x}")
}

fn tap(number: usize) -> String {
    format!("tap{number}")
}

/// A guest whose interface has this name.
fn guest(name: &str) -> Guest {
    Guest::on_veth_named(name, ADDRESS)
}

/// A network of a guest and, for the rest of `count`, of taps.
fn network(count: usize, guest: &Guest) -> Namespace {
    let network = Namespace::new();
    guest.move_to(&network);
    let mut batch = String::new();
    for number in 1..count {
        let _ = writeln!(batch, "tuntap add {} mode tap", tap(number));
    }
    let batch = names::file("taps", batch.as_bytes(), 0o600);
    network.ip(["-batch", &batch.display().to_string()]);
    network
}
