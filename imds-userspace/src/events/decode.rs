//! An event of the kernel's, read: who, what, and the verdict. Its bytes go no further.

use std::net::IpAddr;

use etherparse::{ArpOperation, ArpPacketSlice, LaxNetSlice, LaxSlicedPacket, LinkSlice, TcpSlice, TransportSlice};
use imds_common::address::{Identity, SERVICE_PORT};
use imds_common::counters::Counter;
use imds_common::event::Event;

use super::head::Head;
use super::{By, Client, Seen, unix_ms, written};
use crate::clock;

/// ICMP's and ICMPv6's types of a message that a packet reached its hop limit.
const TIME_EXCEEDED: (u8, u8) = (11, 3);
/// Types of neighbour discovery (RFC 4861, section 4), by their names.
const DISCOVERY: [(u8, &str); 3] =
    [(134, "router advertisement"), (135, "neighbour solicitation"), (136, "neighbour advertisement")];
/// Where the status stands in an answer's first line, and what stands before it.
const STATUS_LINE: &[u8] = b"HTTP/1.1 ";
const STATUS_LENGTH: usize = 3;

impl Seen {
    /// Reads an event: `None` if no counter has its number.
    #[must_use]
    pub fn of_event(event: &Event) -> Option<Self> {
        let counter = Counter::from_number(event.counter.into())?;
        let age_ms = clock::boottime_ms().saturating_sub(event.time_ns / 1_000_000);
        let to_client = event.to_client != 0;
        let mut seen = Self {
            unix_ms: unix_ms().saturating_sub(age_ms),
            by: By::Kernel,
            client: None,
            mac: None,
            port: None,
            packet: None,
            head: Head::default(),
            counter,
            untold: event.lost,
        };
        let Ok(packet) = LaxSlicedPacket::from_ethernet(event.captured()) else { return Some(seen) };
        let client = |(source, destination)| if to_client { receiver(destination) } else { Client::Address(source) };
        seen.client = packet.net.as_ref().and_then(ends).map(client);
        // What the service sends to an identity has MACs of its own link still.
        if let (Some(LinkSlice::Ethernet2(link)), Some(Client::Address(_)) | None) = (&packet.link, seen.client) {
            seen.mac = Some(if to_client { link.destination() } else { link.source() });
        }
        let mut kind = match &packet.transport {
            Some(TransportSlice::Tcp(tcp)) => {
                let (ours, theirs) = if to_client {
                    (tcp.source_port(), tcp.destination_port())
                } else {
                    seen.head = Head::read(tcp.payload());
                    (tcp.destination_port(), tcp.source_port())
                };
                seen.port = Some(theirs);
                describe(tcp, ours, to_client)
            }
            Some(TransportSlice::Udp(udp)) => {
                seen.port = Some(udp.source_port());
                format!("UDP to port {}", udp.destination_port())
            }
            Some(TransportSlice::Icmpv4(icmp)) => named("ICMP", icmp.type_u8(), &[(TIME_EXCEEDED.0, "time exceeded")]),
            Some(TransportSlice::Icmpv6(icmp)) => {
                let [router, solicitation, advertisement] = DISCOVERY;
                let names = [(TIME_EXCEEDED.1, "time exceeded"), router, solicitation, advertisement];
                named("ICMPv6", icmp.type_u8(), &names)
            }
            None => match &packet.net {
                Some(LaxNetSlice::Ipv4(ip)) => format!("IPv4, protocol {}", ip.header().protocol().0),
                Some(LaxNetSlice::Ipv6(ip)) => format!("IPv6, next header {}", ip.header().next_header().0),
                Some(LaxNetSlice::Arp(arp)) => describe_arp(arp, seen.mac),
                None => "not IP".to_owned(),
            },
        };
        if to_client && let Some(ttl) = packet.net.as_ref().and_then(ttl) {
            kind += &format!(", TTL {ttl}");
        }
        kind += &format!(", {} bytes", event.frame_length);
        seen.packet = Some(kind);
        Some(seen)
    }
}

/// Flags, a port that isn't the service's, and an answer's status.
fn describe(tcp: &TcpSlice<'_>, ours: u16, to_client: bool) -> String {
    let flags = [("SYN", tcp.syn()), ("FIN", tcp.fin()), ("RST", tcp.rst()), ("PSH", tcp.psh()), ("ACK", tcp.ack())];
    let mut text = "TCP".to_owned();
    for (name, _) in flags.into_iter().filter(|(_, set)| *set) {
        text += " ";
        text += name;
    }
    if ours != SERVICE_PORT {
        text += &format!(" {} port {ours}", if to_client { "from" } else { "to" });
    }
    let status = tcp.payload().strip_prefix(STATUS_LINE).and_then(|rest| rest.get(..STATUS_LENGTH));
    if let Some(status) = status.filter(|status| to_client && status.iter().all(u8::is_ascii_digit)) {
        text += ", status ";
        text.extend(status.iter().copied().map(char::from));
    }
    text
}

/// What it is, and the sender's MAC in it where the frame comes from another.
fn describe_arp(arp: &ArpPacketSlice<'_>, frame: Option<[u8; 6]>) -> String {
    let mut text = match arp.operation() {
        ArpOperation::REQUEST => "ARP request".to_owned(),
        ArpOperation::REPLY => "ARP reply".to_owned(),
        ArpOperation(other) => format!("ARP operation {other}"),
    };
    if let Ok(mac) = <[u8; 6]>::try_from(arp.sender_hw_addr())
        && frame != Some(mac)
    {
        text += &format!(" of {}", written(mac));
    }
    text
}

fn named(protocol: &str, kind: u8, names: &[(u8, &str)]) -> String {
    match names.iter().find(|(number, _)| *number == kind) {
        Some((_, name)) => format!("{protocol} {name}"),
        None => format!("{protocol} type {kind}"),
    }
}

/// The client that a packet of the service's is for: the kernel programs gave it the address, or it has that itself.
fn receiver(address: IpAddr) -> Client {
    let identity = match address {
        IpAddr::V6(address) => Identity::from_address(address.octets()),
        IpAddr::V4(_) => None,
    };
    identity.map_or(Client::Address(address), Client::Identity)
}

/// Whom a packet is from, and whom it is for.
fn ends(net: &LaxNetSlice<'_>) -> Option<(IpAddr, IpAddr)> {
    match net {
        LaxNetSlice::Ipv4(ip) => Some((ip.header().source_addr().into(), ip.header().destination_addr().into())),
        LaxNetSlice::Ipv6(ip) => Some((ip.header().source_addr().into(), ip.header().destination_addr().into())),
        LaxNetSlice::Arp(arp) => {
            let [sender, target] = [arp.sender_protocol_addr(), arp.target_protocol_addr()].map(<[u8; 4]>::try_from);
            Some((sender.ok()?.into(), target.ok()?.into()))
        }
    }
}

fn ttl(net: &LaxNetSlice<'_>) -> Option<u8> {
    match net {
        LaxNetSlice::Ipv4(ip) => Some(ip.header().ttl()),
        LaxNetSlice::Ipv6(ip) => Some(ip.header().hop_limit()),
        LaxNetSlice::Arp(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;
    use imds_common::address::{SERVICE_V4, SERVICE_V6};
    use imds_common::event::CAPTURE_MAX;
    use proptest::prelude::*;

    use super::*;

    fn event(frame: &[u8], counter: Counter, to_client: u16) -> Event {
        let mut bytes = [0; CAPTURE_MAX];
        let captured = frame.len().min(CAPTURE_MAX);
        bytes[..captured].copy_from_slice(&frame[..captured]);
        Event {
            time_ns: clock::boottime_ms() * 1_000_000,
            lost: 5,
            frame_length: u32::try_from(frame.len()).expect("short"),
            slot: 1,
            generation: 1,
            counter: u16::try_from(counter as u32).expect("small"),
            captured: u16::try_from(captured).expect("small"),
            to_client,
            reserved: 0,
            frame: bytes,
        }
    }

    const CLIENT: [u8; 4] = [10, 0, 0, 7];

    /// What the client is called that has no place.
    fn name(seen: &Seen) -> Option<String> {
        seen.client.map(|client| client.name(&[]))
    }

    fn request(payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(CLIENT, SERVICE_V4, 64);
        builder.tcp(41_000, 80, 1, 64_000).ack(1).psh().write(&mut frame, payload).expect("a Vec takes everything");
        frame
    }

    #[test]
    fn a_request_shows_who_asked_for_what() {
        let frame = request(b"GET /latest/meta-data/ HTTP/1.1\r\nUser-Agent: curl/8\r\n\r\n");
        let seen = Seen::of_event(&event(&frame, Counter::RefusedTokenMissing, 0)).expect("a counter");
        assert_eq!((name(&seen).as_deref(), seen.port), (Some("10.0.0.7"), Some(41_000)));
        assert_eq!((seen.mac, seen.untold), (Some([2; 6]), 5));
        assert_eq!(seen.head.method.as_deref(), Some("GET"));
        assert_eq!(seen.head.path.as_deref(), Some("/latest/meta-data/"));
        assert_eq!(seen.head.user_agent.as_deref(), Some("curl/8"));
        assert_eq!((seen.by, seen.counter), (By::Kernel, Counter::RefusedTokenMissing));
        assert!(seen.packet.expect("there").starts_with("TCP PSH ACK, "));
        assert!(unix_ms() - seen.unix_ms < 60_000);
    }

    #[test]
    fn other_packets_are_named() {
        let to = |port: u16| {
            let mut frame = Vec::new();
            let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(CLIENT, SERVICE_V4, 64);
            builder.tcp(41_000, port, 1, 64_000).syn().write(&mut frame, &[]).expect("written");
            frame
        };
        let mut udp = Vec::new();
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv6([0xfd; 16], SERVICE_V6, 64);
        builder.udp(5, 53).write(&mut udp, b"x").expect("written");
        let mut exceeded = Vec::new();
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(CLIENT, SERVICE_V4, 64);
        builder.icmpv4_raw(11, 0, [0; 4]).write(&mut exceeded, &[0; 28]).expect("written");
        let mut fragment = to(80);
        fragment[20..22].copy_from_slice(&10_u16.to_be_bytes());
        for (frame, counter, packet, client) in [
            (to(443), Counter::DroppedPort, "TCP SYN to port 443, 54 bytes", Some("10.0.0.7")),
            (
                udp.clone(),
                Counter::DroppedProtocol,
                "UDP to port 53, 63 bytes",
                Some("fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd"),
            ),
            (exceeded.clone(), Counter::DroppedTimeExceeded, "ICMP time exceeded, 70 bytes", Some("10.0.0.7")),
            (fragment.clone(), Counter::DroppedFragment, "IPv4, protocol 6, 54 bytes", Some("10.0.0.7")),
            (to(80)[..20].to_vec(), Counter::DroppedTruncated, "not IP, 20 bytes", None),
        ] {
            let seen = Seen::of_event(&event(&frame, counter, 0)).expect("a counter");
            assert_eq!((seen.packet.as_deref(), name(&seen).as_deref()), (Some(packet), client));
            assert_eq!(seen.mac, Some([2; 6]));
        }
    }

    /// An ARP packet of 10.0.0.7 for the service, with its own length of addresses.
    fn arp(operation: u8, mac: [u8; 6], address_length: u8) -> Vec<u8> {
        let beginning = [0, 1, 8, 0, 6, address_length, 0, operation];
        [&[0xff; 6][..], &[2; 6], &[8, 6], &beginning, &mac, &CLIENT, &[0; 6], &SERVICE_V4].concat()
    }

    #[test]
    fn a_question_about_a_neighbour_says_who_asks() {
        let mut solicitation = Vec::new();
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv6([0xfd; 16], SERVICE_V6, 255);
        let kind = etherparse::Icmpv6Type::Unknown { type_u8: 135, code_u8: 0, bytes5to8: [0; 4] };
        builder.icmpv6(kind).write(&mut solicitation, &SERVICE_V6).expect("written");
        for (frame, packet, client) in [
            (arp(1, [2; 6], 4), "ARP request, 42 bytes", Some("10.0.0.7")),
            (arp(2, [2; 6], 4), "ARP reply, 42 bytes", Some("10.0.0.7")),
            (arp(1, [6; 6], 4), "ARP request of 06:06:06:06:06:06, 42 bytes", Some("10.0.0.7")),
            (arp(9, [2; 6], 3), "ARP operation 9, 42 bytes", None),
            (solicitation, "ICMPv6 neighbour solicitation, 78 bytes", Some("fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd")),
        ] {
            let seen = Seen::of_event(&event(&frame, Counter::DroppedForged, 0)).expect("a counter");
            assert_eq!((seen.packet.as_deref(), name(&seen).as_deref()), (Some(packet), client));
            assert_eq!(seen.mac, Some([2; 6]));
        }
    }

    #[test]
    fn what_has_no_client_s_address_yet_says_whose_identity_it_has() {
        let identity = Identity { slot: 1, generation: 1, place: 2, client: CLIENT };
        let mut frame = Vec::new();
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv6(SERVICE_V6, identity.to_address(), 64);
        builder.tcp(80, 41_000, 1, 64_000).ack(1).write(&mut frame, &[]).expect("written");
        let seen = Seen::of_event(&event(&frame, Counter::DroppedReplyRefused, 1)).expect("a counter");
        assert_eq!((seen.client, seen.mac), (Some(Client::Identity(identity)), None));
        // A client has none, whatever it says.
        let mut frame = Vec::new();
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv6(identity.to_address(), SERVICE_V6, 64);
        builder.tcp(41_000, 80, 1, 64_000).syn().write(&mut frame, &[]).expect("written");
        let seen = Seen::of_event(&event(&frame, Counter::DroppedForged, 0)).expect("a counter");
        assert_eq!(seen.client, Some(Client::Address(identity.to_address().into())));
    }

    #[test]
    fn an_answer_shows_its_status_and_hop_limit_and_nothing_of_its_body() {
        let mut frame = Vec::new();
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(SERVICE_V4, CLIENT, 1);
        let payload = b"HTTP/1.1 200 OK\r\n\r\nSECRET";
        builder.tcp(80, 41_000, 1, 64_000).ack(1).write(&mut frame, payload).expect("written");
        let seen = Seen::of_event(&event(&frame, Counter::Answered, 1)).expect("a counter");
        assert_eq!(seen.packet.as_deref(), Some("TCP ACK, status 200, TTL 1, 79 bytes"));
        assert_eq!((name(&seen).as_deref(), seen.port, seen.mac), (Some("10.0.0.7"), Some(41_000), Some([4; 6])));
        assert_eq!(seen.head, Head::default());
        assert!(!format!("{seen:?}").contains("SECRET"));
    }

    #[test]
    fn a_counter_of_another_build_is_no_event() {
        assert_eq!(Seen::of_event(&Event { counter: 63, ..event(b"", Counter::Delivered, 0) }), None);
    }

    proptest! {
        #[test]
        fn any_frame_is_read(frame in prop::collection::vec(any::<u8>(), 0..600), to_client in 0_u16..2) {
            prop_assert!(Seen::of_event(&event(&frame, Counter::DroppedTruncated, to_client)).is_some());
        }

        #[test]
        fn any_payload_is_read(payload in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(Seen::of_event(&event(&request(&payload), Counter::Delivered, 0)).is_some());
        }
    }
}
