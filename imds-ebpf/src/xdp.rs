//! The early program: XDP on an instance's interface, where the operator wants it. It drops, by the functions of
//! [`ingress`], what tc would drop anyway, and lets everything else pass: tc gives the verdict, sends answers, and has
//! the places and flows. Of those it changes only when a place was last used, and, where refusals are silent, a flow that
//! it refuses: nothing comes of it any more but drops.

use core::ptr::NonNull;

use aya_ebpf::programs::XdpContext;
use imds_common::counters::Counter;
use imds_common::flow::{self, Client, Flow};

use crate::exchange::Exchange;
use crate::frame::Frame;
use crate::ingress::{self, Read};
use crate::limit::Admitted;
use crate::maps::{IMDS_SLOTS, IMDS_TABLES};
use crate::{refuse, request, tables};

/// Judges one packet of an instance's. A function with a stack of its own.
#[inline(never)]
pub fn handle(ctx: &XdpContext) -> i32 {
    match ingress::read(ctx) {
        Read::Done(verdict) => verdict,
        Read::Own(slot) => silent(ctx, slot),
    }
}

/// A packet for an instance: it is dropped where tc would drop it without a word. A function with a stack of its own.
#[inline(never)]
fn silent(ctx: &XdpContext, number: u32) -> i32 {
    let Some(admitted) = Admitted::again(number) else { return XdpContext::PASS };
    if !admitted.word.refuses_silently() {
        return XdpContext::PASS;
    }
    let Some(exchange) = ingress::exchange() else { return XdpContext::PASS };
    if ingress::comes_to_nothing(admitted.word, exchange) {
        return ingress::ignore(ctx, &admitted);
    }
    if exchange.begins() {
        return XdpContext::PASS;
    }
    let now = tables::now_ms();
    let Some(flow) = known_flow(&admitted, exchange, now) else { return XdpContext::PASS };
    let flow = flow.as_ptr();
    // SAFETY: a live map value. Nothing of it changes: a client that is done with a refused flow can't have an answer,
    // and the daemon's half, which tc may not have reset, isn't over yet.
    let outcome = unsafe {
        if !(*flow).is_refused() {
            return refuse_first(ctx, &admitted, exchange, flow, now);
        }
        (*flow).foresee(exchange.segment, now)
    };
    let reason = if outcome == Client::Swallow { Counter::DroppedAfterRefusal } else { Counter::DroppedSilently };
    admitted.drop(ctx, reason)
}

/// The flow of a packet, if it has one; fills in whose the packet is. A function with a stack of its own, whose result
/// fits a register.
#[inline(never)]
fn known_flow(admitted: &Admitted, exchange: &mut Exchange, now: u32) -> Option<NonNull<Flow>> {
    let slot = IMDS_SLOTS.get(admitted.slot)?;
    let tables = IMDS_TABLES.get_ptr_mut(admitted.slot)?;
    let place = tables::known_place(tables, &exchange.client, now)?;
    ingress::belongs(exchange, slot, admitted, place);
    let key = flow::key(place, exchange.tcp.source);
    NonNull::new(tables::flows(tables, key, now).known?)
}

/// Drops the first request of a connection if it is refused. Only tc can reset the daemon's half: this one ends by
/// itself, soon, as it waits for that request. It would wait for a later one for longer, so the refusal of such a one is
/// tc's to begin. A function with a stack of its own.
#[inline(never)]
fn refuse_first(ctx: &XdpContext, admitted: &Admitted, exchange: &Exchange, flow: *mut Flow, now: u32) -> i32 {
    // SAFETY: a live map value. What is delivered is tc's to follow, so nothing changes yet.
    let foreseen =
        unsafe { if (*flow).is_unused() { (*flow).foresee(exchange.segment, now) } else { Client::Deliver } };
    if foreseen != (Client::Judge { at_rest: true }) {
        return XdpContext::PASS;
    }
    let judged = request::judge(ctx, exchange);
    let Some(refusal) = judged.refusal else { return XdpContext::PASS };
    let alone = tables::enter(flow);
    if alone {
        // SAFETY: a live map value; what other processors do with it meanwhile, the machine allows for.
        unsafe { (*flow).touched = now };
        refuse::take_over(ctx, exchange, flow, refusal, !judged.is_read);
    }
    tables::leave(flow);
    if alone { admitted.drop(ctx, Counter::DroppedSilently) } else { XdpContext::PASS }
}
