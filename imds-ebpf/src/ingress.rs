//! The way in: tc ingress of an instance's interface. What isn't for the metadata addresses passes untouched; all
//! else ends here: dropped, refused, answered or delivered.

use aya_ebpf::programs::TcContext;
use imds_common::address::Identity;
use imds_common::counters::Counter;
use imds_common::flow::{self, Flow};
use imds_common::options::OptionsWord;
use imds_common::sender::Sender;
use imds_common::slot::{NOBODY, Slot};

use crate::deliver::deliver;
use crate::exchange::{Exchange, is_about_us_v4, is_about_us_v6};
use crate::exit;
use crate::frame::Frame;
use crate::limit::{self, Admitted, owner};
use crate::maps::{IMDS_SCRATCH, IMDS_SLOTS, IMDS_TABLES};
use crate::packet::{
    self, ETH, ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Header, IPV4, IPV6, SERVICE_V4_WORD, SERVICE_V6_WORDS,
    V4_DESTINATION, V4_SOURCE, V6_DESTINATION, V6_SOURCE,
};
use crate::{neighbour, redirect, refuse, request, tables};

/// 802.1Q and 802.1ad tags, each four bytes.
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_QINQ: u16 = 0x88a8;
const VLAN: u32 = 4;

/// Less than this in the place of an ethertype is a length (IEEE 802.3). What it is of says a SNAP header: these six bytes
/// and an ethertype (RFC 1042).
const ETHERTYPE_MIN: u16 = 0x600;
const SNAP: [u8; 6] = [0xaa, 0xaa, 3, 0, 0, 0];

/// Judges one packet of an instance's. A function with a stack of its own.
#[inline(never)]
pub fn handle(ctx: &TcContext) -> i32 {
    match read(ctx) {
        Read::Done(verdict) => verdict,
        Read::Own(slot) => own(ctx, slot),
    }
}

/// Reads the headers of one packet of an instance's: whatever isn't a slot's to judge has its verdict by that.
#[inline(always)]
pub fn read<F: Frame>(ctx: &F) -> Read {
    let Some((mut ethertype, mut tagged)) = ctx.ethertype() else { return Read::Done(F::PASS) };
    let mut offset = ETH;
    for _ in 0..F::TAGS {
        if is_tag(ethertype) {
            let Some([_, _, inner0, inner1]) = packet::load::<{ VLAN as usize }>(ctx, offset) else {
                return Read::Done(F::PASS);
            };
            ethertype = u16::from_be_bytes([inner0, inner1]);
            offset += VLAN;
            tagged = true;
        }
    }
    if ethertype < ETHERTYPE_MIN
        && let Some([s0, s1, s2, s3, s4, s5, inner0, inner1]) = packet::load(ctx, offset)
        && [s0, s1, s2, s3, s4, s5] == SNAP
    {
        // As behind a tag: whoever takes it for the Ethernet frame that it stands for finds the same in it.
        ethertype = u16::from_be_bytes([inner0, inner1]);
        offset += SNAP.len() as u32 + 2;
        tagged = true;
    }
    match ethertype {
        ETHERTYPE_IPV4 => ipv4(ctx, offset, tagged),
        ETHERTYPE_IPV6 => ipv6(ctx, offset, tagged),
        ETHERTYPE_ARP => Read::Done(neighbour::arp(ctx, offset, tagged)),
        _ if is_tag(ethertype) => Read::Done(exit::drop(ctx, owner(ctx).0, Counter::DroppedVlan)),
        _ => Read::Done(F::PASS),
    }
}

/// What became of a packet whose headers were read.
pub enum Read {
    /// It has its verdict.
    Done(i32),
    /// It is a slot's, and stands in the scratch map.
    Own(u32),
}

#[inline(always)]
fn is_tag(ethertype: u16) -> bool {
    ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_QINQ
}

/// An IPv4 packet. A function with a stack of its own.
#[inline(never)]
fn ipv4<F: Frame>(ctx: &F, offset: u32, tagged: bool) -> Read {
    let Some(header) = Header::<{ IPV4 as usize }>::load(ctx, offset) else { return Read::Done(F::PASS) };
    if header.word::<V4_SOURCE>() == SERVICE_V4_WORD {
        return Read::Done(exit::drop(ctx, owner(ctx).0, Counter::DroppedImpersonation));
    }
    if redirect::may_be(&header)
        && let Some(verdict) = redirect::about_us(ctx, offset, &header)
    {
        return Read::Done(verdict);
    }
    if header.word::<V4_DESTINATION>() != SERVICE_V4_WORD {
        return Read::Done(F::PASS);
    }
    let [.., s0, s1, s2, s3, _, _, _, _] = header.0;
    // Any router behind the instance may say that an answer's way is too long: that is dropped, too, but told apart.
    let sender = Sender::v4([s0, s1, s2, s3]);
    let sender = if is_about_us_v4(ctx, &header) { None } else { Some(&sender) };
    let admitted = match limit::admit(ctx, sender, tagged) {
        Ok(admitted) => admitted,
        Err(verdict) => return Read::Done(verdict),
    };
    let Some(exchange) = exchange() else { return Read::Done(admitted.drop(ctx, Counter::DroppedHelper)) };
    match exchange.read_v4(ctx, &header) {
        Ok(()) => Read::Own(admitted.slot),
        Err(reason) => Read::Done(admitted.drop(ctx, reason)),
    }
}

/// An IPv6 packet. A function with a stack of its own.
#[inline(never)]
fn ipv6<F: Frame>(ctx: &F, offset: u32, tagged: bool) -> Read {
    let Some(header) = Header::<{ IPV6 as usize }>::load(ctx, offset) else { return Read::Done(F::PASS) };
    if packet::is(header.address::<V6_SOURCE>(), SERVICE_V6_WORDS) {
        return Read::Done(exit::drop(ctx, owner(ctx).0, Counter::DroppedImpersonation));
    }
    if neighbour::may_be_discovery(&header)
        && let Some(verdict) = neighbour::discovery(ctx, offset, tagged, &header)
    {
        return Read::Done(verdict);
    }
    if !packet::is(header.address::<V6_DESTINATION>(), SERVICE_V6_WORDS) {
        return Read::Done(F::PASS);
    }
    let sender = Sender::v6(header.address::<V6_SOURCE>());
    let sender = if is_about_us_v6(ctx, &header) { None } else { Some(&sender) };
    let admitted = match limit::admit(ctx, sender, tagged) {
        Ok(admitted) => admitted,
        Err(verdict) => return Read::Done(verdict),
    };
    if !admitted.word.ipv6_enabled() {
        return Read::Done(admitted.drop(ctx, Counter::DroppedIpv6));
    }
    let Some(exchange) = exchange() else { return Read::Done(admitted.drop(ctx, Counter::DroppedHelper)) };
    match exchange.read_v6(ctx, &header) {
        Ok(()) => Read::Own(admitted.slot),
        Err(reason) => Read::Done(admitted.drop(ctx, reason)),
    }
}

/// Room for the packet in hand.
#[inline(always)]
pub fn exchange() -> Option<&'static mut Exchange> {
    let scratch = IMDS_SCRATCH.get_ptr_mut(0)?;
    // SAFETY: this CPU's scratch, whole as long as the program runs; no other reference to this part of it lives.
    Some(unsafe { &mut (*scratch).exchange })
}

/// A packet for an instance: its place, its flow, and what the flow says. A function with a stack of its own.
#[inline(never)]
fn own(ctx: &TcContext, number: u32) -> i32 {
    let (Some(slot), Some(tables), Some(exchange)) =
        (IMDS_SLOTS.get(number), IMDS_TABLES.get_ptr_mut(number), exchange())
    else {
        return exit::drop(ctx, NOBODY as u32, Counter::DroppedUnowned);
    };
    let Some(admitted) = Admitted::again(number) else { return exit::drop(ctx, number, Counter::DroppedUnowned) };
    if comes_to_nothing(admitted.word, exchange) {
        return ignore(ctx, &admitted);
    }
    let now = tables::now_ms();
    let Some(place) = tables::place(tables, &exchange.client, now) else {
        return exit::drop(ctx, number, Counter::DroppedPlaces);
    };
    belongs(exchange, slot, &admitted, place);
    let key = flow::key(place, exchange.tcp.source);
    let tables::Entries { known, free } = tables::flows(tables, key, now);
    if exchange.begins() {
        return match known.or(free) {
            Some(flow) => {
                tables::enter(flow);
                // SAFETY: a live map value; what other processors do with it meanwhile, the machine allows for.
                unsafe { (*flow).client_syn(key, exchange.segment, now) };
                tables::leave(flow);
                deliver(ctx, exchange)
            }
            None => exit::drop(ctx, number, Counter::DroppedFlows),
        };
    }
    let Some(flow) = known else {
        // Nobody knows what it carried before: the daemon judges it, and its answers are limited.
        return deliver(ctx, exchange);
    };
    let alone = !exchange.segment.carries() || tables::enter(flow);
    // SAFETY: as above.
    let taken = unsafe {
        if !alone {
            (*flow).beside_another(exchange.segment);
        }
        (*flow).client(exchange.segment, now)
    };
    let verdict = follow(ctx, flow, exchange, taken);
    if exchange.segment.carries() {
        tables::leave(flow);
    }
    verdict
}

/// What the flow says of a segment of the client's is done.
#[inline(always)]
fn follow(ctx: &TcContext, flow: *mut Flow, exchange: &mut Exchange, taken: flow::Client) -> i32 {
    match taken {
        flow::Client::Deliver => deliver(ctx, exchange),
        flow::Client::Judge { at_rest } => judge(ctx, flow, exchange, at_rest),
        flow::Client::RepeatAnswer => refuse::repeat(ctx, exchange, flow),
        flow::Client::Acknowledge => refuse::acknowledge(ctx, exchange, flow),
        flow::Client::Swallow => exit::drop(ctx, exchange.slot(), Counter::DroppedAfterRefusal),
    }
}

/// Fills in whose the packet is.
#[inline(always)]
pub fn belongs(exchange: &mut Exchange, slot: &Slot, admitted: &Admitted, place: u32) {
    let client = exchange.client.tag();
    let generation = slot.generation;
    exchange.identity = Identity { slot: admitted.slot as u16, generation, place: place as u16, client };
    exchange.ifindex = slot.ifindex;
    exchange.word = admitted.word;
    exchange.token_generation = slot.token_generation;
}

/// Whether the packet begins a connection on which every request would be refused, and each in silence: nothing would
/// ever come of it.
#[inline(always)]
pub fn comes_to_nothing(word: OptionsWord, exchange: &Exchange) -> bool {
    word.refuses_silently() && !word.endpoint_enabled() && exchange.begins()
}

/// Drops such a packet.
#[inline(always)]
pub fn ignore(ctx: &impl Frame, admitted: &Admitted) -> i32 {
    exit::refuse(ctx, admitted.slot, Counter::RefusedEndpointDisabled);
    admitted.drop(ctx, Counter::DroppedSilently)
}

/// A segment at a request's known beginning.
#[inline(always)]
fn judge(ctx: &TcContext, flow: *mut Flow, exchange: &mut Exchange, at_rest: bool) -> i32 {
    // Over the callback of the scan in a map, not in a register: the verifier of Linux 6.1 takes two states before it
    // for the same that differ in a constant, and then cuts off the branch of the second.
    exchange.at_rest = u32::from(at_rest);
    let judged = request::judge(ctx, exchange);
    // SAFETY: a field of the exchange; volatile, so that it is read.
    let at_rest = unsafe { core::ptr::read_volatile(&raw const exchange.at_rest) } != 0;
    if at_rest && let Some(refusal) = judged.refusal {
        return refuse::refuse(ctx, exchange, flow, refusal, !judged.is_read);
    }
    // SAFETY: a live map value; what other processors do with it meanwhile, the machine allows for.
    unsafe { if judged.is_read { (*flow).read(exchange.segment, at_rest && judged.goes_on) } else { (*flow).mix() } }
    deliver(ctx, exchange)
}
