//! Whose packet it is, and whether its instance may send it at all.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::programs::TcContext;
use imds_common::budget;
use imds_common::counters::Counter;
use imds_common::options::OptionsWord;
use imds_common::slot::{NOBODY, SLOT_MASK};

use crate::exit;
use crate::maps::{IMDS_BUDGETS, IMDS_INTERFACES, IMDS_OPTIONS};

/// The slot that this interface leads to, and its options: 0 and a closed word if nobody owns it.
#[inline(always)]
pub fn owner(ctx: &TcContext) -> (u32, OptionsWord) {
    // SAFETY: the context is the program's own; the value is a u32, copied out.
    let slot = unsafe { IMDS_INTERFACES.get((*ctx.skb.skb).ifindex).copied() };
    let Some(slot) = slot.map(|value| value & SLOT_MASK) else { return (NOBODY as u32, OptionsWord::CLOSED) };
    match IMDS_OPTIONS.get(slot) {
        Some(word) => (slot, OptionsWord::from_bits(*word)),
        None => (NOBODY as u32, OptionsWord::CLOSED),
    }
}

/// Lets a packet to one of the service's addresses go on, with its slot and options, or gives its verdict: an interface
/// that nobody owns, a slot over its budget, a tagged frame. A function with a stack of its own.
#[inline(never)]
pub fn admit(ctx: &TcContext, tagged: bool) -> Result<(u32, OptionsWord), i32> {
    let (slot, word) = owner(ctx);
    let reason = if !word.is_owned() {
        Counter::DroppedUnowned
    } else if !charge(slot, word) {
        Counter::DroppedBudget
    } else if tagged {
        Counter::DroppedVlan
    } else {
        return Ok((slot, word));
    };
    Err(exit::drop(ctx, slot, reason))
}

/// Charges a packet to its slot: whether the slot may send it.
#[inline(always)]
fn charge(slot: u32, word: OptionsWord) -> bool {
    let interval = word.packet_interval_ns();
    if interval == 0 {
        return true;
    }
    let Some(due) = IMDS_BUDGETS.get_ptr_mut(slot) else { return false };
    // SAFETY: the helper only returns the clock.
    let now = unsafe { bpf_ktime_get_ns() };
    // SAFETY: a live map value; two processors that race over it let a packet too many pass.
    match budget::charge(unsafe { due.read_volatile() }, interval, now) {
        Some(next) => {
            // SAFETY: as above.
            unsafe { due.write_volatile(next) };
            true
        }
        None => false,
    }
}
