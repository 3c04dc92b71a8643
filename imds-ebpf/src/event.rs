//! Telling the daemon of a packet: a sample of what was refused and dropped, and all of a traced slot's.

use aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns;
use imds_common::counters::Counter;
use imds_common::event::{CAPTURE_ANSWER, CAPTURE_MAX, Event, INTERVAL_NS, TRACED_INTERVAL_NS};
use imds_common::options::OptionsWord;
use imds_common::slot::NOBODY;

use crate::frame::Frame;
use crate::maps::{IMDS_EVENT_BUDGETS, IMDS_EVENTS, IMDS_OPTIONS, IMDS_SLOTS};
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
        exit::count(slot, Counter::EventsLost);
    }
    0
}

#[inline(always)]
fn try_emit(ctx: &impl Frame, slot: u32, counter: Counter, way: Way) -> Option<()> {
    // SAFETY: the helper only returns the clock.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    let traced = OptionsWord::from_bits(*IMDS_OPTIONS.get(slot)?).is_traced();
    let due = IMDS_EVENT_BUDGETS.get_ptr_mut(slot)?;
    let interval = if traced { TRACED_INTERVAL_NS } else { INTERVAL_NS };
    // SAFETY: a live map value.
    if !unsafe { limit::charge(due, interval, now, true) } {
        return None;
    }
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
