//! The kernel programs. This file holds the entry points and nothing else.
//!
//! | module | what it holds |
//! |---|---|
//! | `ingress` | the way in: whose packet, what kind, what it asks for, the verdict |
//! | `exchange` | the packet in hand |
//! | `request` | reading a request's head and token |
//! | `deliver` | IPv4 to IPv6 with the identity as source, into the namespace |
//! | `refuse` | the kernel's own answers, and the reset of the daemon's half |
//! | `neighbour` | ARP and neighbour discovery for the service's addresses |
//! | `redirect` | no instance that says by ICMP where the service is |
//! | `reply` | the way back: IPv6 to IPv4, the TTL by the hop limit |
//! | `tables` | places and flows of a slot |
//! | `xdp` | the early program: what would be dropped anyway |
//! | `frame` | what tc and XDP have in common |
//! | `packet` | reading and writing headers |
//! | `limit` | whose packet it is, and whether its instance may send it |
//! | `maps` | the maps, and the values set at load |
//! | `exit` | the one exit of refusals and drops |
//! | `event` | telling the daemon of a packet |
//! | `trace` | debug lines, in the debug object |
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_lossless,
    reason = "headers, helpers and maps speak in widths of their own, and a checked cast is a panic that can't load"
)]

mod deliver;
mod event;
mod exchange;
mod exit;
mod frame;
mod ingress;
mod limit;
mod maps;
mod neighbour;
mod packet;
mod redirect;
mod refuse;
mod reply;
mod request;
mod tables;
mod trace;
mod xdp;

use aya_ebpf::macros::{classifier, xdp as early};
use aya_ebpf::programs::{TcContext, XdpContext};

use crate::frame::Frame;

/// tc ingress of an instance's host-side interface.
#[classifier]
fn imds_ingress(ctx: TcContext) -> i32 {
    let verdict = ingress::handle(&ctx);
    trace::line(&ctx, verdict);
    verdict
}

/// tc ingress of the host's end of the service link.
#[classifier]
fn imds_reply(ctx: TcContext) -> i32 {
    let verdict = reply::handle(&ctx);
    trace::line(&ctx, verdict);
    verdict
}

/// XDP of an instance's host-side interface, in generic mode. Not `frags`: for such a program the kernel (6.9 to 6.18 at
/// least) copies a packet and forgets how long its Ethernet header is (`mac_len`), so that tc takes it for another.
#[early]
fn imds_xdp(ctx: XdpContext) -> u32 {
    early_verdict(&ctx)
}

/// The same in the interface's driver. `frags`, so that it takes frames of any size.
#[early(frags)]
fn imds_xdp_driver(ctx: XdpContext) -> u32 {
    early_verdict(&ctx)
}

/// Lets everything pass: the daemon attaches it at its start, in a namespace that nobody else uses, to see that it can.
#[classifier]
fn imds_trial(_ctx: TcContext) -> i32 {
    TcContext::PASS
}

/// The same of XDP.
#[early]
fn imds_trial_xdp(_ctx: XdpContext) -> u32 {
    XdpContext::PASS as u32
}

#[inline(always)]
fn early_verdict(ctx: &XdpContext) -> u32 {
    let verdict = xdp::handle(ctx);
    trace::line(ctx, verdict);
    verdict as u32
}

/// A reachable panic becomes an endless loop, which the verifier refuses to load.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// What the kernel checks before it lets a program call its GPL-only helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
