//! The kernel's own answers: the same frame turned round, and a reset for the daemon's half of the connection.

use aya_ebpf::helpers::generated::{bpf_clone_redirect, bpf_ktime_get_boot_ns, bpf_redirect, bpf_skb_change_proto};
use aya_ebpf::programs::TcContext;
use imds_common::address::SERVICE_PORT;
use imds_common::answer::{DATE_LENGTH, DATES, KERNEL_ANSWER_MAX, KERNEL_ANSWERS, kernel_answer_index, kernel_status};
use imds_common::counters::Counter;
use imds_common::flow::{ACK, FIN, Flow, PSH, RST, Segment};
use imds_common::verdict::Refusal;

use crate::deliver;
use crate::event::{self, Way};
use crate::exchange::{Exchange, OPTIONS};
use crate::exit;
use crate::frame::Frame;
use crate::maps::{FRAME_MAX, IMDS_DATES, IMDS_SCRATCH, host_link};
use crate::packet::{self, ETH, ETHERTYPE_IPV4, ETHERTYPE_IPV6, HelperError, IPV4, IPV6, PROTOCOL_TCP, TCP};
use crate::reply::{self, NORMAL_TTL};

/// Where the TCP header and the payload stand in the scratch's frame, and where the frame begins over IPv4, which has
/// the shorter header.
const TRANSPORT: u32 = ETH + IPV6;
pub const PAYLOAD: u32 = TRANSPORT + TCP + OPTIONS;
const V4_START: u32 = IPV6 - IPV4;
/// No-operation, no-operation, and a timestamp option's kind and length (RFC 7323, appendix A).
const TIMESTAMP_MARK: u32 = u32::from_be_bytes([1, 1, 8, 10]);
/// The window in our segments: the client has nothing more to send.
const WINDOW: u16 = 512;

/// One segment of ours.
struct Ours {
    seq: u32,
    ack: u32,
    flags: u8,
    limited: bool,
    /// The index of an answer in [`KERNEL_ANSWERS`].
    answer: Option<usize>,
}

/// Refuses the request: takes the flow over, resets the daemon's half, and answers.
#[inline(always)]
pub fn refuse(ctx: &TcContext, exchange: &Exchange, flow: *mut Flow, refusal: Refusal, limited: bool) -> i32 {
    take_over(ctx, exchange, flow, refusal, limited);
    if reset(ctx, exchange) != 0 {
        return exit::drop(ctx, exchange.slot(), Counter::DroppedHelper);
    }
    if exchange.word.refuses_silently() {
        return exit::drop(ctx, exchange.slot(), Counter::DroppedSilently);
    }
    send_answer(ctx, exchange, flow)
}

/// Counts a refusal and makes the flow the kernel's: from here on the daemon's segments on it are dropped.
#[inline(always)]
pub fn take_over(ctx: &impl Frame, exchange: &Exchange, flow: *mut Flow, refusal: Refusal, limited: bool) {
    exit::refuse(ctx, exchange.slot(), refusal.counter());
    let answer = kernel_answer_index(kernel_status(refusal), date().is_some());
    let length = KERNEL_ANSWERS[answer & (KERNEL_ANSWERS.len() - 1)].length;
    // SAFETY: a live map value; what other processors do with it meanwhile, the machine allows for.
    unsafe { (*flow).refuse(exchange.segment, length, answer as u16, limited) };
}

/// Answers a segment of a refused flow with the answer that it was refused with, or not where refusals are silent.
#[inline(always)]
pub fn repeat(ctx: &TcContext, exchange: &Exchange, flow: *mut Flow) -> i32 {
    if exchange.word.refuses_silently() {
        return exit::drop(ctx, exchange.slot(), Counter::DroppedSilently);
    }
    trace(ctx, exchange);
    send_answer(ctx, exchange, flow)
}

/// Tells a tracer of a client's segment that the kernel answers, while the frame is whole. It has no counter of its own:
/// what is sent is counted.
#[inline(always)]
fn trace(ctx: &TcContext, exchange: &Exchange) {
    event::trace(ctx, exchange.slot(), exchange.word, Counter::Answered, Way::FromClient);
}

/// Sends the answer that the flow was refused with.
#[inline(always)]
fn send_answer(ctx: &TcContext, exchange: &Exchange, flow: *mut Flow) -> i32 {
    // SAFETY: a live map value, of which some fields are copied out.
    let (seq, ack, limited, refusal) =
        unsafe { ((*flow).answer, (*flow).boundary, (*flow).limited != 0, (*flow).refusal) };
    let ours = Ours { seq, ack, flags: PSH | ACK | FIN, limited, answer: Some(refusal as usize) };
    send(ctx, exchange, &ours)
}

/// Acknowledges what came on a refused flow.
#[inline(always)]
pub fn acknowledge(ctx: &TcContext, exchange: &Exchange, flow: *mut Flow) -> i32 {
    if exchange.word.refuses_silently() {
        return exit::drop(ctx, exchange.slot(), Counter::DroppedSilently);
    }
    trace(ctx, exchange);
    // SAFETY: as in `send_answer`.
    let (seq, ack) = unsafe { ((*flow).sent, (*flow).boundary) };
    send(ctx, exchange, &Ours { seq, ack, flags: ACK, limited: false, answer: None })
}

/// Shrinks the frame to a reset in the client's name, sends a copy into the namespace, and leaves bare headers.
/// Its sequence number is what the daemon expects next, so it takes the reset at once (RFC 5961, section 3.2).
/// 0, or not if a helper failed. A function with a stack of its own.
#[inline(never)]
fn reset(ctx: &TcContext, exchange: &Exchange) -> i32 {
    if try_reset(ctx, exchange).is_ok() { 0 } else { 1 }
}

#[inline(always)]
fn try_reset(ctx: &TcContext, exchange: &Exchange) -> Result<(), HelperError> {
    packet::change_tail(ctx, exchange.transport() + TCP)?;
    if exchange.is_v4() {
        // SAFETY: the context is the program's own.
        packet::check(unsafe { bpf_skb_change_proto(ctx.skb.skb, ETHERTYPE_IPV6.to_be(), 0) })?;
    }
    let headers = deliver::headers(&exchange.identity, TCP as u16);
    packet::store(ctx, 0, headers.as_ptr(), ETH + IPV6)?;
    let Segment { seq, ack, .. } = exchange.segment;
    let tcp = tcp_header(exchange.tcp.source, SERVICE_PORT, seq, ack, TCP, RST | ACK);
    packet::store(ctx, ETH + IPV6, tcp.as_ptr(), TCP)?;
    // The two addresses as they stand in the headers, and then length and protocol.
    let rest = [0, 0, 0, TCP as u8, 0, 0, 0, PROTOCOL_TCP];
    let pseudo = packet::sum(rest.as_ptr(), 8, packet::sum(headers[22..].as_ptr(), 32, 0));
    packet::fill_tcp_checksum(ctx, ETH + IPV6, pseudo, packet::sum(tcp.as_ptr(), TCP, 0))?;
    // SAFETY: the context is the program's own. Should the copy be lost, the daemon's half times out.
    unsafe { bpf_clone_redirect(ctx.skb.skb, host_link(), 0) };
    if exchange.is_v4() {
        // SAFETY: the context is the program's own.
        packet::check(unsafe { bpf_skb_change_proto(ctx.skb.skb, ETHERTYPE_IPV4.to_be(), 0) })?;
    }
    Ok(())
}

/// Sends the frame back as one of ours. A function with a stack of its own.
#[inline(never)]
fn send(ctx: &TcContext, exchange: &Exchange, ours: &Ours) -> i32 {
    match rewrite(ctx, exchange, ours) {
        Ok(()) => {
            exit::count(exchange.slot(), Counter::Answered);
            event::trace(ctx, exchange.slot(), exchange.word, Counter::Answered, Way::ToClient);
            if ours.limited {
                exit::count(exchange.slot(), Counter::Limited);
            }
            // SAFETY: the helper only marks the packet to be moved.
            unsafe { bpf_redirect(exchange.ifindex, 0) as i32 }
        }
        Err(HelperError) => exit::drop(ctx, exchange.slot(), Counter::DroppedHelper),
    }
}

#[inline(always)]
fn rewrite(ctx: &TcContext, exchange: &Exchange, ours: &Ours) -> Result<(), HelperError> {
    let Some(scratch) = IMDS_SCRATCH.get_ptr_mut(0) else { return Err(HelperError) };
    // SAFETY: this CPU's scratch, whole as long as the program runs; no other reference to this part of it lives.
    let frame = unsafe { &mut (*scratch).frame };
    frame[(TRANSPORT + TCP) as usize..PAYLOAD as usize].copy_from_slice(&timestamps(exchange));
    let length = match ours.answer {
        Some(answer) => write_answer(frame, answer),
        None => 0,
    };
    let tcp_length = TCP + OPTIONS + length;
    let tcp = tcp_header(SERVICE_PORT, exchange.tcp.source, ours.seq, ours.ack, TCP + OPTIONS, ours.flags);
    frame[TRANSPORT as usize..(TRANSPORT + TCP) as usize].copy_from_slice(&tcp);
    let ttl = if ours.limited { exchange.word.hop_limit() } else { NORMAL_TTL };
    // The two addresses as they stand in the IP header, and then length and protocol.
    let [l0, l1] = (tcp_length as u16).to_be_bytes();
    let rest = [0, 0, l0, l1, 0, 0, 0, PROTOCOL_TCP];
    let rest = packet::sum(rest.as_ptr(), 8, 0);
    let (start, pseudo) = if exchange.is_v4() {
        let headers = reply::headers_v4(&exchange.client, ttl, tcp_length as u16);
        frame[V4_START as usize..TRANSPORT as usize].copy_from_slice(&headers);
        (V4_START, packet::sum(headers[26..].as_ptr(), 8, rest))
    } else {
        let headers = reply::headers_v6(&exchange.client, ttl, tcp_length as u16);
        frame[..TRANSPORT as usize].copy_from_slice(&headers);
        (0, packet::sum(headers[22..].as_ptr(), 32, rest))
    };
    // The answer ends in zeros, so the sum may run to the next multiple of four.
    let segment = packet::sum(frame[TRANSPORT as usize..].as_ptr(), (tcp_length + 3) & !3, 0);

    let total = TRANSPORT - start + tcp_length;
    packet::change_tail(ctx, total)?;
    packet::store(ctx, 0, frame[start as usize..].as_ptr(), total)?;
    packet::fill_tcp_checksum(ctx, exchange.transport(), pseudo, segment)
}

/// The timestamps for our segment: the client's own back to it, and for ours the last one of this connection that
/// it has seen, which no check for old duplicates can refuse (RFC 7323, section 5).
#[inline(always)]
fn timestamps(exchange: &Exchange) -> [u8; OPTIONS as usize] {
    let [m0, m1, m2, m3, v0, v1, v2, v3, e0, e1, e2, e3] = exchange.options;
    if u32::from_be_bytes([m0, m1, m2, m3]) != TIMESTAMP_MARK {
        return [1; OPTIONS as usize];
    }
    [m0, m1, m2, m3, e0, e1, e2, e3, v0, v1, v2, v3]
}

#[inline(always)]
fn tcp_header(source: u16, destination: u16, seq: u32, ack: u32, length: u32, flags: u8) -> [u8; TCP as usize] {
    let [s0, s1] = source.to_be_bytes();
    let [d0, d1] = destination.to_be_bytes();
    let [q0, q1, q2, q3] = seq.to_be_bytes();
    let [a0, a1, a2, a3] = ack.to_be_bytes();
    let [w0, w1] = WINDOW.to_be_bytes();
    [s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, (length as u8) << 2, flags, w0, w1, 0, 0, 0, 0]
}

/// An answer, by words.
type Words = [u64; KERNEL_ANSWER_MAX / 8];

/// Writes an answer into the frame and returns its length.
#[inline(always)]
fn write_answer(frame: &mut [u8; FRAME_MAX], answer: usize) -> u32 {
    let template = &KERNEL_ANSWERS[answer & (KERNEL_ANSWERS.len() - 1)];
    let payload = &mut frame[PAYLOAD as usize..PAYLOAD as usize + KERNEL_ANSWER_MAX];
    // SAFETY: both are KERNEL_ANSWER_MAX bytes at a multiple of eight: see Scratch and KernelAnswer.
    unsafe { *payload.as_mut_ptr().cast::<Words>() = *template.bytes.as_ptr().cast::<Words>() };
    // SAFETY: a static; volatile, so that the bounds below aren't known to the compiler and left out: the verifier
    // needs to see them.
    let (length, at) = unsafe {
        (core::ptr::read_volatile(&raw const template.length), core::ptr::read_volatile(&raw const template.date_at))
    };
    let at = at as usize;
    // The template has an empty one, as long, for the time when nobody tells it any more.
    if answer & 1 != 0
        && at <= KERNEL_ANSWER_MAX - DATE_LENGTH
        && let Some(text) = date()
    {
        payload[at..at + DATE_LENGTH].copy_from_slice(&text[..DATE_LENGTH]);
    }
    length & (KERNEL_ANSWER_MAX as u32 - 1)
}

/// The date of this second, if the daemon has told it.
#[inline(always)]
fn date() -> Option<&'static [u8; 32]> {
    // SAFETY: the helper only returns the clock.
    let second = unsafe { bpf_ktime_get_boot_ns() } / 1_000_000_000;
    let entry = IMDS_DATES.get(second as u32 & (DATES - 1))?;
    if entry.second == second { Some(&entry.text) } else { None }
}
