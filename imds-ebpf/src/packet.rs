//! Reading and writing headers. The payload of a packet at tc isn't linear, so everything goes through helpers.

use core::mem::MaybeUninit;

use aya_ebpf::helpers::generated::{bpf_csum_diff, bpf_l4_csum_replace, bpf_skb_change_tail, bpf_skb_store_bytes};
use aya_ebpf::programs::TcContext;
use imds_common::address::{SERVICE_V4, SERVICE_V6};
use imds_common::flow::Segment;

use crate::frame::Frame;

/// Length of an Ethernet header.
pub const ETH: u32 = 14;
/// Length of an IPv4 header without options.
pub const IPV4: u32 = 20;
/// Length of an IPv6 header.
pub const IPV6: u32 = 40;
/// Length of a TCP header without options.
pub const TCP: u32 = 20;
/// Where the checksum stands in a TCP header.
const TCP_CHECKSUM: u32 = 16;

/// IPv4's ethertype.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// ARP's ethertype.
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// IPv6's ethertype.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
/// TCP's protocol number.
pub const PROTOCOL_TCP: u8 = 6;

/// `BPF_F_PSEUDO_HDR` (include/uapi/linux/bpf.h): the change is in what the pseudo-header covers.
const PSEUDO_HEADER: u64 = 1 << 4;

/// A helper said no; the packet is dropped.
pub struct HelperError;

/// Loads `N` bytes at `offset`: `None` if the packet is shorter.
#[inline(always)]
pub fn load<const N: usize>(ctx: &impl Frame, offset: u32) -> Option<[u8; N]> {
    // Not zeroed first: beyond some words the target does that in a call, byte by byte.
    let mut bytes = MaybeUninit::<[u8; N]>::uninit();
    ctx.load_into(offset, bytes.as_mut_ptr().cast(), N as u32).ok()?;
    // SAFETY: all N bytes are written.
    Some(unsafe { bytes.assume_init() })
}

/// A header, or a message, at a multiple of eight, so that it is read by words: from bytes at any place the target
/// would build each word of single bytes.
#[repr(C, align(8))]
pub struct Header<const N: usize>(pub [u8; N]);

impl<const N: usize> Header<N> {
    /// Loads `N` bytes at `offset`: `None` if the packet is shorter.
    #[inline(always)]
    pub fn load(ctx: &impl Frame, offset: u32) -> Option<Self> {
        load(ctx, offset).map(Self)
    }

    /// The four bytes at `AT`, a multiple of four, as they stand in memory.
    #[inline(always)]
    pub fn word<const AT: usize>(&self) -> u32 {
        const { assert!(AT.is_multiple_of(4) && AT + 4 <= N) };
        // SAFETY: inside the array, and aligned as the array is.
        unsafe { *self.0.as_ptr().add(AT).cast() }
    }

    /// The sixteen bytes at `AT`, a multiple of eight, as they stand in memory.
    #[inline(always)]
    pub fn address<const AT: usize>(&self) -> Address {
        const { assert!(AT.is_multiple_of(8) && AT + 16 <= N) };
        // SAFETY: inside the array, and aligned as the array is.
        unsafe { *self.0.as_ptr().add(AT).cast() }
    }
}

/// An IPv6 address, as it stands in memory.
pub type Address = [u64; 2];

/// The address of these bytes.
pub const fn address(bytes: [u8; 16]) -> Address {
    let [a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3, b4, b5, b6, b7] = bytes;
    [u64::from_ne_bytes([a0, a1, a2, a3, a4, a5, a6, a7]), u64::from_ne_bytes([b0, b1, b2, b3, b4, b5, b6, b7])]
}

/// The service's addresses.
pub const SERVICE_V4_WORD: u32 = u32::from_ne_bytes(SERVICE_V4);
pub const SERVICE_V6_WORDS: Address = address(SERVICE_V6);
/// Where an IPv4 header's addresses stand.
pub const V4_SOURCE: usize = 12;
pub const V4_DESTINATION: usize = 16;
/// Where an IPv6 header's addresses stand.
pub const V6_SOURCE: usize = 8;
pub const V6_DESTINATION: usize = 24;

/// Whether two addresses are the same.
#[inline(always)]
pub fn is(a: Address, b: Address) -> bool {
    (a[0] ^ b[0]) | (a[1] ^ b[1]) == 0
}

/// Stores `length` bytes of `buffer` at `offset`.
#[inline(always)]
pub fn store(ctx: &TcContext, offset: u32, buffer: *const u8, length: u32) -> Result<(), HelperError> {
    // SAFETY: the verifier checks that the buffer has `length` bytes.
    check(unsafe { bpf_skb_store_bytes(ctx.skb.skb.cast(), offset, buffer.cast(), length, 0) })
}

/// Turns a helper's return code into a result.
#[inline(always)]
pub fn check(code: i64) -> Result<(), HelperError> {
    if code == 0 { Ok(()) } else { Err(HelperError) }
}

/// The one's complement sum of `length` bytes (a multiple of four, at most 512) less that of `before`.
#[inline(always)]
pub fn sum_difference(before: &[u8], after: *const u8, length: u32) -> u64 {
    // SAFETY: the verifier checks both buffers against their lengths; the helper only reads.
    let sum = unsafe {
        bpf_csum_diff(before.as_ptr().cast_mut().cast(), before.len() as u32, after.cast_mut().cast(), length, 0)
    };
    sum as u64
}

/// The one's complement sum of `length` bytes (a multiple of four, at most 512) and of `seed`, another such sum.
#[inline(always)]
pub fn sum(bytes: *const u8, length: u32, seed: u64) -> u64 {
    // SAFETY: the verifier checks the buffer against its length; the helper only reads.
    let sum = unsafe { bpf_csum_diff(core::ptr::null_mut(), 0, bytes.cast_mut().cast(), length, seed as u32) };
    sum as u64
}

/// A sum in 16 bits.
#[inline(always)]
pub fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32 & 0xffff);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

/// Cuts or lengthens the frame.
#[inline(always)]
pub fn change_tail(ctx: &TcContext, length: u32) -> Result<(), HelperError> {
    // SAFETY: the context is the program's own.
    check(unsafe { bpf_skb_change_tail(ctx.skb.skb, length, 0) })
}

/// Mends the checksum of the TCP header at `tcp` after the addresses of the pseudo-header changed by `difference`.
#[inline(always)]
pub fn mend_tcp_checksum(ctx: &TcContext, tcp: u32, difference: u64) -> Result<(), HelperError> {
    // SAFETY: the context is the program's own.
    check(unsafe { bpf_l4_csum_replace(ctx.skb.skb, tcp + TCP_CHECKSUM, 0, difference, PSEUDO_HEADER) })
}

/// Fills the zero checksum of a freshly written TCP header: the pseudo-header's sum always, the segment's own only
/// where nobody below adds it (with `CHECKSUM_PARTIAL` the helper leaves that to the device).
#[inline(always)]
pub fn fill_tcp_checksum(ctx: &TcContext, tcp: u32, pseudo: u64, segment: u64) -> Result<(), HelperError> {
    mend_tcp_checksum(ctx, tcp, pseudo)?;
    // SAFETY: the context is the program's own.
    check(unsafe { bpf_l4_csum_replace(ctx.skb.skb, tcp + TCP_CHECKSUM, 0, segment, 0) })
}

/// What a TCP header says.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct TcpHeader {
    /// The sender's port.
    pub source: u16,
    /// The receiver's port.
    pub destination: u16,
    /// The header's length with options, in bytes.
    pub length: u32,
    seq: u32,
    ack: u32,
    flags: u8,
}

impl TcpHeader {
    /// Reads the header at `offset`: `None` if it is cut short or says that it is shorter than a header.
    #[inline(always)]
    pub fn read(ctx: &impl Frame, offset: u32) -> Option<Self> {
        let [s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, length, flags, ..] =
            load::<{ TCP as usize }>(ctx, offset)?;
        let header = Self {
            source: u16::from_be_bytes([s0, s1]),
            destination: u16::from_be_bytes([d0, d1]),
            length: (length >> 4) as u32 * 4,
            seq: u32::from_be_bytes([q0, q1, q2, q3]),
            ack: u32::from_be_bytes([a0, a1, a2, a3]),
            flags,
        };
        if header.length < TCP { None } else { Some(header) }
    }

    /// The segment with so many bytes of payload.
    #[inline(always)]
    pub fn segment(&self, payload: u32) -> Segment {
        Segment { seq: self.seq, ack: self.ack, flags: self.flags, length: payload }
    }
}

/// An IPv4 header without options, its checksum filled. `DF` is set: what we send never needs fragments.
#[inline(always)]
pub fn ipv4_header(length: u16, ttl: u8, source: [u8; 4], destination: [u8; 4]) -> [u8; IPV4 as usize] {
    let [l0, l1] = length.to_be_bytes();
    let [s0, s1, s2, s3] = source;
    let [d0, d1, d2, d3] = destination;
    let pair = |high: u8, low: u8| (high as u32) << 8 | low as u32;
    let sum = 0x4500
        + length as u32
        + 0x4000
        + pair(ttl, PROTOCOL_TCP)
        + pair(s0, s1)
        + pair(s2, s3)
        + pair(d0, d1)
        + pair(d2, d3);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let [c0, c1] = (!sum as u16).to_be_bytes();
    [0x45, 0, l0, l1, 0, 0, 0x40, 0, ttl, PROTOCOL_TCP, c0, c1, s0, s1, s2, s3, d0, d1, d2, d3]
}

/// The first eight bytes of an IPv6 header for TCP; the two addresses follow it.
#[inline(always)]
pub fn ipv6_header(payload: u16, hop_limit: u8) -> [u8; 8] {
    let [l0, l1] = payload.to_be_bytes();
    [0x60, 0, 0, 0, l0, l1, PROTOCOL_TCP, hop_limit]
}
