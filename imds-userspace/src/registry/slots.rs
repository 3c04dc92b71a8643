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
    #[must_use]
    pub fn free(&self, taken: &BTreeSet<u16>) -> Option<u16> {
        let (low, high) = (1..self.next.min(self.count), self.next.max(1)..self.count);
        high.chain(low).find(|slot| !taken.contains(slot))
    }

    /// The slots once `slot` was given: the search begins behind it. Not for one that nobody moved into, so that
    /// failures use no slots up.
    #[must_use]
    pub const fn after(&self, slot: u16) -> Self {
        Self { count: self.count, next: slot.saturating_add(1) }
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
        for expected in [1, 2, 3, 1, 2] {
            assert_eq!(slots.free(&nobody), Some(expected));
            assert_eq!(slots.free(&nobody), Some(expected), "not given, so not used up");
            slots = slots.after(expected);
        }
        assert_eq!(slots.next(), 3);
    }

    #[test]
    fn a_taken_slot_is_never_given_nor_is_slot_0() {
        let slots = Slots::new(4, 0);
        assert_eq!(slots.free(&BTreeSet::from([1, 3])), Some(2));
        assert_eq!(slots.after(2).free(&BTreeSet::from([2, 3])), Some(1));
        assert_eq!(slots.free(&BTreeSet::from([1, 2, 3])), None);
    }

    #[test]
    fn a_place_from_a_larger_table_is_no_harm() {
        assert_eq!(Slots::new(3, 900).free(&BTreeSet::from([1])), Some(2));
        assert_eq!(Slots::new(1, 1).free(&BTreeSet::new()), None);
        assert_eq!(Slots::new(0, 0).capacity(), 0);
    }
}
