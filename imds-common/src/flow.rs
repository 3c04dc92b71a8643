//! The state of one TCP connection, as the kernel follows it: where the next request begins, what the daemon has
//! sent, and whether anything but complete reads was ever seen.
//!
//! A flow is taken at the SYN and free again when both sides have closed or when idle. `imds_ingress` gives it the
//! client's segments, `imds_reply` the daemon's. The machine is pure: time and segments come in, a decision goes out.
//!
//! Sequence numbers are compared modulo 2^32 (RFC 9293, section 3.4).

/// Connections that one slot may have at once; a further SYN is dropped. A power of two.
pub const FLOWS: usize = 128;
/// A connection whose handshake isn't over is forgotten after so long. In milliseconds.
pub const HALF_OPEN_MS: u32 = 5_000;
/// A connection without a packet is forgotten after so long: the daemon has closed it long before. In milliseconds.
pub const IDLE_MS: u32 = 120_000;
/// A refused connection that the client doesn't close is forgotten after so long. In milliseconds.
pub const REFUSED_MS: u32 = 5_000;

/// TCP's FIN flag.
pub const FIN: u8 = 0x01;
/// TCP's SYN flag.
pub const SYN: u8 = 0x02;
/// TCP's RST flag.
pub const RST: u8 = 0x04;
/// TCP's PSH flag.
pub const PSH: u8 = 0x08;
/// TCP's ACK flag.
pub const ACK: u8 = 0x10;
/// TCP's URG flag: a reader may get the bytes without the urgent one, so such a segment is never judged.
pub const URG: u8 = 0x20;

/// What the machine needs of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Sequence number of its first byte.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Flags.
    pub flags: u8,
    /// Bytes of payload.
    pub length: u32,
}

impl Segment {
    #[inline(always)]
    const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The sequence number after everything that it carries, SYN and FIN included.
    #[inline(always)]
    const fn end(self) -> u32 {
        let marks = self.has(SYN) as u32 + self.has(FIN) as u32;
        self.seq.wrapping_add(self.length).wrapping_add(marks)
    }
}

/// Whether `a` stands at or before `b`.
#[inline(always)]
const fn at_or_before(a: u32, b: u32) -> bool {
    #[expect(clippy::cast_possible_wrap, reason = "the sign of the distance is the order")]
    let distance = b.wrapping_sub(a) as i32;
    distance >= 0
}

/// `phase` of a flow whose handshake isn't over.
pub const HALF_OPEN: u32 = 1;
/// `phase` of a flow on which nothing but complete reads was seen: its next request's beginning is known.
pub const READS: u32 = 2;
/// `phase` of a flow on which anything else was seen: only the daemon judges it, and its answers are limited.
pub const MIXED: u32 = 3;
/// `phase` of a flow that the kernel has refused: it is the kernel's until the client is done.
pub const REFUSED: u32 = 4;
/// `phase` of a refused flow whose client has closed too.
pub const REFUSED_DONE: u32 = 5;
/// `phase` of a flow that both sides have closed, or one reset.
pub const CLOSED: u32 = 6;

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
    /// Where the client's next request begins. Of a refused flow: what the kernel has acknowledged.
    pub boundary: u32,
    /// What the daemon has acknowledged.
    pub acked: u32,
    /// Where the daemon's next byte goes. Of a refused flow: the end of the kernel's answer, its FIN included.
    pub sent: u32,
    /// Of a refused flow: where the kernel's answer begins. Before: `sent` as it was when the last read was delivered,
    /// so that a request which comes before that read's answer is known as pipelined.
    pub answer: u32,
    /// 1 once anything but complete reads was seen; stays over the close.
    pub limited: u32,
    /// [`CLIENT_CLOSED`], [`DAEMON_CLOSED`], [`CLIENT_FIN`], [`PIPELINED`].
    pub marks: u32,
    /// Of a refused flow: which answer, as [`Flow::refuse`] was told.
    pub refusal: u32,
    /// With [`CLIENT_FIN`]: where the client's FIN ends.
    pub fin: u32,
}

const _: () = assert!(size_of::<Flow>() == 48);
// SAFETY: repr(C), a u64 and ten u32, which leaves no padding; every bit pattern is valid.
unsafe impl crate::Shared for Flow {}

/// In `marks`: the daemon has acknowledged the client's FIN.
pub const CLIENT_CLOSED: u32 = 1;
/// In `marks`: the daemon has sent its FIN.
pub const DAEMON_CLOSED: u32 = 2;
/// In `marks`: the client has sent a FIN.
pub const CLIENT_FIN: u32 = 4;
/// In `marks`: a read came before the answer of the one before it; from then on the kernel refuses nothing.
pub const PIPELINED: u32 = 8;

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
}

impl Flow {
    /// Whether another connection may take the entry. A live one is never taken.
    #[inline(always)]
    #[must_use]
    pub const fn is_free(&self, now_ms: u32) -> bool {
        let idle = now_ms.wrapping_sub(self.touched);
        match self.phase {
            HALF_OPEN => idle > HALF_OPEN_MS,
            READS | MIXED => idle > IDLE_MS,
            REFUSED => idle > REFUSED_MS,
            _ => true,
        }
    }

    /// Begins a connection with the client's SYN.
    #[inline(always)]
    const fn open(&mut self, key: u64, syn: Segment, now_ms: u32) {
        self.key = key;
        self.phase = HALF_OPEN;
        self.touched = now_ms;
        self.boundary = syn.seq.wrapping_add(1);
        self.acked = syn.seq;
        self.sent = 0;
        self.answer = 0;
        self.limited = 0;
        self.marks = 0;
        self.fin = 0;
        self.refusal = 0;
    }

    /// Takes a SYN, on a free entry or on one of the same key. A repeated one changes nothing; one that would begin
    /// another connection on top of a live one makes it [`MIXED`], as nobody but the daemon knows which it takes.
    #[inline(always)]
    pub const fn client_syn(&mut self, key: u64, syn: Segment, now_ms: u32) {
        if self.key != key || self.is_free(now_ms) {
            self.open(key, syn, now_ms);
            return;
        }
        let repeated = syn.seq.wrapping_add(1) == self.boundary;
        match self.phase {
            HALF_OPEN if repeated => self.touched = now_ms,
            READS | MIXED => {
                self.touched = now_ms;
                if !(repeated && self.phase == READS) {
                    self.mix();
                }
            }
            _ => self.open(key, syn, now_ms),
        }
    }

    /// Takes a segment of the client's other than a SYN.
    #[inline(always)]
    pub const fn client(&mut self, segment: Segment, now_ms: u32) -> Client {
        self.touched = now_ms;
        if matches!(self.phase, REFUSED | REFUSED_DONE) {
            return self.client_after_refusal(segment);
        }
        if segment.has(RST) {
            // One anywhere else the daemon doesn't take (RFC 5961, section 3.2).
            if segment.seq == self.acked || segment.seq == self.boundary {
                self.phase = CLOSED;
            }
            return Client::Deliver;
        }
        if segment.has(FIN) {
            self.marks |= CLIENT_FIN;
            self.fin = segment.end();
        }
        if segment.length == 0 {
            return Client::Deliver;
        }
        if self.phase == READS && segment.seq == self.boundary && !segment.has(URG) {
            let answered = self.sent != self.answer && self.marks & PIPELINED == 0;
            return Client::Judge { at_rest: answered && self.acked == self.boundary && segment.ack == self.sent };
        }
        // What the daemon has already can't change anything; anything else may be a part of a PUT.
        let known = at_or_before(segment.seq.wrapping_add(segment.length), self.acked);
        if !known || self.phase == HALF_OPEN {
            self.mix();
        }
        Client::Deliver
    }

    /// The judged segment was exactly one whole read, and is delivered.
    #[inline(always)]
    pub const fn read(&mut self, segment: Segment, at_rest: bool) {
        if !at_rest {
            self.marks |= PIPELINED;
        }
        self.answer = self.sent;
        self.boundary = segment.seq.wrapping_add(segment.length);
    }

    /// The judged segment was anything else, and is delivered.
    #[inline(always)]
    pub const fn mix(&mut self) {
        self.limited = 1;
        if self.phase != CLOSED {
            self.phase = MIXED;
        }
    }

    /// The judged segment is refused with an answer of so many bytes; from now on the flow is the kernel's.
    #[inline(always)]
    pub const fn refuse(&mut self, segment: Segment, answer_length: u32, refusal: u32, limited: bool) {
        self.phase = if segment.has(FIN) { REFUSED_DONE } else { REFUSED };
        self.answer = segment.ack;
        self.sent = segment.ack.wrapping_add(answer_length).wrapping_add(1);
        self.boundary = segment.end();
        self.refusal = refusal;
        self.limited = limited as u32;
    }

    #[inline(always)]
    const fn client_after_refusal(&mut self, segment: Segment) -> Client {
        if segment.has(RST) {
            self.phase = REFUSED_DONE;
            return Client::Swallow;
        }
        // In order and new: the kernel has it now. A FIN ends the client's side.
        if segment.seq == self.boundary {
            self.boundary = segment.end();
            if segment.has(FIN) {
                self.phase = REFUSED_DONE;
            }
        }
        if segment.length == 0 && !segment.has(FIN) {
            return Client::Swallow;
        }
        if segment.ack == self.sent { Client::Acknowledge } else { Client::RepeatAnswer }
    }

    /// Takes a segment of the daemon's.
    #[inline(always)]
    pub const fn daemon(&mut self, segment: Segment, now_ms: u32) -> Daemon {
        if matches!(self.phase, REFUSED | REFUSED_DONE) {
            return Daemon::Drop;
        }
        self.touched = now_ms;
        if segment.has(RST) {
            self.phase = CLOSED;
            return Daemon::Normal;
        }
        if segment.has(SYN) {
            if self.phase == HALF_OPEN && segment.ack == self.boundary {
                // Only now is it sure that no earlier connection of this key lives in the daemon's kernel.
                self.phase = READS;
                self.acked = segment.ack;
                self.sent = segment.end();
                self.answer = segment.seq;
            }
            return Daemon::Normal;
        }
        if self.phase == HALF_OPEN {
            return limit(segment);
        }
        if at_or_before(self.acked, segment.ack) {
            self.acked = segment.ack;
        }
        if at_or_before(self.sent, segment.end()) {
            self.sent = segment.end();
        }
        if self.marks & CLIENT_FIN != 0 && self.acked == self.fin {
            self.marks |= CLIENT_CLOSED;
        }
        if segment.has(FIN) {
            self.marks |= DAEMON_CLOSED;
        }
        if self.marks & (CLIENT_CLOSED | DAEMON_CLOSED) == CLIENT_CLOSED | DAEMON_CLOSED {
            self.phase = CLOSED;
        }
        if self.limited != 0 { limit(segment) } else { Daemon::Normal }
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
