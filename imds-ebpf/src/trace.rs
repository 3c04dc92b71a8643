//! Debug lines through aya-log: one a packet that was ours. Only the debug object has them.

#[cfg(feature = "trace")]
pub use on::{line, note};

#[cfg(not(feature = "trace"))]
pub use off::{line, note};

#[cfg(feature = "trace")]
mod on {
    use aya_ebpf::macros::map;
    use aya_ebpf::maps::PerCpuArray;
    use imds_common::counters::Counter;

    use crate::frame::Frame;

    /// What was counted last on this CPU: 1 if anything was, the slot, the counter.
    #[map]
    static IMDS_TRACE: PerCpuArray<[u32; 3]> = PerCpuArray::with_max_entries(1, 0);

    /// Keeps what was counted for the line.
    #[inline(always)]
    pub fn note(slot: u32, counter: Counter) {
        if let Some(last) = IMDS_TRACE.get_ptr_mut(0) {
            // SAFETY: this CPU's own copy of a live map value.
            unsafe { *last = [1, slot, counter as u32] };
        }
    }

    /// Writes the line. A function with a stack of its own: aya-log fills one.
    #[inline(never)]
    pub fn line<F: Frame>(ctx: &F, verdict: i32) {
        let Some(last) = IMDS_TRACE.get_ptr_mut(0) else { return };
        // SAFETY: this CPU's own copy of a live map value.
        let [noted, slot, counter] = unsafe { core::mem::take(&mut *last) };
        if noted != 0 {
            aya_log_ebpf::debug!(ctx, "slot {} counter {} verdict {}", slot, counter, verdict);
        }
    }
}

#[cfg(not(feature = "trace"))]
mod off {
    use imds_common::counters::Counter;

    use crate::frame::Frame;

    /// Nothing.
    #[inline(always)]
    pub fn note(_slot: u32, _counter: Counter) {}

    /// Nothing.
    #[inline(always)]
    pub fn line(_ctx: &impl Frame, _verdict: i32) {}
}
