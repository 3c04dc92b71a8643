//! The packet in hand: all that the way in has learned of it. It stands in the scratch map, as the stack is too small.

use aya_ebpf::programs::TcContext;
use imds_common::address::{Identity, SERVICE_PORT, SERVICE_V4};
use imds_common::counters::Counter;
use imds_common::flow::Segment;
use imds_common::options::OptionsWord;
use imds_common::place::Client;

use crate::packet::{self, ETH, IPV4, PROTOCOL_TCP, TCP, TcpHeader};

/// The TCP options that an answer carries: timestamps where the client uses them, else no-operations. In bytes.
pub const OPTIONS: u32 = 12;

/// A TCP segment to port 80 of the service's address, in a whole and plain IPv4 packet, and both ends of its connection.
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
    /// What the IPv4 header says that follows it, in bytes.
    pub length: u16,
    /// Whose it is.
    pub identity: Identity,
    /// The interface that answers go to.
    pub ifindex: u32,
    /// The slot's options.
    pub word: OptionsWord,
    /// The slot's token generation.
    pub token_generation: u64,
}

impl Exchange {
    /// The slot's number.
    #[inline(always)]
    pub fn slot(&self) -> u32 {
        self.identity.slot as u32
    }

    /// Where the payload begins in the frame.
    #[inline(always)]
    pub fn payload(&self) -> u32 {
        ETH + IPV4 + self.tcp.length
    }

    /// Reads the packet behind an IPv4 header, or says why nobody serves it.
    #[inline(always)]
    pub fn read(&mut self, ctx: &TcContext, header: &[u8; IPV4 as usize]) -> Result<(), Counter> {
        let [version, _, t0, t1, _, _, f0, f1, _, protocol, _, _, s0, s1, s2, s3, ..] = *header;
        let total = u16::from_be_bytes([t0, t1]) as u32;
        if version >> 4 != 4 || version & 0x0f < 5 || total > ctx.skb.len() - ETH {
            return Err(Counter::DroppedTruncated);
        }
        if version & 0x0f > 5 {
            return Err(Counter::DroppedIpOptions);
        }
        // Everything but DF: more fragments, or an offset.
        if u16::from_be_bytes([f0, f1]) & 0x3fff != 0 {
            return Err(Counter::DroppedFragment);
        }
        if protocol != PROTOCOL_TCP {
            return Err(Counter::DroppedProtocol);
        }
        let Some([g0, g1, g2, g3, g4, g5, m0, m1, m2, m3, m4, m5]) = packet::load::<12>(ctx, 0) else {
            return Err(Counter::DroppedTruncated);
        };
        // No host is 0/8, 127/8 or above 224/4, the service itself, or a group; no router's MAC is a group's.
        let impossible = s0 == 0 || s0 == 127 || s0 >= 224 || [s0, s1, s2, s3] == SERVICE_V4;
        if impossible || g0 & 1 != 0 || m0 & 1 != 0 {
            return Err(Counter::DroppedSource);
        }
        if total < IPV4 + TCP {
            return Err(Counter::DroppedTruncated);
        }
        let Some(tcp) = TcpHeader::read(ctx, ETH + IPV4) else { return Err(Counter::DroppedTruncated) };
        if total < IPV4 + tcp.length {
            return Err(Counter::DroppedTruncated);
        }
        if tcp.destination != SERVICE_PORT {
            return Err(Counter::DroppedPort);
        }
        self.client = Client {
            address: [s0, s1, s2, s3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            mac: [m0, m1, m2, m3, m4, m5],
            gateway: [g0, g1, g2, g3, g4, g5],
            family: 4,
            vlan: 0,
        };
        self.tcp = tcp;
        self.options = [0; OPTIONS as usize];
        if tcp.length >= TCP + OPTIONS
            && let Some(options) = packet::load(ctx, ETH + IPV4 + TCP)
        {
            self.options = options;
        }
        self.segment = tcp.segment(total - IPV4 - tcp.length);
        self.length = (total - IPV4) as u16;
        Ok(())
    }
}
