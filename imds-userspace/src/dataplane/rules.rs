//! What a slot's packets are judged by: one word of options, and the list of who may send.
//!
//! The list doesn't fit into the word, so a slot has room for two: a new one is written where no packet looks, and the
//! word that is stored then names it. So a packet is judged by the old list or by the new one, never by a mix.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use imds_common::options::OptionsWord;
use imds_common::sender::Senders;
use rustix::thread::{MembarrierCommand, membarrier};

use super::{Dataplane, DataplaneError, Kernel};

/// How long a packet may be in a program at most, by far, where the kernel doesn't wait for them itself.
const PACKETS_IN_HAND: Duration = Duration::from_millis(100);

/// What a slot's packets are judged by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Its options. Those of a slot that lists senders say so, whoever asks for them.
    options: OptionsWord,
    /// Who may send; anybody, if nobody is listed.
    senders: Option<Box<Senders>>,
}

impl Rules {
    /// Options, and who may send.
    #[must_use]
    pub fn new(options: OptionsWord, senders: Option<Box<Senders>>) -> Self {
        Self { options: options.with_senders(senders.is_some()), senders }
    }

    /// Whether they list senders. Such may take some milliseconds to be set.
    #[must_use]
    pub const fn lists_senders(&self) -> bool {
        self.senders.is_some()
    }

    /// The options.
    #[must_use]
    pub const fn options(&self) -> OptionsWord {
        self.options
    }
}

impl From<OptionsWord> for Rules {
    /// Options of an instance that lists nobody.
    fn from(options: OptionsWord) -> Self {
        Self::new(options, None)
    }
}

impl Dataplane {
    /// What the kernel has of a slot's rules.
    pub(super) fn rules(&self, kernel: &Kernel, slot: u16) -> Result<Rules, DataplaneError> {
        let word = stored(kernel, slot);
        let senders = word.lists_senders().then(|| kernel.tables.senders(slot, word.senders_bank()).map(Box::new));
        // Whether it is traced, and where its list stands, is no rule.
        Ok(Rules::new(word.with_trace(false).with_senders_bank(0), senders.transpose()?))
    }

    /// Replaces a slot's rules: the next packet sees them. A slot whose list can't be written is closed. Rules of one
    /// slot are set one after the other.
    pub fn set_rules(&self, slot: u16, rules: &Rules) {
        if self.must_wait(slot, rules) {
            wait_for_packets();
        }
        let mut kernel = self.kernel();
        if let Err(error) = self.store_rules(&mut kernel, slot, rules) {
            tracing::error!(slot, %error, "a list of senders is not written: the slot is closed");
            self.close(&kernel, slot);
        }
    }

    /// Closes a slot: every packet to the service is dropped.
    pub(super) fn close(&self, kernel: &Kernel, slot: u16) {
        store(kernel, slot, OptionsWord::CLOSED, stored(kernel, slot).senders_bank());
    }

    /// Whether packets of a slot have to be waited for before these rules are stored: those in hand may still look into
    /// the bank that a new list comes to, as they came before the word was stored that names the other one. No packet
    /// comes to a slot that is closed, but for what was on its way before.
    fn must_wait(&self, slot: u16, rules: &Rules) -> bool {
        let kernel = self.kernel();
        let Some(senders) = &rules.senders else { return false };
        stored(&kernel, slot).is_owned() && !has_list(&kernel, slot, senders).unwrap_or(false)
    }

    /// Replaces a slot's rules, into whose other bank no packet looks.
    pub(super) fn store_rules(&self, kernel: &mut Kernel, slot: u16, rules: &Rules) -> Result<(), DataplaneError> {
        let mut bank = stored(kernel, slot).senders_bank();
        if let Some(senders) = &rules.senders
            && !has_list(kernel, slot, senders)?
        {
            bank = 1 - bank;
            kernel.tables.set_senders(slot, bank, **senders)?;
        }
        store(kernel, slot, rules.options, bank);
        Ok(())
    }

    /// Begins or ends a trace of a slot: all of its packets are told of. It ends with the slot's owner, too.
    pub fn set_traced(&self, slot: u16, traced: bool) {
        // Every writer of a word holds this lock.
        let mut kernel = self.kernel();
        let before = stored(&kernel, slot);
        if let Some(word) = kernel.tables.options.word(slot.into()) {
            word.store(before.with_trace(traced).bits(), Ordering::Release);
        }
        // What a flood has used of the small budget is more than may be used of the large one at once.
        if traced
            && !before.is_traced()
            && let Err(error) = kernel.tables.renew_event_budget(slot)
        {
            tracing::warn!(slot, %error, "a trace begins late");
        }
    }

    /// Ends the traces of an earlier daemon.
    pub(super) fn end_traces(&self) {
        (0..self.slots).for_each(|slot| self.set_traced(slot, false));
    }
}

/// The word that a slot has now.
fn stored(kernel: &Kernel, slot: u16) -> OptionsWord {
    let word = kernel.tables.options.word(slot.into());
    OptionsWord::from_bits(word.map_or(0, |word| word.load(Ordering::Acquire)))
}

/// Whether a slot has this list already.
fn has_list(kernel: &Kernel, slot: u16, senders: &Senders) -> Result<bool, DataplaneError> {
    let word = stored(kernel, slot);
    Ok(word.lists_senders() && kernel.tables.senders(slot, word.senders_bank())? == *senders)
}

/// Stores a word, of a slot that stays traced if it is.
fn store(kernel: &Kernel, slot: u16, options: OptionsWord, bank: u32) {
    let traced = stored(kernel, slot).is_traced();
    if let Some(word) = kernel.tables.options.word(slot.into()) {
        word.store(options.with_trace(traced).with_senders_bank(bank).bits(), Ordering::Release);
    }
}

/// Waits until every program has done with the packet that it has in hand: each holds the RCU read lock, and the kernel
/// waits for all who do.
fn wait_for_packets() {
    // Not where processors are kept from all interruptions (`nohz_full`).
    if membarrier(MembarrierCommand::Global).is_err() {
        thread::sleep(PACKETS_IN_HAND);
    }
}
