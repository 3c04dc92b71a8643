//! What the kernel tells the daemon of one packet: its verdict, and the beginning of its frame.
//!
//! Events go through a ring buffer that all instances share, so each has a budget of its own, and what is over it, or
//! finds no room, is counted ([`Counter::EventsLost`](crate::counters::Counter::EventsLost)). The frame's beginning may
//! hold a token: the daemon reads what it shows and drops the bytes at once.

use crate::budget;

/// Room for all events together, in bytes: some 480 of them. A power of two, and whole pages.
pub const RING_BYTES: u32 = 256 * 1024;

/// The most of a client's frame that an event holds, in bytes: headers, and the beginning of a request's head with its
/// first fields. A power of two.
pub const CAPTURE_MAX: usize = 512;

/// The most of a frame to a client that an event holds, in bytes: Ethernet, IPv6, and TCP with a timestamp, then the
/// status of an answer, `HTTP/1.1 200`. Nothing of its body, which may be a token or credentials.
pub const CAPTURE_ANSWER: usize = 14 + 40 + 32 + 12;

/// Nanoseconds from one event of an instance to the next: ten a second, and as many at once.
pub const INTERVAL_NS: u32 = budget::interval_ns(10);

/// The same while the instance is traced: a thousand a second.
pub const TRACED_INTERVAL_NS: u32 = budget::interval_ns(1_000);

/// One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Event {
    /// When, on `CLOCK_BOOTTIME`.
    pub time_ns: u64,
    /// The frame's length in bytes.
    pub frame_length: u32,
    /// The slot.
    pub slot: u16,
    /// The slot's generation: whose it was.
    pub generation: u16,
    /// The number of the counter that counted the packet.
    pub counter: u16,
    /// How many bytes of `frame` are the packet's.
    pub captured: u16,
    /// 0 for a client's packet, 1 for one to a client.
    pub to_client: u16,
    /// Always zero.
    pub reserved: u16,
    /// The frame's beginning, from its Ethernet header on, as the program saw it.
    pub frame: [u8; CAPTURE_MAX],
}

const _: () = assert!(size_of::<Event>() == 24 + CAPTURE_MAX && align_of::<Event>() == 8);
const _: () = assert!(CAPTURE_MAX.is_power_of_two() && CAPTURE_ANSWER < CAPTURE_MAX);
// SAFETY: repr(C), 8 + 4 + 6 * 2 + 512 bytes without padding; every bit pattern is valid.
unsafe impl crate::Shared for Event {}

impl Event {
    /// The event in a ring buffer's record: `None` if it has another length.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != size_of::<Self>() {
            return None;
        }
        // SAFETY: as many bytes as an Event has, for which every bit pattern is valid; they may stand anywhere.
        Some(unsafe { bytes.as_ptr().cast::<Self>().read_unaligned() })
    }

    /// The bytes of the frame that there are.
    #[must_use]
    pub fn captured(&self) -> &[u8] {
        self.frame.get(..usize::from(self.captured)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read_from_a_record_of_its_length_only() {
        let mut record = [0_u8; size_of::<Event>()];
        record[..8].copy_from_slice(&7_u64.to_ne_bytes());
        record[12..14].copy_from_slice(&3_u16.to_ne_bytes());
        record[18..20].copy_from_slice(&2_u16.to_ne_bytes());
        record[24..27].copy_from_slice(b"abc");
        let event = Event::from_bytes(&record).expect("of its length");
        assert_eq!((event.time_ns, event.slot, event.captured()), (7, 3, &b"ab"[..]));
        assert_eq!(Event::from_bytes(&record[1..]), None);
        record[18..20].copy_from_slice(&513_u16.to_ne_bytes());
        assert_eq!(Event::from_bytes(&record).expect("of its length").captured(), b"");
    }
}
