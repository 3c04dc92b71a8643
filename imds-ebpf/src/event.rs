//! Telling the daemon of a packet: a sample of what was refused and dropped, and all of a traced slot's.

use aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns;
use imds_common::counters::Counter;
use imds_common::event::{self, Budget, CAPTURE_ANSWER, CAPTURE_MAX, Event};
use imds_common::options::OptionsWord;
use imds_common::slot::NOBODY;

use crate::frame::Frame;
use crate::maps::{IMDS_EVENT_BUDGETS, IMDS_EVENTS, IMDS_EVENTS_LOST, IMDS_OPTIONS, IMDS_SLOTS};
use crate::{exit, limit};

/// Which way a packet goes: how much of it an event holds follows from that.
#[derive(Clone, Copy)]
pub enum Way {
    /// A client's.
    FromClient,
    /// To a client.
    ToClient,
}

/// Tells of the packet, within the slot's budget; what is not told is counted. A function with a stack of its own.
#[inline(never)]
pub fn emit<F: Frame>(ctx: &F, slot: u32, counter: Counter, way: Way) -> i32 {
    // What nobody owns, nobody asks after.
    if slot != NOBODY as u32 && try_emit(ctx, slot, counter, way).is_none() {
        let lost = event::lost(counter);
        exit::count(slot, lost);
        if lost == Counter::EventsLost {
            count_lost(slot);
        }
    }
    0
}

/// Tells a tracer, if there is one.
#[inline(always)]
pub fn trace(ctx: &impl Frame, slot: u32, word: OptionsWord, verdict: Counter, way: Way) {
    if word.is_traced() {
        emit(ctx, slot, verdict, way);
    }
}

/// Counts where later events tell it. Two processors that race over it may count one too few: `events-lost` has all.
#[inline(always)]
fn count_lost(slot: u32) {
    if let Some(lost) = IMDS_EVENTS_LOST.get_ptr_mut(slot) {
        // SAFETY: a live map value.
        unsafe { lost.write_volatile(lost.read_volatile() + 1) };
    }
}

#[inline(always)]
fn try_emit(ctx: &impl Frame, slot: u32, counter: Counter, way: Way) -> Option<()> {
    // SAFETY: the helper only returns the clock.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    let traced = OptionsWord::from_bits(*IMDS_OPTIONS.get(slot)?).is_traced();
    let due = IMDS_EVENT_BUDGETS.get_ptr_mut(slot)?;
    let Budget { interval_ns, burst_ns } = Budget::of(traced);
    // SAFETY: a live map value.
    if !unsafe { limit::charge(due, interval_ns, burst_ns, (now, 1), true) } {
        return None;
    }
    let lost = *IMDS_EVENTS_LOST.get(slot)?;
    let generation = IMDS_SLOTS.get(slot)?.generation;
    let mut entry = IMDS_EVENTS.reserve::<Event>(0)?;
    let event = entry.as_mut_ptr();
    let length = ctx.length();
    let (most, to_client) = match way {
        Way::FromClient => (CAPTURE_MAX as u32, 0),
        Way::ToClient => (CAPTURE_ANSWER as u32, 1),
    };
    let captured = if length < most { length } else { most };
    // The oldest verifier wants to see by itself that it is 1 at least and no more than there is room for.
    let captured = (captured.wrapping_sub(1) & (CAPTURE_MAX as u32 - 1)) + 1;
    // SAFETY: the entry is an Event's size and this program's until it is submitted; what stands behind the bytes that
    // are loaded is never read.
    unsafe {
        (&raw mut (*event).time_ns).write(now);
        (&raw mut (*event).lost).write(lost);
        (&raw mut (*event).frame_length).write(length);
        (&raw mut (*event).slot).write(slot as u16);
        (&raw mut (*event).generation).write(generation);
        (&raw mut (*event).counter).write(counter as u16);
        (&raw mut (*event).to_client).write(to_client);
        (&raw mut (*event).reserved).write(0);
        let loaded = ctx.load_into(0, (&raw mut (*event).frame).cast(), captured);
        (&raw mut (*event).captured).write(if loaded.is_ok() { captured as u16 } else { 0 });
    }
    entry.submit(0);
    Some(())
}
