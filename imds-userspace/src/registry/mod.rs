//! Instances, their options, and the store behind them.
//!
//! What was asked for (a [`record`]) and what the kernel has (a [`SlotStatus`](crate::dataplane::SlotStatus)) are two
//! types; [`plan`] gives the difference and the reconciler does it, at the start and again and again.
//!
//! The order of writes, so that a crash between two of them never leaves the kernel enforcing less than is recorded,
//! and the next start repairs the rest:
//!
//! - create: credentials, directory, kernel, then record. Before the record is there, the next start removes the
//!   credentials and releases the slots;
//! - change of the document: new credentials, record, credentials that are gone, then directory. Before the record is
//!   there, the next start removes credentials that come for the first time, and serves those that come for others of the
//!   same role; those of another role it serves nobody, until others are given;
//! - delete: record, credentials, directory, then kernel. Once the record is gone, the next start does the same, and the
//!   interfaces stay closed until somebody says otherwise again;
//! - options: what gets stricter, in the directory and the kernel; the record; what gets looser, in the kernel and the
//!   directory.

pub mod allowance;
mod apply;
mod arrivals;
mod attachment;
mod change;
mod creation;
mod deletion;
pub mod directory;
pub mod draft;
pub mod error;
mod event;
mod events;
mod fates;
mod identities;
pub mod kernel;
mod keys;
pub mod limits;
pub mod options;
mod pace;
pub mod plan;
mod reconciler;
pub mod record;
pub mod request;
pub mod signing_keys;
pub mod slots;
pub mod store;
mod tenancy;
pub mod totals;
pub mod view;
mod viewing;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use imds_common::options::{MetadataOptions, OptionsWord};
use imds_common::slot::NOBODY;
use tokio::sync::Mutex;

use self::directory::Directory;
use self::draft::Defaults;
use self::error::RegistryError;
use self::kernel::Kernel;
use self::limits::{Budgets, Limits, senders, stricter};
use self::options::{Changes, Scope};
use self::pace::Pace;
use self::plan::Owner;
use self::record::Record;
use self::slots::Slots;
use self::store::{Contents, Store, StoreError};
use crate::credentials::Issuer;
use crate::credentials::vault::{Deposit, VaultError};
use crate::dataplane::Rules;
use crate::heap;
use crate::metadata::bearer::{Bearer, ByBearer};
use crate::metadata::identity::Authority;
use crate::registry::request::{LimitChanges, OptionChanges};
use crate::registry::view::{InstanceStats, InstanceView, StatsView};

/// What the operator's config says of instances.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What instances get that don't say.
    pub defaults: Defaults,
    /// How many slots there are, slot 0 among them.
    pub slots: u16,
    /// Whether refusals are silent (`on-refuse = "drop"`).
    pub refuse_silently: bool,
    /// What instances may send that have no budgets of their own.
    pub budgets: Budgets,
    /// Whether refusals have pages (`error-bodies = "xhtml"`).
    pub error_pages: bool,
    /// Who signs identity documents.
    pub authority: Arc<Authority>,
}

/// All instances. Commands are done one after the other.
pub struct Registry<K> {
    kernel: Arc<K>,
    directory: Arc<Directory>,
    store: Arc<Store>,
    issuer: Arc<Issuer>,
    settings: Settings,
    state: Mutex<State>,
}

/// A change of options or limits, ready to be done.
struct Transition {
    old: (MetadataOptions, Limits),
    new: Record,
}

impl Transition {
    fn new(old: &Record, new: Record) -> Self {
        Self { old: (old.options, old.limits.clone()), new }
    }
}

/// What changes by commands.
struct State {
    records: BTreeMap<String, Record>,
    slots: Slots,
    /// What the reconciler could not do last time, to be logged once.
    troubles: BTreeMap<Owner, String>,
    /// When interfaces are looked at again.
    pace: Pace,
    /// Slots that are traced and by whom, and until when if that one doesn't ask again.
    traces: BTreeMap<(u16, u64), Instant>,
}

impl<K: Kernel> Registry<K> {
    /// Takes all instances as they were stored and brings the kernel and the directory to what is recorded. An interface
    /// that isn't there, or that the kernel refuses, keeps nothing else from being served.
    ///
    /// # Errors
    ///
    /// The vault's, [`RegistryError::Sign`], and the kernel's when it doesn't tell its state.
    pub async fn start(
        kernel: Arc<K>,
        directory: Arc<Directory>,
        (store, contents): (Arc<Store>, Contents),
        issuer: Issuer,
        settings: Settings,
    ) -> Result<Self, RegistryError> {
        let records: BTreeMap<String, Record> =
            contents.records.into_iter().map(|record| (record.instance.instance_id.clone(), record)).collect();
        issuer.sweep(|id, bearer| {
            records.get(id).is_some_and(|record| record.instance.own_credentials.of(bearer).is_some())
        })?;
        let slots = Slots::new(settings.slots, contents.next_slot);
        let state = Mutex::new(State {
            records,
            slots,
            troubles: BTreeMap::new(),
            pace: Pace::default(),
            traces: BTreeMap::new(),
        });
        let registry = Self { kernel, directory, store, issuer: Arc::new(issuer), settings, state };
        registry.sign_unsigned().await?;
        registry.reconcile().await?;
        blocking(heap::give_back).await;
        Ok(registry)
    }

    /// All instances.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub async fn list(&self) -> Result<Vec<InstanceView>, RegistryError> {
        let state = self.state.lock().await;
        self.views(state.records.values())
    }

    /// One instance.
    ///
    /// # Errors
    ///
    /// [`RegistryError::NotFound`], the kernel's.
    pub async fn show(&self, instance_id: &str) -> Result<InstanceView, RegistryError> {
        let state = self.state.lock().await;
        self.view(state.record(instance_id)?)
    }

    /// Changes options of one instance, or of all; returns when the kernel has them, with all instances concerned.
    ///
    /// # Errors
    ///
    /// [`RegistryError::NotFound`], values that no option takes, [`RegistryError::Options`], the store's; then no
    /// instance was changed.
    pub async fn set_options(
        &self,
        instance_id: Option<&str>,
        changes: &OptionChanges,
    ) -> Result<Vec<InstanceView>, RegistryError> {
        let changes = Changes::parse(changes).map_err(draft::DraftError::from)?;
        let mut state = self.state.lock().await;
        let state = &mut *state;
        let (scope, current): (_, Vec<&Record>) = match instance_id {
            Some(id) => (Scope::One, vec![state.record(id)?]),
            None => (Scope::All, state.records.values().collect()),
        };
        let mut transitions = Vec::with_capacity(current.len());
        for record in current {
            let refused = |source| RegistryError::Options { instance_id: record.instance.instance_id.clone(), source };
            let document = record.instance.document.unpack();
            let options = changes.apply(&record.options, draft::tag_keys(&document), scope).map_err(refused)?;
            transitions.push(Transition::new(record, Record { options, ..record.clone() }));
        }
        let ids: Vec<_> = transitions.iter().map(|change| change.new.instance.instance_id.clone()).collect();
        let store_ms = self.make(state, transitions).await?;
        tracing::info!(instances = ?ids, store_ms, "options set");
        self.views(ids.iter().filter_map(|id| state.records.get(id)))
    }

    /// Changes limits of one instance; returns when the kernel has them.
    ///
    /// # Errors
    ///
    /// [`RegistryError::NotFound`], [`RegistryError::Draft`] for values that no limit takes, the store's; then nothing
    /// was changed.
    pub async fn set_limits(&self, instance_id: &str, changes: &LimitChanges) -> Result<InstanceView, RegistryError> {
        let mut state = self.state.lock().await;
        let record = state.record(instance_id)?;
        let limits = record.limits.changed(changes).map_err(draft::DraftError::from)?;
        let transition = Transition::new(record, Record { limits, ..record.clone() });
        let store_ms = self.make(&mut state, vec![transition]).await?;
        tracing::info!(instance = instance_id, store_ms, "limits set");
        self.view(state.record(instance_id)?)
    }

    /// Makes changes: the strictest of old and new is in force until the record is written. Returns how long the store
    /// took, in milliseconds.
    async fn make(&self, state: &mut State, transitions: Vec<Transition>) -> Result<f64, RegistryError> {
        for Transition { old: (options, limits), new } in &transitions {
            self.enforce(new.slots(), new, &self.rules_between((options, limits), (&new.options, &new.limits))).await;
        }
        let (records, next_slot) = (transitions.iter().map(|t| t.new.clone()).collect::<Vec<_>>(), state.slots.next());
        let start = Instant::now();
        let written = self.write(move |store| store.update(&records, next_slot)).await;
        let store_ms = start.elapsed().as_secs_f64() * 1e3;
        for Transition { old: (options, limits), new } in &transitions {
            let (options, limits) = if written.is_ok() { (&new.options, &new.limits) } else { (options, limits) };
            self.enforce(new.slots(), new, &self.rules(options, limits)).await;
            if written.is_ok() {
                self.allow(new);
            }
        }
        written?;
        state.records.extend(transitions.into_iter().map(|t| (t.new.instance.instance_id.clone(), t.new)));
        Ok(store_ms)
    }

    /// The counters of one instance, or of all and of the host.
    ///
    /// # Errors
    ///
    /// [`RegistryError::NotFound`], the kernel's.
    pub async fn stats(&self, instance_id: Option<&str>) -> Result<StatsView, RegistryError> {
        let state = self.state.lock().await;
        if let Some(id) = instance_id {
            return Ok(StatsView { instances: vec![self.count(state.record(id)?)?], host: None });
        }
        let instances = state.records.values().map(|record| self.count(record)).collect::<Result<_, _>>()?;
        Ok(StatsView { instances, host: Some(totals::kernel_counts(&self.kernel.kernel_counters(NOBODY)?)) })
    }

    fn count(&self, record: &Record) -> Result<InstanceStats, RegistryError> {
        let mut totals = record.carried.clone();
        for slot in record.slots() {
            totals.add(&self.kernel.kernel_counters(slot)?, &self.kernel.service_counters(slot).read());
        }
        Ok(totals.stats(&record.instance.instance_id))
    }

    fn index_of(&self, interface: &str) -> Result<Option<u32>, RegistryError> {
        index_of(&*self.kernel, interface)
    }

    /// The rules that a slot with these options and limits has.
    fn rules(&self, options: &MetadataOptions, limits: &Limits) -> Rules {
        self.rules_between((options, limits), (options, limits))
    }

    /// The strictest rules between two states.
    fn rules_between(
        &self,
        (options, limits): (&MetadataOptions, &Limits),
        (other_options, other_limits): (&MetadataOptions, &Limits),
    ) -> Rules {
        let packets = |limits: &Limits| limits.budgets(self.settings.budgets).packets;
        let word = OptionsWord::new(&options::strictest(options, other_options), self.settings.refuse_silently)
            .with_error_pages(self.settings.error_pages)
            .with_packet_budget(stricter(packets(limits), packets(other_limits)));
        Rules::new(word, senders(limits, other_limits))
    }

    /// Runs a store's transaction where it may block.
    async fn write<T: Send + 'static>(
        &self,
        transaction: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = Arc::clone(&self.store);
        blocking(move || transaction(&store)).await
    }

    /// Asks for an instance's own credentials, or changes them, where that may block.
    async fn own_credentials<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Issuer) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, VaultError> {
        let issuer = Arc::clone(&self.issuer);
        blocking(move || act(&issuer)).await
    }

    /// Credentials that an instance has of its own for these bearers.
    async fn kept_credentials(&self, record: &Record, bearers: &[Bearer]) -> Result<ByBearer<Deposit>, VaultError> {
        let id = &record.instance.instance_id;
        let mut kept = ByBearer::default();
        for &bearer in bearers.iter().filter(|bearer| record.instance.own_credentials.of(**bearer).is_some()) {
            let id = id.clone();
            kept.set(bearer, self.own_credentials(move |issuer| issuer.kept(&id, bearer)).await?);
        }
        Ok(kept)
    }

    /// Keeps credentials of an instance, without serving them yet.
    async fn keep_credentials(&self, instance_id: &str, given: ByBearer<Deposit>) -> Result<(), VaultError> {
        let id = instance_id.to_owned();
        self.own_credentials(move |issuer| issuer.keep(&id, &given)).await
    }

    /// Removes credentials that nobody owns: those of an instance that is gone or came to nothing, or that it hasn't any
    /// more.
    async fn forget_credentials(&self, instance_id: &str, bearers: &[Bearer]) {
        for &bearer in bearers {
            let id = instance_id.to_owned();
            if let Err(error) = self.own_credentials(move |issuer| issuer.forget(&id, bearer)).await {
                tracing::error!(instance = instance_id, %error, "credentials not removed; the next start does");
            }
        }
    }

    async fn load_credentials(&self, record: &Record) {
        load_credentials(&self.issuer, record).await;
    }
}

/// Serves the credentials that an instance has of its own.
async fn load_credentials(issuer: &Arc<Issuer>, record: &Record) {
    if record.instance.own_credentials != ByBearer::default() {
        let (issuer, instance) = (Arc::clone(issuer), record.instance.clone());
        blocking(move || issuer.load([&instance].into_iter())).await;
    }
}

/// The index of an interface, `None` only where there surely is none.
fn index_of(kernel: &impl Kernel, interface: &str) -> Result<Option<u32>, RegistryError> {
    let unknown = |source| RegistryError::Lookup { interface: interface.to_owned(), source };
    kernel.index_of(interface).map_err(unknown)
}

/// Does what may block, or takes its time, where nothing waits behind it.
async fn blocking<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    // It isn't cancelled, so that it can only have panicked: that goes on here.
    tokio::task::spawn_blocking(act).await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

impl State {
    fn record(&self, instance_id: &str) -> Result<&Record, RegistryError> {
        self.records.get(instance_id).ok_or_else(|| RegistryError::NotFound(instance_id.to_owned()))
    }
}
