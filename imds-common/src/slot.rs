//! What the kernel holds of one slot: one interface of one instance.

use crate::flow::{FLOWS, Flow};
use crate::place::{PLACES, Place};

/// The slot that belongs to nobody: counts what no instance owns.
pub const NOBODY: u16 = 0;

/// In a value of the interfaces' map: the slot that the interface leads to.
pub const SLOT_MASK: u32 = 0xffff;
/// In a value of the interfaces' map: the daemon made the interface's clsact qdisc, and removes it again.
pub const MADE_CLSACT: u32 = 1 << 16;
/// In a value of the interfaces' map: the interface is gone; whichever has its index now is another.
pub const GONE: u32 = 1 << 17;

/// In a value of the interfaces' map: XDP is attached to the interface, in its driver.
pub const XDP_DRIVER: u32 = 1 << 18;
/// In a value of the interfaces' map: XDP is attached to the interface, in generic mode.
pub const XDP_GENERIC: u32 = 1 << 19;
/// In a value of the interfaces' map: what is known of the interface, whoever owns it.
pub const OF_INTERFACE: u32 = MADE_CLSACT | XDP_DRIVER | XDP_GENERIC;

/// Tables of senders that a slot has: one that holds, and one that can be written meanwhile.
pub const SENDERS_BANKS: u32 = 2;

/// Whose a slot is now. It is written only while no interface leads to the slot; the options, which change under
/// traffic, stand in a map of their own, a word each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Slot {
    /// The token generation: random, one for all slots of an instance, new with every instance.
    pub token_generation: u64,
    /// The interface that answers go to.
    pub ifindex: u32,
    /// The address generation, new with every owner.
    pub generation: u16,
    /// Always zero.
    pub reserved: u16,
}

const _: () = assert!(size_of::<Slot>() == 16);
// SAFETY: repr(C), 8 + 4 + 2 + 2 bytes, which leaves no padding; every bit pattern is valid.
unsafe impl crate::Shared for Slot {}

impl Slot {
    /// A slot that nobody owns.
    pub const CLOSED: Self = Self { token_generation: 0, ifindex: 0, generation: 0, reserved: 0 };
}

/// The places and flows of one slot. Only the kernel writes it, but for the zeros of a new owner.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Tables {
    /// The clients behind the interface.
    pub places: [Place; PLACES],
    /// Their connections.
    pub flows: [Flow; FLOWS],
}

const _: () = assert!(size_of::<Tables>() == PLACES * size_of::<Place>() + FLOWS * size_of::<Flow>());
// SAFETY: repr(C) of two arrays of Shared types of alignment 8.
unsafe impl crate::Shared for Tables {}
