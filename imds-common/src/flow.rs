//! The state of one TCP connection, as the kernel follows it: where the next request begins, what the daemon has
//! sent, and whether anything but complete reads was ever seen.
//!
//! A flow is taken at the SYN and free again when both sides have closed or when idle. `imds_ingress` gives it the
//! client's segments, `imds_reply` the daemon's. The machine is pure: time and segments come in, a decision goes out.
//!
//! Several processors may run on one flow at once, without a lock; each field is loaded and stored as a whole, and any of
//! them may be late with what it stores. That no token travels holds all the same:
//!
//! - Two fields say that something other than a read was seen, `limited` and `mixed`, and each of them is enough. Only a
//!   SYN-ACK clears the one, the first that its connection's client sees: what that one sends can't be taken before. Only
//!   a SYN clears the other. It would take two processors that are late at once, each in the middle of its clearing, and
//!   for several of the client's round trips.
//! - What `imds_ingress` takes for known, it takes from what `imds_reply` has stored, from a SYN-ACK on.
//! - A SYN-ACK of another connection than the one that is followed sets `limited`.
//! - Two segments that carry anything are never judged at once: see `inside`.

mod segment;

use segment::at_or_before;
pub use segment::{ACK, FIN, PSH, RST, SYN, Segment, URG};

/// Connections that one slot may have at once; a further SYN is dropped. A power of two.
pub const FLOWS: usize = 128;
/// A connection whose client hasn't ended the handshake is forgotten after so long. In milliseconds.
pub const HALF_OPEN_MS: u32 = 5_000;
/// A connection without a packet is forgotten after so long: the daemon has closed it long before. In milliseconds.
pub const IDLE_MS: u32 = 120_000;
/// A connection that is reset before the daemon has a byte is forgotten after so long: the daemon's kernel may not have
/// taken the reset, and holds a half-open one for 7 seconds at most, as long as it waits for a first byte (the settings of
/// `imds-userspace`). In milliseconds.
pub const RESET_MS: u32 = 8_000;
/// A refused connection that the client doesn't close is forgotten after so long: where XDP refuses, nobody resets the
/// daemon's half. In milliseconds.
pub const REFUSED_MS: u32 = RESET_MS;

/// `phase` of a flow whose SYN nobody has answered: an earlier connection of its key may still live.
pub const HALF_OPEN: u32 = 1;
/// `phase` of a flow whose SYN-ACK the client hasn't acknowledged: no earlier connection lives.
pub const SYN_ANSWERED: u32 = 2;
/// `phase` of a flow on which nothing but complete reads was seen: its next request's beginning is known.
pub const READS: u32 = 3;
/// `phase` of a flow on which anything else was seen: only the daemon judges it, and its answers are limited.
pub const MIXED: u32 = 4;
/// `phase` of a flow that the kernel has refused: it is the kernel's until the client is done.
pub const REFUSED: u32 = 5;
/// `phase` of a refused flow whose client has closed too and has the whole answer.
pub const REFUSED_DONE: u32 = 6;
/// `phase` of a flow that both sides have closed, or one reset.
pub const CLOSED: u32 = 7;
/// `phase` of a flow that one side has reset before the daemon had a byte.
pub const RESET: u32 = 8;

/// One entry of a slot's table of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Flow {
    /// [`key`] of its place and port; 0 of a free entry.
    pub key: u64,
    /// One of the phases above.
    pub phase: u32,
    /// When its last packet came, in milliseconds since boot, wrapping.
    pub touched: u32,
    /// Where the client's stream begins, as its SYN says.
    pub begins: u32,
    /// Where the client's next request begins. Of a refused flow: what the kernel has acknowledged.
    pub boundary: u32,
    /// What the daemon has acknowledged. Only `imds_reply` writes it.
    pub acked: u32,
    /// Where the daemon's next byte goes. Of a refused flow: the end of the kernel's answer, its FIN included.
    pub sent: u32,
    /// Where the last segment ended that the daemon pushed: the end of an answer, unless the client's window is
    /// smaller than twice that answer.
    pub pushed: u32,
    /// Of a refused flow: where the kernel's answer begins. Before: `sent` as it was when the last read was delivered,
    /// so that a request which comes before that read's answer is known as pipelined.
    pub answer: u32,
    /// With [`CLIENT_FIN`]: where the client's FIN ends.
    pub fin: u32,
    /// The sequence number of the last SYN-ACK, whoever's. Only `imds_reply` writes it.
    pub syn_ack: u32,
    /// 0 as long as nothing but complete reads was seen since the SYN-ACK; stays over the close. Only `imds_reply` clears
    /// it.
    pub limited: u16,
    /// 0 as long as nothing but complete reads was seen since the SYN; stays over the close. Only `imds_ingress` writes it.
    pub mixed: u16,
    /// Of a refused flow: which answer, as [`Flow::refuse`] was told.
    pub refusal: u16,
    /// What `imds_ingress` has marked: [`CLIENT_FIN`], [`LEFT_TO_DAEMON`].
    pub client_marks: u8,
    /// What `imds_reply` has marked: [`CLIENT_CLOSED`], [`DAEMON_CLOSED`].
    pub daemon_marks: u8,
    /// How many processors have a SYN, or a segment that carries anything, in hand. Kept by whoever runs the machine: one
    /// that isn't alone says so: [`Flow::beside_another`].
    pub inside: u64,
}

const _: () = assert!(size_of::<Flow>() == 64);
// SAFETY: repr(C), a u64, ten u32, three u16, two u8 and a u64, which leaves no padding; every bit pattern is valid.
unsafe impl crate::Shared for Flow {}

/// In `daemon_marks`: the daemon has acknowledged the client's FIN.
pub const CLIENT_CLOSED: u8 = 1;
/// In `daemon_marks`: the daemon has sent its FIN.
pub const DAEMON_CLOSED: u8 = 2;

/// In `client_marks`: the client has sent a FIN.
pub const CLIENT_FIN: u8 = 1;
/// In `client_marks`: a read came before the answer of the one before it, or the daemon will close after it; from then
/// on the kernel refuses nothing.
pub const LEFT_TO_DAEMON: u8 = 2;

/// The key of a connection: its place and the client's port. Never 0.
#[inline(always)]
#[must_use]
pub const fn key(place: u32, port: u16) -> u64 {
    1 << 48 | (place as u64) << 16 | port as u64
}

/// Where the search for a key begins in the table.
#[inline(always)]
#[must_use]
pub const fn first_index(key: u64) -> usize {
    // Clients count their ports up; the multiplier (Knuth's) spreads places apart.
    #[expect(clippy::cast_possible_truncation, reason = "masked to the table's size")]
    let index = (key ^ (key >> 16).wrapping_mul(2_654_435_761)) as usize & (FLOWS - 1);
    index
}

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

/// What becomes of a segment of the daemon's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Daemon {
    /// It goes to the client with the normal TTL.
    Normal,
    /// It goes to the client with the TTL of `HttpPutResponseHopLimit`.
    Limited,
    /// The flow is the kernel's: it is dropped.
    Drop,
    /// A reset behind the daemon's FIN: it is dropped, since it would take from the client the answer before that FIN.
    Late,
}

impl Flow {
    /// A free entry.
    pub const EMPTY: Self = Self {
        key: 0,
        phase: 0,
        touched: 0,
        begins: 0,
        boundary: 0,
        acked: 0,
        sent: 0,
        pushed: 0,
        answer: 0,
        fin: 0,
        syn_ack: 0,
        limited: 0,
        mixed: 0,
        refusal: 0,
        client_marks: 0,
        daemon_marks: 0,
        inside: 0,
    };

    /// Whether another connection may take the entry. A live one is never taken.
    #[inline(always)]
    #[must_use]
    pub const fn is_free(&self, now_ms: u32) -> bool {
        let idle = now_ms.wrapping_sub(self.touched);
        match self.phase {
            HALF_OPEN | SYN_ANSWERED => idle > HALF_OPEN_MS,
            READS | MIXED => idle > IDLE_MS,
            REFUSED => idle > REFUSED_MS,
            RESET => idle > RESET_MS,
            _ => true,
        }
    }

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

    /// Whether it is the kernel's since it refused.
    #[inline(always)]
    #[must_use]
    pub const fn is_refused(&self) -> bool {
        matches!(self.phase, REFUSED | REFUSED_DONE)
    }

    /// What would become of a segment of the client's other than a SYN. Nothing changes.
    #[inline(always)]
    #[must_use]
    pub const fn foresee(&self, segment: Segment, now_ms: u32) -> Client {
        let mut copy = *self;
        copy.client(segment, now_ms)
    }

    /// Whether the daemon's kernel may hold it for half-open: it has acknowledged nothing but the SYN.
    #[inline(always)]
    const fn is_half_open(&self) -> bool {
        matches!(self.phase, HALF_OPEN | SYN_ANSWERED) || self.acked == self.begins
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

    /// Whether anything but complete reads was seen.
    #[inline(always)]
    const fn is_limited(&self) -> bool {
        self.limited != 0 || self.mixed != 0 || self.phase == MIXED
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

    /// Takes a segment of the daemon's.
    #[inline(always)]
    pub const fn daemon(&mut self, segment: Segment, now_ms: u32) -> Daemon {
        if self.is_refused() {
            return Daemon::Drop;
        }
        if segment.has(RST) {
            // The daemon closes without waiting for the client, so that whatever that one still sends is answered so.
            let is_late = self.daemon_marks & DAEMON_CLOSED != 0;
            let has_closed = self.client_marks & CLIENT_FIN != 0;
            // With an ACK it answers the SYN. Without one, the daemon's kernel may hold what is half-open on.
            let goes_on = self.is_half_open() && !(segment.has(ACK) && segment.ack == self.begins);
            if goes_on {
                self.phase = RESET;
            } else if !is_late || has_closed {
                self.phase = CLOSED;
            }
            // It begins where the client's acknowledgement ends: one that has everything and is done with it may go.
            let has_all = has_closed && segment.seq == self.sent;
            return if is_late && !has_all { Daemon::Late } else { Daemon::Normal };
        }
        if segment.has(SYN) {
            self.daemon_syn_ack(segment);
            return Daemon::Normal;
        }
        // What stands before the SYN-ACK is an earlier connection's.
        let earlier = !at_or_before(self.syn_ack.wrapping_add(1), segment.seq);
        if earlier || matches!(self.phase, HALF_OPEN | SYN_ANSWERED) {
            return limit(segment);
        }
        self.touched = now_ms;
        if at_or_before(self.acked, segment.ack) {
            self.acked = segment.ack;
        }
        if at_or_before(self.sent, segment.end()) {
            self.sent = segment.end();
            if segment.has(PSH) {
                self.pushed = self.sent;
            }
        }
        if self.client_marks & CLIENT_FIN != 0 && self.acked == self.fin {
            self.daemon_marks |= CLIENT_CLOSED;
        }
        if segment.has(FIN) {
            self.daemon_marks |= DAEMON_CLOSED;
        }
        if self.daemon_marks == CLIENT_CLOSED | DAEMON_CLOSED {
            self.phase = CLOSED;
        }
        if self.is_limited() { limit(segment) } else { Daemon::Normal }
    }

    #[inline(always)]
    const fn daemon_syn_ack(&mut self, segment: Segment) {
        // Of a connection that begins, whatever this one was before.
        self.daemon_marks = 0;
        let seen = segment.seq == self.syn_ack;
        self.syn_ack = segment.seq;
        if self.phase == HALF_OPEN && segment.ack == self.begins {
            // Only now is it sure that no earlier connection of this key lives in the daemon's kernel. A client that has
            // seen it may have sent anything since.
            self.boundary = segment.ack;
            self.acked = segment.ack;
            self.sent = segment.end();
            self.pushed = self.sent;
            self.answer = segment.seq;
            if !seen {
                self.limited = 0;
            }
            self.phase = SYN_ANSWERED;
        } else if !seen {
            self.limited = 1;
        }
    }
}

/// The TTL of a daemon's segment on a connection that nobody knows, or that carried anything but reads.
#[inline(always)]
#[must_use]
pub const fn limit(segment: Segment) -> Daemon {
    if segment.length > 0 || segment.has(FIN) { Daemon::Limited } else { Daemon::Normal }
}

#[cfg(test)]
mod tests;
