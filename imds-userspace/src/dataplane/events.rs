//! The events that the kernel programs tell of. Their ring is this daemon's own: programs of an earlier daemon that
//! still hang somewhere write into theirs, which nobody reads.

use std::io;

use aya::Ebpf;
use aya::maps::{MapData, RingBuf};
use imds_common::event::{Event, ring_bytes};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The ring's name in the object.
const RING: &str = "IMDS_EVENTS";
/// The name of the counter beside it.
pub(super) const UNTOLD: &str = "IMDS_EVENTS_LOST";

/// How large its maps are where there are so many slots: entries, and bytes of the ring.
pub(super) fn sizes(slots: u32) -> [(&'static str, u32); 2] {
    [(RING, ring_bytes(u16::try_from(slots).unwrap_or(u16::MAX))), (UNTOLD, slots)]
}

/// The reading end of the ring.
pub(super) type Ring = RingBuf<MapData>;

/// Takes the ring out of a loaded object.
pub(super) fn take(ebpf: &mut Ebpf) -> io::Result<Ring> {
    let map = ebpf.take_map(RING).ok_or(io::ErrorKind::NotFound)?;
    RingBuf::try_from(map).map_err(io::Error::other)
}

/// Hands each event on as long as the daemon lives.
pub(super) fn forward(ring: Ring, mut sink: impl FnMut(&Event) + Send + 'static) -> io::Result<()> {
    // SAFETY: the ring owns its descriptor and keeps it open, one and the same, until it is dropped.
    let ring = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) };
    let mut ring = ring.map_err(io::Error::from)?;
    tokio::spawn(async move {
        while let Ok(mut guard) = ring.readable_mut().await {
            while let Some(record) = guard.get_inner_mut().next() {
                if let Some(event) = Event::from_bytes(&record) {
                    sink(&event);
                }
            }
            guard.clear_ready();
        }
    });
    Ok(())
}
