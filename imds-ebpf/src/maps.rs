//! The maps that the programs share with the daemon, and what the daemon sets at load.
//!
//! The daemon sizes all that goes by slot: a slot's number indexes them directly.

use core::mem::offset_of;

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, PerCpuArray, RingBuf};
use imds_common::answer::{DATES, Date, KERNEL_ANSWER_MAX};
use imds_common::counters::SlotCounters;
use imds_common::event::ring_bytes;
use imds_common::request::{KERNEL_HEAD_MAX, Scan};
use imds_common::sender::Senders;
use imds_common::slot::{SENDERS_BANKS, Slot, Tables};
use imds_common::token::{KEYS, Key, Presented, TOKEN_TEXT_LENGTH};

use crate::exchange::Exchange;
use crate::refuse::PAYLOAD;

/// Placeholder size of what goes by slot; the daemon's config gives the real one.
const SLOTS: u32 = 16;

/// `BPF_F_MMAPABLE` (include/uapi/linux/bpf.h): the daemon writes by plain stores.
const MMAPABLE: u32 = 1 << 10;

/// Interface index to slot.
#[map]
pub static IMDS_INTERFACES: HashMap<u32, u32> = HashMap::with_max_entries(SLOTS, 0);

/// A slot's options word.
#[map]
pub static IMDS_OPTIONS: Array<u64> = Array::with_max_entries(SLOTS, MMAPABLE);

/// Whose a slot is.
#[map]
pub static IMDS_SLOTS: Array<Slot> = Array::with_max_entries(SLOTS, 0);

/// A slot's places and flows.
#[map]
pub static IMDS_TABLES: Array<Tables> = Array::with_max_entries(SLOTS, 0);

/// Who may send behind a slot that lists them: two tables a slot, of which the options word names the one that holds.
#[map]
pub static IMDS_SENDERS: Array<Senders> = Array::with_max_entries(SLOTS * SENDERS_BANKS, 0);

/// When a slot's packet budget is whole again, in nanoseconds since boot.
#[map]
pub static IMDS_BUDGETS: Array<u64> = Array::with_max_entries(SLOTS, 0);

/// When a slot's budget of events is whole again, in nanoseconds since boot.
#[map]
pub static IMDS_EVENT_BUDGETS: Array<u64> = Array::with_max_entries(SLOTS, 0);

/// What the daemon is told of packets. Each daemon has its own: nothing in it outlives who reads it.
#[map]
pub static IMDS_EVENTS: RingBuf = RingBuf::with_byte_size(ring_bytes(SLOTS as u16), 0);

/// How many refusals and drops of a slot's owner were not told of. As the ring, each daemon has its own.
#[map]
pub static IMDS_EVENTS_LOST: Array<u64> = Array::with_max_entries(SLOTS, MMAPABLE);

/// A slot's counters of this side.
#[map]
pub static IMDS_COUNTERS: PerCpuArray<SlotCounters> = PerCpuArray::with_max_entries(SLOTS, 0);

/// A slot's counters of the daemon's side; here so that they are made, pinned and sized with the rest.
#[map]
pub static IMDS_SERVICE: Array<SlotCounters> = Array::with_max_entries(SLOTS, MMAPABLE);

/// The tokens' keys, by number modulo `KEYS`.
#[map]
pub static IMDS_KEYS: Array<Key> = Array::with_max_entries(KEYS as u32, 0);

/// The dates of the seconds around now.
#[map]
pub static IMDS_DATES: Array<Date> = Array::with_max_entries(DATES, 0);

/// What doesn't fit on the stack of 512 bytes.
#[map]
pub static IMDS_SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// A head is scanned by so many bytes at once. A power of two.
pub const CHUNK: usize = 32;

/// Room for one packet's work.
#[repr(C, align(8))]
pub struct Scratch {
    /// The beginning of the payload, and zeros after it.
    pub head: [u8; KERNEL_HEAD_MAX + CHUNK],
    /// What a scan found.
    pub scan: Scan,
    /// A token's spelling.
    pub token: [u8; TOKEN_TEXT_LENGTH],
    /// Its bytes.
    pub presented: Presented,
    /// The packet in hand.
    pub exchange: Exchange,
    /// What a search through a slot's table comes to.
    pub search: Hits,
    /// What a walk through the options of a router advertisement comes to.
    pub options: u32,
    /// Puts the payload of `frame` at a multiple of eight.
    pub align: [u8; 6],
    /// The frame that the kernel answers with, from its Ethernet header on.
    pub frame: [u8; FRAME_MAX],
}

const _: () = assert!((offset_of!(Scratch, frame) + PAYLOAD as usize).is_multiple_of(8));

/// The entry that a search looked for, and the first free one.
#[repr(C)]
pub struct Hits {
    pub found: u32,
    pub free: u32,
}

/// Ethernet, IPv6 and TCP with 12 bytes of options, the longest answer, and what its sum rounds up to.
pub const FRAME_MAX: usize = 14 + 40 + 32 + KERNEL_ANSWER_MAX + 4;

/// The interface index of the service link's end on the host.
#[unsafe(no_mangle)]
static IMDS_HOST_LINK: u32 = 0;

/// The interface index of the service link's end on the host.
#[inline(always)]
pub fn host_link() -> u32 {
    // SAFETY: a static of this object; volatile, since the daemon changes it before the load.
    unsafe { core::ptr::read_volatile(&raw const IMDS_HOST_LINK) }
}
