//! What the programs of the way in have in common: a frame that came by an interface, as tc and as XDP show it.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{TC_ACT_SHOT, xdp_action};
use aya_ebpf::helpers::generated::{bpf_skb_load_bytes, bpf_xdp_get_buff_len, bpf_xdp_load_bytes};
use aya_ebpf::programs::{TcContext, XdpContext};
use imds_common::budget;

use crate::packet::{self, HelperError, check};

/// A frame in a program's hands.
pub trait Frame: EbpfContext {
    /// Not for us: whatever else is attached, and the host's stack, see it untouched.
    const PASS: i32;
    /// It is dropped.
    const DROP: i32;
    /// VLAN tags that are looked behind. A further one hides what it is, so such a frame is dropped.
    const TAGS: usize;
    /// Whether no other program of ours sees the frame after this one. The last one charges each packet to its slot;
    /// an earlier one only looks whether there is budget, and charges what it drops, as nobody after it sees that. So
    /// each packet is charged once, whichever programs are attached and whatever gets around the first.
    const IS_LAST: bool;

    /// The index of the interface that it came by.
    fn ifindex(&self) -> u32;

    /// Its length in bytes.
    fn length(&self) -> u32;

    /// How many packets it is on the wire.
    fn packets(&self) -> u32;

    /// What its Ethernet header says that follows, and whether a tag was in front of that already: `None` if it has none.
    fn ethertype(&self) -> Option<(u16, bool)>;

    /// Loads `length` bytes at `offset` into `buffer`, which has at least so many.
    fn load_into(&self, offset: u32, buffer: *mut u8, length: u32) -> Result<(), HelperError>;

    /// The frame, where it can be changed and sent: only tc can do that everywhere.
    fn to_send(&self) -> Option<&TcContext>;
}

impl Frame for TcContext {
    /// `TCX_NEXT`, `TC_ACT_UNSPEC`
    const PASS: i32 = -1;
    const DROP: i32 = TC_ACT_SHOT;
    const TAGS: usize = 2;
    const IS_LAST: bool = true;

    #[inline(always)]
    fn ifindex(&self) -> u32 {
        // SAFETY: the context is the program's own.
        unsafe { (*self.skb.skb).ifindex }
    }

    #[inline(always)]
    fn length(&self) -> u32 {
        self.skb.len()
    }

    #[inline(always)]
    fn packets(&self) -> u32 {
        // SAFETY: the context is the program's own.
        let (segments, size) = unsafe { ((*self.skb.skb).gso_segs, (*self.skb.skb).gso_size) };
        budget::packets(segments, size, self.length())
    }

    #[inline(always)]
    fn ethertype(&self) -> Option<(u16, bool)> {
        // SAFETY: the context is the program's own. The kernel takes the outermost tag off the frame.
        let tagged = unsafe { (*self.skb.skb).vlan_present } != 0;
        Some((u16::from_be(self.skb.protocol() as u16), tagged))
    }

    #[inline(always)]
    fn load_into(&self, offset: u32, buffer: *mut u8, length: u32) -> Result<(), HelperError> {
        // SAFETY: the verifier checks that the buffer has `length` bytes.
        check(unsafe { bpf_skb_load_bytes(self.skb.skb.cast(), offset, buffer.cast(), length) })
    }

    #[inline(always)]
    fn to_send(&self) -> Option<&TcContext> {
        Some(self)
    }
}

impl Frame for XdpContext {
    const PASS: i32 = xdp_action::XDP_PASS as i32;
    const DROP: i32 = xdp_action::XDP_DROP as i32;
    /// The one more that the kernel takes off before tc.
    const TAGS: usize = <TcContext as Frame>::TAGS + 1;
    const IS_LAST: bool = false;

    #[inline(always)]
    fn ifindex(&self) -> u32 {
        // SAFETY: the context is the program's own.
        unsafe { (*self.ctx).ingress_ifindex }
    }

    #[inline(always)]
    fn length(&self) -> u32 {
        // SAFETY: the context is the program's own.
        unsafe { bpf_xdp_get_buff_len(self.ctx) as u32 }
    }

    /// In the driver each is one. In generic mode one that is more isn't told from a long one: as little is charged for
    /// it where it is dropped here.
    #[inline(always)]
    fn packets(&self) -> u32 {
        1
    }

    #[inline(always)]
    fn ethertype(&self) -> Option<(u16, bool)> {
        packet::load::<2>(self, packet::ETH - 2).map(|bytes| (u16::from_be_bytes(bytes), false))
    }

    #[inline(always)]
    fn load_into(&self, offset: u32, buffer: *mut u8, length: u32) -> Result<(), HelperError> {
        // SAFETY: the verifier checks that the buffer has `length` bytes.
        check(unsafe { bpf_xdp_load_bytes(self.ctx, offset, buffer.cast(), length) })
    }

    #[inline(always)]
    fn to_send(&self) -> Option<&TcContext> {
        None
    }
}
