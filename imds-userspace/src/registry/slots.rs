//! Which slot is given next.

use std::collections::BTreeSet;

/// The numbers of the slots, given in turn: one that was freed rests for as long as others are free.
#[derive(Clone, Debug)]
pub struct Slots {
    count: u16,
    next: u16,
}

impl Slots {
    /// `count` slots, slot 0 among them, which is never given; the search begins at `next`.
    #[must_use]
    pub const fn new(count: u16, next: u16) -> Self {
        Self { count, next }
    }

    /// How many slots there are to give.
    #[must_use]
    pub const fn capacity(&self) -> u16 {
        self.count.saturating_sub(1)
    }

    /// Where the next search begins: to be stored, so that a freed slot rests over a restart too.
    #[must_use]
    pub const fn next(&self) -> u16 {
        self.next
    }

    /// The next slot that isn't `taken`, or `None` when all are.
    pub fn take(&mut self, taken: &BTreeSet<u16>) -> Option<u16> {
        let (low, high) = (1..self.next.min(self.count), self.next.max(1)..self.count);
        let slot = high.chain(low).find(|slot| !taken.contains(slot))?;
        self.next = slot + 1;
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freed_slot_rests_while_others_are_free() {
        let mut slots = Slots::new(4, 1);
        assert_eq!(slots.capacity(), 3);
        let nobody = BTreeSet::new();
        let given: Vec<_> = (0..5).filter_map(|_| slots.take(&nobody)).collect();
        assert_eq!(given, [1, 2, 3, 1, 2]);
        assert_eq!(slots.next(), 3);
    }

    #[test]
    fn a_taken_slot_is_never_given_nor_is_slot_0() {
        let mut slots = Slots::new(4, 0);
        assert_eq!(slots.take(&BTreeSet::from([1, 3])), Some(2));
        assert_eq!(slots.take(&BTreeSet::from([2, 3])), Some(1));
        assert_eq!(slots.take(&BTreeSet::from([1, 2, 3])), None);
        assert_eq!(slots.next(), 2);
    }

    #[test]
    fn a_place_from_a_larger_table_is_no_harm() {
        assert_eq!(Slots::new(3, 900).take(&BTreeSet::from([1])), Some(2));
        assert_eq!(Slots::new(1, 1).take(&BTreeSet::new()), None);
        assert_eq!(Slots::new(0, 0).capacity(), 0);
    }
}
