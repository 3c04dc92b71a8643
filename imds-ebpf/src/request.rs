//! Reading a request's head and token out of a segment, and the verdict on it.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_ktime_get_boot_ns, bpf_loop};
use imds_common::request::{Judged, KERNEL_HEAD_MAX, Scan};
use imds_common::token::{Key, TOKEN_TEXT_LENGTH};

use crate::exchange::Exchange;
use crate::frame::Frame;
use crate::maps::{CHUNK, IMDS_KEYS, IMDS_SCRATCH};

/// Judges the payload of a segment that stands at a request's beginning.
#[inline(always)]
pub fn judge(ctx: &impl Frame, exchange: &Exchange) -> Judged {
    let scan = scan(ctx, exchange);
    Judged::new(exchange.word, scan.as_ref(), exchange.segment.length, |span| verify(ctx, exchange, span))
}

/// Scans the payload, if it is short enough for a head that the kernel reads.
#[inline(never)]
fn scan(ctx: &impl Frame, exchange: &Exchange) -> Option<Scan> {
    let length = exchange.segment.length;
    if length == 0 || length > KERNEL_HEAD_MAX as u32 {
        return None;
    }
    let scratch = IMDS_SCRATCH.get_ptr_mut(0)?;
    // SAFETY: this CPU's scratch, whole as long as the program runs.
    let head = unsafe { (&raw mut (*scratch).head).cast::<u8>() };
    // The oldest verifier wants to see by itself that the length is 1 at least and no more than the buffer has.
    let bounded = ((length - 1) & (KERNEL_HEAD_MAX as u32 - 1)) + 1;
    ctx.load_into(exchange.payload(), head, bounded).ok()?;
    // SAFETY: the buffer has a chunk more than the longest head.
    unsafe { head.add(bounded as usize).cast::<[u8; CHUNK]>().write([0; CHUNK]) };
    // SAFETY: as above.
    unsafe { (*scratch).scan = Scan::new() };
    // A callback instead of a loop: the verifier walks it once, not once for each byte of the longest head.
    let chunks = bounded.div_ceil(CHUNK as u32);
    // SAFETY: the callback has the helper's signature and takes no context.
    let done = unsafe { bpf_loop(chunks, scan_chunk as *mut c_void, core::ptr::null_mut(), 0) };
    if done < 0 {
        return None;
    }
    // SAFETY: as above.
    Some(unsafe { (*scratch).scan })
}

/// Scans one chunk of the payload: zeros after its end are no part of a head, and change nothing behind a whole one.
extern "C" fn scan_chunk(number: u64, _context: *mut c_void) -> i64 {
    let Some(scratch) = IMDS_SCRATCH.get_ptr_mut(0) else { return 1 };
    let start = (number as usize & (KERNEL_HEAD_MAX / CHUNK - 1)) * CHUNK;
    // SAFETY: this CPU's scratch, whole as long as the program runs; the chunk is inside the buffer.
    unsafe {
        let chunk = (&raw const (*scratch).head).cast::<u8>().add(start);
        let mut scan = (*scratch).scan;
        for position in 0..CHUNK {
            scan.step(*chunk.add(position));
        }
        (*scratch).scan = scan;
    }
    0
}

/// Whether the token in the head is good for this instance. A function with a stack of its own.
#[inline(never)]
fn verify(ctx: &impl Frame, exchange: &Exchange, (start, length): (u32, u32)) -> bool {
    if length != TOKEN_TEXT_LENGTH as u32 {
        return false;
    }
    let Some(scratch) = IMDS_SCRATCH.get_ptr_mut(0) else { return false };
    // SAFETY: this CPU's scratch, whole as long as the program runs; no other reference to this part of it lives.
    let text = unsafe { &mut (*scratch).token };
    if ctx.load_into(exchange.payload() + start, text.as_mut_ptr(), TOKEN_TEXT_LENGTH as u32).is_err() {
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
