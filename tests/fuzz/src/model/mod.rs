//! `imds_common::flow` against a model of all that stands around it: clients that send what they like, the two kernel
//! programs, the daemon's TCP and its application. What must always hold is said in [`world`].

pub(crate) mod daemon;
pub mod events;
pub mod requests;
pub mod world;

use imds_common::flow::{ACK, FIN, RST, SYN, Segment, URG};

pub use self::daemon::Packet;
use self::world::HONEST;
pub use self::world::{PORTS, World};

/// Where a number stands that a client chooses.
#[derive(Clone, Copy, Debug)]
pub enum Choice {
    /// Where TCP wants it.
    Right,
    /// So far from there.
    Off(i32),
    /// Where something stood that was sent or seen before.
    Earlier(u8),
}

/// What happens next. A `port` is a connection's, below [`PORTS`].
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "what a step says of its segment has the names that segments have")]
pub enum Step {
    /// A handshake.
    Open { port: usize, isn: u32 },
    /// A SYN alone, repeated or new, with more flags perhaps.
    Syn { port: usize, isn: Option<u32>, flags: u8 },
    /// A segment of any kind.
    Send { port: usize, text: Vec<u8>, seq: Choice, ack: Choice, flags: u8, urgent: u32, overwrites: bool, lost: bool },
    /// A polite request in one segment or two, answered and acknowledged.
    Round { port: usize, text: Vec<u8>, cut: Option<usize> },
    /// An earlier segment again, perhaps with other bytes, another length, or a FIN behind it.
    Repeat { port: usize, index: usize, other: Option<Vec<u8>>, fin: bool, ack: Choice },
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

    /// Lets something happen, and holds it against what must always hold.
    ///
    /// # Panics
    ///
    /// Where it doesn't.
    pub fn step(&mut self, step: Step) {
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
                let bytes = text;
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
                let bytes = text.as_slice();
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
                    packet.bytes = other.unwrap_or(packet.bytes);
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
