//! Counters that the daemon itself keeps in a shared map, so that they outlive it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use imds_common::counters::{COUNTERS, Counter, SlotCounters};

use super::mapping::Mapping;

/// The daemon's counters of one slot.
#[derive(Clone)]
pub struct SlotCounter {
    words: Arc<Mapping>,
    slot: u16,
}

impl SlotCounter {
    /// The counters of `slot` in the map that `words` maps.
    #[must_use]
    pub(super) const fn new(words: Arc<Mapping>, slot: u16) -> Self {
        Self { words, slot }
    }

    /// Adds one.
    pub fn add(&self, counter: Counter) {
        if let Some(word) = self.words.word(usize::from(self.slot) * COUNTERS + counter.index()) {
            word.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All of them.
    #[must_use]
    pub fn read(&self) -> SlotCounters {
        std::array::from_fn(|index| {
            let word = self.words.word(usize::from(self.slot) * COUNTERS + index);
            word.map_or(0, |word| word.load(Ordering::Relaxed))
        })
    }
}

#[cfg(test)]
impl SlotCounter {
    /// Counters of one slot in memory of their own, for tests of the rooms above.
    pub(crate) fn anonymous() -> Self {
        use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
        use std::os::fd::AsFd as _;

        let memory = memfd_create("counters", MemfdFlags::CLOEXEC).expect("a memory file");
        ftruncate(&memory, (COUNTERS * size_of::<u64>()) as u64).expect("room");
        Self::new(Arc::new(Mapping::new(memory.as_fd(), COUNTERS).expect("a mapping")), 0)
    }
}
