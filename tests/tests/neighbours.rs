//! ARP and neighbour discovery for the service's addresses, and instances that say they have one of them.

use std::net::UdpSocket;
use std::time::Duration;

use etherparse::VlanId;
use imds_tests::guest::{Bridge, Guest};
use imds_tests::host::Host;
use imds_tests::in_each_attachment;
use imds_tests::namespace::{Namespace, SERVICE_V6};
use imds_tests::neighbour::{SOLICITED, about, arp, discovery};
use imds_tests::packet::{self, SERVICE};
use imds_tests::tap::{GUEST_MAC, PATIENCE, Tap};
use imds_tests::{http, wait};

in_each_attachment!(
    a_guest_that_asks_for_the_service_on_its_own_link_is_served,
    a_guest_without_a_lease_is_served_from_a_link_local_address,
    questions_are_answered_to_the_byte,
    whoever_says_it_is_the_service_is_dropped_and_counted,
    more_extension_headers_than_are_looked_behind_hide_nothing,
    what_others_say_of_themselves_passes_untouched,
    a_guest_on_a_bridge_can_t_serve_its_neighbour,
    a_service_that_nobody_owns_has_no_neighbour
);

const ENABLED: [&str; 2] = ["--metadata-options", "HttpProtocolIpv6=enabled"];
/// The service's MAC.
const SERVICE_MAC: [u8; 6] = [2, 0, 0xa9, 0xfe, 0xa9, 0xfe];
const GUEST: [u8; 4] = [10, 0, 0, 1];
const GUEST_V6: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const ALL_NODES: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
/// So long an answer is waited for that must not come.
const SILENCE: Duration = Duration::from_millis(200);

/// A router advertisement's body with one option.
fn router(option: &[u8]) -> Vec<u8> {
    [[64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0].as_slice(), option].concat()
}

fn prefix_information(bits: u8, prefix: [u8; 16]) -> Vec<u8> {
    [[3, 4, bits, 0xc0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0].as_slice(), &prefix].concat()
}

fn a_guest_that_asks_for_the_service_on_its_own_link_is_served() {
    let host = Host::start();
    let guest = Guest::on_veth("10.0.0.1");
    guest.ip(["route", "del", "default"]);
    guest.ip(["route", "add", "169.254.0.0/16", "dev", "eth0"]);
    guest.add_ipv6("fd00:1::1");
    let id = host.create(guest.interface(), &ENABLED);
    assert_eq!(guest.get("/latest/meta-data/instance-id", None).text(), id);
    let over_v6 = http::Connection::open_to(&guest, SERVICE_V6, PATIENCE);
    let answer = over_v6.expect("connects").ask(&http::request("GET", "/latest/meta-data/instance-id", &[]));
    assert_eq!(answer.expect("an answer").text(), id);
    assert!(host.stats(&id).kernel("answered-neighbour") >= 2, "for each address, and perhaps once more");
}

fn a_guest_without_a_lease_is_served_from_a_link_local_address() {
    let host = Host::start();
    let guest = Guest::on_veth("169.254.77.1");
    guest.ip(["route", "del", "default"]);
    guest.ip(["route", "add", "169.254.169.254/32", "dev", "eth0"]);
    let id = host.create(guest.interface(), &[]);
    assert_eq!(guest.get("/latest/meta-data/instance-id", None).text(), id);
}

fn questions_are_answered_to_the_byte() {
    let host = Host::start();
    let mut tap = Tap::new();
    let id = host.create(tap.interface(), &ENABLED);
    tap.send(&arp(1, GUEST, SERVICE));
    let answer = wait_for(&mut tap, |frame| frame[12..14] == [8, 6]);
    let expected =
        [&GUEST_MAC[..], &SERVICE_MAC, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2], &SERVICE_MAC, &SERVICE, &GUEST_MAC, &GUEST];
    assert_eq!(answer, expected.concat());

    let option = [1, 1, 2, 0, 0, 0, 0, 0x10];
    let asked = [about(packet::SERVICE_V6, 0), option.to_vec()].concat();
    for (destination, body) in [(SOLICITED, &asked[..]), (packet::SERVICE_V6, &asked[..20])] {
        tap.send(&discovery(&tap, 135, GUEST_V6, destination, body));
        let answer = wait_for(&mut tap, |frame| frame[12..14] == [0x86, 0xdd] && frame[54] == 136);
        let told = [about(packet::SERVICE_V6, 0x60), [[2, 1].as_slice(), &SERVICE_MAC].concat()].concat();
        let mut expected = discovery(&tap, 136, packet::SERVICE_V6, GUEST_V6, &told);
        expected[..6].copy_from_slice(&GUEST_MAC);
        expected[6..12].copy_from_slice(&SERVICE_MAC);
        assert_eq!(answer, expected);
    }
    assert_eq!(host.stats(&id).kernel("answered-neighbour"), 3);
    host.set(&id, &["--http-protocol-ipv6", "disabled"]);
    tap.send(&discovery(&tap, 135, GUEST_V6, SOLICITED, &asked));
    wait::until("the drop", || host.stats(&id).kernel("dropped-ipv6"), |&count| count == 1);
}

#[track_caller]
fn wait_for(tap: &mut Tap, is_it: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    loop {
        let frame = tap.receive(PATIENCE).expect("an answer");
        if is_it(&frame) {
            return frame;
        }
    }
}

fn whoever_says_it_is_the_service_is_dropped_and_counted() {
    let host = Host::start();
    let mut tap = Tap::new();
    let id = host.create(tap.interface(), &[]);
    let syn = |frame: etherparse::PacketBuilderStep<etherparse::TcpHeader>| {
        let mut bytes = Vec::new();
        frame.syn().ack(1).write(&mut bytes, &[]).expect("written");
        bytes
    };
    let neighbour = [10, 0, 0, 2];
    let neighbour_v6 = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
    let tagged = tap.frame().single_vlan(VlanId::try_new(7).expect("a VLAN"));
    let hop_by_hop = |frame| behind(frame, 0, &[58, 0, 1, 4, 0, 0, 0, 0]);
    let authenticated = |frame| behind(frame, 51, &[[58, 4].as_slice(), &[0; 22]].concat());
    let advertised = || discovery(&tap, 136, GUEST_V6, ALL_NODES, &about(packet::SERVICE_V6, 0x20));
    let route = |bits: u8, prefix: &[u8]| router(&[&[24, 2, bits, 0, 0, 0, 1, 0], prefix].concat());
    let service_half = &packet::SERVICE_V6[..8];
    let claims = [
        ("IPv4", syn(tap.frame().ipv4(SERVICE, neighbour, 64).tcp(80, 4_000, 1, 1))),
        ("IPv4, tagged", syn(tagged.ipv4(SERVICE, neighbour, 64).tcp(80, 4_000, 1, 1))),
        ("IPv6", syn(tap.frame().ipv6(packet::SERVICE_V6, neighbour_v6, 64).tcp(80, 4_000, 1, 1))),
        ("a gratuitous ARP", arp(1, SERVICE, SERVICE)),
        ("an ARP reply", arp(2, SERVICE, neighbour)),
        ("an ARP request in its name", arp(1, SERVICE, neighbour)),
        ("a neighbour advertisement", advertised()),
        ("one behind an extension header", hop_by_hop(advertised())),
        ("one behind an authentication header", authenticated(advertised())),
        ("a wish for its address", discovery(&tap, 135, [0; 16], SOLICITED, &about(packet::SERVICE_V6, 0))),
        ("its prefix", discovery(&tap, 134, GUEST_V6, ALL_NODES, &router(&prefix_information(64, packet::SERVICE_V6)))),
        ("a route to it", discovery(&tap, 134, GUEST_V6, ALL_NODES, &route(32, service_half))),
        ("ICMP's redirect of what is for it", redirect(&tap, [10, 0, 0, 9], SERVICE)),
        ("ICMP's redirect by way of it", redirect(&tap, SERVICE, [198, 18, 0, 1])),
        ("an ARP reply in SNAP", in_snap(arp(2, SERVICE, neighbour))),
        (
            "a route that goes on in the next option",
            discovery(&tap, 134, GUEST_V6, ALL_NODES, &router(&[&[24, 1, 48, 0, 0, 0, 1, 0], service_half].concat())),
        ),
        (
            "more options than a router has",
            discovery(&tap, 134, GUEST_V6, ALL_NODES, &router(&[5, 1, 0, 0, 0, 0, 5, 0].repeat(17))),
        ),
    ];
    for (name, frame) in claims {
        let before = host.stats(&id);
        tap.send(&frame);
        let dropped = |stats: &imds_tests::stats::InstanceStats| stats.kernel("dropped-impersonation");
        let after = wait::until(name, || host.stats(&id), |stats| dropped(stats) > dropped(&before));
        assert_eq!(after.kernel_sum("dropped-"), before.kernel_sum("dropped-") + 1, "{name} moved another counter too");
    }
}

/// ICMP's redirect to a neighbour: what it sent to `destination` goes by way of `router`.
fn redirect(tap: &Tap, router: [u8; 4], destination: [u8; 4]) -> Vec<u8> {
    let neighbour = [10, 0, 0, 2];
    let mut sent = Vec::new();
    tap.frame().ipv4(neighbour, destination, 64).udp(4_000, 80).write(&mut sent, &[]).expect("written");
    let kind = etherparse::Icmpv4Type::Unknown { type_u8: 5, code_u8: 1, bytes5to8: router };
    let mut frame = Vec::new();
    tap.frame().ipv4(GUEST, neighbour, 64).icmpv4(kind).write(&mut frame, &sent[14..]).expect("written");
    frame
}

/// The same frame by IEEE 802.3, which has a length where the ethertype was, and that behind a SNAP header.
fn in_snap(frame: Vec<u8>) -> Vec<u8> {
    let length = u16::try_from(frame.len() - 12 + 6).expect("a frame").to_be_bytes();
    [&frame[..12], &length, &[0xaa, 0xaa, 3, 0, 0, 0], &frame[12..]].concat()
}

/// Puts an extension header into a frame, before what its IPv6 header is followed by.
fn behind(mut frame: Vec<u8>, kind: u8, extension: &[u8]) -> Vec<u8> {
    frame[20] = kind;
    frame[19] += u8::try_from(extension.len()).expect("short");
    frame.splice(54..54, extension.iter().copied());
    frame
}

fn more_extension_headers_than_are_looked_behind_hide_nothing() {
    let host = Host::start();
    let mut tap = Tap::new();
    let id = host.create(tap.interface(), &[]);
    let mut frame = discovery(&tap, 136, GUEST_V6, ALL_NODES, &about(packet::SERVICE_V6, 0x20));
    for next in [58, 60, 60, 60, 60, 60, 60, 60] {
        frame = behind(frame, 60, &[next, 0, 1, 4, 0, 0, 0, 0]);
    }
    tap.send(&frame);
    wait::until("the drop", || host.stats(&id).kernel("dropped-extension"), |&count| count == 1);
}

fn what_others_say_of_themselves_passes_untouched() {
    let host = Host::start();
    let mut tap = Tap::new();
    let id = host.create(tap.interface(), &[]);
    let before = host.stats(&id);
    let other = GUEST_V6;
    let default_route = [24, 1, 0, 0, 0, 0, 1, 0];
    for frame in [
        arp(1, GUEST, [10, 0, 0, 254]),
        arp(2, GUEST, [10, 0, 0, 254]),
        discovery(&tap, 136, GUEST_V6, ALL_NODES, &about(other, 0x20)),
        discovery(&tap, 135, [0; 16], ALL_NODES, &about(other, 0)),
        discovery(&tap, 134, GUEST_V6, ALL_NODES, &router(&prefix_information(64, GUEST_V6))),
        discovery(&tap, 134, GUEST_V6, ALL_NODES, &router(&default_route)),
        discovery(&tap, 134, GUEST_V6, ALL_NODES, &router(&[])),
        discovery(&tap, 134, GUEST_V6, ALL_NODES, &router(&[5, 1, 0, 0, 0, 0, 5, 0].repeat(16))),
        redirect(&tap, [10, 0, 0, 9], [198, 18, 0, 1]),
        in_snap(arp(2, GUEST, [10, 0, 0, 254])),
        // Encrypted: what looks like a header in it is none.
        behind(
            discovery(&tap, 136, GUEST_V6, ALL_NODES, &about(packet::SERVICE_V6, 0x20)),
            50,
            &[58, 0, 0, 0, 0, 0, 0, 0],
        ),
    ] {
        tap.send(&frame);
    }
    // What is sent after them is counted, so that they were seen before.
    tap.send(&arp(1, SERVICE, SERVICE));
    let after = wait::until("the last", || host.stats(&id), |stats| stats.kernel("dropped-impersonation") == 1);
    assert_eq!(after.kernel_sum("dropped-"), before.kernel_sum("dropped-") + 1);
}

fn a_guest_on_a_bridge_can_t_serve_its_neighbour() {
    let host = Host::start();
    let bridge = Bridge::new();
    let [good, bad] = ["10.0.0.1", "10.0.0.2"].map(|address| Guest::on_bridge(&bridge, address));
    let ids = [&good, &bad].map(|guest| host.create(guest.interface(), &[]));
    for guest in [&good, &bad] {
        guest.ip(["route", "del", "default"]);
        guest.ip(["route", "add", "169.254.0.0/16", "dev", "eth0"]);
    }
    // The neighbour has the address, announces it, and has a server behind it.
    bad.ip(["address", "add", "169.254.169.254/32", "dev", "eth0"]);
    let fake = bad.inside(|| std::net::TcpListener::bind("169.254.169.254:80")).expect("its own address");
    fake.set_nonblocking(true).expect("a socket");
    announce(&bad);
    assert_eq!(good.get("/latest/meta-data/instance-id", None).text(), ids[0]);
    assert!(fake.accept().is_err(), "nobody came to the neighbour");
    wait::until("the announcement", || host.stats(&ids[1]).kernel("dropped-impersonation"), |&count| count > 0);
}

/// Lets a namespace's kernel say in ARP that it has the service's address.
fn announce(namespace: &Namespace) {
    let sent = namespace.inside(|| UdpSocket::bind("169.254.169.254:0")?.send_to(b"x", "10.0.0.1:9"));
    sent.expect("its own address");
}

fn a_service_that_nobody_owns_has_no_neighbour() {
    let host = Host::start();
    let mut tap = Tap::new();
    let id = host.create(tap.interface(), &ENABLED);
    host.delete(&id);
    let before = host.host_counter("dropped-unowned");
    tap.send(&arp(1, GUEST, SERVICE));
    tap.send(&discovery(&tap, 135, GUEST_V6, SOLICITED, &about(packet::SERVICE_V6, 0)));
    wait::until("the drops", || host.host_counter("dropped-unowned"), |&count| count == before + 2);
    let answered = |frame: Vec<u8>| frame[12..14] == [8, 6] || frame[6..12] == SERVICE_MAC;
    assert!(!tap.receive(SILENCE).is_some_and(answered));
}
