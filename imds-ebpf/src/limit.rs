//! Whose packet it is, and whether its instance may send it at all.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use imds_common::budget;
use imds_common::counters::Counter;
use imds_common::options::OptionsWord;
use imds_common::slot::{NOBODY, SLOT_MASK};

use crate::exit;
use crate::frame::Frame;
use crate::maps::{IMDS_BUDGETS, IMDS_INTERFACES, IMDS_OPTIONS};

/// The slot that this interface leads to, and its options: 0 and a closed word if nobody owns it.
#[inline(always)]
pub fn owner(ctx: &impl Frame) -> (u32, OptionsWord) {
    // SAFETY: the value is a u32, copied out.
    let slot = unsafe { IMDS_INTERFACES.get(ctx.ifindex()).copied() };
    let Some(slot) = slot.map(|value| value & SLOT_MASK) else { return (NOBODY as u32, OptionsWord::CLOSED) };
    match IMDS_OPTIONS.get(slot) {
        Some(word) => (slot, OptionsWord::from_bits(*word)),
        None => (NOBODY as u32, OptionsWord::CLOSED),
    }
}

/// Whose packet it is that may be sent, and the options that judge it.
pub struct Admitted {
    /// The slot.
    pub slot: u32,
    /// Its options.
    pub word: OptionsWord,
}

impl Admitted {
    /// The slot of a packet that was let go on before, with its options as they are now.
    #[inline(always)]
    pub fn again(slot: u32) -> Option<Self> {
        let word = OptionsWord::from_bits(*IMDS_OPTIONS.get(slot)?);
        // Whoever closed the slot meanwhile is obeyed.
        word.is_owned().then_some(Self { slot, word })
    }

    /// Drops the packet for a reason.
    #[inline(always)]
    pub fn drop<F: Frame>(&self, ctx: &F, reason: Counter) -> i32 {
        if !F::IS_LAST {
            charge(self.slot, self.word, true);
        }
        exit::drop(ctx, self.slot, reason)
    }
}

/// Lets a packet to one of the service's addresses go on, or gives its verdict: an interface that nobody owns, a slot
/// over its budget, a tagged frame. A function with a stack of its own.
#[inline(never)]
pub fn admit<F: Frame>(ctx: &F, tagged: bool) -> Result<Admitted, i32> {
    let (slot, word) = owner(ctx);
    if !word.is_owned() {
        return Err(exit::drop(ctx, slot, Counter::DroppedUnowned));
    }
    if !charge(slot, word, F::IS_LAST) {
        return Err(exit::drop(ctx, slot, Counter::DroppedBudget));
    }
    let admitted = Admitted { slot, word };
    if tagged { Err(admitted.drop(ctx, Counter::DroppedVlan)) } else { Ok(admitted) }
}

/// Whether a slot may send one more packet, which is charged to it if it `counts`.
#[inline(always)]
fn charge(slot: u32, word: OptionsWord, counts: bool) -> bool {
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
            if counts {
                // SAFETY: as above.
                unsafe { due.write_volatile(next) };
            }
            true
        }
        None => false,
    }
}
