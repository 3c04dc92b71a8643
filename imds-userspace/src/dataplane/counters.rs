//! Counters that the daemon itself keeps in a shared map, so that they outlive it, and one that it reads at each event.

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

/// How many refusals and drops of one slot's owner the kernel programs didn't tell of, since they were loaded.
#[derive(Clone)]
pub struct Untold {
    words: Arc<Mapping>,
    slot: u16,
}

impl Untold {
    /// That of `slot` in the map that `words` maps.
    #[must_use]
    pub(super) const fn new(words: Arc<Mapping>, slot: u16) -> Self {
        Self { words, slot }
    }

    /// How many so far.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.words.word(self.slot.into()).map_or(0, |word| word.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
impl SlotCounter {
    /// Counters of one slot in memory of their own, for tests of the rooms above.
    pub(crate) fn anonymous() -> Self {
        Self::new(anonymous(COUNTERS), 0)
    }
}

#[cfg(test)]
impl Untold {
    /// The same.
    pub(crate) fn anonymous() -> Self {
        Self::new(anonymous(1), 0)
    }

    /// Counts one, as the kernel.
    pub(crate) fn add(&self) {
        self.words.word(0).expect("there").fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
fn anonymous(words: usize) -> Arc<Mapping> {
    use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
    use std::os::fd::AsFd as _;

    let memory = memfd_create("counters", MemfdFlags::CLOEXEC).expect("a memory file");
    ftruncate(&memory, (words * size_of::<u64>()) as u64).expect("room");
    Arc::new(Mapping::new(memory.as_fd(), words).expect("a mapping"))
}
