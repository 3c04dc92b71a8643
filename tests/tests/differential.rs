//! The fuzzer's corpus through the loaded programs: each segment gets the verdict, the answer and the flow that the same
//! rules come to as plain Rust.

use etherparse::{PacketBuilder, TcpHeader};
use imds_common::answer::{DATES, kernel_status};
use imds_common::flow::{self, ACK, Daemon, FIN, FLOWS, Flow, PSH, RST, SYN, Segment, URG};
use imds_common::token;
use imds_fuzz::corpus;
use imds_fuzz::head::{WORDS, Word};
use imds_fuzz::model::events::{Event, Taken};
use imds_fuzz::model::requests::{GENERATION, KEYS};
use imds_fuzz::model::{Choice, Packet, Step, World};
use imds_tests::bpf::{DROPPED, REDIRECTED};
use imds_tests::family::Family;
use imds_tests::golden::{Place, Side, Stage};
use imds_tests::over_both_families;
use imds_tests::packet::{SERVICE_V6, Segment as Seen};
use rustix::time::{ClockId, clock_gettime};

over_both_families!(heads, flows, tokens);

const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x10];
const GATEWAY_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x11];
const CLIENT: [u8; 4] = [10, 0, 0, 1];
const FIRST_PORT: u16 = 40_000;
const NORMAL_TTL: u8 = 64;

/// Flows that are played besides the corpus, each of so many bytes.
const MORE_FLOWS: u64 = 150;
const FLOW_BYTES: usize = 400;

/// Sizes of a slot's places, which stand before its flows, and of a flow.
const PLACES_SIZE: usize = 32 * 40;
const FLOW_SIZE: usize = 48;

/// One slot's side of the programs.
struct Player<'a> {
    stage: &'a Stage,
    place: &'a Place,
    limit: u8,
    family: Family,
    /// The client's place while the tables are empty but for it.
    client: u16,
}

impl<'a> Player<'a> {
    fn new(stage: &'a Stage, family: Family, word: Word) -> Self {
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
    fn take(&self, port: usize, packet: &Packet) -> Found {
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
    fn play(&self, events: &[Event]) -> Result<(), String> {
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
            boundary,
            acked,
            sent,
            pushed,
            answer,
            fin,
            limited,
            refusal,
            client_marks,
            daemon_marks,
            ..
        } = *flow;
        let key = self.key(port);
        let words = [phase, 0, boundary, acked, sent, pushed, answer, fin];
        let halves = [limited, refusal, client_marks, daemon_marks];
        let words = words.iter().flat_map(|word| word.to_le_bytes());
        key.into_iter().chain(words).chain(halves.iter().flat_map(|half| half.to_le_bytes())).collect()
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
enum Found {
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
    header
}

/// A TCP segment with the checksum that the delivered one has.
fn with_checksum_of(tcp: &[u8], delivered: &[u8]) -> Vec<u8> {
    let mut tcp = tcp.to_vec();
    tcp[16..18].copy_from_slice(&delivered[54 + 16..54 + 18]);
    tcp
}

/// Programs whose daemon is gone, with instances that take the model's tokens. A daemon would mend what is changed by hand,
/// and tell dates.
fn stage() -> Stage {
    let mut stage = Stage::new();
    let keys = stage.map("IMDS_KEYS", 32);
    let slots = stage.map("IMDS_SLOTS", 16);
    let dates = stage.map("IMDS_DATES", 40);
    stage.kill_daemon();
    for (index, key) in (0..).zip(KEYS) {
        let words = [key.number, key.k0, key.k1, key.made_ms];
        keys.set(index, &words.map(u64::to_le_bytes).concat());
    }
    for name in ["required", "optional", "disabled"] {
        let slot = stage.place(name).slot();
        let mut entry = slots.entry(slot);
        entry[..8].copy_from_slice(&GENERATION.to_le_bytes());
        slots.set(slot, &entry);
    }
    (0..DATES).for_each(|index| dates.clear(index));
    stage
}

/// Plays steps in the model, and what came of them on the programs; that.
#[track_caller]
fn play(stage: &Stage, family: Family, name: &str, word: Word, steps: &[Step]) -> Vec<Event> {
    let mut world = World::with_room(word.word());
    // Time that only passes in the model is no time for the kernel.
    steps.iter().filter(|step| !matches!(step, Step::Wait(_))).for_each(|step| world.step(step.clone()));
    let played = Player::new(stage, family, word).play(&world.events);
    played.unwrap_or_else(|error| panic!("{name} while {word:?}: {error}"));
    world.events
}

fn open() -> Step {
    Step::Open { port: 0, isn: 1_000 }
}

fn send(text: &[u8]) -> Step {
    Step::Send {
        port: 0,
        text: text.to_vec(),
        seq: Choice::Right,
        ack: Choice::Right,
        flags: ACK | PSH,
        urgent: 0,
        overwrites: false,
        lost: false,
    }
}

fn heads(family: Family) {
    let stage = stage();
    for (name, input) in corpus::of("head") {
        for word in WORDS {
            play(&stage, family, &name, word, &[open(), send(&input)]);
        }
    }
}

/// Bytes that differ from seed to seed, and are the same each time.
fn bytes_from(seed: u64) -> Vec<u8> {
    let mut state = seed;
    // A linear congruential generator (Knuth's MMIX).
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..FLOW_BYTES).map(|_| next()).collect()
}

/// What the programs make of segments.
const KINDS: [&str; 9] =
    ["Delivered", "Refused", "Repeated", "Acknowledged", "Swallowed", "Normal", "Limited", "Drop", "Late"];

fn kind(event: &Event) -> &'static str {
    match event {
        Event::Client(_, _, Taken::Delivered, _) => "Delivered",
        Event::Client(_, _, Taken::Refused(_), _) => "Refused",
        Event::Client(_, _, Taken::Repeated, _) => "Repeated",
        Event::Client(_, _, Taken::Acknowledged, _) => "Acknowledged",
        Event::Client(_, _, Taken::Swallowed, _) => "Swallowed",
        Event::Daemon(_, _, Daemon::Normal, _) => "Normal",
        Event::Daemon(_, _, Daemon::Limited, _) => "Limited",
        Event::Daemon(_, _, Daemon::Drop, _) => "Drop",
        Event::Daemon(_, _, Daemon::Late, _) => "Late",
    }
}

fn flows(family: Family) {
    let stage = stage();
    let mut seen = Vec::new();
    // The corpus is the least that reaches everything once.
    let more = (0..MORE_FLOWS).map(|seed| (format!("seed {seed}"), bytes_from(seed)));
    for (name, input) in corpus::of("flow").into_iter().chain(more) {
        let (word, steps) = imds_fuzz::flow::decode(&input);
        let word = WORDS.into_iter().find(|known| known.word() == word).expect("one of them");
        seen.extend(play(&stage, family, &name, word, &steps).iter().map(kind));
    }
    for kind in KINDS {
        let count = seen.iter().filter(|seen| **seen == kind).count();
        println!("{kind}: {count}");
        assert!(count >= 20, "{kind} was seen only {count} times");
    }
}

fn tokens(family: Family) {
    let stage = stage();
    let mut good = 0;
    for (name, input) in corpus::of("token") {
        let text = imds_fuzz::token::decode(&input).text;
        // What is no header's value is the grammar's business.
        if !text.iter().all(u8::is_ascii_graphic) {
            continue;
        }
        let head = [b"GET / HTTP/1.1\r\nX-aws-ec2-metadata-token: ", &text[..], b"\r\n\r\n"].concat();
        let mut world = World::with_room(Word::Optional.word());
        [open(), send(&head)].into_iter().for_each(|step| world.step(step));
        let player = Player::new(&stage, family, Word::Optional);
        let (last, before) = world.events.split_last().expect("some");
        player.play(before).unwrap_or_else(|error| panic!("{name}: {error}"));
        let Event::Client(port, packet, ..) = last else { panic!("{last:?}") };
        let now = clock_gettime(ClockId::Boottime);
        let now_ms = now.tv_sec.unsigned_abs() * 1_000 + now.tv_nsec.unsigned_abs() / 1_000_000;
        let expected = token::verify(&text, &KEYS, GENERATION, now_ms).is_some();
        assert_eq!(matches!(player.take(*port, packet), Found::Delivered), expected, "{name}");
        good += usize::from(expected);
    }
    assert!(good > 0, "no token of the corpus is good");
}
