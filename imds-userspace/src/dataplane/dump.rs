//! A whole map by few system calls: from key to key it would be one or two for each entry, every second.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use imds_common::Shared;

/// `BPF_MAP_LOOKUP_BATCH` (include/uapi/linux/bpf.h).
const LOOKUP_BATCH: libc::c_int = 24;
/// Entries of one call: enough that calls are few, and that no bucket of a hash holds more.
const BATCH: usize = 4_096;

/// The beginning of `union bpf_attr` for that command; the kernel takes what follows for zeros.
#[repr(C)]
struct Attributes {
    from: u64,
    next: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    flags: u64,
    other_flags: u64,
}

/// Every entry of a map with keys of 32 bits, which nobody changes meanwhile.
///
/// # Errors
///
/// The kernel's.
pub(super) fn dump<V: Shared>(map: BorrowedFd<'_>) -> io::Result<Vec<(u32, V)>> {
    let (mut from, mut next) = (None, 0_u32);
    let mut entries = Vec::new();
    let mut keys = vec![0_u32; BATCH];
    let mut values: Vec<V> = Vec::with_capacity(BATCH);
    loop {
        let mut attributes = Attributes {
            from: from.as_ref().map_or(0, address),
            next: ptr::from_mut(&mut next).expose_provenance() as u64,
            keys: keys.as_mut_ptr().expose_provenance() as u64,
            values: values.as_mut_ptr().expose_provenance() as u64,
            count: u32::try_from(BATCH).unwrap_or(u32::MAX),
            map: map.as_raw_fd().unsigned_abs(),
            flags: 0,
            other_flags: 0,
        };
        let size = size_of::<Attributes>();
        // SAFETY: the command writes a place and at most BATCH keys and values of the map's sizes, for which there is
        // room: a pinned map was checked for its shape, and each of the callers names the type of its map.
        let result = unsafe { libc::syscall(libc::SYS_bpf, LOOKUP_BATCH, ptr::from_mut(&mut attributes), size) };
        let failure = (result < 0).then(io::Error::last_os_error);
        let is_last = failure.as_ref().is_some_and(|error| error.kind() == io::ErrorKind::NotFound);
        if let Some(error) = failure.filter(|_| !is_last) {
            return Err(error);
        }
        let count = BATCH.min(attributes.count as usize);
        // SAFETY: the kernel wrote so many; every bit pattern of a shared type is valid.
        unsafe { values.set_len(count) };
        entries.extend(keys.iter().copied().zip(values.drain(..)));
        if is_last {
            return Ok(entries);
        }
        from = Some(next);
    }
}

fn address(place: &u32) -> u64 {
    ptr::from_ref(place).expose_provenance() as u64
}
