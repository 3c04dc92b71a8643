//! Pinned maps.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::{fs, io, ptr};

use super::{address, bpf, open};

/// `bpf` commands (include/uapi/linux/bpf.h).
const BPF_MAP_LOOKUP_ELEM: libc::c_int = 1;
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_MAP_GET_NEXT_KEY: libc::c_int = 4;

/// The beginning of `union bpf_attr` for them; the kernel takes what follows for zeros.
#[repr(C)]
struct Element {
    map: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// What a pinned map takes.
#[derive(Clone, Copy, Debug)]
pub struct MapMemory {
    /// How many entries it may have.
    pub entries: u64,
    /// Bytes of it in the kernel.
    pub bytes: u64,
}

impl MapMemory {
    /// Of a pinned map, as the kernel tells it.
    #[must_use]
    #[track_caller]
    pub fn pinned(pin: &Path) -> Self {
        let map = open(pin);
        let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", map.as_raw_fd())).expect("it is open");
        let number = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
            value.unwrap_or_else(|| panic!("{} has no {name} in {text}", pin.display()))
        };
        Self { entries: number("max_entries:"), bytes: number("memlock:") }
    }
}

/// How many entries a pinned map has whose keys are of 32 bits, and come and go.
#[must_use]
#[track_caller]
pub fn count_entries(pin: &Path) -> usize {
    let map = open(pin);
    let (mut key, mut next) = (None, 0_u32);
    let mut count = 0;
    loop {
        let mut attributes = Element {
            map: map.as_raw_fd().unsigned_abs(),
            pad: 0,
            key: key.as_ref().map_or(0, |key| address(ptr::from_ref::<u32>(key))),
            value: (&raw mut next).expose_provenance() as u64,
            flags: 0,
        };
        // SAFETY: the command reads one key of four bytes, or none, and writes another; both live over the call.
        match unsafe { bpf(BPF_MAP_GET_NEXT_KEY, &mut attributes) } {
            Ok(_) => (key, count) = (Some(next), count + 1),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return count,
            Err(error) => panic!("{} can't be read: {error}", pin.display()),
        }
    }
}

/// A map whose keys are numbers from 0 on, with values of so many bytes.
#[derive(Debug)]
pub struct Table {
    map: OwnedFd,
    value: usize,
}

impl Table {
    /// A pinned one.
    #[must_use]
    #[track_caller]
    pub fn pinned(pin: &Path, value: usize) -> Self {
        Self { map: open(pin), value }
    }

    /// Fills an entry with zeros.
    pub fn clear(&self, key: u32) {
        self.set(key, &vec![0; self.value]);
    }

    /// Writes an entry.
    pub fn set(&self, key: u32, value: &[u8]) {
        assert_eq!(value.len(), self.value);
        let mut attributes = self.element(&key, address(value.as_ptr()));
        // SAFETY: the command reads a key of four bytes and a value of the map's size; both live over the call.
        let result = unsafe { bpf(BPF_MAP_UPDATE_ELEM, &mut attributes) };
        result.unwrap_or_else(|error| panic!("a map's entry {key} can't be written: {error}"));
    }

    /// An entry's bytes.
    #[must_use]
    pub fn entry(&self, key: u32) -> Vec<u8> {
        let mut value = vec![0; self.value];
        let mut attributes = self.element(&key, value.as_mut_ptr().expose_provenance() as u64);
        // SAFETY: the command reads a key of four bytes and writes a value of the map's size; both live over the call.
        let result = unsafe { bpf(BPF_MAP_LOOKUP_ELEM, &mut attributes) };
        result.unwrap_or_else(|error| panic!("a map's entry {key} can't be read: {error}"));
        value
    }

    fn element(&self, key: &u32, value: u64) -> Element {
        Element { map: self.map.as_raw_fd().unsigned_abs(), pad: 0, key: address(key), value, flags: 0 }
    }
}
