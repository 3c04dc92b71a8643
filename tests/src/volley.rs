//! Many connections side by side over one tap, each of hand-made segments.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use etherparse::{PacketBuilderStep, TcpHeader};

use crate::http::Answer;
use crate::packet::Segment;
use crate::script::{Flaw, Piece, Script};
use crate::tap::Tap;

/// The service's port.
const PORT: u16 = 80;
/// The window that the clients offer, in bytes.
const WINDOW: u16 = 64_000;
/// The TTL of the clients' packets.
const TTL: u8 = 64;
/// Connections at once: well below what one instance may have, as the ones before may not be over yet.
const AT_ONCE: usize = 48;
/// Segments at once, so that no queue on the way runs over.
const SEGMENTS_AT_ONCE: usize = 500;
/// After so long without a frame everything is sent again, as TCP does.
const PAUSE: Duration = Duration::from_secs(1);
/// So often at most.
const ATTEMPTS: usize = 10;
/// The first port.
const FIRST_PORT: u16 = 1_024;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It did not, in all the time that it was given.
    Never,
    /// By the service's FIN.
    Fin,
    /// By a RST.
    Reset,
}

/// What came on one connection.
#[derive(Clone, Debug)]
pub struct Talk {
    /// The answers that are whole.
    pub answers: Vec<Answer>,
    /// What came after them.
    pub rest: Vec<u8>,
    /// Every segment.
    pub segments: Vec<Segment>,
    /// How it ended.
    pub ended: Ended,
}

impl Talk {
    /// The status of each answer.
    #[must_use]
    pub fn statuses(&self) -> Vec<u16> {
        self.answers.iter().map(|answer| answer.status).collect()
    }
}

/// Clients on a tap. No port of an address is used twice, as the service's TCP remembers it for a minute; when an
/// address has no more, the next one comes.
#[derive(Debug)]
pub struct Volley {
    tap: Tap,
    source: [u8; 4],
    next_port: u16,
}

impl Volley {
    /// Clients from that address on.
    #[must_use]
    pub fn new(tap: Tap, source: [u8; 4]) -> Self {
        Self { tap, source, next_port: FIRST_PORT }
    }

    /// The tap again.
    #[must_use]
    pub fn into_tap(self) -> Tap {
        self.tap
    }

    /// Plays the scripts, some at once, each to the end of its connection. What came, in their order.
    #[must_use]
    #[track_caller]
    pub fn fire(&mut self, scripts: &[Script]) -> Vec<Talk> {
        let mut talks = Vec::with_capacity(scripts.len());
        let mut rest = scripts;
        while !rest.is_empty() {
            let mut segments = 0;
            let fit = |script: &&Script| {
                segments += script.pieces.len();
                segments <= SEGMENTS_AT_ONCE
            };
            let count = rest.iter().take(AT_ONCE).take_while(fit).count().max(1);
            let (now, later) = rest.split_at(count);
            talks.extend(self.fire_at_once(now));
            rest = later;
        }
        talks
    }

    fn fire_at_once(&mut self, scripts: &[Script]) -> Vec<Talk> {
        self.reserve(scripts.len());
        let mut clients: Vec<_> = scripts.iter().map(|script| Client::new(script, self.port())).collect();
        let of_port: HashMap<_, _> = clients.iter().enumerate().map(|(index, client)| (client.port, index)).collect();
        let mut out = Out { tap: &mut self.tap, source: self.source };
        clients.iter_mut().for_each(|client| client.begin(&mut out));
        let (mut left, mut attempts, mut since) = (clients.len(), 1, Instant::now());
        while left > 0 && attempts <= ATTEMPTS {
            let Some(frame) = out.tap.receive(PAUSE.saturating_sub(since.elapsed())) else {
                let waiting = clients.iter_mut().filter(|client| client.talk.ended == Ended::Never);
                waiting.for_each(|client| client.begin(&mut out));
                (attempts, since) = (attempts + 1, Instant::now());
                continue;
            };
            let Some(segment) = Segment::of_service(&frame) else { continue };
            let Some(&index) = of_port.get(&segment.port) else { continue };
            let client = &mut clients[index];
            if client.talk.ended == Ended::Never {
                client.take(segment, &mut out);
                left -= usize::from(client.talk.ended != Ended::Never);
                since = Instant::now();
            }
        }
        clients.into_iter().map(Client::finish).collect()
    }

    /// A port that was not used yet, of the address that is used now.
    fn port(&mut self) -> u16 {
        let port = self.next_port;
        self.next_port += 1;
        port
    }

    /// Goes on to the next address unless this one has so many ports left.
    fn reserve(&mut self, count: usize) {
        if usize::from(u16::MAX - self.next_port) < count {
            let [a, b, c, d] = self.source;
            self.source = [a, b, c, d.checked_add(1).expect("few addresses are enough")];
            self.next_port = FIRST_PORT;
        }
    }
}

/// Where frames go out.
struct Out<'a> {
    tap: &'a mut Tap,
    source: [u8; 4],
}

/// One connection.
struct Client<'a> {
    script: &'a Script,
    port: u16,
    /// The sequence number of its first byte.
    first: u32,
    /// What it expects next; none before the SYN-ACK.
    ack: Option<u32>,
    /// Whether it has ended its side.
    closed: bool,
    received: Vec<u8>,
    talk: Talk,
}

impl<'a> Client<'a> {
    fn new(script: &'a Script, port: u16) -> Self {
        let talk = Talk { answers: Vec::new(), rest: Vec::new(), segments: Vec::new(), ended: Ended::Never };
        // Sequence numbers wrap inside of some streams, elsewhere in each.
        let first = 0u32.wrapping_sub(u32::from(port) % 256);
        Self { script, port, first, ack: None, closed: false, received: Vec::new(), talk }
    }

    /// Sends the SYN, or again everything from the beginning.
    fn begin(&mut self, out: &mut Out<'_>) {
        let Some(ack) = self.ack else {
            let syn = self.segment(out, self.first.wrapping_sub(1)).syn();
            return write(out, syn, &[], Flaw::None);
        };
        for Piece { at, bytes, fin, flaw } in &self.script.pieces {
            let wrong = if *flaw == Flaw::Acknowledgement { 1 << 30 } else { 0 };
            let mut segment = self.segment(out, self.seq(*at)).ack(ack.wrapping_add(wrong)).psh();
            if *fin {
                segment = segment.fin();
                self.closed = true;
            }
            write(out, segment, bytes, *flaw);
        }
        if self.closed {
            self.answer(self.script.length(), out);
        }
    }

    /// Takes a segment of the service's.
    fn take(&mut self, segment: Segment, out: &mut Out<'_>) {
        self.talk.segments.push(segment.clone());
        if segment.rst {
            // One that stands elsewhere only says that a flawed segment made no sense.
            if self.ack.is_none_or(|ack| segment.seq == ack) {
                self.talk.ended = Ended::Reset;
            }
            return;
        }
        let Some(ack) = self.ack else {
            if segment.syn && segment.ack == self.first {
                self.ack = Some(segment.seq.wrapping_add(1));
                self.answer(0, out);
                self.begin(out);
            }
            return;
        };
        if !segment.carries() {
            return;
        }
        if segment.seq == ack {
            let length = u32::try_from(segment.payload.len()).expect("a segment");
            self.ack = Some(ack.wrapping_add(length + u32::from(segment.fin)));
            self.received.extend_from_slice(&segment.payload);
            self.split_answers();
            if segment.fin {
                self.talk.ended = Ended::Fin;
            }
            self.closed |= segment.fin || self.talk.answers.len() == self.script.bodyless.len();
        }
        self.answer(self.script.length(), out);
    }

    fn split_answers(&mut self) {
        loop {
            let bodyless = self.script.bodyless.get(self.talk.answers.len()).copied().unwrap_or_default();
            let Some(answer) = Answer::split_off(&mut self.received, bodyless) else { return };
            self.talk.answers.push(answer);
        }
    }

    /// Acknowledges, from that place of its own stream, and ends the client's side if it is to end.
    fn answer(&self, at: usize, out: &mut Out<'_>) {
        let mut segment = self.segment(out, self.seq(at)).ack(self.ack.unwrap_or_default());
        if self.closed {
            segment = segment.fin();
        }
        write(out, segment, &[], Flaw::None);
    }

    fn segment(&self, out: &Out<'_>, seq: u32) -> PacketBuilderStep<TcpHeader> {
        out.tap.packet(out.source, TTL).tcp(self.port, PORT, seq, WINDOW)
    }

    fn seq(&self, at: usize) -> u32 {
        self.first.wrapping_add(u32::try_from(at).expect("a stream of some kilobytes"))
    }

    fn finish(mut self) -> Talk {
        self.talk.rest = self.received;
        self.talk
    }
}

fn write(out: &mut Out<'_>, segment: PacketBuilderStep<TcpHeader>, payload: &[u8], flaw: Flaw) {
    /// The checksum ends so far before a TCP header without options does.
    const AFTER_CHECKSUM: usize = 2;
    let mut frame = Vec::new();
    segment.write(&mut frame, payload).expect("a Vec takes every frame");
    if flaw == Flaw::Checksum {
        let end = frame.len() - payload.len() - AFTER_CHECKSUM;
        frame[end - 1] ^= 0xff;
    }
    out.tap.send(&frame);
}
