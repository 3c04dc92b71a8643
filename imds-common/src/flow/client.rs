//! What the client's segments make of a connection. `imds_ingress` gives them to it; XDP asks what would become of them.

use super::segment::at_or_before;
use super::{
    ACK, CLIENT_FIN, CLOSED, DAEMON_CLOSED, FIN, Flow, HALF_OPEN, LEFT_TO_DAEMON, MIXED, READS, REFUSED, REFUSED_DONE,
    RESET, RST, SYN, SYN_ANSWERED, Segment, URG,
};

/// What becomes of a client's segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// It goes to the daemon.
    Deliver,
    /// A request may begin with its payload; the kernel may refuse it only `at_rest`: the daemon has every byte
    /// before it, and the client every byte that the daemon sent.
    Judge {
        /// Whether a refusal is possible.
        at_rest: bool,
    },
    /// The flow is the kernel's: it repeats its answer.
    RepeatAnswer,
    /// The flow is the kernel's: it acknowledges what came.
    Acknowledge,
    /// The flow is the kernel's: nothing is to be said.
    Swallow,
}

impl Flow {
    /// Begins a connection with the client's SYN. Limited until the handshake is over, as an earlier connection of this
    /// key may still send. What a SYN-ACK says is left to it.
    #[inline(always)]
    const fn open(&mut self, key: u64, syn: Segment, now_ms: u32) {
        self.limited = 1;
        self.phase = HALF_OPEN;
        self.touched = now_ms;
        self.begins = syn.seq.wrapping_add(1);
        self.refusal = 0;
        self.client_marks = 0;
        self.daemon_marks = 0;
        self.mixed = 0;
        self.key = key;
    }

    /// Takes a SYN, on a free entry or on one of the same key. A repeated one changes nothing; one that would begin
    /// another connection on top of a live one makes it [`MIXED`], as nobody but the daemon knows which it takes.
    #[inline(always)]
    pub const fn client_syn(&mut self, key: u64, syn: Segment, now_ms: u32) {
        if self.key != key || self.is_free(now_ms) {
            self.open(key, syn, now_ms);
            return;
        }
        let repeated = syn.seq.wrapping_add(1) == self.begins;
        match self.phase {
            HALF_OPEN | SYN_ANSWERED if repeated => self.touched = now_ms,
            READS | MIXED => {
                self.touched = now_ms;
                if !(repeated && self.phase == READS && self.boundary == self.begins) {
                    self.mix();
                }
            }
            // An old one: the daemon's answers to it would disturb the client's reading of ours.
            REFUSED if at_or_before(syn.seq, self.boundary) => {}
            _ => self.open(key, syn, now_ms),
        }
    }

    /// What would become of a segment of the client's other than a SYN. Nothing changes.
    #[inline(always)]
    #[must_use]
    pub const fn foresee(&self, segment: Segment, now_ms: u32) -> Client {
        let mut copy = *self;
        copy.client(segment, now_ms)
    }

    /// Whether no read was delivered on it yet: the daemon waits for the first request, and not for long.
    #[inline(always)]
    #[must_use]
    pub const fn is_unused(&self) -> bool {
        // Nothing but its SYN-ACK came since.
        self.sent.wrapping_sub(self.answer) == 1
    }

    /// Takes a segment of the client's other than a SYN.
    #[inline(always)]
    pub const fn client(&mut self, segment: Segment, now_ms: u32) -> Client {
        self.touched = now_ms;
        if self.is_refused() {
            return self.client_after_refusal(segment);
        }
        if segment.has(RST) {
            // One anywhere else the daemon doesn't take (RFC 5961, section 3.2). What it expects of a mixed flow, only
            // its own ACKs tell.
            let expected = match self.phase {
                HALF_OPEN => self.begins,
                MIXED => self.acked,
                _ => self.boundary,
            };
            if segment.seq == expected {
                self.phase = if self.is_half_open() { RESET } else { CLOSED };
            }
            return Client::Deliver;
        }
        // The daemon's kernel ignores a SYN and what acknowledges nothing; an urgent byte, even one still to come, is
        // taken out of the stream.
        if segment.flags & (SYN | ACK | URG) != ACK {
            self.mix();
            return Client::Deliver;
        }
        if self.phase == SYN_ANSWERED && segment.seq == self.boundary && segment.ack == self.sent {
            self.establish();
        }
        let (client_marks, daemon_marks) = (self.client_marks, self.daemon_marks);
        // One behind what the daemon has isn't taken.
        if segment.has(FIN) && (self.phase == HALF_OPEN || !at_or_before(segment.end(), self.acked)) {
            self.client_marks |= CLIENT_FIN;
            self.fin = segment.end();
        }
        if segment.length == 0 {
            return Client::Deliver;
        }
        if self.phase == READS && !self.is_limited() && segment.seq == self.boundary {
            let unmarked = client_marks & (CLIENT_FIN | LEFT_TO_DAEMON) == 0 && daemon_marks & DAEMON_CLOSED == 0;
            let answered = self.sent != self.answer && self.sent == self.pushed && segment.ack == self.sent;
            return Client::Judge { at_rest: unmarked && answered && self.acked == self.boundary };
        }
        // What the daemon has already can't change anything; anything else may be a part of a PUT.
        let known = at_or_before(segment.seq.wrapping_add(segment.length), self.acked);
        if !known || matches!(self.phase, HALF_OPEN | SYN_ANSWERED) {
            self.mix();
        }
        Client::Deliver
    }

    /// A segment of the client's comes while another processor has something in hand that carries anything, or a SYN:
    /// nobody knows which of them the daemon has first.
    #[inline(always)]
    pub const fn beside_another(&mut self, segment: Segment) {
        if segment.length > 0 && !self.is_refused() {
            self.mix();
        }
    }

    /// The client has ended the handshake.
    #[inline(always)]
    const fn establish(&mut self) {
        if self.is_limited() {
            self.limited = 1;
            self.phase = MIXED;
        } else {
            self.phase = READS;
        }
    }

    /// The judged segment was exactly one whole read, and is delivered. Unless `settled`, the kernel refuses nothing that
    /// follows: the read wasn't at rest, or the daemon will close after its answer.
    #[inline(always)]
    pub const fn read(&mut self, segment: Segment, settled: bool) {
        if !settled {
            self.client_marks |= LEFT_TO_DAEMON;
        }
        self.answer = self.sent;
        self.boundary = segment.seq.wrapping_add(segment.length);
    }

    /// The segment was anything else, and is delivered.
    #[inline(always)]
    pub const fn mix(&mut self) {
        self.limited = 1;
        self.mixed = 1;
        if self.phase == READS {
            self.phase = MIXED;
        }
    }

    /// The judged segment is refused with an answer of so many bytes; from now on the flow is the kernel's.
    #[inline(always)]
    pub const fn refuse(&mut self, segment: Segment, answer_length: u32, refusal: u16, limited: bool) {
        self.phase = REFUSED;
        self.client_marks = if segment.has(FIN) { CLIENT_FIN } else { 0 };
        self.answer = segment.ack;
        self.sent = segment.ack.wrapping_add(answer_length).wrapping_add(1);
        self.boundary = segment.end();
        self.refusal = refusal;
        if limited {
            self.limited = 1;
        }
    }

    #[inline(always)]
    const fn client_after_refusal(&mut self, segment: Segment) -> Client {
        if segment.flags & (SYN | RST | ACK) != ACK {
            if segment.has(RST) && segment.seq == self.boundary {
                self.phase = REFUSED_DONE;
            }
            return Client::Swallow;
        }
        // What comes next in order, also behind a repetition, the kernel has now. A FIN ends the client's side.
        let new = at_or_before(segment.seq, self.boundary) && at_or_before(self.boundary, segment.end());
        if segment.carries() && new && self.client_marks & CLIENT_FIN == 0 {
            self.boundary = segment.end();
            if segment.has(FIN) {
                self.client_marks |= CLIENT_FIN;
            }
        }
        let answered = segment.ack == self.sent;
        if answered && self.client_marks & CLIENT_FIN != 0 {
            self.phase = REFUSED_DONE;
        }
        if !segment.carries() {
            return Client::Swallow;
        }
        if answered { Client::Acknowledge } else { Client::RepeatAnswer }
    }
}
