//! What fails while guests ask: a guest can repeat it as often as it likes, and doesn't write the log with that.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How long a trouble isn't told again, in milliseconds.
const SILENCE_MS: u64 = 60_000;

/// A kind of failure, told when it begins, again after a while, and when it is over. Nothing waits for it.
#[derive(Debug)]
pub(super) struct Trouble {
    /// Whether it was told and isn't over.
    open: AtomicBool,
    /// When it was told last, 0 for never.
    told_ms: AtomicU64,
}

impl Trouble {
    pub(super) const fn new() -> Self {
        Self { open: AtomicBool::new(false), told_ms: AtomicU64::new(0) }
    }

    /// It happened: whether to tell it.
    pub(super) fn happens(&self, now_ms: u64) -> bool {
        let told = self.told_ms.load(Ordering::Relaxed);
        let is_due = told == 0 || now_ms.saturating_sub(told) >= SILENCE_MS;
        // Of those that are due at once, one tells.
        let exchange = |now| self.told_ms.compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        let tells = is_due && exchange(now_ms.max(1));
        if tells {
            self.open.store(true, Ordering::Relaxed);
        }
        tells
    }

    /// It didn't happen: whether to tell that it is over.
    pub(super) fn is_over(&self) -> bool {
        self.open.load(Ordering::Relaxed) && self.open.swap(false, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_told_when_it_begins_after_a_while_and_once_it_is_over() {
        let trouble = Trouble::new();
        assert!(!trouble.is_over());
        assert!(trouble.happens(0) && !trouble.happens(1) && !trouble.happens(SILENCE_MS));
        assert!(trouble.is_over() && !trouble.is_over());
        // Whoever makes it come and go writes no more.
        assert!(!trouble.happens(SILENCE_MS) && !trouble.is_over());
        assert!(trouble.happens(SILENCE_MS + 1) && trouble.is_over());
    }
}
