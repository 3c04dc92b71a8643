//! The registry's read side: who is behind a slot, for the service to look up without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::{ArcSwap, ArcSwapOption};
use imds_common::event::Event;
use imds_common::options::OptionsWord;
use imds_common::token::{KEYS, Key};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::allowance::Allowance;
use super::store::{Store, StoreError};
use crate::dataplane::counters::{SlotCounter, Untold};
use crate::events::Seen;
use crate::events::recent::Recent;
use crate::metadata::tree::Tree;

/// Reads of user data that one instance may have in hand at once: the threads for them are everybody's.
const USER_DATA_READS: usize = 1;

/// What the service needs to know of the instance behind a slot.
pub struct Served {
    /// Its id, for logs.
    pub instance_id: String,
    /// The slot's address generation: a connection of another one is reset.
    pub generation: u16,
    /// The instance's token generation.
    pub token_generation: u64,
    /// The service's own counters of this slot.
    pub counters: SlotCounter,
    /// How many refusals and drops the kernel didn't tell of.
    pub untold: Untold,
    /// What the instance may have and do at once, on all of its interfaces.
    pub allowance: Arc<Allowance>,
    /// Cancelled when the instance is deleted: every connection of it ends at once.
    pub gone: CancellationToken,
    /// What became of its packets and requests lately.
    pub recent: Recent,
    options: AtomicU64,
    tree: ArcSwap<Tree>,
    /// Where its user data is.
    store: Weak<Store>,
    /// One permit, for reading it.
    reading: Semaphore,
}

impl Served {
    /// An instance as it begins to be served.
    #[must_use]
    pub fn new(
        instance_id: String,
        (generation, token_generation): (u16, u64),
        (counters, untold): (SlotCounter, Untold),
        options: OptionsWord,
        tree: Arc<Tree>,
        allowance: Arc<Allowance>,
    ) -> Self {
        Self {
            instance_id,
            generation,
            token_generation,
            counters,
            untold,
            allowance,
            gone: CancellationToken::new(),
            recent: Recent::default(),
            options: AtomicU64::new(options.bits()),
            tree: ArcSwap::new(tree),
            store: Weak::new(),
            reading: Semaphore::new(USER_DATA_READS),
        }
    }

    /// With its user data in a store.
    #[must_use]
    pub fn with_user_data(self, store: &Arc<Store>) -> Self {
        Self { store: Arc::downgrade(store), ..self }
    }

    /// Reads its user data, where that may block.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn user_data(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(store) = self.store.upgrade() else { return Ok(None) };
        // The semaphore is never closed.
        let _permit = self.reading.acquire().await;
        let id = self.instance_id.clone();
        let read = tokio::task::spawn_blocking(move || store.user_data(&id)).await;
        // A read isn't cancelled, so that it can only have panicked: that goes on here.
        read.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    /// Its options now.
    #[must_use]
    pub fn options(&self) -> OptionsWord {
        OptionsWord::from_bits(self.options.load(Ordering::Acquire))
    }

    /// Its tree now.
    #[must_use]
    pub fn tree(&self) -> Arc<Tree> {
        self.tree.load_full()
    }

    /// Replaces its options.
    pub fn set_options(&self, options: OptionsWord) {
        self.options.store(options.bits(), Ordering::Release);
    }

    /// Replaces its tree: readers see the old one or the new one.
    pub fn set_tree(&self, tree: Arc<Tree>) {
        self.tree.store(tree);
    }
}

/// The keys of the tokens: the one that signs now, and all that still verify.
#[derive(Clone, Copy)]
pub struct KeyRing {
    /// By number modulo [`KEYS`].
    pub keys: [Key; KEYS],
    /// The number of the one that signs.
    pub current: u8,
}

impl KeyRing {
    /// The keys as the kernel has them: the newest signs.
    #[must_use]
    pub fn new(keys: [Key; KEYS]) -> Self {
        Self { keys, current: Key::newest(&keys) }
    }
}

/// Who is behind each slot.
pub struct Directory {
    slots: Vec<ArcSwapOption<Served>>,
    keys: ArcSwap<KeyRing>,
}

impl Directory {
    /// An empty directory of so many slots.
    #[must_use]
    pub fn new(slots: usize, keys: KeyRing) -> Self {
        Self { slots: (0..slots).map(|_| ArcSwapOption::empty()).collect(), keys: ArcSwap::from_pointee(keys) }
    }

    /// Who is behind `slot`.
    #[must_use]
    pub fn get(&self, slot: u16) -> Option<Arc<Served>> {
        self.slots.get(usize::from(slot))?.load_full()
    }

    /// Puts somebody behind `slot`, or nobody; whoever was there before comes back.
    pub fn set(&self, slot: u16, served: Option<Arc<Served>>) -> Option<Arc<Served>> {
        self.slots.get(usize::from(slot))?.swap(served)
    }

    /// Keeps an event of the kernel's with whom it is about, if that one still has its slot.
    pub fn note(&self, event: &Event) {
        if let Some(served) = self.get(event.slot).filter(|served| served.generation == event.generation)
            && let Some(seen) = Seen::of_event(event)
        {
            served.recent.note(seen);
        }
    }

    /// The keys of the tokens: a copy, so that no count of readers goes from processor to processor at each request.
    #[must_use]
    pub fn keys(&self) -> KeyRing {
        **self.keys.load()
    }

    /// Replaces the keys: readers see the old ones or the new ones. The kernel has to verify with all of them before.
    pub fn set_keys(&self, keys: KeyRing) {
        self.keys.store(Arc::new(keys));
    }
}
