//! The one exit of refusals and drops: each is counted by its slot and reason, so none goes unseen.

use aya_ebpf::bindings::TC_ACT_SHOT;
use imds_common::counters::Counter;

use crate::maps::IMDS_COUNTERS;
use crate::trace;

/// Not for us: whatever else is attached, and the host's stack, see it untouched (`TCX_NEXT`, `TC_ACT_UNSPEC`).
pub const PASS: i32 = -1;

/// Counts for a slot.
#[inline(always)]
pub fn count(slot: u32, counter: Counter) {
    if let Some(counters) = IMDS_COUNTERS.get_ptr_mut(slot) {
        // SAFETY: this CPU's own copy of a live map value, and the index is masked to its length.
        unsafe { (*counters)[counter.index()] += 1 };
    }
    trace::note(slot, counter);
}

/// Drops the packet for a reason.
#[inline(always)]
pub fn drop(slot: u32, reason: Counter) -> i32 {
    count(slot, reason);
    TC_ACT_SHOT
}
