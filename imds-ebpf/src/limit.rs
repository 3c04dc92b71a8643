//! Whose packet it is, and whether its instance may send it at all.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use imds_common::budget;
use imds_common::counters::Counter;
use imds_common::options::OptionsWord;
use imds_common::sender::{Sender, Senders};
use imds_common::slot::{NOBODY, SENDERS_BANKS, SLOT_MASK};

use crate::event::{self, Way};
use crate::frame::Frame;
use crate::maps::{IMDS_BUDGETS, IMDS_INTERFACES, IMDS_OPTIONS, IMDS_SENDERS};
use crate::{exit, packet};

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
            is_within_budget(ctx, self.slot, self.word, true);
        }
        exit::drop(ctx, self.slot, reason)
    }

    /// Tells a tracer of the packet, which is answered, while the frame is whole.
    #[inline(always)]
    pub fn trace(&self, ctx: &impl Frame, verdict: Counter) {
        event::trace(ctx, self.slot, self.word, verdict, Way::FromClient);
    }
}

/// Lets a packet to one of the service's addresses go on, or gives its verdict: an interface that nobody owns, a sender
/// that the instance doesn't list, a slot over its budget, a tagged frame. Without a `sender` it may come from any
/// address, by a listed MAC. A function with a stack of its own.
#[inline(never)]
pub fn admit<F: Frame>(ctx: &F, sender: Option<&Sender>, tagged: bool) -> Result<Admitted, i32> {
    let (slot, word) = owner(ctx);
    let reason = if !word.is_owned() {
        Counter::DroppedUnowned
    } else if word.lists_senders() && !is_listed(slot, word, sender, frame_mac(ctx)) {
        Counter::DroppedForged
    } else if !is_within_budget(ctx, slot, word, F::IS_LAST) {
        Counter::DroppedBudget
    } else {
        let admitted = Admitted { slot, word };
        return if tagged { Err(admitted.drop(ctx, Counter::DroppedVlan)) } else { Ok(admitted) };
    };
    Err(exit::drop(ctx, slot, reason))
}

/// The MAC that a frame comes from, if it has one.
#[inline(always)]
fn frame_mac(ctx: &impl Frame) -> Option<[u8; 6]> {
    /// Where it stands in the Ethernet header.
    const SOURCE: u32 = 6;
    packet::load(ctx, SOURCE)
}

/// Those who may send behind a slot that lists them.
#[inline(always)]
fn senders(slot: u32, word: OptionsWord) -> Option<&'static Senders> {
    IMDS_SENDERS.get(slot * SENDERS_BANKS + word.senders_bank())
}

/// Whether the slot, which lists its senders, lists this one.
#[inline(always)]
fn is_listed(slot: u32, word: OptionsWord, sender: Option<&Sender>, mac: Option<[u8; 6]>) -> bool {
    let (Some(senders), Some(mac)) = (senders(slot, word), mac) else { return false };
    senders.allows_mac(mac) && sender.is_none_or(|sender| senders.allows_address(sender))
}

/// Drops a packet that holds a MAC, beside the frame's, which its slot doesn't list though it lists its senders. Like all
/// that is forged, it is charged to nobody.
#[inline(always)]
pub fn drop_forged_mac(ctx: &impl Frame, mac: [u8; 6]) -> Option<i32> {
    let (slot, word) = owner(ctx);
    if !word.lists_senders() || senders(slot, word).is_some_and(|senders| senders.allows_mac(mac)) {
        return None;
    }
    Some(exit::drop(ctx, slot, Counter::DroppedForged))
}

/// Whether a slot may send one more frame, whose packets are charged to it if it `counts`.
#[inline(always)]
fn is_within_budget(ctx: &impl Frame, slot: u32, word: OptionsWord, counts: bool) -> bool {
    let interval = word.packet_interval_ns();
    if interval == 0 {
        return true;
    }
    let Some(due) = IMDS_BUDGETS.get_ptr_mut(slot) else { return false };
    // SAFETY: the helper only returns the clock.
    let now = unsafe { bpf_ktime_get_ns() };
    // SAFETY: a live map value.
    unsafe { charge(due, interval, budget::BURST_NS, (now, ctx.packets()), counts) }
}

/// Whether so many more packets or events at a time are within the budget that is whole again at `due`, and of which so
/// much may come at once; they are charged if that `counts`.
///
/// # Safety
///
/// `due` is a live map value. Two processors that race over it take one frame's too many.
#[inline(always)]
pub unsafe fn charge(due: *mut u64, interval_ns: u32, burst_ns: u64, at: (u64, u32), counts: bool) -> bool {
    // SAFETY: the caller's.
    let charged = budget::charge_within(unsafe { due.read_volatile() }, interval_ns, burst_ns, at);
    if let Some(next) = charged.filter(|_| counts) {
        // SAFETY: the caller's.
        unsafe { due.write_volatile(next) };
    }
    charged.is_some()
}
