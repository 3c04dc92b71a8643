//! What an operator has hung on an instance's interface: it works on beside the service, and stays when that goes.

use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;

use imds_tests::family::Family;
use imds_tests::guest::{Bridge, Guest, mac_of};
use imds_tests::host::Host;
use imds_tests::in_each_attachment;
use imds_tests::process;
use serde_json::Value;

in_each_attachment!(families: see_what_is_not_for_the_service_and_stay);

const ADDRESS: &str = "10.0.0.1";
const INSTANCE_ID: &str = "/latest/meta-data/instance-id";
/// Where the operator's filter stands: behind ours.
const PREFERENCE: &str = "10";

/// Runs `tc`, which must succeed; what it printed.
#[track_caller]
fn tc(arguments: &[&str]) -> String {
    let output = process::run(Command::new("tc").args(arguments));
    assert!(output.success(), "tc {arguments:?}: {}", output.stderr);
    output.stdout
}

/// How many packets the operator's filter has seen.
#[track_caller]
fn seen(interface: &str) -> u64 {
    let shown = tc(&["-s", "-j", "filter", "show", "dev", interface, "ingress", "pref", PREFERENCE]);
    let filters: Value = serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}: {shown}"));
    let actions = filters.as_array().into_iter().flatten().filter_map(|filter| filter["options"]["actions"].as_array());
    let packets: Vec<_> = actions.flatten().filter_map(|action| action["stats"]["packets"].as_u64()).collect();
    assert_eq!(packets.len(), 1, "one action: {shown}");
    packets[0]
}

fn see_what_is_not_for_the_service_and_stay(family: Family) {
    let mut host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let name = guest.interface();
    // Copies go where nobody reads them.
    let sink = Bridge::new();
    tc(&["qdisc", "add", "dev", name, "clsact"]);
    // Of the other family's packets, which its stack sends by itself, it counts none.
    let (protocol, field, elsewhere) = match family {
        Family::Ipv4 => ("ip", "ip", "192.0.2.1"),
        Family::Ipv6 => ("ipv6", "ip6", "fd00:1::99"),
    };
    let source = family.address(ADDRESS.parse::<Ipv4Addr>().expect("an address").octets());
    let filter = ["filter", "add", "dev", name, "ingress", "protocol", protocol, "pref", PREFERENCE];
    let of_the_guest = ["u32", "match", field, "src", &source.to_string()];
    let counts = ["action", "mirred", "egress", "mirror", "dev", sink.name()];
    tc(&[&filter[..], &of_the_guest, &counts].concat());
    if family == Family::Ipv6 {
        // It is on the link, and needn't be asked for.
        let neighbour = ["neighbour", "add", elsewhere, "lladdr", &mac_of(name), "dev", "eth0", "nud", "permanent"];
        guest.ip(neighbour);
    }

    let id = host.create(name, &[]);
    assert_eq!(guest.get(INSTANCE_ID, Some(&guest.token())).text(), id);
    assert_eq!(seen(name), 0, "what is for the service is its alone");
    let send = |port: u16| {
        let sent = guest.inside(|| UdpSocket::bind((source, 0))?.send_to(b"x", (elsewhere, port)));
        sent.unwrap_or_else(|error| panic!("nothing was sent: {error}"));
    };
    send(9);
    assert_eq!(seen(name), 1);

    // A new daemon takes its own place again, and no other.
    host.kill();
    host.launch();
    assert_eq!(guest.get(INSTANCE_ID, None).text(), id);
    assert_eq!(seen(name), 1);

    assert!(host.terminate().success());
    let detached = host.detach();
    assert!(detached.success(), "{}", detached.stderr);
    send(9);
    assert_eq!(seen(name), 2, "it is still there");
    let filters = tc(&["filter", "show", "dev", name, "ingress"]);
    assert!(!filters.contains("bpf"), "{filters}");
}
