//! The way back: tc ingress of the service link's end on the host. IPv6 becomes what the client speaks, the TTL follows
//! the hop limit, the client's own MACs return, and the frame leaves by the slot's interface.

use aya_ebpf::helpers::generated::{bpf_redirect, bpf_skb_change_proto};
use aya_ebpf::programs::TcContext;
use imds_common::address::{Identity, SERVICE_PORT, SERVICE_V4, SERVICE_V6};
use imds_common::counters::Counter;
use imds_common::flow::{self, Daemon, PSH};
use imds_common::options::OptionsWord;
use imds_common::place::{Client, V4};
use imds_common::slot::NOBODY;

use crate::event::{self, Way};
use crate::exit;
use crate::maps::{IMDS_OPTIONS, IMDS_SLOTS, IMDS_TABLES};
use crate::packet::{
    self, ETH, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Header, HelperError, IPV4, IPV6, PROTOCOL_TCP, SERVICE_V6_WORDS,
    TcpHeader, V6_DESTINATION, V6_SOURCE,
};
use crate::tables;

/// The TTL of what isn't limited.
pub const NORMAL_TTL: u8 = 64;

/// Judges one packet of the namespace's. A function with a stack of its own.
#[inline(never)]
pub fn handle(ctx: &TcContext) -> i32 {
    match read(ctx) {
        Some(packet) => answer(ctx, &packet),
        None => exit::drop_reply(ctx, NOBODY as u32, Counter::DroppedReplyStray),
    }
}

struct Reply {
    identity: Identity,
    /// What the IPv6 header says that follows it, in bytes.
    length: u16,
    tcp: TcpHeader,
}

/// A TCP segment of the service's to an identity; anything else is stray.
#[inline(always)]
fn read(ctx: &TcContext) -> Option<Reply> {
    if ctx.skb.protocol() != ETHERTYPE_IPV6.to_be() as u32 {
        return None;
    }
    let header = Header::<{ IPV6 as usize }>::load(ctx, ETH)?;
    let [_, _, _, _, l0, l1, protocol, ..] = header.0;
    if protocol != PROTOCOL_TCP || !packet::is(header.address::<V6_SOURCE>(), SERVICE_V6_WORDS) {
        return None;
    }
    let [d0, d1] = header.address::<V6_DESTINATION>().map(u64::to_ne_bytes);
    let mut destination = [0; 16];
    destination[..8].copy_from_slice(&d0);
    destination[8..].copy_from_slice(&d1);
    let identity = Identity::from_address(destination)?;
    let tcp = TcpHeader::read(ctx, ETH + IPV6)?;
    let length = u16::from_be_bytes([l0, l1]);
    if tcp.source != SERVICE_PORT || (length as u32) < tcp.length {
        return None;
    }
    Some(Reply { identity, length, tcp })
}

#[inline(always)]
fn answer(ctx: &TcContext, reply: &Reply) -> i32 {
    let number = reply.identity.slot as u32;
    let (Some(slot), Some(word), Some(tables)) =
        (IMDS_SLOTS.get(number), IMDS_OPTIONS.get(number), IMDS_TABLES.get_ptr_mut(number))
    else {
        return exit::drop_reply(ctx, NOBODY as u32, Counter::DroppedReplyStray);
    };
    let word = OptionsWord::from_bits(*word);
    // Read before whose it is now is asked: what is for one owner never leaves by the next one's interface.
    // SAFETY: a field of a live map value; volatile, so that it is read here.
    let ifindex = unsafe { core::ptr::read_volatile(&raw const slot.ifindex) };
    if slot.generation != reply.identity.generation || !word.is_owned() {
        return exit::drop_reply(ctx, number, Counter::DroppedReplyGeneration);
    }
    let Some(client) = tables::client_at(tables, reply.identity.place as u32) else {
        return exit::drop_reply(ctx, number, Counter::DroppedReplyPlace);
    };
    // The place has another client by now.
    if u32::from_ne_bytes(client.tag()) != u32::from_ne_bytes(reply.identity.client) {
        return exit::drop_reply(ctx, number, Counter::DroppedReplyPlace);
    }
    let mut segment = reply.tcp.segment(reply.length as u32 - reply.tcp.length);
    // Linux marks every frame of several segments so, whether or not an answer ends with it.
    // SAFETY: the context is the program's own.
    if unsafe { (*ctx.skb.skb).gso_segs } > 1 {
        segment.flags &= !PSH;
    }
    let key = flow::key(reply.identity.place as u32, reply.tcp.destination);
    let now = tables::now_ms();
    let class = match tables::flows(tables, key, now).known {
        // SAFETY: a live map value; what other processors do with it meanwhile, the machine allows for.
        Some(flow) => unsafe { (*flow).daemon(segment, now) },
        None => flow::limit(segment),
    };
    let ttl = match class {
        Daemon::Normal => NORMAL_TTL,
        Daemon::Limited => {
            exit::count(number, Counter::Limited);
            word.hop_limit()
        }
        Daemon::Drop => return exit::drop_reply(ctx, number, Counter::DroppedReplyRefused),
        Daemon::Late => return exit::drop_reply(ctx, number, Counter::DroppedReplyLate),
    };
    match rewrite(ctx, reply, &client, ttl) {
        Ok(()) => {
            exit::count(number, Counter::Answered);
            event::trace(ctx, number, word, Counter::Answered, Way::ToClient);
            // SAFETY: the helper only marks the packet to be moved.
            unsafe { bpf_redirect(ifindex, 0) as i32 }
        }
        Err(HelperError) => exit::drop_reply(ctx, number, Counter::DroppedHelper),
    }
}

/// Ethernet and IPv4 headers to a client, `length` bytes of IPv4 payload after them.
#[inline(always)]
pub fn headers_v4(client: &Client, ttl: u8, length: u16) -> [u8; (ETH + IPV4) as usize] {
    let mut bytes = [0; (ETH + IPV4) as usize];
    bytes[..14].copy_from_slice(&ethernet(client, ETHERTYPE_IPV4));
    bytes[14..].copy_from_slice(&packet::ipv4_header(length + IPV4 as u16, ttl, SERVICE_V4, client.tag()));
    bytes
}

/// Ethernet and IPv6 headers to a client, `length` bytes of IPv6 payload after them.
#[inline(always)]
pub fn headers_v6(client: &Client, hop_limit: u8, length: u16) -> [u8; (ETH + IPV6) as usize] {
    let mut bytes = [0; (ETH + IPV6) as usize];
    bytes[..14].copy_from_slice(&ethernet(client, ETHERTYPE_IPV6));
    bytes[14..22].copy_from_slice(&packet::ipv6_header(length, hop_limit));
    bytes[22..38].copy_from_slice(&SERVICE_V6);
    bytes[38..].copy_from_slice(&client.address);
    bytes
}

#[inline(always)]
fn ethernet(client: &Client, ethertype: u16) -> [u8; ETH as usize] {
    let mut bytes = [0; ETH as usize];
    bytes[..6].copy_from_slice(&client.mac);
    bytes[6..12].copy_from_slice(&client.gateway);
    bytes[12..].copy_from_slice(&ethertype.to_be_bytes());
    bytes
}

/// Turns the frame into one to the client. A function with a stack of its own.
#[inline(never)]
fn rewrite(ctx: &TcContext, reply: &Reply, client: &Client, ttl: u8) -> Result<(), HelperError> {
    let mut before = [0u8; 32];
    before[..16].copy_from_slice(&SERVICE_V6);
    before[16..].copy_from_slice(&reply.identity.to_address());
    if client.family == V4 {
        let headers = headers_v4(client, ttl, reply.length);
        let difference = packet::sum_difference(&before, headers[26..].as_ptr(), 8);
        // SAFETY: the context is the program's own.
        packet::check(unsafe { bpf_skb_change_proto(ctx.skb.skb, ETHERTYPE_IPV4.to_be(), 0) })?;
        packet::store(ctx, 0, headers.as_ptr(), ETH + IPV4)?;
        packet::mend_tcp_checksum(ctx, ETH + IPV4, difference)
    } else {
        let headers = headers_v6(client, ttl, reply.length);
        let difference = packet::sum_difference(&before, headers[22..].as_ptr(), 32);
        packet::store(ctx, 0, headers.as_ptr(), ETH + IPV6)?;
        packet::mend_tcp_checksum(ctx, ETH + IPV6, difference)
    }
}
