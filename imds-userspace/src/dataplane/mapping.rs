//! The memory of a BPF array that was made with `BPF_F_MMAPABLE`, as atomic words.
//!
//! A store here is what the kernel programs load next: no system call, and no write that can tear.

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::AtomicU64;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// A mapped array of 64-bit words.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<AtomicU64>,
    words: usize,
}

// SAFETY: the memory is shared with the kernel for as long as the value lives and accessed only atomically.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `words` words of the array behind `map`.
    ///
    /// # Errors
    ///
    /// The kernel's, for example where the map wasn't made to be mapped.
    pub fn new(map: BorrowedFd<'_>, words: usize) -> io::Result<Self> {
        // SAFETY: a fresh shared mapping at an address that the kernel chooses, of a file that can't shrink.
        let start = unsafe {
            mmap(null_mut(), words * size_of::<u64>(), ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, map, 0)
        }?;
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mmap gave no address"))?;
        Ok(Self { start, words })
    }

    /// The word at `index`, or `None` past the end.
    #[must_use]
    pub fn word(&self, index: usize) -> Option<&AtomicU64> {
        // SAFETY: the index is inside the mapping, which is page-aligned and lives as long as `self`.
        (index < self.words).then(|| unsafe { self.start.add(index).as_ref() })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the very mapping that `new` made; no reference into it outlives `self`. Failure leaves it mapped.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.words * size_of::<u64>()) };
    }
}
