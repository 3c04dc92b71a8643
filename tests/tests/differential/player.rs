//! The loaded programs, given what the model has seen.

use etherparse::{PacketBuilder, TcpHeader};
use imds_common::answer::kernel_status;
use imds_common::flow::{self, ACK, Daemon, FIN, FLOWS, Flow, PSH, RST, SYN, Segment, URG};
use imds_fuzz::head::Word;
use imds_fuzz::model::Packet;
use imds_fuzz::model::events::{Event, Taken};
use imds_tests::bpf::{DROPPED, REDIRECTED};
use imds_tests::family::Family;
use imds_tests::golden::{Place, Side, Stage};
use imds_tests::packet::{SERVICE_V6, Segment as Seen};

/// TCP's flags that no rule looks at (RFC 3168).
const ECE: u8 = 0x40;
const CWR: u8 = 0x80;

const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x10];
const GATEWAY_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x11];
const CLIENT: [u8; 4] = [10, 0, 0, 1];
const FIRST_PORT: u16 = 40_000;
const NORMAL_TTL: u8 = 64;

/// Sizes of a slot's places, which stand before its flows, and of a flow.
const PLACES_SIZE: usize = 32 * 40;
const FLOW_SIZE: usize = 64;

/// One slot's side of the programs.
pub(crate) struct Player<'a> {
    stage: &'a Stage,
    place: &'a Place,
    limit: u8,
    family: Family,
    /// The client's place while the tables are empty but for it.
    client: u16,
}

impl<'a> Player<'a> {
    pub(crate) fn new(stage: &'a Stage, family: Family, word: Word) -> Self {
        let (name, limit) = match word {
            Word::Required => ("required", 2),
            Word::Optional => ("optional", 3),
            Word::Disabled => ("disabled", 1),
        };
        let place = stage.place(name);
        stage.clear(place);
        let mut player = Self { stage, place, limit, family, client: 0 };
        let syn = player.packet(TcpHeader { syn: true, ..TcpHeader::new(port_of(0), 80, 1_000, 64_000) }, &[]);
        let delivered = stage.run(Side::Ingress, place, &syn).frame;
        player.client = u16::from_be_bytes(*delivered.get(32..).and_then(<[u8]>::first_chunk).expect("an identity"));
        stage.clear(place);
        player
    }

    /// A frame of the client's.
    fn packet(&self, header: TcpHeader, payload: &[u8]) -> Vec<u8> {
        let builder = self.family.packet(PacketBuilder::ethernet2(CLIENT_MAC, GATEWAY_MAC), CLIENT, 64);
        let mut frame = Vec::new();
        builder.tcp_header(header).write(&mut frame, payload).expect("a Vec takes every frame");
        frame
    }

    fn client(&self, port: usize, packet: &Packet) -> Vec<u8> {
        let Packet { segment, bytes, urgent, .. } = packet;
        let mut header = header(port_of(port), 80, *segment);
        header.urgent_pointer = u16::try_from(*urgent).expect("small");
        self.packet(header, bytes)
    }

    fn daemon(&self, port: usize, segment: Segment) -> Vec<u8> {
        let values = self.place.values();
        let identity =
            [&[0xfd, 0, 0x0e, 0xc2, 0, 1], &values.slot[..], &values.generation, &self.client.to_be_bytes(), &CLIENT]
                .concat();
        let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
            .ipv6(SERVICE_V6, identity.try_into().expect("an address"), 64)
            .tcp_header(header(80, port_of(port), segment));
        let mut frame = Vec::new();
        builder.write(&mut frame, &vec![b'x'; segment.length as usize]).expect("a Vec takes every frame");
        frame
    }

    /// Gives a client's segment to the loaded program, and says what it made of it.
    pub(crate) fn take(&self, port: usize, packet: &Packet) -> Found {
        let input = self.client(port, packet);
        let outcome = self.stage.run(Side::Ingress, self.place, &input);
        if outcome.verdict == DROPPED {
            return Found::Dropped;
        }
        assert_eq!(outcome.verdict, REDIRECTED, "{packet:?}");
        match Seen::of_service(&outcome.frame) {
            Some(seen) => {
                assert!(seen.checksums, "{packet:?}: {seen:?}");
                Found::Answered(seen)
            }
            None => {
                let headers = match self.family {
                    Family::Ipv4 => 34,
                    Family::Ipv6 => 54,
                };
                assert_eq!(
                    outcome.frame.get(54..),
                    input.get(headers..).map(|rest| with_checksum_of(rest, &outcome.frame)).as_deref()
                );
                Found::Delivered
            }
        }
    }

    /// Plays what the model has seen.
    pub(crate) fn play(&self, events: &[Event]) -> Result<(), String> {
        for event in events {
            let (port, expected, found, flow) = match event {
                Event::Client(port, packet, taken, flow) => {
                    (*port, expected(*taken, flow.as_ref(), self.limit), self.take(*port, packet), flow)
                }
                Event::Daemon(port, segment, class, flow) => {
                    let outcome = self.stage.run(Side::Reply, self.place, &self.daemon(*port, *segment));
                    let seen = Seen::of_service(&outcome.frame).filter(|_| outcome.verdict == REDIRECTED);
                    let found = seen.map_or(Found::Dropped, Found::Answered);
                    (*port, answer_of(*class, *segment, self.limit), found, flow)
                }
            };
            if !expected.is(&found) {
                return Err(format!("{event:?}: {found:?} instead of {expected:?}"));
            }
            let flow = flow.map(|flow| self.bytes_of(&flow, port));
            let loaded = self.flow(port);
            if flow != loaded {
                return Err(format!("{event:?}: its flow is {loaded:?} instead of {flow:?}"));
            }
        }
        Ok(())
    }

    /// What a connection's flow begins with.
    fn key(&self, port: usize) -> [u8; 8] {
        flow::key(self.client.into(), port_of(port)).to_le_bytes()
    }

    /// A flow as the map holds it, but for its time.
    fn bytes_of(&self, flow: &Flow, port: usize) -> Vec<u8> {
        let Flow {
            phase,
            begins,
            boundary,
            acked,
            sent,
            pushed,
            answer,
            fin,
            syn_ack,
            limited,
            mixed,
            refusal,
            client_marks,
            daemon_marks,
            inside,
            ..
        } = *flow;
        let key = self.key(port);
        let words = [phase, 0, begins, boundary, acked, sent, pushed, answer, fin, syn_ack];
        let halves = [limited, mixed, refusal];
        let words = words.iter().flat_map(|word| word.to_le_bytes());
        let halves = halves.iter().flat_map(|half| half.to_le_bytes());
        let marks = [client_marks, daemon_marks];
        key.into_iter().chain(words).chain(halves).chain(marks).chain(inside.to_le_bytes()).collect()
    }

    /// What the loaded programs have of a connection, but for its time.
    fn flow(&self, port: usize) -> Option<Vec<u8>> {
        let tables = self.stage.tables(self.place);
        let key = self.key(port);
        let (flows, rest) = tables[PLACES_SIZE..].as_chunks::<FLOW_SIZE>();
        assert_eq!((flows.len(), rest.len()), (FLOWS, 0));
        flows.iter().find(|flow| flow.starts_with(&key)).map(|flow| [&flow[..12], &[0; 4], &flow[16..]].concat())
    }
}

/// What became of a segment.
#[derive(Debug)]
pub(crate) enum Found {
    Delivered,
    Dropped,
    Answered(Seen),
}

/// What has to become of it.
#[derive(Debug)]
enum Expected {
    Delivered,
    Dropped,
    /// TTL, sequence and acknowledgement number, the payload's beginning, whether there is a FIN.
    Answered(u8, u32, u32, String, bool),
    /// TTL and sequence number of a segment that the daemon sent.
    Passed(u8, Segment),
}

impl Expected {
    fn is(&self, found: &Found) -> bool {
        match (self, found) {
            (Self::Delivered, Found::Delivered) | (Self::Dropped, Found::Dropped) => true,
            (Self::Answered(ttl, seq, ack, beginning, fin), Found::Answered(seen)) => {
                let begins =
                    seen.payload.starts_with(beginning.as_bytes()) && seen.payload.is_empty() == beginning.is_empty();
                begins && (seen.ttl, seen.seq, seen.ack, seen.fin) == (*ttl, *seq, *ack, *fin)
            }
            (Self::Passed(ttl, segment), Found::Answered(seen)) => {
                let flags = [(SYN, seen.syn), (FIN, seen.fin), (RST, seen.rst)];
                let same = flags.iter().all(|(flag, set)| segment.has(*flag) == *set);
                let numbers = (seen.ttl, seen.seq, seen.ack) == (*ttl, segment.seq, segment.ack);
                same && numbers && seen.checksums && seen.payload.len() == segment.length as usize
            }
            _ => false,
        }
    }
}

fn expected(taken: Taken, flow: Option<&Flow>, limit: u8) -> Expected {
    let answer = |begin: &str, flow: &Flow| {
        let ttl = if flow.limited == 0 { NORMAL_TTL } else { limit };
        Expected::Answered(ttl, flow.answer, flow.boundary, begin.to_owned(), true)
    };
    match (taken, flow) {
        (Taken::Refused(refusal), Some(flow)) => {
            assert_eq!(flow.refusal >> 1, u16::try_from(kernel_status(refusal)).expect("few"));
            answer(refusal.answer().before, flow)
        }
        // The refusal's index: 401 before 403, each without a date before with one.
        (Taken::Repeated, Some(flow)) => answer(if flow.refusal < 2 { "HTTP/1.1 401 " } else { "HTTP/1.1 403 " }, flow),
        (Taken::Acknowledged, Some(flow)) => {
            Expected::Answered(NORMAL_TTL, flow.sent, flow.boundary, String::new(), false)
        }
        (Taken::Swallowed, _) => Expected::Dropped,
        (Taken::Delivered, _) => Expected::Delivered,
        (_, None) => panic!("{taken:?} without a flow"),
    }
}

fn answer_of(class: Daemon, segment: Segment, limit: u8) -> Expected {
    match class {
        Daemon::Normal => Expected::Passed(NORMAL_TTL, segment),
        Daemon::Limited => Expected::Passed(limit, segment),
        Daemon::Drop | Daemon::Late => Expected::Dropped,
    }
}

fn port_of(port: usize) -> u16 {
    FIRST_PORT + u16::try_from(port).expect("few")
}

fn header(source: u16, destination: u16, segment: Segment) -> TcpHeader {
    let mut header = TcpHeader::new(source, destination, segment.seq, 64_000);
    header.acknowledgment_number = segment.ack;
    header.syn = segment.has(SYN);
    header.ack = segment.has(ACK);
    header.fin = segment.has(FIN);
    header.rst = segment.has(RST);
    header.psh = segment.has(PSH);
    header.urg = segment.has(URG);
    header.ece = segment.has(ECE);
    header.cwr = segment.has(CWR);
    header
}

/// A TCP segment with the checksum that the delivered one has.
fn with_checksum_of(tcp: &[u8], delivered: &[u8]) -> Vec<u8> {
    let mut tcp = tcp.to_vec();
    tcp[16..18].copy_from_slice(&delivered[54 + 16..54 + 18]);
    tcp
}
