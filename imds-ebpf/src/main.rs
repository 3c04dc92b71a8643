//! The kernel programs. This file holds the entry points and nothing else.
#![no_std]
#![no_main]

use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;

/// tc ingress of an instance's host-side interface.
#[classifier]
pub fn imds_ingress(_ctx: TcContext) -> i32 {
    -1
}

/// tc ingress of the host's end of the service link.
#[classifier]
pub fn imds_reply(_ctx: TcContext) -> i32 {
    2
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
