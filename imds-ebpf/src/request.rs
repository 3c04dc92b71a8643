//! Reading a request's head and token out of a segment, and the verdict on it.

use aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns;
use aya_ebpf::programs::TcContext;
use imds_common::request::{Judged, KERNEL_HEAD_MAX, Scan};
use imds_common::token::{Key, TOKEN_TEXT_LENGTH};

use crate::exchange::Exchange;
use crate::maps::{IMDS_KEYS, IMDS_SCRATCH};
use crate::packet;

/// Judges the payload of a segment that stands at a request's beginning.
#[inline(always)]
pub fn judge(ctx: &TcContext, exchange: &Exchange) -> Judged {
    let scan = scan(ctx, exchange);
    Judged::new(exchange.word, scan.as_ref(), exchange.segment.length, |span| verify(ctx, exchange, span))
}

/// Scans the payload, if it is short enough for a head that the kernel reads.
#[inline(never)]
fn scan(ctx: &TcContext, exchange: &Exchange) -> Option<Scan> {
    let length = exchange.segment.length;
    if length == 0 || length > KERNEL_HEAD_MAX as u32 {
        return None;
    }
    let scratch = IMDS_SCRATCH.get_ptr_mut(0)?;
    // SAFETY: this CPU's scratch, whole as long as the program runs.
    let head = unsafe { &raw mut (*scratch).head };
    // The oldest verifier wants to see by itself that the length is 1 at least and no more than the buffer has.
    let bounded = ((length - 1) & (KERNEL_HEAD_MAX as u32 - 1)) + 1;
    packet::load_into(ctx, exchange.payload(), head.cast(), bounded).ok()?;
    // SAFETY: a live reference; volatile, so that the compiler keeps the loop's constant bound as well: Linux 6.1's
    // verifier forgets what it knew of a length that was on the stack meanwhile.
    let end = unsafe { core::ptr::read_volatile(&raw const exchange.segment.length) } as usize;
    let mut scan = Scan::new();
    for position in 0..KERNEL_HEAD_MAX {
        if position >= end {
            break;
        }
        // SAFETY: the position is below the buffer's length.
        scan.step(unsafe { *head.cast::<u8>().add(position) });
    }
    // Through the map and back: what the verifier knew of these numbers at each end of the loop is forgotten, so that
    // it walks what follows once and not a thousand times.
    // SAFETY: this CPU's scratch, whole as long as the program runs.
    unsafe {
        core::ptr::write_volatile(&raw mut (*scratch).scan, scan);
        Some(core::ptr::read_volatile(&raw const (*scratch).scan))
    }
}

/// Whether the token in the head is good for this instance. A function with a stack of its own.
#[inline(never)]
fn verify(ctx: &TcContext, exchange: &Exchange, (start, length): (u32, u32)) -> bool {
    if length != TOKEN_TEXT_LENGTH as u32 {
        return false;
    }
    let Some(scratch) = IMDS_SCRATCH.get_ptr_mut(0) else { return false };
    // SAFETY: this CPU's scratch, whole as long as the program runs; no other reference to this part of it lives.
    let text = unsafe { &mut (*scratch).token };
    if packet::load_into(ctx, exchange.payload() + start, text.as_mut_ptr(), TOKEN_TEXT_LENGTH as u32).is_err() {
        return false;
    }
    // SAFETY: as above.
    let presented = unsafe { &mut (*scratch).presented };
    presented.read(text);
    let Some(key) = IMDS_KEYS.get(Key::index_of(presented.key_number())) else { return false };
    // SAFETY: the helper only returns the clock.
    let now_ms = unsafe { bpf_ktime_get_boot_ns() } / 1_000_000;
    presented.verify(key, exchange.token_generation, now_ms).is_some()
}
