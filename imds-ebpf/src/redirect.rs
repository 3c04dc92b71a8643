//! ICMP's redirects (RFC 792): no instance that says another way to the service, or to others by way of it. Those of
//! ICMPv6 are neighbour discovery's.

use imds_common::address::SERVICE_V4;
use imds_common::counters::Counter;

use crate::exchange::PROTOCOL_ICMP;
use crate::exit;
use crate::frame::Frame;
use crate::limit::owner;
use crate::packet::{self, Header, IPV4, V4_DESTINATION};

/// The type of ICMP.
const REDIRECT: u8 = 5;
/// Where it names the router to send by, and where whom to: in the header of a packet that went another way.
const ROUTER: u32 = 4;
const REDIRECTED: u32 = 8 + V4_DESTINATION as u32;

/// In an IPv4 header's fragment field: more follow, and where this one belongs.
const MORE: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;

/// Whether a packet may be one. Other traffic isn't, and needs no call to tell.
#[inline(always)]
pub fn may_be(header: &Header<{ IPV4 as usize }>) -> bool {
    header.0[9] == PROTOCOL_ICMP
}

/// The verdict on a redirect about the service's address. A function with a stack of its own.
#[inline(never)]
pub fn about_us<F: Frame>(ctx: &F, offset: u32, header: &Header<{ IPV4 as usize }>) -> Option<i32> {
    let [first, _, _, _, _, _, f0, f1, ..] = header.0;
    let fragment = u16::from_be_bytes([f0, f1]);
    if fragment & OFFSET != 0 {
        return None;
    }
    let at = offset + (first & 0x0f) as u32 * 4;
    if packet::load(ctx, at) != Some([REDIRECT]) {
        return None;
    }
    // None is long enough to be cut (RFC 1812, section 4.3.2.3): the rest could say anything.
    let is_claim = fragment & MORE != 0 || is_ours(ctx, at + ROUTER) || is_ours(ctx, at + REDIRECTED);
    if is_claim { Some(exit::drop(ctx, owner(ctx).0, Counter::DroppedImpersonation)) } else { None }
}

/// Whether the address at `at` is the service's. That of a packet that ends before it is nobody's, as no host takes it.
#[inline(always)]
fn is_ours(ctx: &impl Frame, at: u32) -> bool {
    packet::load(ctx, at) == Some(SERVICE_V4)
}
