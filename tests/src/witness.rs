//! A packet socket at an interface of the host's: it sees what XDP lets pass, before tc sees it.

use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use etherparse::SlicedPacket;

use crate::guest::ifindex_of;

/// Longest frame that is read, in bytes.
const FRAME_MAX: usize = 65_536;

/// A packet socket at one interface.
#[derive(Debug)]
pub struct Witness(OwnedFd);

impl Witness {
    /// Opens it.
    #[must_use]
    #[track_caller]
    pub fn at(interface: &str) -> Self {
        let all = u16::try_from(libc::ETH_P_ALL).expect("an ethertype").to_be();
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // Of no protocol, or it would hear every interface until it is bound.
        // SAFETY: the call takes three numbers.
        let socket = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        assert!(socket >= 0, "no packet socket: {}", io::Error::last_os_error());
        // SAFETY: a new descriptor of ours.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        // SAFETY: zeros are an address of no interface.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = u16::try_from(libc::AF_PACKET).expect("a family");
        address.sll_protocol = all;
        address.sll_ifindex = i32::try_from(ifindex_of(interface)).expect("an index");
        let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).expect("small");
        // SAFETY: the address is of the family's kind and of that length, and lives over the call.
        let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
        assert_eq!(bound, 0, "{interface} has no packet socket: {}", io::Error::last_os_error());
        Self(socket)
    }

    /// How many frames came since it was last asked whose IPv4 packet is for that address.
    pub fn count(&self, destination: [u8; 4]) -> usize {
        let is_for = |frame: &Vec<u8>| {
            let packet = SlicedPacket::from_ethernet(frame).ok();
            let ipv4 = packet.as_ref().and_then(|packet| packet.net.as_ref()?.ipv4_ref());
            ipv4.is_some_and(|packet| packet.header().destination() == destination)
        };
        self.frames().iter().filter(|frame| is_for(frame)).count()
    }

    /// How many frames came since it was last asked that a MAC sent, whatever is in them.
    pub fn count_from(&self, mac: [u8; 6]) -> usize {
        self.frames().iter().filter(|frame| frame.get(6..12) == Some(&mac)).count()
    }

    /// The frames that came since it was last asked.
    #[must_use]
    pub fn frames(&self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let mut frame = vec![0_u8; FRAME_MAX];
        loop {
            // SAFETY: the buffer has that many bytes.
            let read = unsafe { libc::recv(self.0.as_raw_fd(), frame.as_mut_ptr().cast(), frame.len(), 0) };
            let Ok(length) = usize::try_from(read) else {
                let error = io::Error::last_os_error();
                assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                return frames;
            };
            frames.push(frame[..length].to_vec());
        }
    }
}
