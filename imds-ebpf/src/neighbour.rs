//! Neighbours: the service's MAC for those who ask for it on their own link (ARP, and RFC 4861), and no instance that
//! says it has one of the service's addresses.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_loop, bpf_redirect};
use aya_ebpf::programs::TcContext;
use imds_common::address::{NEIGHBOUR_MAC, SERVICE_V4, SERVICE_V6, covers_service, route_covers_service};
use imds_common::counters::Counter;
use imds_common::extension::{Behind, CHAIN_MAX, behind, can_look_behind};
use imds_common::sender::Sender;

use crate::exchange::PROTOCOL_ICMPV6;
use crate::exit;
use crate::frame::Frame;
use crate::limit::{self, owner};
use crate::maps::IMDS_SCRATCH;
use crate::packet::{
    self, Address, ETH, Header, HelperError, IPV6, SERVICE_V4_WORD, SERVICE_V6_WORDS, V6_DESTINATION, V6_SOURCE,
};

/// An ARP packet for Ethernet and IPv4 (RFC 826), in bytes.
const ARP: usize = 28;
/// Where its sender's IPv4 address stands, after two bytes of the Ethernet header.
const ARP_SENDER: usize = 2 + 14;
const ARP_REQUEST: u16 = 1;
const ARP_REPLY: u16 = 2;
/// What it begins with: Ethernet, IPv4, addresses of six and four bytes.
const ARP_BEGINNING: [u8; 6] = [0, 1, 8, 0, 6, 4];

/// ICMPv6 types of neighbour discovery (RFC 4861, section 4).
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const REDIRECT: u8 = 137;
/// A solicitation or an advertisement of a neighbour, up to its options, and where its target stands.
const NEIGHBOUR: usize = 24;
const TARGET: u32 = 8;
/// In a redirect stands at [`TARGET`] whom to send to, and here for whom that is.
const REDIRECTED: u32 = 24;
/// Solicited, and to replace what the neighbour knew.
const FLAGS: u8 = 0x60;
/// The option that holds the target's MAC, and its length in units of eight bytes.
const TARGET_MAC: [u8; 2] = [2, 1];
/// What the hop limit of every such message is, so that none comes from another link.
const HOP_LIMIT: u8 = 255;

/// A router advertisement, up to its options.
const ROUTER: u32 = 16;
/// Options that give a prefix, with the place of the prefix in them; its length in bits stands at 2 (RFC 4861, section
/// 4.6.2, and RFC 4191, section 2.3).
const PREFIX_INFORMATION: (u8, u32) = (3, 16);
const ROUTE_INFORMATION: (u8, u32) = (24, 8);
/// Options that are looked at; a router has three or four. An advertisement with more is dropped.
const OPTIONS_MAX: u32 = 16;

/// An ARP packet. Whoever says that it has the service's address is dropped, whoever asks for it is answered.
#[inline(never)]
pub fn arp<F: Frame>(ctx: &F, offset: u32, tagged: bool) -> i32 {
    // Two bytes of the frame's header before it, so that its addresses can be read by words.
    let Some(packet) = Header::<{ ARP + 2 }>::load(ctx, offset - 2) else { return F::PASS };
    if packet.word::<ARP_SENDER>() == SERVICE_V4_WORD {
        return exit::drop(ctx, owner(ctx).0, Counter::DroppedImpersonation);
    }
    let [_, _, b0, b1, b2, b3, b4, b5, o0, o1, m0, m1, m2, m3, m4, m5, s0, s1, s2, s3, ..] = packet.0;
    let [.., t0, t1, t2, t3] = packet.0;
    if u32::from_ne_bytes([t0, t1, t2, t3]) != SERVICE_V4_WORD {
        return F::PASS;
    }
    // The answer goes to the MAC in the question.
    if let Some(verdict) = limit::drop_forged_mac(ctx, [m0, m1, m2, m3, m4, m5]) {
        return verdict;
    }
    let admitted = match limit::admit(ctx, Some(&Sender::v4([s0, s1, s2, s3])), tagged) {
        Ok(admitted) => admitted,
        Err(verdict) => return verdict,
    };
    if [b0, b1, b2, b3, b4, b5] != ARP_BEGINNING || u16::from_be_bytes([o0, o1]) != ARP_REQUEST {
        return admitted.drop(ctx, Counter::DroppedProtocol);
    }
    let Some(ctx) = ctx.to_send() else { return F::PASS };
    admitted.trace(ctx, Counter::AnsweredNeighbour);
    let asker = [m0, m1, m2, m3, m4, m5];
    let mut frame = [0; ETH as usize + ARP];
    frame[..6].copy_from_slice(&asker);
    frame[6..12].copy_from_slice(&NEIGHBOUR_MAC);
    frame[12..14].copy_from_slice(&packet::ETHERTYPE_ARP.to_be_bytes());
    frame[14..20].copy_from_slice(&ARP_BEGINNING);
    frame[20..22].copy_from_slice(&ARP_REPLY.to_be_bytes());
    frame[22..28].copy_from_slice(&NEIGHBOUR_MAC);
    frame[28..32].copy_from_slice(&SERVICE_V4);
    frame[32..38].copy_from_slice(&asker);
    frame[38..42].copy_from_slice(&[s0, s1, s2, s3]);
    send(ctx, admitted.slot, packet::store(ctx, 0, frame.as_ptr(), ETH + ARP as u32))
}

/// Whether a packet may be a message of neighbour discovery. Other traffic isn't, and needs no call to tell.
#[inline(always)]
pub fn may_be_discovery(header: &Header<{ IPV6 as usize }>) -> bool {
    let next = header.0[6];
    next == PROTOCOL_ICMPV6 || can_look_behind(next)
}

/// A message of neighbour discovery about the service's address, if the packet is one: nobody but us has that address.
/// A function with a stack of its own.
#[inline(never)]
pub fn discovery<F: Frame>(ctx: &F, offset: u32, tagged: bool, header: &Header<{ IPV6 as usize }>) -> Option<i32> {
    let mut next = header.0[6];
    let mut at = offset + IPV6;
    let mut cut = 0;
    for _ in 0..CHAIN_MAX {
        if can_look_behind(next) {
            let Some(bytes) = packet::load::<4>(ctx, at) else { return short(ctx, cut) };
            let Behind { next: following, length, cut: and_cut } = behind(next, bytes)?;
            next = following;
            at += length;
            cut |= and_cut;
        }
    }
    if can_look_behind(next) {
        return Some(exit::drop(ctx, owner(ctx).0, Counter::DroppedExtension));
    }
    if next != PROTOCOL_ICMPV6 {
        return None;
    }
    message(ctx, At { message: at, cut }, tagged, header)
}

/// A packet that ends before it says what it is. That of which more fragments come has said it too late: its first one
/// must hold all headers (RFC 7112), and no host takes neighbour discovery in fragments (RFC 6980).
#[inline(always)]
fn short(ctx: &impl Frame, cut: u8) -> Option<i32> {
    if cut == 0 { None } else { Some(exit::drop(ctx, owner(ctx).0, Counter::DroppedExtension)) }
}

/// Where a message begins.
struct At {
    message: u32,
    /// Not 0 if more fragments follow, so that not all of it is here.
    cut: u8,
}

/// An ICMPv6 message.
#[inline(always)]
fn message<F: Frame>(ctx: &F, at: At, tagged: bool, header: &Header<{ IPV6 as usize }>) -> Option<i32> {
    let At { message: at, cut } = at;
    let Some([kind]) = packet::load::<1>(ctx, at) else { return short(ctx, cut) };
    if kind == ROUTER_ADVERTISEMENT {
        // One to the service itself is a packet like any other.
        if packet::is(header.address::<V6_DESTINATION>(), SERVICE_V6_WORDS) {
            return None;
        }
        // The verdict, so that nothing that is known before the walk is asked for after it: see `Search` in `tables`.
        let is_claim = cut != 0 || is_route_to_us(ctx, at + ROUTER);
        return Some(if is_claim { exit::drop(ctx, owner(ctx).0, Counter::DroppedImpersonation) } else { F::PASS });
    }
    if kind == REDIRECT {
        let (Some(to), Some(instead)) = (is_ours(ctx, at + TARGET), is_ours(ctx, at + REDIRECTED)) else {
            return short(ctx, cut);
        };
        let is_claim = to || instead;
        return if is_claim { Some(exit::drop(ctx, owner(ctx).0, Counter::DroppedImpersonation)) } else { None };
    }
    if kind != NEIGHBOUR_SOLICITATION && kind != NEIGHBOUR_ADVERTISEMENT {
        return None;
    }
    match is_ours(ctx, at + TARGET) {
        Some(true) => {}
        Some(false) => return None,
        None => return short(ctx, cut),
    }
    let source = header.address::<V6_SOURCE>();
    // A solicitation from nowhere asks whether the address is free, to take it (RFC 4862, section 5.4).
    if kind == NEIGHBOUR_ADVERTISEMENT || packet::is(source, [0; 2]) {
        return Some(exit::drop(ctx, owner(ctx).0, Counter::DroppedImpersonation));
    }
    // A MAC among its options is nobody's: the answer goes to the frame's.
    let admitted = match limit::admit(ctx, Some(&Sender::v6(source)), tagged) {
        Ok(admitted) => admitted,
        Err(verdict) => return Some(verdict),
    };
    if !admitted.word.ipv6_enabled() {
        return Some(admitted.drop(ctx, Counter::DroppedIpv6));
    }
    if header.0[6] != PROTOCOL_ICMPV6 {
        return Some(admitted.drop(ctx, Counter::DroppedExtension));
    }
    if header.0[7] != HOP_LIMIT {
        return Some(admitted.drop(ctx, Counter::DroppedProtocol));
    }
    let Some(ctx) = ctx.to_send() else { return Some(F::PASS) };
    admitted.trace(ctx, Counter::AnsweredNeighbour);
    Some(send(ctx, admitted.slot, advertise(ctx, source)))
}

/// Whether the address at `at` is the service's: `None` if the packet is shorter. A function with a stack of its own.
#[inline(never)]
fn is_ours(ctx: &impl Frame, at: u32) -> Option<bool> {
    Some(packet::is(Header::<16>::load(ctx, at)?.address::<0>(), SERVICE_V6_WORDS))
}

/// Turns the frame into our advertisement to whoever asked. A function with a stack of its own.
#[inline(never)]
fn advertise(ctx: &TcContext, asker: Address) -> Result<(), HelperError> {
    const MESSAGE: usize = NEIGHBOUR + 8;
    const FRAME: u32 = ETH + IPV6 + MESSAGE as u32;
    let Some([_, _, _, _, _, _, m0, m1, m2, m3, m4, m5]) = packet::load::<12>(ctx, 0) else {
        return Err(HelperError);
    };
    let [a0, a1] = asker.map(u64::to_ne_bytes);
    let mut frame = [0; FRAME as usize];
    frame[..6].copy_from_slice(&[m0, m1, m2, m3, m4, m5]);
    frame[6..12].copy_from_slice(&NEIGHBOUR_MAC);
    frame[12..14].copy_from_slice(&packet::ETHERTYPE_IPV6.to_be_bytes());
    frame[14..22].copy_from_slice(&[0x60, 0, 0, 0, 0, MESSAGE as u8, PROTOCOL_ICMPV6, HOP_LIMIT]);
    frame[22..38].copy_from_slice(&SERVICE_V6);
    frame[38..46].copy_from_slice(&a0);
    frame[46..54].copy_from_slice(&a1);
    frame[54] = NEIGHBOUR_ADVERTISEMENT;
    frame[58] = FLAGS;
    frame[62..78].copy_from_slice(&SERVICE_V6);
    frame[78..80].copy_from_slice(&TARGET_MAC);
    frame[80..86].copy_from_slice(&NEIGHBOUR_MAC);
    // The pseudo-header's length and next header, and then all from the addresses on.
    let rest = [0, 0, 0, MESSAGE as u8, 0, 0, 0, PROTOCOL_ICMPV6];
    let sum = packet::sum(frame[22..].as_ptr(), FRAME - 22, packet::sum(rest.as_ptr(), 8, 0));
    frame[56..58].copy_from_slice(&(!packet::fold(sum)).to_ne_bytes());
    packet::change_tail(ctx, FRAME)?;
    packet::store(ctx, 0, frame.as_ptr(), FRAME)
}

/// Sends the frame back to where it came from.
#[inline(always)]
fn send(ctx: &TcContext, slot: u32, written: Result<(), HelperError>) -> i32 {
    if written.is_err() {
        return exit::drop(ctx, slot, Counter::DroppedHelper);
    }
    exit::count(slot, Counter::AnsweredNeighbour);
    // SAFETY: the context is the program's own; the helper only marks the packet to be moved.
    unsafe { bpf_redirect((*ctx.skb.skb).ifindex, 0) as i32 }
}

/// A walk through the options of a router advertisement; it stands on the stack, where `look_at_option` finds it.
struct Walk<'a, F> {
    ctx: &'a F,
    /// Where the next option begins.
    at: u32,
    /// What it comes to, in the scratch map: [`GOES_ON`], [`ENDED`] or [`FOUND`].
    outcome: *mut u32,
}

/// There may be more options.
const GOES_ON: u32 = 0;
/// There is none any more.
const ENDED: u32 = 1;
/// One gave a prefix that the service's address is in.
const FOUND: u32 = 2;

/// Whether the options of a router advertisement, from `at` on, give a prefix that the service's address is in, or
/// are more than can be looked at.
#[inline(never)]
fn is_route_to_us<F: Frame>(ctx: &F, at: u32) -> bool {
    let Some(scratch) = IMDS_SCRATCH.get_ptr_mut(0) else { return true };
    // SAFETY: this CPU's scratch, whole as long as the program runs; the callback has the helper's signature, and its
    // context lives over the call.
    unsafe {
        let outcome = &raw mut (*scratch).options;
        outcome.write_volatile(GOES_ON);
        let mut walk = Walk { ctx, at, outcome };
        // Once more, to see that the last one is the last.
        bpf_loop(OPTIONS_MAX + 1, look_at_option::<F> as *mut c_void, (&raw mut walk).cast(), 0);
        outcome.read_volatile() != ENDED
    }
}

/// Looks at one option, and ends the walk with 1.
extern "C" fn look_at_option<F: Frame>(_number: u64, walk: *mut c_void) -> i64 {
    // SAFETY: `is_route_to_us` gives it, and nobody else has its outcome meanwhile.
    let (walk, outcome) = unsafe {
        let walk = &mut *walk.cast::<Walk<'_, F>>();
        let outcome = &mut *walk.outcome;
        (walk, outcome)
    };
    let (ctx, at) = (walk.ctx, walk.at);
    // Past the end there is nothing, and an option without a length is none: no host takes such a message.
    let [kind, length, bits] = packet::load::<3>(ctx, at).unwrap_or([0; 3]);
    if length == 0 {
        *outcome = ENDED;
        return 1;
    }
    let is_claim = if kind == PREFIX_INFORMATION.0 {
        packet::load(ctx, at + PREFIX_INFORMATION.1).is_some_and(|prefix| covers_service(prefix, bits))
    } else {
        kind == ROUTE_INFORMATION.0
            && route_prefix(ctx, at, length).is_some_and(|prefix| route_covers_service(length, prefix, bits))
    };
    if is_claim {
        *outcome = FOUND;
        return 1;
    }
    walk.at = at + length as u32 * 8;
    0
}

/// The prefix of a route information option: of 16, 8 or no bytes, by the option's length.
#[inline(always)]
fn route_prefix(ctx: &impl Frame, at: u32, length: u8) -> Option<[u8; 16]> {
    match length {
        1 => Some([0; 16]),
        2 => {
            let [a0, a1, a2, a3, a4, a5, a6, a7] = packet::load::<8>(ctx, at + ROUTE_INFORMATION.1)?;
            Some([a0, a1, a2, a3, a4, a5, a6, a7, 0, 0, 0, 0, 0, 0, 0, 0])
        }
        _ => packet::load::<16>(ctx, at + ROUTE_INFORMATION.1),
    }
}
