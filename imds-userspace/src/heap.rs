//! The memory that the allocator keeps.

/// Gives the host back what was freed between what is still there. glibc keeps it for what comes next; after many
/// instances at once that is far more than ever comes. It takes some milliseconds.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it changes nothing that is allocated, and may be called by any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
