//! The way in: tc ingress of an instance's interface. What isn't for the metadata addresses passes untouched; all
//! else ends here: dropped, refused or delivered.

use aya_ebpf::programs::TcContext;
use imds_common::address::{Identity, SERVICE_V4, SERVICE_V6};
use imds_common::counters::Counter;
use imds_common::flow::{self, ACK, Flow, SYN};
use imds_common::options::OptionsWord;
use imds_common::slot::{NOBODY, SLOT_MASK};

use crate::deliver::deliver;
use crate::exchange::Exchange;
use crate::exit::{self, PASS};
use crate::maps::{IMDS_INTERFACES, IMDS_OPTIONS, IMDS_SCRATCH, IMDS_SLOTS, IMDS_TABLES};
use crate::packet::{self, ETH, ETHERTYPE_IPV4, ETHERTYPE_IPV6, IPV4, IPV6};
use crate::{refuse, request, tables};

/// 802.1Q and 802.1ad tags, each four bytes.
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_QINQ: u16 = 0x88a8;
const VLAN: u32 = 4;

/// Judges one packet of an instance's. A function with a stack of its own.
#[inline(never)]
pub fn handle(ctx: &TcContext) -> i32 {
    // SAFETY: the context is the program's own. The kernel takes the outermost tag off the frame.
    let mut tagged = unsafe { (*ctx.skb.skb).vlan_present } != 0;
    let mut ethertype = u16::from_be(ctx.skb.protocol() as u16);
    let mut offset = ETH;
    if ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_QINQ {
        let Some([_, _, inner0, inner1]) = packet::load::<{ VLAN as usize }>(ctx, offset) else {
            return PASS;
        };
        ethertype = u16::from_be_bytes([inner0, inner1]);
        offset += VLAN;
        tagged = true;
    }
    match ethertype {
        ETHERTYPE_IPV4 => ipv4(ctx, offset, tagged),
        ETHERTYPE_IPV6 => ipv6(ctx, offset),
        _ => PASS,
    }
}

/// The slot that this interface leads to, and its options: 0 and a closed word if nobody owns it.
#[inline(always)]
fn owner(ctx: &TcContext) -> (u32, OptionsWord) {
    // SAFETY: the context is the program's own; the value is a u32, copied out.
    let slot = unsafe { IMDS_INTERFACES.get((*ctx.skb.skb).ifindex).copied() };
    let Some(slot) = slot.map(|value| value & SLOT_MASK) else { return (NOBODY as u32, OptionsWord::CLOSED) };
    match IMDS_OPTIONS.get(slot) {
        Some(word) => (slot, OptionsWord::from_bits(*word)),
        None => (NOBODY as u32, OptionsWord::CLOSED),
    }
}

/// For now nothing is served over IPv6.
#[inline(always)]
fn ipv6(ctx: &TcContext, offset: u32) -> i32 {
    let Some(header) = packet::load::<{ IPV6 as usize }>(ctx, offset) else { return PASS };
    let [_, destination] = packet::addresses(&header);
    if !packet::same_address(&destination, &SERVICE_V6) {
        return PASS;
    }
    let (slot, word) = owner(ctx);
    let reason = if word.is_owned() { Counter::DroppedIpv6 } else { Counter::DroppedUnowned };
    exit::drop(slot, reason)
}

#[inline(always)]
fn ipv4(ctx: &TcContext, offset: u32, tagged: bool) -> i32 {
    let Some(header) = packet::load::<{ IPV4 as usize }>(ctx, offset) else { return PASS };
    let [_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, d0, d1, d2, d3] = header;
    if u32::from_ne_bytes([d0, d1, d2, d3]) != u32::from_ne_bytes(SERVICE_V4) {
        return PASS;
    }
    let (slot, word) = owner(ctx);
    if !word.is_owned() {
        return exit::drop(slot, Counter::DroppedUnowned);
    }
    if tagged {
        return exit::drop(slot, Counter::DroppedVlan);
    }
    let Some(scratch) = IMDS_SCRATCH.get_ptr_mut(0) else {
        return exit::drop(slot, Counter::DroppedHelper);
    };
    // SAFETY: this CPU's scratch, whole as long as the program runs; no other reference to this part of it lives.
    let exchange = unsafe { &mut (*scratch).exchange };
    match exchange.read(ctx, &header) {
        Ok(()) => own(ctx, slot, word, exchange),
        Err(reason) => exit::drop(slot, reason),
    }
}

/// A packet for an instance: its place, its flow, and what the flow says.
#[inline(always)]
fn own(ctx: &TcContext, number: u32, word: OptionsWord, exchange: &mut Exchange) -> i32 {
    let (Some(slot), Some(tables)) = (IMDS_SLOTS.get(number), IMDS_TABLES.get_ptr_mut(number)) else {
        return exit::drop(NOBODY as u32, Counter::DroppedUnowned);
    };
    let now = tables::now_ms();
    let Some(place) = tables::place(tables, &exchange.client, now) else {
        return exit::drop(number, Counter::DroppedPlaces);
    };
    let [c0, c1, c2, c3, ..] = exchange.client.address;
    exchange.identity =
        Identity { slot: number as u16, generation: slot.generation, place: place as u16, client: [c0, c1, c2, c3] };
    exchange.ifindex = slot.ifindex;
    exchange.word = word;
    exchange.token_generation = slot.token_generation;

    let key = flow::key(place, exchange.tcp.source);
    let known = tables::flow(tables, key);
    if exchange.segment.flags & (SYN | ACK) == SYN {
        return match known.or_else(|| tables::free_flow(tables, key, now)) {
            Some(flow) => {
                // SAFETY: a live map value; only this program writes what a client's segment changes.
                unsafe { (*flow).client_syn(key, exchange.segment, now) };
                deliver(ctx, exchange)
            }
            None => exit::drop(number, Counter::DroppedFlows),
        };
    }
    let Some(flow) = known else {
        // Nobody knows what it carried before: the daemon judges it, and its answers are limited.
        return deliver(ctx, exchange);
    };
    // SAFETY: a live map value; only this program writes what a client's segment changes.
    match unsafe { (*flow).client(exchange.segment, now) } {
        flow::Client::Deliver => deliver(ctx, exchange),
        flow::Client::Judge { at_rest } => judge(ctx, flow, exchange, at_rest),
        flow::Client::RepeatAnswer => refuse::repeat(ctx, exchange, flow),
        flow::Client::Acknowledge => refuse::acknowledge(ctx, exchange, flow),
        flow::Client::Swallow => exit::drop(number, Counter::DroppedAfterRefusal),
    }
}

/// A segment at a request's known beginning.
#[inline(always)]
fn judge(ctx: &TcContext, flow: *mut Flow, exchange: &Exchange, at_rest: bool) -> i32 {
    let judged = request::judge(ctx, exchange);
    if at_rest && let Some(refusal) = judged.refusal {
        return refuse::refuse(ctx, exchange, flow, refusal, !judged.is_read);
    }
    // SAFETY: a live map value; only this program writes what a client's segment changes.
    unsafe { if judged.is_read { (*flow).read(exchange.segment, at_rest && judged.goes_on) } else { (*flow).mix() } }
    deliver(ctx, exchange)
}
