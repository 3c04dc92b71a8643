//! [`super::Flow`] against a model of all that stands around it: clients that send what they like, the two kernel
//! programs, the daemon's TCP and its application. What must always hold is said in [`world`].

mod daemon;
mod requests;
mod world;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use self::daemon::Packet;
use self::requests::{content, served};
use self::world::{HONEST, PORTS, Reached, World};
use super::{ACK, FIN, PSH, RST, SYN, Segment, URG};
use crate::options::{HttpTokens, MetadataOptions, OptionsWord, Switch};

/// Where a number stands that a client chooses.
#[derive(Clone, Copy, Debug)]
enum Choice {
    /// Where TCP wants it.
    Right,
    /// So far from there.
    Off(i32),
    /// Where something stood that was sent or seen before.
    Earlier(u8),
}

#[derive(Clone, Debug)]
enum Step {
    /// A handshake.
    Open { port: usize, isn: u32 },
    /// A SYN alone, repeated or new, with more flags perhaps.
    Syn { port: usize, isn: Option<u32>, flags: u8 },
    /// A segment of any kind.
    Send { port: usize, text: String, seq: Choice, ack: Choice, flags: u8, urgent: u32, overwrites: bool, lost: bool },
    /// A polite request in one segment or two, answered and acknowledged.
    Round { port: usize, text: String, cut: Option<usize> },
    /// An earlier segment again, perhaps with other bytes, another length, or a FIN behind it.
    Repeat { port: usize, index: usize, other: Option<String>, fin: bool, ack: Choice },
    /// The daemon's application runs.
    Run { port: usize },
    /// The daemon's kernel acknowledges.
    Acknowledge { port: usize },
    /// The daemon's kernel sends.
    Answer { port: usize, most: u32, one: bool, with_fin: bool },
    /// It sends something again.
    Again { port: usize, from: u32, length: u32 },
    /// Time passes, in milliseconds.
    Wait(u32),
}

fn choice() -> impl Strategy<Value = Choice> {
    prop_oneof![
        8 => Just(Choice::Right),
        1 => (-400..400i32).prop_map(Choice::Off),
        1 => any::<u8>().prop_map(Choice::Earlier),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let port = || prop_oneof![3 => Just(0), 1 => 1..PORTS];
    let isn = || prop_oneof![any::<u32>(), Just(u32::MAX - 50), Just(70_000)];
    let flags = prop_oneof![
        10 => Just(HONEST),
        2 => Just(ACK),
        2 => Just(HONEST | FIN),
        1 => Just(ACK | URG),
        1 => Just(RST | ACK),
        1 => Just(RST),
        1 => prop::sample::select(vec![PSH, 0, SYN | ACK, ACK | FIN | URG, FIN]),
    ];
    let maybe_empty = || prop_oneof![3 => content(), 1 => Just(String::new())];
    let send = (port(), maybe_empty(), choice(), choice(), flags, 0..120u32, any::<bool>(), prop::bool::weighted(0.1))
        .prop_map(|(port, text, seq, ack, flags, urgent, overwrites, lost)| Step::Send {
            port,
            text,
            seq,
            ack,
            flags,
            urgent,
            overwrites,
            lost,
        });
    let waits = prop_oneof![0..300u32, 2_000..7_000u32, 100_000..130_000u32];
    prop_oneof![
        1 => (port(), isn()).prop_map(|(port, isn)| Step::Open { port, isn }),
        1 => (port(), prop::option::of(isn()), prop::sample::select(vec![SYN, SYN, SYN, SYN | RST, SYN | FIN]))
            .prop_map(|(port, isn, flags)| Step::Syn { port, isn, flags }),
        8 => send,
        6 => (port(), content(), prop::option::weighted(0.15, 0..200usize))
            .prop_map(|(port, text, cut)| Step::Round { port, text, cut }),
        2 => (port(), 0..16usize, prop::option::of(content()), any::<bool>(), choice())
            .prop_map(|(port, index, other, fin, ack)| Step::Repeat { port, index, other, fin, ack }),
        3 => port().prop_map(|port| Step::Run { port }),
        3 => port().prop_map(|port| Step::Acknowledge { port }),
        3 => (port(), 1..1_600u32, any::<bool>(), any::<bool>())
            .prop_map(|(port, most, one, with_fin)| Step::Answer { port, most, one, with_fin }),
        2 => (port(), 0..600u32, 0..600u32).prop_map(|(port, from, length)| Step::Again { port, from, length }),
        1 => waits.prop_map(Step::Wait),
    ]
}

impl World {
    fn chosen(&self, port: usize, right: u32, choice: Choice, earlier: impl Fn(&Packet) -> u32) -> u32 {
        let history = &self.ports[port].history;
        match choice {
            Choice::Right => right,
            Choice::Off(distance) => right.wrapping_add_signed(distance),
            Choice::Earlier(index) => match history.len() {
                0 => right,
                count => earlier(&history[usize::from(index) % count]),
            },
        }
    }

    fn send(&mut self, port: usize, packet: Packet, lost: bool) {
        self.ingress(port, &packet, lost);
        self.ports[port].history.push(packet);
    }

    /// An honest segment with these bytes.
    fn honest(&mut self, port: usize, bytes: &[u8], flags: u8) {
        let state = &mut self.ports[port];
        let length = u32::try_from(bytes.len()).expect("short");
        let segment = Segment { seq: state.next, ack: state.seen, flags, length };
        state.next = segment.end();
        self.send(port, Packet { segment, bytes: bytes.to_vec(), urgent: 0, overwrites: false }, false);
    }

    fn syn(&mut self, port: usize, isn: u32, flags: u8) {
        let state = &mut self.ports[port];
        (state.isn, state.next) = (isn, isn.wrapping_add(1));
        let segment = Segment { seq: isn, ack: 0, flags, length: 0 };
        self.send(port, Packet { segment, bytes: Vec::new(), urgent: 0, overwrites: false }, false);
    }

    /// The daemon's kernel sends what it has.
    fn answer(&mut self, port: usize, most: u32, one: bool, with_fin: bool) -> bool {
        let Some(socket) = &mut self.ports[port].socket else { return false };
        let Some(segment) = socket.send(most, one, with_fin) else { return false };
        self.reply(port, segment);
        true
    }

    fn run(&mut self, port: usize) {
        let word = self.word;
        if let Some(socket) = &mut self.ports[port].socket {
            socket.run(word);
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Open { port, isn } => {
                self.syn(port, isn, SYN);
                self.honest(port, &[], ACK);
            }
            Step::Syn { port, isn, flags } => {
                let isn = isn.unwrap_or(self.ports[port].isn);
                self.syn(port, isn, flags);
            }
            Step::Send { port, text, seq, ack, flags, urgent, overwrites, lost } => {
                let (next, seen) = (self.ports[port].next, self.ports[port].seen);
                let bytes = text.into_bytes();
                let length = u32::try_from(bytes.len()).expect("short");
                let right = matches!((seq, ack), (Choice::Right, Choice::Right));
                let seq = self.chosen(port, next, seq, |packet| packet.segment.seq);
                let ack = self.chosen(port, seen, ack, |packet| packet.segment.ack);
                let segment = Segment { seq, ack, flags, length };
                let state = &mut self.ports[port];
                state.wild |= !right || flags & (RST | SYN | URG | ACK) != ACK;
                if seq == next {
                    state.next = segment.end();
                }
                self.send(port, Packet { segment, bytes, urgent, overwrites }, lost);
            }
            Step::Round { port, text, cut } => {
                let bytes = text.as_bytes();
                let (front, rest) = bytes.split_at(cut.map_or(bytes.len(), |cut| cut.min(bytes.len())));
                self.honest(port, front, HONEST);
                self.honest(port, rest, if rest.is_empty() { ACK } else { HONEST });
                self.run(port);
                while self.answer(port, 1_220, false, false) {}
                self.honest(port, &[], ACK);
            }
            Step::Repeat { port, index, other, fin, ack } => {
                let count = self.ports[port].history.len();
                if count == 0 {
                    return;
                }
                let mut packet = self.ports[port].history[count - 1 - index % count].clone();
                self.ports[port].wild |= fin || other.is_some() || !matches!(ack, Choice::Right);
                if packet.segment.flags & SYN == 0 {
                    packet.segment.ack = self.chosen(port, self.ports[port].seen, ack, |old| old.segment.ack);
                    packet.segment.flags |= if fin { FIN } else { 0 };
                    packet.bytes = other.map_or(packet.bytes, String::into_bytes);
                    packet.segment.length = u32::try_from(packet.bytes.len()).expect("short");
                }
                self.send(port, packet, false);
            }
            Step::Run { port } => self.run(port),
            Step::Acknowledge { port } => {
                if let Some(socket) = &self.ports[port].socket {
                    let segment = if socket.established { socket.ack() } else { socket.syn_ack() };
                    self.reply(port, segment);
                }
            }
            Step::Answer { port, most, one, with_fin } => {
                self.answer(port, most, one, with_fin);
            }
            Step::Again { port, from, length } => {
                if let Some(segment) = self.ports[port].socket.as_ref().and_then(|socket| socket.repeat(from, length)) {
                    self.reply(port, segment);
                }
            }
            Step::Wait(milliseconds) => self.now = self.now.wrapping_add(milliseconds),
        }
    }
}

fn words() -> impl Strategy<Value = OptionsWord> {
    let word = |http_tokens, http_endpoint| {
        OptionsWord::new(&MetadataOptions { http_tokens, http_endpoint, ..MetadataOptions::default() }, false)
    };
    prop_oneof![
        4 => Just(word(HttpTokens::Required, Switch::Enabled)),
        2 => Just(word(HttpTokens::Optional, Switch::Enabled)),
        1 => Just(word(HttpTokens::Required, Switch::Disabled)),
    ]
}

/// A connection with some reads, and then whatever comes.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let read = served().prop_map(|text| Step::Round { port: 0, text, cut: None });
    (any::<u32>(), proptest::collection::vec(read, 0..4), proptest::collection::vec(step(), 1..40))
        .prop_map(|(isn, reads, steps)| [vec![Step::Open { port: 0, isn }], reads, steps].concat())
}

proptest! {
    /// Whatever comes: see [`world`].
    #[test]
    fn what_must_always_hold(word in words(), steps in steps()) {
        let mut world = World::new(word);
        for step in steps {
            world.step(step);
        }
    }
}

/// A model that never gets anywhere proves nothing.
#[test]
fn the_model_reaches_what_it_is_about() {
    let mut runner = TestRunner::deterministic();
    let mut reached = Reached::default();
    for _ in 0..400 {
        let (word, steps) = (words(), steps()).new_tree(&mut runner).expect("nothing is rejected").current();
        let mut world = World::new(word);
        steps.into_iter().for_each(|step| world.step(step));
        reached.add(&world.reached);
    }
    let Reached { refused, refused_later, repeated, acknowledged, tokens, normal, taken } = reached;
    for count in [refused, refused_later, repeated, acknowledged, tokens, normal, taken] {
        assert!(count >= 10, "{reached:?}");
    }
}
