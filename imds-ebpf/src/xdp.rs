//! The early program: XDP on an instance's interface, where the operator wants it. It drops, by the functions of
//! [`ingress`], what tc would drop anyway, and lets everything else pass: tc gives the verdict, sends answers, and has
//! the places and flows. Of those it changes only when a place was last used, and the flows that the kernel has refused
//! already and answers with silence: nothing comes of them any more but drops.

use aya_ebpf::programs::XdpContext;
use imds_common::counters::Counter;
use imds_common::flow::{self, Client};

use crate::frame::Frame;
use crate::ingress::{self, Read};
use crate::limit::Admitted;
use crate::maps::IMDS_TABLES;
use crate::tables;

/// Judges one packet of an instance's. A function with a stack of its own.
#[inline(never)]
pub fn handle(ctx: &XdpContext) -> i32 {
    match ingress::read(ctx) {
        Read::Done(verdict) => verdict,
        Read::Own(slot) => silent(ctx, slot),
    }
}

/// A packet for an instance: it is dropped where tc would drop it without a word. What begins a refusal is tc's, since
/// it resets the daemon's half of the connection. A function with a stack of its own.
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
    let Some(tables) = IMDS_TABLES.get_ptr_mut(number) else { return XdpContext::PASS };
    let now = tables::now_ms();
    let Some(place) = tables::known_place(tables, &exchange.client, now) else { return XdpContext::PASS };
    let key = flow::key(place, exchange.tcp.source);
    let Some(flow) = tables::flows(tables, key, now).known else { return XdpContext::PASS };
    // SAFETY: a live map value; a refused flow is written by the client's segments alone, as in `ingress`.
    let outcome = unsafe {
        if !(*flow).is_refused() || exchange.begins() {
            return XdpContext::PASS;
        }
        (*flow).client(exchange.segment, now)
    };
    let reason = if outcome == Client::Swallow { Counter::DroppedAfterRefusal } else { Counter::DroppedSilently };
    admitted.drop(ctx, reason)
}
