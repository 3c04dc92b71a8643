//! What the daemon's segments make of a connection, and what class they are of. `imds_reply` gives them to it.

use super::segment::at_or_before;
use super::{
    ACK, CLIENT_CLOSED, CLIENT_FIN, CLOSED, DAEMON_CLOSED, FIN, Flow, HALF_OPEN, PSH, RESET, RST, SYN, SYN_ANSWERED,
    Segment,
};

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
