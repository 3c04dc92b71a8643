//! Frames as they come, read by another implementation than the kernel's.

use std::fmt;
use std::net::IpAddr;

use etherparse::{Ipv4HeaderSlice, NetSlice, SlicedPacket, TcpSlice, TransportSlice};

use crate::family::Family;

/// The service's IPv4 address.
pub const SERVICE: [u8; 4] = [169, 254, 169, 254];
/// The service's IPv6 address, `fd00:ec2::254`.
pub const SERVICE_V6: [u8; 16] = [0xfd, 0, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0x54];

/// Length of an IPv6 header, in bytes.
const IPV6_HEADER: usize = 40;

/// A virtio header (`struct virtio_net_hdr`, include/uapi/linux/virtio_net.h): the frame behind it holds plain IP and TCP
/// headers, whose checksum is to be made, and is to be cut into segments with so many bytes.
#[must_use]
pub fn virtio(family: Family, size: u16) -> [u8; 10] {
    /// `VIRTIO_NET_HDR_F_NEEDS_CSUM`
    const NEEDS_CHECKSUM: u8 = 1;
    /// Where the checksum stands in a TCP header, and how long that is.
    const TCP: (u16, u16) = (16, 20);
    // `VIRTIO_NET_HDR_GSO_TCPV4`, `VIRTIO_NET_HDR_GSO_TCPV6`
    let (kind, transport) = match family {
        Family::Ipv4 => (1, 34_u16),
        Family::Ipv6 => (4, 54),
    };
    let words = [transport + TCP.1, size, transport, TCP.0].map(u16::to_le_bytes);
    let [[h0, h1], [s0, s1], [t0, t1], [c0, c1]] = words;
    [NEEDS_CHECKSUM, kind, h0, h1, s0, s1, t0, t1, c0, c1]
}

/// A TCP segment that the service sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Segment {
    /// The IPv4 TTL, or the IPv6 hop limit.
    pub ttl: u8,
    /// The IP packet's length in bytes; at a packet socket it may hold several segments.
    pub length: usize,
    /// Whether a router may cut the packet into pieces.
    pub may_be_cut: bool,
    /// Where it goes.
    pub destination: IpAddr,
    /// To which port.
    pub port: u16,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// SYN.
    pub syn: bool,
    /// FIN.
    pub fin: bool,
    /// RST.
    pub rst: bool,
    /// The payload.
    pub payload: Vec<u8>,
    /// Whether both checksums are right. At a packet socket they may not be filled in yet, at a tap they are.
    pub checksums: bool,
}

impl Segment {
    /// Reads a frame: none if it isn't the service's, or no TCP.
    #[must_use]
    pub fn of_service(frame: &[u8]) -> Option<Self> {
        let packet = SlicedPacket::from_ethernet(frame).ok()?;
        let Some(TransportSlice::Tcp(tcp)) = &packet.transport else { return None };
        let (ttl, destination, length, may_be_cut, checksums) = match &packet.net {
            Some(NetSlice::Ipv4(ip)) if ip.header().source() == SERVICE => {
                let header = ip.header();
                let (length, may_be_cut) = (header.total_len().into(), !header.dont_fragment());
                let is_right = checksums_are_right(&header, tcp);
                (header.ttl(), header.destination().into(), length, may_be_cut, is_right)
            }
            Some(NetSlice::Ipv6(ip)) if ip.header().source() == SERVICE_V6 => {
                let header = ip.header();
                let expected = tcp.calc_checksum_ipv6(header.source(), header.destination());
                let is_right = expected.is_ok_and(|expected| same_sum(expected, tcp.checksum()));
                let length = IPV6_HEADER + usize::from(header.payload_length());
                (header.hop_limit(), header.destination().into(), length, false, is_right)
            }
            _ => return None,
        };
        Some(Self {
            ttl,
            length,
            may_be_cut,
            destination,
            port: tcp.destination_port(),
            seq: tcp.sequence_number(),
            ack: tcp.acknowledgment_number(),
            syn: tcp.syn(),
            fin: tcp.fin(),
            rst: tcp.rst(),
            payload: tcp.payload().to_vec(),
            checksums,
        })
    }

    /// Whether it carries data or ends the connection: what a hop limit is for.
    #[must_use]
    pub fn carries(&self) -> bool {
        !self.payload.is_empty() || self.fin
    }
}

impl fmt::Debug for Segment {
    /// On one line, with the payload as text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ttl, seq, ack, payload, .. } = self;
        let marks = [(self.syn, "SYN "), (self.fin, "FIN "), (self.rst, "RST ")];
        let marks: String = marks.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect();
        write!(f, "{marks}ttl {ttl} seq {seq} ack {ack} {:?}", String::from_utf8_lossy(payload))
    }
}

fn checksums_are_right(header: &Ipv4HeaderSlice<'_>, tcp: &TcpSlice<'_>) -> bool {
    let expected = tcp.calc_checksum_ipv4(header.source(), header.destination());
    same_sum(header.header_checksum(), header.to_header().calc_header_checksum())
        && expected.is_ok_and(|expected| same_sum(expected, tcp.checksum()))
}

/// Whether two checksums say the same: in ones' complement zero has two spellings, and whoever mends a sum instead of
/// computing it may write either.
fn same_sum(a: u16, b: u16) -> bool {
    a % 0xffff == b % 0xffff
}
