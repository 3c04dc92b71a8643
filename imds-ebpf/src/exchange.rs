//! The packet in hand: all that the way in has learned of it. It stands in the scratch map, as the stack is too small.

use core::mem::offset_of;

use imds_common::address::{Identity, SERVICE_PORT, SERVICE_V4, is_host_v4, is_host_v6};
use imds_common::counters::Counter;
use imds_common::extension::{FRAGMENT, is_extension};
use imds_common::flow::{ACK, SYN, Segment};
use imds_common::options::OptionsWord;
use imds_common::place::{Client, V4, V6};

use crate::frame::Frame;
use crate::packet::{
    self, Address, ETH, Header, IPV4, IPV6, PROTOCOL_TCP, SERVICE_V6_WORDS, TCP, TcpHeader, V4_SOURCE, V6_SOURCE,
};

/// The TCP options that an answer carries: timestamps where the client uses them, else no-operations. In bytes.
pub const OPTIONS: u32 = 12;

/// Protocol numbers (IANA) that say more than "not TCP".
pub const PROTOCOL_ICMP: u8 = 1;
pub const PROTOCOL_ICMPV6: u8 = 58;
/// Types of ICMP and of ICMPv6: time exceeded.
const ICMP_TIME_EXCEEDED: u8 = 11;
const ICMPV6_TIME_EXCEEDED: u8 = 3;
/// An ICMP header, before the packet that it is about.
const ICMP: u32 = 8;

/// A TCP segment to port 80 of the service's address, in a whole and plain IP packet, and both ends of its connection.
#[repr(C, align(8))]
pub struct Exchange {
    /// The client.
    pub client: Client,
    /// The TCP header.
    pub tcp: TcpHeader,
    /// The first TCP options, zeros if there are fewer: read now, since a refusal cuts the frame.
    pub options: [u8; OPTIONS as usize],
    /// The segment.
    pub segment: Segment,
    /// What the IP header says that follows it, in bytes.
    pub length: u16,
    /// Whose it is.
    pub identity: Identity,
    /// The interface that answers go to.
    pub ifindex: u32,
    /// The slot's options.
    pub word: OptionsWord,
    /// The token generation of the slot's instance.
    pub token_generation: u64,
    /// Whether the kernel may refuse what it holds: not 0 if so.
    pub at_rest: u32,
}

const _: () = assert!(offset_of!(Exchange, client) == 0 && offset_of!(Client, address) == 0);

impl Exchange {
    /// The slot's number.
    #[inline(always)]
    pub fn slot(&self) -> u32 {
        self.identity.slot as u32
    }

    /// Whether it came over IPv4.
    #[inline(always)]
    pub fn is_v4(&self) -> bool {
        self.client.family == V4
    }

    /// Where the TCP header begins in the frame.
    #[inline(always)]
    pub fn transport(&self) -> u32 {
        ETH + if self.is_v4() { IPV4 } else { IPV6 }
    }

    /// Where the payload begins in the frame.
    #[inline(always)]
    pub fn payload(&self) -> u32 {
        self.transport() + self.tcp.length
    }

    /// Whether it begins a connection.
    #[inline(always)]
    pub fn begins(&self) -> bool {
        self.segment.flags & (SYN | ACK) == SYN
    }

    /// Reads the packet behind an IPv4 header, or says why nobody serves it.
    #[inline(always)]
    pub fn read_v4(&mut self, ctx: &impl Frame, header: &Header<{ IPV4 as usize }>) -> Result<(), Counter> {
        let [version, _, t0, t1, _, _, f0, f1, _, protocol, _, _, s0, s1, s2, s3, ..] = header.0;
        let total = u16::from_be_bytes([t0, t1]) as u32;
        if version >> 4 != 4 || version & 0x0f < 5 || total > ctx.length() - ETH {
            return Err(Counter::DroppedTruncated);
        }
        if version & 0x0f > 5 {
            return Err(Counter::DroppedIpOptions);
        }
        // Everything but DF: more fragments, or an offset.
        if u16::from_be_bytes([f0, f1]) & 0x3fff != 0 {
            return Err(Counter::DroppedFragment);
        }
        if is_about_us_v4(ctx, header) {
            return Err(Counter::DroppedTimeExceeded);
        }
        if protocol != PROTOCOL_TCP {
            return Err(Counter::DroppedProtocol);
        }
        if !is_host_v4([s0, s1, s2, s3]) {
            return Err(Counter::DroppedSource);
        }
        if total < IPV4 {
            return Err(Counter::DroppedTruncated);
        }
        self.client.address = [s0, s1, s2, s3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        self.client.family = V4;
        self.read_tcp(ctx, ETH + IPV4, total - IPV4)
    }

    /// Reads the packet behind an IPv6 header, or says why nobody serves it.
    #[inline(always)]
    pub fn read_v6(&mut self, ctx: &impl Frame, header: &Header<{ IPV6 as usize }>) -> Result<(), Counter> {
        let [version, _, _, _, l0, l1, next, ..] = header.0;
        let length = u16::from_be_bytes([l0, l1]) as u32;
        if version >> 4 != 6 || length > ctx.length() - ETH - IPV6 {
            return Err(Counter::DroppedTruncated);
        }
        if next == FRAGMENT {
            return Err(Counter::DroppedFragment);
        }
        if is_extension(next) {
            return Err(Counter::DroppedExtension);
        }
        if is_about_us_v6(ctx, header) {
            return Err(Counter::DroppedTimeExceeded);
        }
        if next != PROTOCOL_TCP {
            return Err(Counter::DroppedProtocol);
        }
        let source = header.address::<V6_SOURCE>();
        if !is_host_v6(source.map(u64::from_be)) {
            return Err(Counter::DroppedSource);
        }
        // SAFETY: an exchange begins with its client, which begins with its address.
        unsafe { (&raw mut *self).cast::<Address>().write(source) };
        self.client.family = V6;
        self.read_tcp(ctx, ETH + IPV6, length)
    }

    /// Reads the segment of so many bytes, header and payload, at `offset`, and the frame's MACs. A function with a
    /// stack of its own.
    #[inline(never)]
    fn read_tcp<F: Frame>(&mut self, ctx: &F, offset: u32, length: u32) -> Result<(), Counter> {
        let Some([g0, g1, g2, g3, g4, g5, m0, m1, m2, m3, m4, m5]) = packet::load::<12>(ctx, 0) else {
            return Err(Counter::DroppedTruncated);
        };
        // No router's MAC is a group's.
        if g0 & 1 != 0 || m0 & 1 != 0 {
            return Err(Counter::DroppedSource);
        }
        if length < TCP {
            return Err(Counter::DroppedTruncated);
        }
        let Some(tcp) = TcpHeader::read(ctx, offset) else { return Err(Counter::DroppedTruncated) };
        if length < tcp.length {
            return Err(Counter::DroppedTruncated);
        }
        if tcp.destination != SERVICE_PORT {
            return Err(Counter::DroppedPort);
        }
        self.client.mac = [m0, m1, m2, m3, m4, m5];
        self.client.gateway = [g0, g1, g2, g3, g4, g5];
        self.client.vlan = 0;
        self.tcp = tcp;
        self.options = [0; OPTIONS as usize];
        if tcp.length >= TCP + OPTIONS
            && let Some(options) = packet::load(ctx, offset + TCP)
        {
            self.options = options;
        }
        self.segment = tcp.segment(length - tcp.length);
        self.length = length as u16;
        Ok(())
    }
}

/// Whether a packet says that one of the service's reached its hop limit.
#[inline(always)]
pub fn is_about_us_v4(ctx: &impl Frame, header: &Header<{ IPV4 as usize }>) -> bool {
    header.0[9] == PROTOCOL_ICMP
        && packet::load(ctx, ETH + IPV4) == Some([ICMP_TIME_EXCEEDED])
        && packet::load(ctx, ETH + IPV4 + ICMP + V4_SOURCE as u32) == Some(SERVICE_V4)
}

/// The same of IPv6.
#[inline(always)]
pub fn is_about_us_v6(ctx: &impl Frame, header: &Header<{ IPV6 as usize }>) -> bool {
    header.0[6] == PROTOCOL_ICMPV6
        && packet::load(ctx, ETH + IPV6) == Some([ICMPV6_TIME_EXCEEDED])
        && packet::load(ctx, ETH + IPV6 + ICMP + V6_SOURCE as u32)
            .is_some_and(|source| packet::is(packet::address(source), SERVICE_V6_WORDS))
}
