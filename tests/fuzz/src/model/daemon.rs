//! The daemon's end of a connection: a TCP receiver as RFC 9293 and Linux have it, and the application of
//! `imds-userspace/src/service`, which judges the reassembled stream.

use std::collections::BTreeMap;

use super::requests::{GENERATION, KEYS, NOW_MS};
use imds_common::flow::{ACK, FIN, PSH, RST, SYN, Segment, URG};
use imds_common::options::OptionsWord;
use imds_common::request::{self, Parsed, Scan};
use imds_common::token;
use imds_common::verdict::{self, Refusal, Verdict};

/// How far ahead of what it has the receiver takes bytes.
const WINDOW: i64 = 60_000;

/// A segment of the client's with what it carries.
#[derive(Clone, Debug)]
pub struct Packet {
    /// The segment.
    pub segment: Segment,
    /// Its payload.
    pub bytes: Vec<u8>,
    /// With [`URG`]: how far behind `seq` the urgent byte is.
    pub urgent: u32,
    /// Whether it wins over what was waiting out of order.
    pub overwrites: bool,
}

/// What an answer of the daemon's is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Page { with_token: bool },
    Token,
    Allow,
    Refusal(Refusal),
}

/// An answer, up to `end` in the daemon's stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) kind: Kind,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// What the daemon's kernel says at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reaction {
    Nothing,
    Send(Segment),
    /// The connection is gone.
    Gone(Option<Segment>),
}

/// A connection in the daemon's kernel. Positions count from the first byte of each stream.
#[derive(Clone, Debug)]
pub(crate) struct Socket {
    irs: u32,
    iss: u32,
    pub(crate) established: bool,
    /// How many bytes are in order, urgent ones included.
    next: u32,
    /// The bytes in order that the application reads.
    stream: Vec<u8>,
    waiting: BTreeMap<u32, u8>,
    fin: Option<u32>,
    fin_taken: bool,
    urgent: Option<u32>,
    read: usize,
    pub(crate) closed: bool,
    pub(crate) answers: Vec<Answer>,
    sent: u32,
    pub(crate) fin_sent: bool,
    acked: u32,
}

fn signed(distance: u32) -> i64 {
    i64::from(distance.cast_signed())
}

impl Socket {
    pub(crate) fn new(irs: u32, iss: u32) -> Self {
        Self {
            irs,
            iss,
            established: false,
            next: 0,
            stream: Vec::new(),
            waiting: BTreeMap::new(),
            fin: None,
            fin_taken: false,
            urgent: None,
            read: 0,
            closed: false,
            answers: Vec::new(),
            sent: 0,
            fin_sent: false,
            acked: 0,
        }
    }

    /// The sequence number that it expects next.
    pub(crate) fn expected(&self) -> u32 {
        self.irs.wrapping_add(1).wrapping_add(self.next).wrapping_add(u32::from(self.fin_taken))
    }

    /// The sequence number after all that it has sent.
    pub(crate) fn sent_end(&self) -> u32 {
        self.iss.wrapping_add(1).wrapping_add(self.sent).wrapping_add(u32::from(self.fin_sent))
    }

    pub(crate) fn syn_ack(&self) -> Segment {
        Segment { seq: self.iss, ack: self.irs.wrapping_add(1), flags: SYN | ACK, length: 0 }
    }

    pub(crate) fn ack(&self) -> Segment {
        Segment { seq: self.sent_end(), ack: self.expected(), flags: ACK, length: 0 }
    }

    /// Whether it has nothing but what was answered, and the client has been sent all of that.
    pub(crate) fn is_at_rest(&self) -> bool {
        let all = self.answers.last().map_or(0, |answer| answer.end);
        self.read == self.stream.len()
            && self.waiting.is_empty()
            && self.fin.is_none()
            && self.sent == all
            && !self.closed
            && !self.fin_sent
    }

    /// Whether nobody has it any more: the application doesn't wait for the client after a token or a page.
    fn is_orphan(&self) -> bool {
        self.fin_sent && !matches!(self.answers.last(), Some(Answer { kind: Kind::Refusal(_), .. }) | None)
    }

    /// Takes a segment of the client's.
    pub(crate) fn receive(&mut self, packet: &Packet) -> Reaction {
        let segment = packet.segment;
        let has = self.next;
        let reaction = self.receive_in_order(packet);
        if self.is_orphan() && self.next > has { Reaction::Gone(Some(reset(segment))) } else { reaction }
    }

    fn receive_in_order(&mut self, packet: &Packet) -> Reaction {
        let segment = packet.segment;
        let ahead = signed(segment.seq.wrapping_sub(self.expected()));
        let in_window = (0..WINDOW).contains(&ahead);
        if segment.has(RST) {
            return match ahead {
                0 => Reaction::Gone(None),
                _ if self.established && in_window => Reaction::Send(self.ack()),
                _ => Reaction::Nothing,
            };
        }
        if segment.has(SYN) {
            return match () {
                () if self.established => Reaction::Send(self.ack()),
                () if segment.seq == self.irs && !segment.has(ACK) => Reaction::Send(self.syn_ack()),
                () if in_window => Reaction::Gone(Some(reset(segment))),
                () => Reaction::Send(self.ack()),
            };
        }
        if !segment.has(ACK) {
            return Reaction::Nothing;
        }
        if !self.established {
            if segment.ack != self.iss.wrapping_add(1) {
                return Reaction::Send(reset(segment));
            }
            if !in_window {
                return Reaction::Send(self.ack());
            }
            self.established = true;
        }
        let acked = signed(segment.ack.wrapping_sub(self.iss.wrapping_add(1)));
        if acked > i64::from(self.sent) + i64::from(self.fin_sent) {
            return Reaction::Send(self.ack());
        }
        self.acked = self.acked.max(u32::try_from(acked).unwrap_or(0));
        let start = signed(segment.seq.wrapping_sub(self.irs.wrapping_add(1)));
        if segment.has(URG) {
            let at = start + i64::from(packet.urgent);
            self.urgent = u32::try_from(at).ok().filter(|&at| at >= self.next).or(self.urgent);
        }
        self.take(packet, start);
        if self.fin_taken && self.fin_sent && self.acked == self.sent + 1 {
            return Reaction::Gone(None);
        }
        Reaction::Nothing
    }

    fn take(&mut self, packet: &Packet, start: i64) {
        if self.fin_taken {
            return;
        }
        let in_order = start <= i64::from(self.next);
        for (at, &byte) in (start..).zip(&packet.bytes) {
            let Some(at) = u32::try_from(at).ok().filter(|&at| i64::from(at) < i64::from(self.next) + WINDOW) else {
                continue;
            };
            if in_order && at == self.next {
                self.append(byte);
            } else if at > self.next && (packet.overwrites || !self.waiting.contains_key(&at)) {
                self.waiting.insert(at, byte);
            }
        }
        if packet.segment.has(FIN) {
            let at = u32::try_from(start + i64::from(packet.segment.length)).ok();
            self.fin = at.filter(|&at| at >= self.next).or(self.fin);
        }
        while let Some(byte) = self.waiting.remove(&self.next) {
            self.append(byte);
        }
        self.fin = self.fin.filter(|&at| at >= self.next);
        self.fin_taken = self.fin == Some(self.next);
    }

    fn append(&mut self, byte: u8) {
        if self.urgent == Some(self.next) {
            self.urgent = None;
        } else {
            self.stream.push(byte);
        }
        self.waiting.remove(&self.next);
        self.next += 1;
    }

    /// The application: answers what is whole.
    pub(crate) fn run(&mut self, word: OptionsWord) {
        while !self.closed {
            let mut scan = Scan::new();
            let mut length = 0;
            for &byte in &self.stream[self.read..] {
                if scan.is_complete() || scan.is_malformed() {
                    break;
                }
                scan.step(byte);
                length += 1;
            }
            if !scan.is_complete() && !scan.is_malformed() {
                self.closed = self.fin_taken;
                return;
            }
            let head = &self.stream[self.read..self.read + length];
            let (verdict, token) = judge(word, &scan, head);
            let (kind, length_of_answer) = match verdict {
                Verdict::Serve { with_token } => {
                    assert!(!with_token || token, "a page for a token that nobody minted");
                    // Some pages are longer than a segment.
                    (Kind::Page { with_token }, if head.contains(&b'~') { 3_000 } else { 250 })
                }
                Verdict::Mint { .. } => (Kind::Token, 300),
                Verdict::TokenPathOptions => (Kind::Allow, 160),
                Verdict::Refuse(refusal) => (Kind::Refusal(refusal), 150),
            };
            self.closed = !matches!(verdict, Verdict::Serve { .. }) || scan.wants_close() || scan.has_body();
            let start = self.answers.last().map_or(0, |answer| answer.end);
            self.answers.push(Answer { kind, start, end: start + length_of_answer });
            self.read += length;
        }
    }

    /// The next segment that it has to send, of so many bytes at most: `one` answer's or several's, its FIN perhaps
    /// with the last.
    pub(crate) fn send(&mut self, most: u32, one: bool, with_fin: bool) -> Option<Segment> {
        let all = self.answers.last().map_or(0, |answer| answer.end);
        let from = self.sent;
        let end = self.answers.iter().find(|answer| one && answer.end > from).map_or(all, |answer| answer.end);
        self.sent = end.min(from + most);
        let fin = self.closed && self.sent == all && !self.fin_sent && (with_fin || from == all);
        self.fin_sent |= fin;
        (self.sent > from || fin).then(|| self.segment(from, self.sent, fin))
    }

    /// A repetition of what it has sent.
    pub(crate) fn repeat(&self, from: u32, length: u32) -> Option<Segment> {
        let from = from.min(self.sent);
        let to = self.sent.min(from + length);
        let fin = self.fin_sent && to == self.sent;
        (self.established && (to > from || fin)).then(|| self.segment(from, to, fin))
    }

    fn segment(&self, from: u32, to: u32, fin: bool) -> Segment {
        let whole = to > from && self.answers.iter().any(|answer| answer.end == to);
        let flags = ACK | if fin { FIN } else { 0 } | if whole { PSH } else { 0 };
        let seq = self.iss.wrapping_add(1).wrapping_add(from);
        Segment { seq, ack: self.expected(), flags, length: to - from }
    }

    /// The answers that a segment of its own carries bytes of.
    pub(crate) fn carried(&self, segment: Segment) -> impl Iterator<Item = Kind> {
        let from = segment.seq.wrapping_sub(self.iss.wrapping_add(1));
        let to = from.wrapping_add(segment.length);
        self.answers
            .iter()
            .filter(move |answer| from < to && answer.start < to && from < answer.end)
            .map(|answer| answer.kind)
    }
}

/// The answer to a segment that belongs to no connection (RFC 9293, section 3.10.7.1).
pub(crate) fn reset(segment: Segment) -> Segment {
    match segment.has(ACK) {
        true => Segment { seq: segment.ack, ack: 0, flags: RST, length: 0 },
        false => Segment { seq: 0, ack: segment.end(), flags: RST | ACK, length: 0 },
    }
}

/// The verdict, as exchange.rs comes to it, and whether the head holds a good token's text.
pub(crate) fn judge(word: OptionsWord, scan: &Scan, head: &[u8]) -> (Verdict, bool) {
    let Parsed { request, token } =
        if scan.is_complete() { request::request(scan, head) } else { Parsed { request: scan.facts(), token: None } };
    let presented = token.filter(|_| request.asks_for_token()).and_then(|span| head.get(span));
    let valid = presented.is_some_and(|text| token::verify(text, &KEYS, GENERATION, NOW_MS).is_some());
    let verdict = match verdict::judge(word, &request, valid) {
        verdict if scan.is_complete() => verdict,
        disabled @ Verdict::Refuse(Refusal::EndpointDisabled) => disabled,
        _ => Verdict::Refuse(Refusal::Malformed),
    };
    let good = super::requests::good_token();
    (verdict, head.windows(good.len()).any(|window| window == good.as_bytes()))
}
