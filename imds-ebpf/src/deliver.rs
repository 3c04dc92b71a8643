//! Delivery: the packet becomes IPv6 if it isn't, its source says whose it is, and it goes into the namespace.

use aya_ebpf::helpers::generated::{bpf_redirect_peer, bpf_skb_change_proto, bpf_skb_change_type};
use aya_ebpf::programs::TcContext;
use imds_common::address::{Identity, ROUTER_MAC, SERVICE_MAC, SERVICE_V4, SERVICE_V6};
use imds_common::counters::Counter;

use crate::event::{self, Way};
use crate::exchange::Exchange;
use crate::exit;
use crate::maps::host_link;
use crate::packet::{self, ETH, ETHERTYPE_IPV6, HelperError, IPV6};
use crate::reply::NORMAL_TTL;

/// `PACKET_HOST` (include/uapi/linux/if_packet.h).
const PACKET_HOST: u32 = 0;

/// Ethernet and IPv6 headers of a packet to the service with so many bytes after them.
#[inline(always)]
pub fn headers(identity: &Identity, payload: u16) -> [u8; (ETH + IPV6) as usize] {
    let mut bytes = [0; (ETH + IPV6) as usize];
    bytes[..6].copy_from_slice(&SERVICE_MAC);
    bytes[6..12].copy_from_slice(&ROUTER_MAC);
    bytes[12..14].copy_from_slice(&ETHERTYPE_IPV6.to_be_bytes());
    bytes[14..22].copy_from_slice(&packet::ipv6_header(payload, NORMAL_TTL));
    bytes[22..38].copy_from_slice(&identity.to_address());
    bytes[38..54].copy_from_slice(&SERVICE_V6);
    bytes
}

/// Carries the packet to the daemon. A function with a stack of its own.
#[inline(never)]
pub fn deliver(ctx: &TcContext, exchange: &Exchange) -> i32 {
    // While the frame is the client's own.
    event::trace(ctx, exchange.slot(), exchange.word, Counter::Delivered, Way::FromClient);
    match rewrite(ctx, exchange) {
        Ok(()) => {
            exit::count(exchange.slot(), Counter::Delivered);
            // SAFETY: the helper only marks the packet to be moved.
            unsafe { bpf_redirect_peer(host_link(), 0) as i32 }
        }
        Err(HelperError) => exit::drop(ctx, exchange.slot(), Counter::DroppedHelper),
    }
}

#[inline(always)]
fn rewrite(ctx: &TcContext, exchange: &Exchange) -> Result<(), HelperError> {
    let headers = headers(&exchange.identity, exchange.length);
    // Both pseudo-headers hold the same protocol and length, so only the addresses differ.
    let difference = if exchange.is_v4() {
        let mut before = [0u8; 8];
        before[..4].copy_from_slice(&exchange.identity.client);
        before[4..].copy_from_slice(&SERVICE_V4);
        let difference = packet::sum_difference(&before, headers[22..].as_ptr(), 32);
        // SAFETY: the context is the program's own.
        packet::check(unsafe { bpf_skb_change_proto(ctx.skb.skb, ETHERTYPE_IPV6.to_be(), 0) })?;
        difference
    } else {
        packet::sum_difference(&exchange.client.address, headers[22..].as_ptr(), 16)
    };
    packet::store(ctx, 0, headers.as_ptr(), ETH + IPV6)?;
    packet::mend_tcp_checksum(ctx, ETH + IPV6, difference)?;
    // A bridge's port sees frames for others; the namespace's stack would drop what isn't for this host.
    // SAFETY: the context is the program's own.
    packet::check(unsafe { bpf_skb_change_type(ctx.skb.skb, PACKET_HOST) })
}
