//! A tap whose guest is the test itself: it sends and receives raw frames.

use std::fs::File;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use etherparse::{Ethernet2Header, IpHeaders, PacketBuilder, PacketBuilderStep};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::ioctl::{Setter, ioctl, opcode};

use crate::family::Family;
use crate::guest::{Link, mac_of};
use crate::packet::Segment;
use crate::{environment, names, process};

/// The guest's MAC: locally administered.
pub const GUEST_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x10];

/// How long a frame is waited for that should come.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// `struct ifreq` (include/uapi/linux/if.h), as far as TUNSETIFF reads it.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; 16],
    flags: i16,
    reserved: [u8; 22],
}

/// `TUNSETIFF` (include/uapi/linux/if_tun.h).
const TUNSETIFF: rustix::ioctl::Opcode = opcode::write::<i32>(b'T', 202);
/// `IFF_TAP | IFF_NO_PI`: Ethernet frames and nothing else.
const TAP: i16 = 0x0002 | 0x1000;
/// `IFF_VNET_HDR`: behind a virtio header, which says how a frame is to be cut.
const VIRTIO: i16 = 0x4000;

/// A routed tap of the host's, and its guest's side. Removed with this value.
#[derive(Debug)]
pub struct Tap {
    file: File,
    link: Link,
    family: Family,
    host_mac: [u8; 6],
}

impl Tap {
    /// Makes a tap and sets it up.
    #[must_use]
    pub fn new() -> Self {
        Self::of_kind(TAP)
    }

    /// The same, whose frames are each behind a virtio header ([`crate::packet::virtio`]), as a virtual machine's.
    #[must_use]
    pub fn of_virtio() -> Self {
        Self::of_kind(TAP | VIRTIO)
    }

    fn of_kind(flags: i16) -> Self {
        environment::require();
        let name = names::link();
        let file = File::options().read(true).write(true).open("/dev/net/tun");
        let file = file.unwrap_or_else(|error| panic!("/dev/net/tun can't be opened: {error}"));
        let mut request = InterfaceRequest { name: [0; 16], flags, reserved: [0; 22] };
        request.name[..name.len()].copy_from_slice(name.as_bytes());
        // SAFETY: TUNSETIFF reads a struct ifreq, which this is, of that size.
        let setter = unsafe { Setter::<TUNSETIFF, _>::new(request) };
        // SAFETY: the file is /dev/net/tun, and the kernel writes no more than the name that it was given.
        unsafe { ioctl(&file, setter) }.unwrap_or_else(|error| panic!("no tap: {error}"));
        let link = Link::adopt(name);
        process::ip(["link", "set", link.name(), "up"]);
        let host_mac = bytes_of(&mac_of(link.name()));
        Self { file, link, family: Family::default(), host_mac }
    }

    /// The same, whose clients reach the service over that family.
    #[must_use]
    pub fn over(mut self, family: Family) -> Self {
        self.family = family;
        self
    }

    /// The guest's side, to be read and written frame by frame.
    #[must_use]
    pub fn file(&self) -> File {
        self.file.try_clone().unwrap_or_else(|error| panic!("the tap can't be opened twice: {error}"))
    }

    /// Its name on the host.
    #[must_use]
    pub fn interface(&self) -> &str {
        self.link.name()
    }

    /// The beginning of a frame from the guest to the host.
    #[must_use]
    pub fn frame(&self) -> PacketBuilderStep<Ethernet2Header> {
        PacketBuilder::ethernet2(GUEST_MAC, self.host_mac)
    }

    /// The beginning of a frame from a client to the service, over its family.
    #[must_use]
    pub fn packet(&self, client: [u8; 4], ttl: u8) -> PacketBuilderStep<IpHeaders> {
        self.family.packet(self.frame(), client, ttl)
    }

    /// Sends a frame.
    #[track_caller]
    pub fn send(&mut self, frame: &[u8]) {
        let sent = self.file.write(frame).unwrap_or_else(|error| panic!("the tap takes no frame: {error}"));
        assert_eq!(sent, frame.len());
    }

    /// The next frame to the guest: none if it takes longer than `limit`.
    #[track_caller]
    pub fn receive(&mut self, limit: Duration) -> Option<Vec<u8>> {
        let timeout = Timespec { tv_sec: limit.as_secs().cast_signed(), tv_nsec: limit.subsec_nanos().into() };
        let mut waited = [PollFd::new(&self.file, PollFlags::IN)];
        let ready = poll(&mut waited, Some(&timeout)).unwrap_or_else(|error| panic!("the tap can't be read: {error}"));
        if ready == 0 {
            return None;
        }
        let mut frame = vec![0; 65_536];
        let length = self.file.read(&mut frame).unwrap_or_else(|error| panic!("the tap can't be read: {error}"));
        frame.truncate(length);
        Some(frame)
    }

    /// The service's next segment to a port of the guest's: none if it takes longer than `limit`.
    #[track_caller]
    pub fn receive_segment(&mut self, port: u16, limit: Duration) -> Option<Segment> {
        let deadline = Instant::now() + limit;
        loop {
            let frame = self.receive(deadline.checked_duration_since(Instant::now())?)?;
            if let Some(segment) = Segment::of_service(&frame)
                && segment.port == port
            {
                return Some(segment);
            }
        }
    }
}

impl Default for Tap {
    fn default() -> Self {
        Self::new()
    }
}

fn bytes_of(mac: &str) -> [u8; 6] {
    let bytes: Vec<_> = mac.split(':').filter_map(|part| u8::from_str_radix(part, 16).ok()).collect();
    bytes.try_into().unwrap_or_else(|_| panic!("{mac} is no MAC"))
}
