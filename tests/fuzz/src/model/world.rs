//! The kernel's two programs around [`Flow`], as `imds-ebpf` runs them, between clients and sockets; each step is held
//! against what must always hold.

use super::daemon::{Kind, Packet, Reaction, Socket, reset};
use super::events::{Event, Reached, Taken};
use super::requests::{GENERATION, KEYS, NOW_MS};
use imds_common::answer::{KERNEL_ANSWERS, kernel_answer_index, kernel_status};
use imds_common::flow::{
    self, ACK, CLIENT_CLOSED, CLIENT_FIN, Client, Daemon, FIN, Flow, HALF_OPEN, HALF_OPEN_MS, IDLE_MS, PSH, REFUSED_MS,
    RST, SYN, Segment, URG, limit,
};
use imds_common::options::OptionsWord;
use imds_common::request::{Judged, KERNEL_HEAD_MAX, Scan};
use imds_common::token;
use imds_common::verdict::Refusal;

/// Fewer than ports, so that connections need each other's entries.
const ENTRIES: usize = 2;
/// Connections that clients have.
pub const PORTS: usize = 3;

/// A connection that the kernel has refused, as its client has to see it.
struct Refused {
    /// Where the answer ends.
    end: u32,
    /// What the client has sent in order.
    next: u32,
    fin: bool,
    /// The client has all and is done, or gave up.
    done: bool,
}

/// A port of the client's.
pub(crate) struct Port {
    pub(crate) socket: Option<Socket>,
    pub(crate) isn: u32,
    /// Where an honest client goes on.
    pub(crate) next: u32,
    /// What an honest client would acknowledge.
    pub(crate) seen: u32,
    pub(crate) history: Vec<Packet>,
    refused: Option<Refused>,
    /// Since the handshake nothing was sent but whole reads in order, and repetitions of what the daemon had.
    pure: bool,
    /// Where a pure client's next read begins.
    pure_next: u32,
    /// It has sent its FIN.
    pure_end: bool,
    /// The last that the daemon acknowledged.
    told: u32,
    /// Something was sent that no TCP sends.
    pub(crate) wild: bool,
    from_client: u32,
    from_either: u32,
}

/// All that stands around the flows.
pub struct World {
    pub(crate) word: OptionsWord,
    pub(crate) now: u32,
    table: Vec<Flow>,
    pub(crate) ports: [Port; PORTS],
    connections: u32,
    /// Whether the kernel's answers have a date.
    dated: bool,
    /// What happened, so that a run can be known to have reached it.
    pub reached: Reached,
    /// What the two programs made of which segments.
    pub events: Vec<Event>,
}

fn flow_key(port: usize) -> u64 {
    flow::key(0, u16::try_from(port).expect("few ports"))
}

fn before(a: u32, b: u32) -> bool {
    b.wrapping_sub(a).cast_signed() >= 0
}

impl World {
    /// A world with less room for connections than clients want.
    #[must_use]
    pub fn new(word: OptionsWord) -> Self {
        Self::with_entries(word, ENTRIES, true)
    }

    /// A world with room for every connection, whose kernel doesn't know the date: as one has it after its daemon.
    #[must_use]
    pub fn with_room(word: OptionsWord) -> Self {
        Self::with_entries(word, PORTS, false)
    }

    fn with_entries(word: OptionsWord, entries: usize, dated: bool) -> Self {
        let port = || Port {
            socket: None,
            isn: 0,
            next: 0,
            seen: 0,
            history: Vec::new(),
            refused: None,
            pure: false,
            pure_next: 0,
            pure_end: false,
            told: 0,
            wild: false,
            from_client: 0,
            from_either: 0,
        };
        Self {
            word,
            now: u32::MAX - 20_000,
            table: vec![Flow::EMPTY; entries],
            ports: std::array::from_fn(|_| port()),
            connections: 0,
            dated,
            reached: Reached::default(),
            events: Vec::new(),
        }
    }

    fn find(&self, port: usize) -> Option<usize> {
        self.table.iter().position(|flow| flow.key == flow_key(port))
    }

    /// The first free entry from the port's own on, as the kernel's search begins at an index of the key.
    fn free(&self, port: usize) -> Option<usize> {
        let count = self.table.len();
        (port..port + count).map(|index| index % count).find(|&index| self.table[index].is_free(self.now))
    }

    /// `imds_ingress`, ingress.rs `own`. `lost`: it never arrives behind the program.
    pub(crate) fn ingress(&mut self, port: usize, packet: &Packet, lost: bool) {
        let (segment, now) = (packet.segment, self.now);
        self.expire_refusal(port);
        let known = self.find(port);
        if segment.flags & (SYN | ACK) == SYN {
            let Some(index) = known.or_else(|| self.free(port)) else { return };
            self.check_taking(index, port);
            let live = known.is_some_and(|index| !self.table[index].is_free(now));
            self.syn_sent(port, packet, live);
            self.table[index].client_syn(flow_key(port), segment, now);
            self.note(port, packet, Taken::Delivered);
            self.deliver(port, packet, lost);
            return;
        }
        self.note_purity(port, packet);
        self.ports[port].from_client = now;
        self.ports[port].from_either = now;
        let Some(index) = known else {
            self.note(port, packet, Taken::Delivered);
            self.deliver(port, packet, lost);
            return;
        };
        match self.table[index].client(segment, now) {
            Client::Deliver => {
                assert!(self.ports[port].refused.is_none(), "a refused flow's packet was delivered");
                self.note(port, packet, Taken::Delivered);
                self.deliver(port, packet, lost);
            }
            Client::Judge { at_rest } => self.judge(port, index, packet, at_rest, lost),
            ours => {
                let taken = match ours {
                    Client::RepeatAnswer => Taken::Repeated,
                    Client::Acknowledge => Taken::Acknowledged,
                    _ => Taken::Swallowed,
                };
                self.note(port, packet, taken);
                self.check_after_refusal(port, index, packet, ours);
            }
        }
    }

    fn note(&mut self, port: usize, packet: &Packet, taken: Taken) {
        let flow = self.find(port).map(|index| self.table[index]);
        self.events.push(Event::Client(port, packet.clone(), taken, flow));
    }

    /// ingress.rs `judge`.
    fn judge(&mut self, port: usize, index: usize, packet: &Packet, at_rest: bool, lost: bool) {
        let segment = packet.segment;
        let mut scan = Scan::new();
        packet.bytes.iter().for_each(|&byte| scan.step(byte));
        let scan = (packet.bytes.len() <= KERNEL_HEAD_MAX).then_some(scan);
        let judged = Judged::new(self.word, scan.as_ref(), segment.length, |(start, length)| {
            let text = &packet.bytes[start as usize..(start + length) as usize];
            token::verify(text, &KEYS, GENERATION, NOW_MS).is_some()
        });
        let flow = &mut self.table[index];
        if !at_rest || judged.refusal.is_none() {
            match judged.is_read {
                true => flow.read(segment, at_rest && judged.goes_on),
                false => flow.mix(),
            }
            self.note(port, packet, Taken::Delivered);
            self.deliver(port, packet, lost);
            return;
        }
        let refusal = judged.refusal.expect("just seen");
        self.check_refusal(port, packet, refusal);
        self.reached.refused += 1;
        self.reached.refused_later +=
            u32::from(self.ports[port].socket.as_ref().is_some_and(|socket| !socket.answers.is_empty()));
        let flow = &mut self.table[index];
        let index_of_answer = kernel_answer_index(kernel_status(refusal), self.dated);
        let length = KERNEL_ANSWERS[index_of_answer].length;
        flow.refuse(segment, length, u16::try_from(index_of_answer).expect("few"), !judged.is_read);
        assert_eq!((flow.limited != 0, flow.answer), (!judged.is_read, segment.ack));
        self.note(port, packet, Taken::Refused(refusal));
        let end = segment.ack.wrapping_add(length + 1);
        let state = &mut self.ports[port];
        let fin = segment.has(FIN);
        state.refused = Some(Refused { end, next: segment.end(), fin, done: false });
        state.seen = end;
        let ours = Segment { flags: RST | ACK, length: 0, ..segment };
        self.deliver(port, &Packet { segment: ours, bytes: Vec::new(), urgent: 0, overwrites: false }, false);
        assert!(self.ports[port].socket.is_none(), "the daemon didn't take the reset");
    }

    /// The kernel refuses only at a boundary that the daemon knows, with everything acknowledged and answered, and the
    /// daemon would refuse the same.
    fn check_refusal(&self, port: usize, packet: &Packet, refusal: Refusal) {
        let Some(mut socket) = self.ports[port].socket.clone() else { panic!("nobody was connected") };
        let segment = packet.segment;
        assert_eq!(segment.seq, socket.expected(), "the request begins elsewhere");
        assert_eq!(segment.ack, socket.sent_end(), "the client hasn't acknowledged everything");
        let answers = socket.answers.len();
        socket.run(self.word);
        assert!(socket.is_at_rest(), "earlier bytes are not answered: {socket:?}");
        assert_eq!(socket.answers.len(), answers);
        socket.receive(packet);
        socket.run(self.word);
        match socket.answers.get(answers) {
            Some(answer) => {
                let Kind::Refusal(theirs) = answer.kind else { panic!("the daemon would answer {:?}", answer.kind) };
                assert_eq!(theirs.answer(), refusal.answer());
            }
            None => assert_eq!(refusal, Refusal::EndpointDisabled, "the daemon would wait for more"),
        }
    }

    fn check_after_refusal(&mut self, port: usize, index: usize, packet: &Packet, ours: Client) {
        let segment = packet.segment;
        let flow = self.table[index];
        let refused = self.ports[port].refused.as_mut();
        // Done already, and forgotten here; the flow may still say what it likes of old packets.
        let Some(refused) = refused else { return };
        let plain = segment.flags & (SYN | RST | ACK) == ACK;
        let answered = segment.ack == refused.end;
        let carries = segment.length > 0 || segment.has(FIN);
        let expected = match (plain && carries, answered) {
            (false, _) => Client::Swallow,
            (true, true) => Client::Acknowledge,
            (true, false) => Client::RepeatAnswer,
        };
        assert_eq!(ours, expected, "{segment:?}");
        self.reached.repeated += u32::from(ours == Client::RepeatAnswer);
        self.reached.acknowledged += u32::from(ours == Client::Acknowledge);
        if plain && !refused.fin && before(segment.seq, refused.next) && before(refused.next, segment.end()) {
            refused.next = segment.end();
            refused.fin = segment.has(FIN);
        }
        assert_eq!(flow.boundary, refused.next, "what came in order is acknowledged, and nothing else");
        assert_eq!(flow.client_marks & CLIENT_FIN != 0, refused.fin);
        refused.done |= segment.has(RST) && segment.seq == refused.next || plain && refused.fin && answered;
        if refused.done {
            self.ports[port].refused = None;
        } else {
            assert!(!flow.is_free(self.now), "a refused flow is free before its client is done");
        }
    }

    /// A refused client that says nothing is forgotten.
    fn expire_refusal(&mut self, port: usize) {
        let state = &mut self.ports[port];
        if self.now.wrapping_sub(state.from_client) > REFUSED_MS {
            state.refused = None;
        }
    }

    /// A live connection's entry is never taken by another.
    fn check_taking(&mut self, index: usize, port: usize) {
        let Some(victim) = (0..PORTS).find(|&victim| self.table[index].key == flow_key(victim)) else { return };
        if victim == port {
            return;
        }
        self.reached.taken += 1;
        self.expire_refusal(victim);
        let state = &self.ports[victim];
        assert!(state.refused.is_none(), "taken from a refused client");
        let Some(socket) = &state.socket else { return };
        let idle = |since: u32| self.now.wrapping_sub(since);
        let live = match socket.established {
            true => idle(state.from_either) <= IDLE_MS,
            false => idle(state.from_client) <= HALF_OPEN_MS,
        };
        let over = socket.fin_sent && self.table[index].daemon_marks & CLIENT_CLOSED != 0;
        assert!(state.wild || over || !live, "taken from a live connection: {:?}", self.table[index]);
    }

    fn syn_sent(&mut self, port: usize, packet: &Packet, live: bool) {
        let now = self.now;
        let state = &mut self.ports[port];
        let seq = packet.segment.seq;
        if let Some(socket) = &state.socket {
            let repeated = live && seq.wrapping_add(1) == state.pure_next && packet.segment.flags == SYN;
            state.pure &= repeated;
            state.wild |= !repeated || socket.established;
        }
        // The kernel keeps a refused client's connection over an old SYN.
        if state.refused.as_ref().is_some_and(|refused| !before(seq, refused.next)) {
            state.refused = None;
        }
        state.from_client = now;
    }

    fn note_purity(&mut self, port: usize, packet: &Packet) {
        let segment = packet.segment;
        let state = &mut self.ports[port];
        let Some(socket) = &state.socket else { return };
        if segment.flags & (SYN | RST | ACK | URG) != ACK {
            state.pure = false;
        }
        let begins = segment.seq == socket.expected() && segment.ack == socket.sent_end();
        if !socket.established && !begins {
            (state.pure, state.wild) = (false, true);
        }
        let end = segment.seq.wrapping_add(segment.length);
        let had = before(end, state.told) && socket.established;
        let in_place_of_its_fin = state.pure_end && !before(end, state.pure_next);
        if segment.length > 0 && (!had || in_place_of_its_fin) {
            let mut scan = Scan::new();
            packet.bytes.iter().for_each(|&byte| scan.step(byte));
            let whole = scan.is_complete() && scan.head_length() == segment.length && !scan.has_body();
            state.pure &= whole && scan.facts().is_read() && segment.seq == state.pure_next && !state.pure_end;
            state.pure_next = end;
        }
        if segment.has(FIN) {
            state.pure &= end == state.pure_next;
            state.pure_end = true;
        }
    }

    /// Into the namespace.
    fn deliver(&mut self, port: usize, packet: &Packet, lost: bool) {
        if lost {
            return;
        }
        let segment = packet.segment;
        let begun = self.find(port).is_some_and(|index| {
            let Flow { phase, mixed, client_marks, .. } = self.table[index];
            (phase, mixed, client_marks) == (HALF_OPEN, 0, 0)
        });
        let Some(socket) = &mut self.ports[port].socket else {
            if segment.flags & (SYN | ACK | RST | FIN) == SYN {
                self.connections += 1;
                let iss = self.connections.wrapping_mul(0x3fff_fff3);
                let socket = Socket::new(segment.seq, iss);
                let answer = socket.syn_ack();
                let state = &mut self.ports[port];
                state.socket = Some(socket);
                (state.pure, state.pure_end, state.wild) = (begun, false, false);
                (state.pure_next, state.told) = (segment.seq.wrapping_add(1), segment.seq.wrapping_add(1));
                self.reply(port, answer);
            } else if !segment.has(RST) {
                self.reply(port, reset(segment));
            }
            return;
        };
        match socket.receive(packet) {
            Reaction::Nothing => {}
            Reaction::Send(segment) => self.reply(port, segment),
            Reaction::Gone(last) => {
                self.ports[port].socket = None;
                if let Some(segment) = last {
                    self.reply(port, segment);
                }
            }
        }
    }

    /// `imds_reply`, reply.rs `answer`.
    pub(crate) fn reply(&mut self, port: usize, segment: Segment) {
        self.expire_refusal(port);
        let known = self.find(port);
        let class = match known {
            Some(index) => self.table[index].daemon(segment, self.now),
            None => limit(segment),
        };
        self.events.push(Event::Daemon(port, segment, class, known.map(|index| self.table[index])));
        let state = &mut self.ports[port];
        if state.refused.is_some() {
            assert_eq!(class, Daemon::Drop, "{segment:?} on a refused flow");
        }
        let carries = segment.length > 0 || segment.has(FIN);
        if !carries {
            assert_ne!(class, Daemon::Limited, "{segment:?} carries nothing");
        }
        if let Some(socket) = &state.socket {
            let token = socket.answers.iter().any(|answer| answer.kind == Kind::Token);
            for kind in socket.carried(segment) {
                assert!(
                    kind != Kind::Page { with_token: false } || !self.word.tokens_required(),
                    "a page without a token"
                );
                assert!(kind != Kind::Token || class != Daemon::Normal, "a token travels: {segment:?}");
                self.reached.tokens += u32::from(kind == Kind::Token);
            }
            assert!(!(token && segment.has(FIN)) || class != Daemon::Normal, "a token's FIN travels");
            if state.pure && known.is_some() {
                assert_ne!(class, Daemon::Limited, "nothing but reads came: {segment:?}");
                self.reached.normal += u32::from(carries);
            }
            if segment.has(SYN) || segment.has(ACK) && !segment.has(RST) {
                state.told = segment.ack;
            }
        } else if carries {
            assert_ne!(class, Daemon::Normal);
        }
        if class != Daemon::Drop && !segment.has(RST) {
            state.from_either = self.now;
            if segment.has(SYN) || !before(segment.end(), state.seen) {
                state.seen = segment.end();
            }
        }
    }
}

/// The flags of an honest segment.
pub const HONEST: u8 = ACK | PSH;
