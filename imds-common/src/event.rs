//! What the kernel tells the daemon of one packet: its verdict, and the beginning of its frame.
//!
//! Events go through a ring buffer that all instances share, so each has a budget of its own, and there is room for what
//! all may tell of at once, as far as [`RING_BYTES_MAX`] goes. What is over a budget, or finds no room, is counted
//! ([`lost`]). The frame's beginning may hold a token: the daemon reads what it shows and drops the bytes at once.

use crate::budget;
use crate::counters::Counter;

/// The most room for all events together, in bytes, however many slots there are.
pub const RING_BYTES_MAX: u32 = 8 * 1024 * 1024;

/// Slots that are traced at once, by people, and have room for what they tell of at once.
const TRACED: u32 = 4;

/// The most of a client's frame that an event holds, in bytes: headers, and the beginning of a request's head with its
/// first fields. A power of two.
pub const CAPTURE_MAX: usize = 512;

/// The most of a frame to a client that an event holds, in bytes: Ethernet, IPv6, and TCP with a timestamp, then the
/// status of an answer, `HTTP/1.1 200`. Nothing of its body, which may be a token or credentials.
pub const CAPTURE_ANSWER: usize = 14 + 40 + 32 + 12;

/// How many events a slot may tell of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Nanoseconds from one to the next.
    pub interval_ns: u32,
    /// How much may come at once after a silence: what may come in so long, in nanoseconds.
    pub burst_ns: u64,
}

impl Budget {
    /// Ten a second, and as many at once.
    const SAMPLED: Self = Self { interval_ns: budget::interval_ns(10), burst_ns: budget::BURST_NS };

    /// A thousand a second. A quarter of that at once: the guest says how much comes at once, and the ring is everybody's.
    const TRACED: Self = Self { interval_ns: budget::interval_ns(1_000), burst_ns: budget::BURST_NS / 4 };

    /// That of a slot that is traced or not.
    #[inline(always)]
    #[must_use]
    pub const fn of(traced: bool) -> Self {
        if traced { Self::TRACED } else { Self::SAMPLED }
    }

    /// The most events that may come at once.
    #[expect(clippy::cast_possible_truncation, reason = "both budgets are some hundreds; a const can't convert")]
    const fn at_once(self) -> u32 {
        (self.burst_ns / self.interval_ns as u64) as u32 + 1
    }
}

/// Room for all events together where there are so many slots, in bytes: for what all of them may tell of at once, and
/// those that are traced, as far as [`RING_BYTES_MAX`] goes. A power of two, and whole pages.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "an event is some hundred bytes; a const can't convert")]
pub const fn ring_bytes(slots: u16) -> u32 {
    /// What the kernel puts before a record (`BPF_RINGBUF_HDR_SZ`), in bytes.
    const HEADER: u32 = 8;
    const RECORD: u32 = size_of::<Event>() as u32 + HEADER;
    let records = slots as u32 * Budget::SAMPLED.at_once() + TRACED * Budget::TRACED.at_once();
    let wanted = (records * RECORD).next_power_of_two();
    if wanted < RING_BYTES_MAX { wanted } else { RING_BYTES_MAX }
}

/// Whether only tracers are told of what a counter counts: of what went as it should.
#[inline(always)]
#[must_use]
pub const fn is_for_tracers(counter: Counter) -> bool {
    matches!(counter, Counter::Delivered | Counter::Answered | Counter::AnsweredNeighbour)
}

/// What counts a packet that would have been told of, but isn't.
#[inline(always)]
#[must_use]
pub const fn lost(counter: Counter) -> Counter {
    if is_for_tracers(counter) { Counter::TraceLost } else { Counter::EventsLost }
}

/// One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Event {
    /// When, on `CLOCK_BOOTTIME`.
    pub time_ns: u64,
    /// How many refusals and drops of the slot's owner were not told of before, since the programs were loaded.
    pub lost: u64,
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

const _: () = assert!(size_of::<Event>() == 32 + CAPTURE_MAX && align_of::<Event>() == 8);
const _: () = assert!(CAPTURE_MAX.is_power_of_two() && CAPTURE_ANSWER < CAPTURE_MAX);
// SAFETY: repr(C), 8 + 8 + 4 + 6 * 2 + 512 bytes without padding; every bit pattern is valid.
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
        record[20..22].copy_from_slice(&3_u16.to_ne_bytes());
        record[26..28].copy_from_slice(&2_u16.to_ne_bytes());
        record[32..35].copy_from_slice(b"abc");
        let event = Event::from_bytes(&record).expect("of its length");
        assert_eq!((event.time_ns, event.slot, event.captured()), (7, 3, &b"ab"[..]));
        assert_eq!(Event::from_bytes(&record[1..]), None);
        record[26..28].copy_from_slice(&513_u16.to_ne_bytes());
        assert_eq!(Event::from_bytes(&record).expect("of its length").captured(), b"");
    }

    #[test]
    fn every_slot_s_burst_has_room_on_hosts_of_usual_size() {
        const RECORD: usize = size_of::<Event>() + 8;
        assert_eq!((Budget::of(false).at_once(), Budget::of(true).at_once()), (11, 251));
        for slots in [2, 16, 100, 256, 1_024, 1_280] {
            let room = ring_bytes(slots) as usize / RECORD;
            assert!(room >= usize::from(slots) * 11 + 4 * 251, "{slots}: {room}");
        }
        for slots in [2, 1_024, 16_384, u16::MAX] {
            let bytes = ring_bytes(slots);
            assert!(bytes.is_power_of_two() && bytes.is_multiple_of(4_096) && bytes <= RING_BYTES_MAX, "{slots}");
        }
        assert_eq!(ring_bytes(u16::MAX), RING_BYTES_MAX);
        assert!(
            Budget::of(true).at_once() as usize * 4 < ring_bytes(2) as usize / RECORD,
            "a traced one has a part of it"
        );
    }

    #[test]
    fn what_only_tracers_are_told_of_is_counted_apart() {
        for &counter in Counter::ALL {
            let went_well = matches!(counter.as_str(), "delivered" | "answered" | "answered-neighbour");
            assert_eq!(is_for_tracers(counter), went_well, "{}", counter.as_str());
            assert_eq!(lost(counter), if went_well { Counter::TraceLost } else { Counter::EventsLost });
        }
    }
}
