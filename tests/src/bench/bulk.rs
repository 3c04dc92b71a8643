//! Bulk TCP through an attached interface and through one that isn't.

use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::round::Extent;
use super::stack::Daemon;
use crate::guest::Guest;
use crate::{process, wait};

const AIM: f64 = 0.98;

/// An iperf3 server in a guest, and the guest's address on the host.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(guest: &Guest) -> Self {
        let host: Ipv4Addr = guest.address_on_host().parse().expect("an address");
        // The other one of the same /30.
        let address = Ipv4Addr::from_bits(host.to_bits() + 1).to_string();
        let mut command = guest.command("iperf3");
        command.arg("--server").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().unwrap_or_else(|error| panic!("{command:?} can't be started: {error}"));
        // It listens on both families at once.
        wait::until("iperf3 to listen", || guest.listens(), |&listens| listens);
        Self { process, address }
    }

    /// Gbit/s that arrive: from the host at the guest, or the other way round.
    fn measure(&self, extent: Extent, from_guest: bool) -> f64 {
        let seconds = extent.seconds().to_string();
        let mut command = Command::new("iperf3");
        command.args(["--client", &self.address, "--time", &seconds, "--json"]);
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
    let attached = Daemon::start();
    let bare = Guest::on_veth("10.0.0.1");
    let (ours, theirs) = (Server::start(&attached.guest), Server::start(&bare));
    println!("bulk: TCP through an attached veth ({}) and through one with nothing attached", attached.hook());
    for (direction, from_guest) in [("from the guest", true), ("to the guest", false)] {
        let pairs = extent.alternate(|| ours.measure(*extent, from_guest), || theirs.measure(*extent, from_guest));
        let rate = pairs.compare(|&gigabits| gigabits);
        println!(
            "  {direction}: attached {:.1} Gbit/s, bare {:.1} Gbit/s; {}",
            rate.ours,
            rate.theirs,
            rate.beside(AIM)
        );
    }
}
