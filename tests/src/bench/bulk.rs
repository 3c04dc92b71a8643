//! Bulk TCP through each kind of interface, as programs are attached to it and as they aren't.

use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::round::{Extent, Pairs};
use super::wire::{Kind, Wire};
use crate::host::Host;
use crate::{process, wait};

const AIM: f64 = 0.98;

/// Ways of attaching.
pub(super) const WAYS: [&str; 3] = ["tc", "tc+xdp-generic", "tc+xdp-driver"];

/// An iperf3 server in a guest.
struct Server {
    process: Child,
    wire: Wire,
}

impl Server {
    fn start(kind: Kind) -> Self {
        let wire = Wire::new(kind);
        let mut command = wire.namespace().command("iperf3");
        command.arg("--server").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().unwrap_or_else(|error| panic!("{command:?} can't be started: {error}"));
        // It listens on both families at once.
        wait::until("iperf3 to listen", || wire.namespace().listens(), |&listens| listens);
        Self { process, wire }
    }

    /// Gbit/s that arrive: from the host at the guest, or the other way round.
    fn measure(&self, extent: Extent, from_guest: bool) -> f64 {
        let seconds = extent.seconds().to_string();
        let mut command = Command::new("iperf3");
        command.args(["--client", &self.wire.address, "--time", &seconds, "--json"]);
        if from_guest {
            command.arg("--reverse");
        }
        let output = process::run(&mut command);
        let json: Value = serde_json::from_str(&output.stdout).unwrap_or_default();
        let bits = json["end"]["sum_received"]["bits_per_second"].as_f64();
        bits.unwrap_or_else(|| panic!("iperf3: {}{}", output.stdout, output.stderr)) / 1e9
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Prints the row.
pub(super) fn measure(extent: &Extent) {
    let host = Host::start();
    println!("bulk: TCP through attached interfaces and through such with nothing attached; by these numbers");
    println!("  `--attach auto` takes XDP or leaves it (imds-userspace/src/dataplane/attach.rs)");
    for kind in Kind::ALL {
        let (ours, bare) = (Server::start(kind), Server::start(kind));
        host.create(ours.wire.interface(), &[]);
        for (direction, from_guest) in [("from the guest", true), ("to the guest", false)] {
            let mut rates: [Vec<(f64, f64)>; WAYS.len()] = Default::default();
            for round in 0..extent.rounds {
                // Who comes when changes, so that nobody gains by it.
                let mut turns = [0, 1, 2];
                turns.rotate_left(round % WAYS.len());
                let beside = bare.measure(*extent, from_guest);
                for way in turns {
                    host.ask(&["interface", "attach", ours.wire.interface(), WAYS[way]]);
                    rates[way].push((ours.measure(*extent, from_guest), beside));
                }
            }
            for (way, rates) in WAYS.into_iter().zip(rates) {
                let rate = Pairs(rates).compare(|&gigabits| gigabits);
                println!(
                    "  {}, {direction}, {way}: {:.1} Gbit/s, bare {:.1} Gbit/s; {}",
                    kind.as_str(),
                    rate.ours,
                    rate.theirs,
                    rate.beside(AIM)
                );
            }
        }
    }
}
