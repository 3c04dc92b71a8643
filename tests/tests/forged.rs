//! Lists of senders: what an instance sends to the service from any other address or MAC is dropped and counted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::neighbour::{SOLICITED, about, arp, discovery};
use imds_tests::packet::{SERVICE, SERVICE_V6};
use imds_tests::stats::InstanceStats;
use imds_tests::tap::Tap;
use imds_tests::{in_each_attachment, names, wait};

in_each_attachment!(
    what_comes_from_elsewhere_is_dropped_and_counted,
    what_is_forged_costs_no_budget,
    an_instance_that_lists_nothing_may_send_from_anywhere,
    a_guest_is_served_from_what_is_listed_now,
    a_guest_over_ipv6_is_served_from_what_is_listed,
    no_moment_of_a_change_lets_through_what_neither_list_has,
    a_change_takes_nothing_from_what_both_lists_have,
    a_file_describes_lists_and_budgets
);

const INSTANCE_ID: &str = "/latest/meta-data/instance-id";
const LISTED: [u8; 4] = [10, 0, 0, 1];
const OTHER: [u8; 4] = [10, 0, 0, 2];
const LISTED_V6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const OTHER_V6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
const LINK_LOCAL: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const ENABLED: [&str; 2] = ["--metadata-options", "HttpProtocolIpv6=enabled"];
/// Where the sender's MAC stands in a frame, and in an ARP packet behind its header.
const MAC_AT: [usize; 2] = [6, 22];
/// A port that nothing is served on: what comes so far was let through.
const PORT: u16 = 443;

fn forged(stats: &InstanceStats) -> u64 {
    stats.kernel("dropped-forged")
}

/// A frame to the service's address from an IPv4 address.
fn from_v4(tap: &Tap, source: [u8; 4]) -> Vec<u8> {
    let mut frame = Vec::new();
    tap.frame().ipv4(source, SERVICE, 64).tcp(40_000, PORT, 1, 1).syn().write(&mut frame, &[]).expect("written");
    frame
}

/// The same from an IPv6 address.
fn from_v6(tap: &Tap, source: [u8; 16]) -> Vec<u8> {
    let mut frame = Vec::new();
    tap.frame().ipv6(source, SERVICE_V6, 64).tcp(40_000, PORT, 1, 1).syn().write(&mut frame, &[]).expect("written");
    frame
}

/// The same frame with another MAC in one place.
fn with_mac(mut frame: Vec<u8>, at: usize) -> Vec<u8> {
    frame[at + 5] ^= 0x40;
    frame
}

fn what_comes_from_elsewhere_is_dropped_and_counted() {
    let host = Host::start();
    let mut tap = Tap::new();
    let list = ["--allow-address", "10.0.0.1", "--allow-address", "fd00::1", "--allow-mac", "02:00:00:00:00:10"];
    let id = host.create(tap.interface(), &[&ENABLED[..], &list].concat());
    let solicitation = |source| discovery(&tap, 135, source, SOLICITED, &about(SERVICE_V6, 0));
    let cases = [
        ("IPv4", "dropped-port", from_v4(&tap, LISTED)),
        ("IPv4 of another address", "dropped-forged", from_v4(&tap, OTHER)),
        ("IPv4 of no address", "dropped-forged", from_v4(&tap, [0; 4])),
        ("IPv4 of another MAC", "dropped-forged", with_mac(from_v4(&tap, LISTED), MAC_AT[0])),
        ("IPv6", "dropped-port", from_v6(&tap, LISTED_V6)),
        ("IPv6 of another address", "dropped-forged", from_v6(&tap, OTHER_V6)),
        ("IPv6 of a link-local address", "dropped-forged", from_v6(&tap, LINK_LOCAL)),
        ("IPv6 of another MAC", "dropped-forged", with_mac(from_v6(&tap, LISTED_V6), MAC_AT[0])),
        ("ARP", "answered-neighbour", arp(1, LISTED, SERVICE)),
        ("ARP of another address", "dropped-forged", arp(1, OTHER, SERVICE)),
        ("ARP of another MAC", "dropped-forged", with_mac(arp(1, LISTED, SERVICE), MAC_AT[0])),
        ("ARP for another MAC", "dropped-forged", with_mac(arp(1, LISTED, SERVICE), MAC_AT[1])),
        ("a solicitation", "answered-neighbour", solicitation(LISTED_V6)),
        ("a solicitation of another address", "dropped-forged", solicitation(OTHER_V6)),
        ("a solicitation of a link-local address", "dropped-forged", solicitation(LINK_LOCAL)),
        ("a solicitation of another MAC", "dropped-forged", with_mac(solicitation(LISTED_V6), MAC_AT[0])),
        // Who says that it is the service is told apart, listed or not.
        ("the service's own address", "dropped-impersonation", from_v4(&tap, SERVICE)),
    ];
    for (name, counter, frame) in cases {
        let before = host.stats(&id);
        tap.send(&frame);
        let seen = |stats: &InstanceStats| stats.kernel(counter) - before.kernel(counter);
        let after = wait::until(name, || host.stats(&id), |stats| seen(stats) > 0);
        assert_eq!(seen(&after), 1, "{name}");
        assert!(counter == "dropped-forged" || forged(&after) == forged(&before), "{name}");
    }
    // Nobody else's traffic is looked at.
    let before = host.stats(&id);
    tap.send(&arp(1, OTHER, [10, 0, 0, 254]));
    tap.send(&from_v4(&tap, OTHER));
    let after = wait::until("the last", || host.stats(&id), |stats| forged(stats) > forged(&before));
    assert_eq!(forged(&after), forged(&before) + 1);
    // It may be one too many to be told of.
    let told = || {
        tap.send(&from_v4(&tap, OTHER));
        host.ask(&["explain", &id, "--last", "1"])["events"][0]["reason"].clone()
    };
    wait::until("the forgery in explain", told, |reason| reason == "dropped-forged");
}

fn what_is_forged_costs_no_budget() {
    let host = Host::start();
    let mut tap = Tap::new();
    let list = ["--allow-address", "10.0.0.1", "--allow-mac", "02:00:00:00:00:10", "--packet-budget", "1"];
    let id = host.create(tap.interface(), &[&ENABLED[..], &list].concat());
    let asked = arp(1, LISTED, SERVICE);
    let forgeries = [
        from_v4(&tap, OTHER),
        from_v6(&tap, OTHER_V6),
        arp(1, OTHER, SERVICE),
        with_mac(asked.clone(), MAC_AT[0]),
        with_mac(asked.clone(), MAC_AT[1]),
        with_mac(discovery(&tap, 135, LISTED_V6, SOLICITED, &about(SERVICE_V6, 0)), MAC_AT[0]),
    ];
    // Of what isn't forged, two may come at once.
    forgeries.iter().cycle().take(30).for_each(|frame| tap.send(frame));
    let stats = wait::until("the forgeries", || host.stats(&id), |stats| stats.kernel_sum("dropped-") >= 30);
    assert_eq!(forged(&stats), 30, "none is over budget");
    tap.send(&asked);
    wait::until("the answer", || host.stats(&id).kernel("answered-neighbour"), |&count| count == 1);
}

fn an_instance_that_lists_nothing_may_send_from_anywhere() {
    let host = Host::start();
    let mut tap = Tap::new();
    let id = host.create(tap.interface(), &ENABLED);
    for frame in [
        from_v4(&tap, OTHER),
        from_v6(&tap, OTHER_V6),
        with_mac(from_v4(&tap, LISTED), MAC_AT[0]),
        from_v6(&tap, LINK_LOCAL),
    ] {
        tap.send(&frame);
    }
    let stats = wait::until("the frames", || host.stats(&id), |stats| stats.kernel("dropped-port") >= 4);
    assert_eq!(forged(&stats), 0);
}

/// Whether a guest that asks from this address of its own gets an answer.
fn is_served(guest: &Guest, address: &str) -> bool {
    guest.curl(&["--interface", address, "--max-time", "1"], INSTANCE_ID).status == 200
}

fn a_guest_is_served_from_what_is_listed_now() {
    let mut host = Host::start();
    let (guest, other) = (Guest::on_veth("10.0.0.1"), Guest::on_veth("10.0.0.1"));
    for guest in [&guest, &other] {
        guest.ip(["address", "add", "10.0.9.9/32", "dev", "eth0"]);
    }
    let id = host.create(guest.interface(), &["--interface", other.interface(), "--allow-address", "10.0.0.0/24"]);
    let id = id.as_str();
    let view = host.ask(&["instance", "show", id]);
    assert_eq!(view["limits"]["allow_addresses"], serde_json::json!(["10.0.0.0/24"]));
    let both = |address: &str| [is_served(&guest, address), is_served(&other, address)];
    assert_eq!([both("10.0.0.1"), both("10.0.9.9")], [[true; 2], [false; 2]], "on every interface");
    assert!(forged(&host.stats(id)) >= 2);

    // The kernel goes on without a daemon, and the next one as well.
    host.kill();
    let before = is_served(&guest, "10.0.9.9");
    host.launch();
    assert!(!before);
    assert_eq!([both("10.0.0.1"), both("10.0.9.9")], [[true; 2], [false; 2]], "over a restart");

    let limits = host.ask(&["limits", "set", id, "--allow-address", "10.0.9.9"]);
    assert_eq!(limits["allow_addresses"], serde_json::json!(["10.0.9.9"]));
    assert_eq!([both("10.0.0.1"), both("10.0.9.9")], [[false; 2], [true; 2]], "another list");
    assert_eq!(host.ask(&["limits", "show", id]), limits);
    host.ask(&["limits", "set", id, "--any-address"]);
    assert_eq!([both("10.0.0.1"), both("10.0.9.9")], [[true; 2]; 2], "no list");
}

fn a_guest_over_ipv6_is_served_from_what_is_listed() {
    let host = Host::start();
    let guest = Guest::on_veth("10.0.0.1");
    guest.add_ipv6("fd00:1::1");
    guest.add_ipv6("fd00:1::2");
    let list = ["--allow-address", "fd00:1::1", "--allow-address", "fe80::/10"];
    let id = host.create(guest.interface(), &[&ENABLED[..], &list].concat());
    let served = |address: &str| {
        let url = format!("http://[fd00:ec2::254]{INSTANCE_ID}");
        let arguments = ["--silent", "--interface", address, "--max-time", "1", &url];
        guest.run("curl", &arguments).stdout == id
    };
    // It asks for the service's MAC from whichever address comes first.
    wait::until("an answer", || served("fd00:1::1"), |&served| served);
    assert!(!served("fd00:1::2"));
    assert!(!is_served(&guest, "10.0.0.1"), "no IPv4 address is listed");
    assert!(forged(&host.stats(&id)) >= 2);
}

/// Changes an instance's list over and over, one address or network or several each, while its guest sends this frame:
/// how many were sent, and the counters after the last.
fn change_under_traffic(
    host: &Host,
    id: &str,
    tap: &mut Tap,
    source: [u8; 4],
    lists: &[&[&str]],
) -> (u64, InstanceStats) {
    let frame = from_v4(tap, source);
    let done = AtomicBool::new(false);
    let sent: u64 = thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let mut sent = 0;
            while !done.load(Ordering::Relaxed) {
                tap.send(&frame);
                sent += 1;
            }
            sent
        });
        for list in lists.iter().cycle().take(30) {
            let flags = list.iter().flat_map(|entry| ["--allow-address", entry]);
            host.ask(&["limits", "set", id].into_iter().chain(flags).collect::<Vec<_>>());
        }
        done.store(true, Ordering::Relaxed);
        flood.join().expect("no panic")
    });
    assert!(sent > 1_000, "{sent}");
    let dropped = |stats: &InstanceStats| stats.kernel_sum("dropped-");
    let stats = wait::until("the flood", || host.stats(id), |stats| dropped(stats) >= sent);
    assert_eq!(dropped(&stats), sent, "each is counted once");
    (sent, stats)
}

fn no_moment_of_a_change_lets_through_what_neither_list_has() {
    let host = Host::start();
    let mut tap = Tap::new();
    let id = host.create(tap.interface(), &["--allow-address", "10.0.0.1"]);
    // A network's mask with another one's address would let the stranger through, as would no list at all.
    let lists = [&["192.168.0.0/16", "10.1.0.0/16"][..], &["10.0.7.8/31", "172.16.0.0/12"], &["10.0.0.1"]];
    let (sent, stats) = change_under_traffic(&host, &id, &mut tap, [10, 0, 7, 7], &lists);
    assert_eq!(forged(&stats), sent, "none of them came further");
}

fn a_change_takes_nothing_from_what_both_lists_have() {
    let host = Host::start();
    let mut tap = Tap::new();
    let id = host.create(tap.interface(), &["--allow-address", "10.0.0.0/24"]);
    let lists = [&["10.0.0.1", "172.16.0.1"][..], &["10.0.0.0/8"], &["192.168.0.0/16", "10.0.0.0/24"]];
    let (sent, stats) = change_under_traffic(&host, &id, &mut tap, LISTED, &lists);
    assert_eq!((stats.kernel("dropped-port"), forged(&stats)), (sent, 0));
}

fn a_file_describes_lists_and_budgets() {
    let host = Host::start();
    let guest = Guest::on_veth("10.0.0.1");
    let id = "i-0123456789abcdef0";
    let apply = |limits: serde_json::Value| {
        let instance = serde_json::json!({ "instance-id": id, "interfaces": [guest.interface()], "limits": limits });
        let file =
            names::file("instances.json", serde_json::json!({ "instances": [instance] }).to_string().as_bytes(), 0o600);
        host.ask(&["apply", "-f", &file.display().to_string()])[0]["outcome"].clone()
    };
    let listed = serde_json::json!({ "allow-addresses": ["10.0.0.1"], "packet-budget": 77 });
    assert_eq!(apply(listed.clone()), "created");
    assert_eq!(apply(listed), "unchanged");
    assert_eq!(apply(serde_json::json!({})), "unchanged", "what is left out stays");
    assert_eq!(apply(serde_json::json!({ "allow-macs": ["02:00:00:00:00:01"] })), "updated");
    let view = host.ask(&["limits", "show", id]);
    let expected = serde_json::json!({
        "allow_addresses": ["10.0.0.1"], "allow_macs": ["02:00:00:00:00:01"], "packet_budget": 77, "request_budget": 0,
    });
    assert_eq!(view, expected);
    assert!(!is_served(&guest, "10.0.0.1"), "its MAC is another");
    let none = serde_json::json!({ "allow-addresses": [], "allow-macs": [], "packet-budget": "default" });
    assert_eq!(apply(none), "updated");
    assert!(is_served(&guest, "10.0.0.1"));
}
