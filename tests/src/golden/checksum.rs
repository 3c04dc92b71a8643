//! Checksums of a frame, as another implementation than the kernel's has them.

use etherparse::{NetSlice, SlicedPacket, TransportSlice};

/// Where the checksum stands in a TCP header.
const IN_TCP: usize = 16;

/// Where a frame's TCP checksum stands, and what it must be: none if it is no TCP segment.
fn of_tcp(frame: &[u8]) -> Option<(usize, u16)> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let Some(TransportSlice::Tcp(tcp)) = &packet.transport else { return None };
    let sum = match &packet.net {
        Some(NetSlice::Ipv4(ip)) => tcp.calc_checksum_ipv4(ip.header().source(), ip.header().destination()).ok()?,
        Some(NetSlice::Ipv6(ip)) => tcp.calc_checksum_ipv6(ip.header().source(), ip.header().destination()).ok()?,
        _ => return None,
    };
    let at = tcp.slice().as_ptr().addr() - frame.as_ptr().addr() + IN_TCP;
    Some((at, sum))
}

/// Writes a frame's TCP checksum.
pub(super) fn write(frame: &mut [u8]) {
    let (at, sum) = of_tcp(frame).expect("only TCP has a checksum with a name");
    frame[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// Whether the checksums of a frame are right, as far as it has any.
pub(super) fn are_right(frame: &[u8]) -> bool {
    // In ones' complement, zero has two spellings: whoever mends a sum instead of computing it may write either.
    let same = |a: u16, b: u16| a % 0xffff == b % 0xffff;
    let ipv4 = match SlicedPacket::from_ethernet(frame).map(|packet| packet.net) {
        Ok(Some(NetSlice::Ipv4(ip))) => {
            same(ip.header().header_checksum(), ip.header().to_header().calc_header_checksum())
        }
        _ => true,
    };
    ipv4 && of_tcp(frame).is_none_or(|(at, sum)| same(u16::from_be_bytes([frame[at], frame[at + 1]]), sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_one_is_seen() {
        let mut frame = Vec::new();
        let builder = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64);
        builder.tcp(1, 80, 5, 6).write(&mut frame, b"hello").expect("written");
        assert!(are_right(&frame));
        for at in [26, 40, 60 - 1] {
            let mut wrong = frame.clone();
            wrong[at.min(frame.len() - 1)] ^= 4;
            assert!(!are_right(&wrong), "{at}");
        }
        let right = frame.clone();
        frame[50..52].fill(0);
        write(&mut frame);
        assert_eq!(frame, right);
    }
}
