//! Packets that no client sends, and those that aren't for the service.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use etherparse::{IpFragOffset, IpHeaders, IpNumber, Ipv4Header, PacketBuilderStep, TcpHeader, VlanId};
use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::in_each_attachment;
use imds_tests::packet::{SERVICE, SERVICE_V6};
use imds_tests::tap::{GUEST_MAC, Tap};
use imds_tests::wait::{self, LIMIT};
use imds_tests::witness::Witness;

in_each_attachment!(
    hostile_packets_are_dropped_and_counted,
    what_ends_before_its_destination_passes_and_is_never_answered,
    three_vlan_tags_are_looked_behind_and_more_are_dropped,
    clients_and_connections_are_bounded,
    an_interface_that_nobody_owns_is_closed_and_counted_at_the_host,
    what_is_not_for_the_service_passes_untouched
);

const SOURCE: [u8; 4] = [10, 0, 0, 1];
const PORT: u16 = 41_000;
const TTL: u8 = 64;
/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;
const SOURCE_V6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
/// So long an answer is waited for that must not come.
const SILENCE: Duration = Duration::from_millis(200);

fn written(packet: PacketBuilderStep<TcpHeader>) -> Vec<u8> {
    let mut frame = Vec::new();
    packet.write(&mut frame, &[]).expect("a Vec takes every frame");
    frame
}

fn syn_from(tap: &Tap, source: [u8; 4], port: u16) -> Vec<u8> {
    written(tap.frame().ipv4(source, SERVICE, TTL).tcp(PORT, port, 1_000, 64_000).syn())
}

/// A SYN behind an IPv4 header of its own.
fn syn_behind(tap: &Tap, change: impl FnOnce(&mut Ipv4Header)) -> Vec<u8> {
    let mut header = Ipv4Header { time_to_live: TTL, protocol: IpNumber::TCP, ..Ipv4Header::default() };
    (header.source, header.destination) = (SOURCE, SERVICE);
    change(&mut header);
    let ip = IpHeaders::Ipv4(header, etherparse::Ipv4Extensions::default());
    written(tap.frame().ip(ip).tcp(PORT, 80, 1_000, 64_000).syn())
}

/// Cuts an IPv4 packet to so many bytes, as its header says too.
fn cut(mut frame: Vec<u8>, length: u16) -> Vec<u8> {
    frame.truncate(14 + usize::from(length));
    frame[16..18].copy_from_slice(&length.to_be_bytes());
    let header = Ipv4Header::from_slice(&frame[14..]).expect("an IPv4 header").0;
    frame[24..26].copy_from_slice(&header.calc_header_checksum().to_be_bytes());
    frame
}

/// A frame, and the counter of the slot that it moves.
type Row = (&'static str, Vec<u8>, &'static str);

fn rows(tap: &Tap) -> Vec<Row> {
    let service = || tap.frame().ipv4(SOURCE, SERVICE, TTL);
    let mut udp = Vec::new();
    service().udp(PORT, 80).write(&mut udp, b"hello").expect("written");
    let mut echo = Vec::new();
    service().icmpv4_echo_request(1, 1).write(&mut echo, b"hello").expect("written");
    let mut ipv6 = Vec::new();
    let to_v6 = tap.frame().ipv6(SOURCE_V6, SERVICE_V6, TTL).tcp(PORT, 80, 1, 64_000).syn();
    to_v6.write(&mut ipv6, &[]).expect("written");
    let mut ping6 = Vec::new();
    let to_v6 = tap.frame().ipv6(SOURCE_V6, SERVICE_V6, TTL).icmpv6_echo_request(1, 1);
    to_v6.write(&mut ping6, &[]).expect("written");
    let tagged = tap.frame().single_vlan(VlanId::try_new(7).expect("a VLAN"));
    let tagged = written(tagged.ipv4(SOURCE, SERVICE, TTL).tcp(PORT, 80, 1_000, 64_000).syn());
    let syn = || syn_from(tap, SOURCE, 80);
    let mut from_group = syn();
    from_group[6] |= 1;
    let mut longer_than_it_is = syn();
    longer_than_it_is[16..18].copy_from_slice(&1_000_u16.to_be_bytes());
    vec![
        ("another port", syn_from(tap, SOURCE, 443), "dropped-port"),
        ("port 53", syn_from(tap, SOURCE, 53), "dropped-port"),
        ("UDP", udp, "dropped-protocol"),
        ("an ICMP echo", echo, "dropped-protocol"),
        ("a first fragment", syn_behind(tap, |header| header.more_fragments = true), "dropped-fragment"),
        (
            "a last fragment",
            syn_behind(tap, |header| header.fragment_offset = IpFragOffset::try_new(10).expect("an offset")),
            "dropped-fragment",
        ),
        ("IP options", syn_behind(tap, |header| header.options = [1, 1, 1, 0].into()), "dropped-ip-options"),
        ("half a TCP header", cut(syn(), 30), "dropped-truncated"),
        ("no TCP header", cut(syn(), 20), "dropped-truncated"),
        ("a length beyond the frame", longer_than_it_is, "dropped-truncated"),
        ("a VLAN tag", tagged, "dropped-vlan"),
        ("IPv6", ipv6, "dropped-ipv6"),
        ("an ICMPv6 echo", ping6, "dropped-ipv6"),
        ("from 0.0.0.0", syn_from(tap, [0; 4], 80), "dropped-source"),
        ("from 127.0.0.1", syn_from(tap, [127, 0, 0, 1], 80), "dropped-source"),
        ("from the service", syn_from(tap, SERVICE, 80), "dropped-impersonation"),
        ("from a group", syn_from(tap, [224, 0, 0, 1], 80), "dropped-source"),
        ("from everybody", syn_from(tap, [255; 4], 80), "dropped-source"),
        ("from a group's MAC", from_group, "dropped-source"),
    ]
}

fn hostile_packets_are_dropped_and_counted() {
    let host = Host::start();
    let mut tap = Tap::new();
    let id = host.create(tap.interface(), &[]);
    let all = |stats: &imds_tests::stats::InstanceStats| stats.kernel_sum("dropped-");
    for (name, frame, counter) in rows(&tap) {
        let before = host.stats(&id);
        tap.send(&frame);
        let look = || host.stats(&id);
        let after = wait::until(name, look, |stats| stats.kernel(counter) > before.kernel(counter));
        assert_eq!(after.kernel(counter), before.kernel(counter) + 1, "{name}");
        assert_eq!(all(&after), all(&before) + 1, "{name} moved another counter too");
        assert_eq!(after.kernel("delivered"), before.kernel("delivered"), "{name} reached the daemon");
        assert_eq!(tap.receive_segment(PORT, Duration::ZERO), None, "{name} was answered");
    }
    assert_eq!(tap.receive_segment(PORT, SILENCE), None);
    tap.send(&syn_from(&tap, SOURCE, 80));
    let answer = tap.receive_segment(PORT, imds_tests::tap::PATIENCE);
    assert!(answer.is_some_and(|segment| segment.syn), "a good SYN is answered");
}

/// What ends before it says where it goes is nobody's: the host's stack drops it, as it does without the programs.
fn what_ends_before_its_destination_passes_and_is_never_answered() {
    let host = Host::start();
    let mut tap = Tap::new();
    let id = host.create(tap.interface(), &["--metadata-options", "HttpProtocolIpv6=enabled"]);
    let before = host.stats(&id).kernel_counters();
    let witness = Witness::at(tap.interface());
    let v4 = syn_from(&tap, SOURCE, 80);
    let v6 = written(tap.frame().ipv6(SOURCE_V6, SERVICE_V6, TTL).tcp(PORT, 80, 1_000, 64_000).syn());
    for (frame, whole) in [(&v4, 34), (&v6, 54)] {
        (ETHERNET..whole).for_each(|length| tap.send(&frame[..length]));
        let seen = witness.count_from(GUEST_MAC);
        assert_eq!(seen, whole - ETHERNET, "before tc");
    }
    // The kernel itself drops what ends in a tag, before anybody sees it.
    let tag = [&v4[..12], &[0x81, 0, 0, 7]].concat();
    (ETHERNET..tag.len()).for_each(|length| tap.send(&tag[..length]));
    assert_eq!(tap.receive_segment(PORT, SILENCE), None);
    assert_eq!(host.stats(&id).kernel_counters().moved_since(&before), Vec::<String>::new());
}

/// A frame with so many VLAN tags more.
fn tagged(frame: &[u8], tags: usize) -> Vec<u8> {
    [&frame[..12], &[0x81, 0, 0, 7].repeat(tags), &frame[12..]].concat()
}

fn three_vlan_tags_are_looked_behind_and_more_are_dropped() {
    let host = Host::start();
    let mut tap = Tap::new();
    let id = host.create(tap.interface(), &[]);
    let elsewhere = written(tap.frame().ipv4(SOURCE, [10, 0, 0, 2], TTL).tcp(PORT, 80, 1_000, 64_000).syn());
    let (asked, claimed) = (syn_from(&tap, SOURCE, 80), syn_from(&tap, SERVICE, 80));
    for tags in 1..=5 {
        let before = host.stats(&id).kernel_counters();
        // What passes is counted nowhere, so it comes before what is.
        for frame in [&elsewhere, &asked, &claimed] {
            tap.send(&tagged(frame, tags));
        }
        let expected = match tags {
            1..=3 => &["dropped-impersonation", "dropped-vlan"][..],
            _ => &["dropped-vlan", "dropped-vlan", "dropped-vlan"],
        };
        let moved = || {
            let mut moved = host.stats(&id).kernel_counters().moved_since(&before);
            moved.retain(|name| name != "events-lost");
            moved
        };
        wait::until("the tagged frames", moved, |moved| moved == expected);
    }
}

fn clients_and_connections_are_bounded() {
    let host = Host::start();
    let mut tap = Tap::new();
    let id = host.create(tap.interface(), &[]);
    for port in 0..256 {
        let frame = tap.frame().ipv4(SOURCE, SERVICE, TTL).tcp(PORT + port, 80, 1_000, 64_000).syn();
        tap.send(&written(frame));
    }
    wait::until("connections", || host.stats(&id), |stats| stats.kernel("dropped-flows") == 128);
    for client in 0..64 {
        let source = [10, 0, 1, client];
        tap.send(&syn_from(&tap, source, 80));
    }
    wait::until("clients", || host.stats(&id), |stats| stats.kernel("dropped-places") == 33);
}

fn an_interface_that_nobody_owns_is_closed_and_counted_at_the_host() {
    let host = Host::start();
    let mut tap = Tap::new();
    let id = host.create(tap.interface(), &[]);
    host.delete(&id);
    let before = host.host_counter("dropped-unowned");
    tap.send(&syn_from(&tap, SOURCE, 80));
    wait::until("the drop", || host.host_counter("dropped-unowned"), |&count| count == before + 1);
    assert_eq!(tap.receive_segment(PORT, SILENCE), None);
}

fn what_is_not_for_the_service_passes_untouched() {
    let host = Host::start();
    let guest = Guest::on_veth("10.0.0.1");
    let id = host.create(guest.interface(), &["--metadata-options", "HttpTokens=required"]);
    let address = guest.address_on_host();
    let before = host.stats(&id);
    let udp = UdpSocket::bind((address.as_str(), 0)).expect("a port of the host's");
    let to = udp.local_addr().expect("an address");
    let sender = guest.inside(|| UdpSocket::bind("0.0.0.0:0")).expect("a port of the guest's");
    sender.send_to(b"there", to).expect("sent");
    udp.set_read_timeout(Some(LIMIT)).expect("a time-out");
    let (length, from) = udp.recv_from(&mut [0; 16]).expect("it arrives");
    assert_eq!(length, 5);
    udp.send_to(b"and back", from).expect("sent");
    sender.set_read_timeout(Some(LIMIT)).expect("a time-out");
    assert_eq!(sender.recv(&mut [0; 16]).expect("it arrives"), 8);

    let listener = TcpListener::bind((address.as_str(), 0)).expect("a port of the host's");
    let to = listener.local_addr().expect("an address");
    let mut sent = guest.inside(|| TcpStream::connect_timeout(&to, LIMIT)).expect("a connection to the host");
    let (mut received, _) = listener.accept().expect("it was connected");
    received.set_read_timeout(Some(LIMIT)).expect("a time-out");
    let text = vec![b'x'; 1_000_000];
    let arrived = thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut bytes = Vec::new();
            received.read_to_end(&mut bytes).map(|_| bytes)
        });
        sent.write_all(&text).expect("sent");
        sent.shutdown(Shutdown::Write).expect("ended");
        reader.join().expect("no panic").expect("received")
    });
    assert!(arrived == text, "{} bytes arrived", arrived.len());
    let after = host.stats(&id);
    assert_eq!(after.kernel_sum(""), before.kernel_sum(""), "nothing of it was counted");
}
