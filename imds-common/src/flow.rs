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

mod client;
mod daemon;
mod segment;

pub use client::Client;
pub use daemon::{Daemon, limit};
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

    /// Whether it is the kernel's since it refused.
    #[inline(always)]
    #[must_use]
    pub const fn is_refused(&self) -> bool {
        matches!(self.phase, REFUSED | REFUSED_DONE)
    }

    /// Whether the daemon's kernel may hold it for half-open: it has acknowledged nothing but the SYN.
    #[inline(always)]
    const fn is_half_open(&self) -> bool {
        matches!(self.phase, HALF_OPEN | SYN_ANSWERED) || self.acked == self.begins
    }

    /// Whether anything but complete reads was seen.
    #[inline(always)]
    const fn is_limited(&self) -> bool {
        self.limited != 0 || self.mixed != 0 || self.phase == MIXED
    }
}

#[cfg(test)]
mod tests;
