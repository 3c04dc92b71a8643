//! Hand-made questions and answers about neighbours: ARP, and neighbour discovery.

use etherparse::Icmpv6Type;

use crate::tap::{GUEST_MAC, Tap};

/// The group that is asked for `fd00:ec2::254`.
pub const SOLICITED: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 2, 0x54];

/// An ARP packet of a tap's guest for all on its link.
#[must_use]
pub fn arp(operation: u16, sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend(GUEST_MAC);
    frame.extend([8, 6, 0, 1, 8, 0, 6, 4]);
    frame.extend(operation.to_be_bytes());
    frame.extend(GUEST_MAC);
    frame.extend(sender);
    frame.extend([0; 6]);
    frame.extend(target);
    frame
}

/// A message of neighbour discovery: `body` is what follows type, code and checksum.
#[must_use]
pub fn discovery(tap: &Tap, kind: u8, source: [u8; 16], destination: [u8; 16], body: &[u8]) -> Vec<u8> {
    let (start, rest) = body.split_first_chunk().expect("four bytes");
    let message = Icmpv6Type::Unknown { type_u8: kind, code_u8: 0, bytes5to8: *start };
    let mut frame = Vec::new();
    tap.frame().ipv6(source, destination, 255).icmpv6(message).write(&mut frame, rest).expect("written");
    frame
}

/// The body of a solicitation or an advertisement of a neighbour.
#[must_use]
pub fn about(target: [u8; 16], flags: u8) -> Vec<u8> {
    [[flags, 0, 0, 0].as_slice(), &target].concat()
}
