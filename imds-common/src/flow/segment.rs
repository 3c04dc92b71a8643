//! A TCP segment, as far as the state machine looks at it.
//!
//! Sequence numbers are compared modulo 2^32 (RFC 9293, section 3.4).

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
    /// Whether it has one of these flags.
    #[inline(always)]
    #[must_use]
    pub const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether it has data or a FIN.
    #[inline(always)]
    #[must_use]
    pub const fn carries(self) -> bool {
        self.length > 0 || self.has(FIN)
    }

    /// The sequence number after everything that it carries, SYN and FIN included.
    #[inline(always)]
    #[must_use]
    pub const fn end(self) -> u32 {
        let marks = self.has(SYN) as u32 + self.has(FIN) as u32;
        self.seq.wrapping_add(self.length).wrapping_add(marks)
    }
}

/// Whether `a` stands at or before `b`.
#[inline(always)]
pub(super) const fn at_or_before(a: u32, b: u32) -> bool {
    #[expect(clippy::cast_possible_wrap, reason = "the sign of the distance is the order")]
    let distance = b.wrapping_sub(a) as i32;
    distance >= 0
}
