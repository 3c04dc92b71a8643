//! The one exit of refusals and drops: each is counted by its slot and reason, so none goes unseen.

use aya_ebpf::programs::TcContext;
use imds_common::counters::Counter;

use crate::event::{self, Way};
use crate::frame::Frame;
use crate::maps::IMDS_COUNTERS;
use crate::trace;

/// Counts for a slot.
#[inline(always)]
pub fn count(slot: u32, counter: Counter) {
    if let Some(counters) = IMDS_COUNTERS.get_ptr_mut(slot) {
        // SAFETY: this CPU's own copy of a live map value, and the index is masked to its length.
        unsafe { (*counters)[counter.index()] += 1 };
    }
    trace::note(slot, counter);
}

/// Counts a refusal or a drop of a client's packet, and tells of it while the frame is whole.
#[inline(always)]
pub fn refuse(ctx: &impl Frame, slot: u32, reason: Counter) {
    count(slot, reason);
    event::emit(ctx, slot, reason, Way::FromClient);
}

/// Drops a client's packet for a reason.
#[inline(always)]
pub fn drop<F: Frame>(ctx: &F, slot: u32, reason: Counter) -> i32 {
    refuse(ctx, slot, reason);
    F::DROP
}

/// Drops a packet to a client for a reason.
#[inline(always)]
pub fn drop_reply(ctx: &TcContext, slot: u32, reason: Counter) -> i32 {
    count(slot, reason);
    event::emit(ctx, slot, reason, Way::ToClient);
    TcContext::DROP
}
