//! Brings the kernel and the directory to what is recorded: at the start, and again and again for interfaces that come
//! and go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::arrivals::{Arrival, Arrivals};
use super::error::RegistryError;
use super::kernel::Kernel;
use super::plan::{Action, Owner, Wanted, plan};
use super::record::{Assignment, Record};
use super::slots::Slots;
use super::{Registry, State, blocking, index_of};
use crate::dataplane::SlotStatus;
use crate::dataplane::attach::WithoutXdp;

impl<K: Kernel> Registry<K> {
    /// Plans and does what is needed, if it is time to: see [`Pace`](super::pace::Pace). To be called every second.
    ///
    /// # Errors
    ///
    /// As [`Registry::reconcile`]; the next call tries again.
    pub async fn reconcile_when_due(&self) -> Result<(), RegistryError> {
        let (links, start) = (self.kernel.link_changes(), Instant::now());
        if self.state.lock().await.pace.is_due(start, links) {
            self.reconcile().await?;
            self.state.lock().await.pace.looked(start, Instant::now(), links);
        }
        Ok(())
    }

    /// Plans and does what is needed. What can't be done is logged, once, and tried again by the next call.
    ///
    /// # Errors
    ///
    /// The kernel's when it doesn't tell its state or whether an interface is there; then nothing was done.
    pub async fn reconcile(&self) -> Result<(), RegistryError> {
        let mut state = self.state.lock().await;
        let wanted: Vec<Wanted> = state.records.values().flat_map(|record| self.wanted(record)).collect();
        let (kernel, slots) = (Arc::clone(&self.kernel), state.slots.clone());
        // Of thousands of interfaces this takes some ten milliseconds, in which a guest's requests would wait.
        let actions = blocking(move || planned(&*kernel, &wanted, &slots)).await?;
        // What was recorded of slots that aren't kept proves nothing: their tokens are dead.
        for action in &actions {
            if let Action::Absent { owner } | Action::Assign { owner, .. } = action {
                state.set_assignment(owner, None);
            }
        }
        let mut arrivals = Arrivals::of(&actions);
        let mut admitted = Vec::new();
        for action in actions {
            match action {
                Action::Release { slot, owner } => self.reclaim(&mut state, slot, owner).await,
                Action::SetRules { owner, slot } => {
                    if let Err(error) = self.mend_rules(&state, &owner, slot).await {
                        tracing::error!(instance = owner.instance_id, %error, "rules not set; trying again");
                    }
                }
                Action::Keep { owner, status } => {
                    let outcome = self.resume(&state, &owner, &status).await;
                    state.note(owner, outcome);
                }
                Action::Absent { owner } => state.note_absence(owner),
                Action::Assign { owner, slot } => match self.admit(&mut state, &owner, slot, &mut arrivals).await {
                    Ok(slot) => admitted.push((owner, slot)),
                    Err(error) => state.note(owner, Err(error)),
                },
            }
        }
        self.record_admitted(&mut state, admitted).await;
        Ok(())
    }

    /// Looks whether the program still hangs on the next few interfaces.
    ///
    /// # Errors
    ///
    /// The kernel's, of an interface that can't be mended.
    pub async fn mend_hooks(&self) -> Result<(), RegistryError> {
        // No command lets an interface go meanwhile.
        let _state = self.state.lock().await;
        Ok(self.kernel.mend_hooks().await?)
    }

    fn wanted<'a>(&self, record: &'a Record) -> impl Iterator<Item = Wanted> + 'a {
        let rules = self.rules(&record.options, &record.limits);
        record.interfaces.iter().enumerate().map(move |(interface, recorded)| Wanted {
            owner: Owner { instance_id: record.instance.instance_id.clone(), interface },
            name: recorded.name.clone(),
            assignment: recorded.assignment,
            rules: rules.clone(),
        })
    }

    /// Releases a slot. Its counts are in the owner's record before they are lost, so that none is counted twice.
    async fn reclaim(&self, state: &mut State, slot: u16, owner: Option<Owner>) {
        if let Some(owner) = owner
            && let Err(error) = self.carry(state, &owner, slot).await
        {
            tracing::error!(instance = owner.instance_id, slot, %error, "counters of a released slot not stored");
        }
        if let Err(error) = self.vacate(slot) {
            tracing::error!(slot, %error, "slot not released; trying again");
        }
    }

    async fn carry(&self, state: &mut State, owner: &Owner, slot: u16) -> Result<(), RegistryError> {
        let (kernel, daemon) = (self.kernel.kernel_counters(slot), self.kernel.service_counters(slot).read());
        state.set_assignment(owner, None);
        let Some(record) = state.records.get_mut(&owner.instance_id) else { return Ok(()) };
        record.carried.add(&kernel?, &daemon);
        let (record, next_slot) = (record.clone(), state.slots.next());
        Ok(self.write(move |store| store.update([&record], next_slot)).await?)
    }

    async fn mend_rules(&self, state: &State, owner: &Owner, slot: u16) -> Result<(), RegistryError> {
        let record = state.record(&owner.instance_id)?;
        self.enforce([slot], record, &self.rules(&record.options, &record.limits)).await;
        Ok(())
    }

    /// Goes on with a slot that the kernel has kept; nothing is to do where it is served already. The directory knows the
    /// tenant before this daemon's programs tell of its packets; on failure it is served no more until the next try.
    async fn resume(&self, state: &State, owner: &Owner, status: &SlotStatus) -> Result<(), RegistryError> {
        let served = self.directory.get(status.slot);
        let generations = (status.generation, status.token_generation);
        if served.is_some_and(|served| (served.generation, served.token_generation) == generations) {
            return Ok(());
        }
        let record = state.record(&owner.instance_id)?;
        self.load_credentials(record).await;
        let tree = self.tree(record);
        let attach = record.interfaces.get(owner.interface).and_then(|interface| interface.attach);
        self.serve(status.slot, generations, record, tree);
        self.kernel.keep(status, attach).await.inspect_err(|_| self.evict(status.slot, None))?;
        Ok(())
    }

    /// Gives an interface its slot, which is to be recorded.
    async fn admit(
        &self,
        state: &mut State,
        owner: &Owner,
        slot: Option<u16>,
        arrivals: &mut Arrivals,
    ) -> Result<u16, RegistryError> {
        let no_slot = || RegistryError::NoSlot(state.slots.capacity());
        let slot = slot.ok_or_else(no_slot)?;
        let Arrival { interface, tree } = arrivals.next(self, state).await.ok_or_else(no_slot)??;
        let record = state.record(&owner.instance_id)?;
        let assignment = self.occupy(slot, &interface, (record, owner.interface), tree, WithoutXdp::GoOn).await?;
        state.set_assignment(owner, Some(assignment));
        Ok(slot)
    }

    /// Records slots that were given, all at once: at a start there are many. Unrecorded, they are taken back.
    async fn record_admitted(&self, state: &mut State, admitted: Vec<(Owner, u16)>) {
        if admitted.is_empty() {
            return;
        }
        let ids: BTreeSet<&String> = admitted.iter().map(|(owner, _)| &owner.instance_id).collect();
        let records: Vec<_> = ids.into_iter().filter_map(|id| state.records.get(id).cloned()).collect();
        let slots = admitted.iter().fold(state.slots.clone(), |slots, (_, slot)| slots.after(*slot));
        let next_slot = slots.next();
        match self.write(move |store| store.update(&records, next_slot)).await {
            Ok(()) => {
                state.slots = slots;
                admitted.into_iter().for_each(|(owner, _)| state.note(owner, Ok(())));
            }
            Err(error) => {
                for (owner, slot) in admitted {
                    state.set_assignment(&owner, None);
                    self.vacate_after(slot, &error);
                    state.trouble(owner, error.to_string());
                }
            }
        }
    }
}

/// What there is to do now.
fn planned(kernel: &impl Kernel, wanted: &[Wanted], slots: &Slots) -> Result<Vec<Action>, RegistryError> {
    let statuses = kernel.status()?;
    let mut present = BTreeMap::new();
    for Wanted { name, .. } in wanted {
        present.extend(index_of(kernel, name)?.map(|index| (name.clone(), index)));
    }
    Ok(plan(wanted, &statuses, &present, slots))
}

impl State {
    fn set_assignment(&mut self, owner: &Owner, assignment: Option<Assignment>) {
        let record = self.records.get_mut(&owner.instance_id);
        if let Some(interface) = record.and_then(|record| record.interfaces.get_mut(owner.interface)) {
            interface.assignment = assignment;
        }
    }

    fn note(&mut self, owner: Owner, outcome: Result<(), RegistryError>) {
        match outcome {
            Ok(()) => {
                if self.troubles.remove(&owner).is_some() {
                    tracing::info!(instance = owner.instance_id, interface = self.interface(&owner), "served again");
                }
            }
            Err(error) => self.trouble(owner, error.to_string()),
        }
    }

    fn note_absence(&mut self, owner: Owner) {
        self.trouble(owner, "the interface is not there".to_owned());
    }

    fn trouble(&mut self, owner: Owner, reason: String) {
        if self.troubles.get(&owner) != Some(&reason) {
            tracing::warn!(
                instance = owner.instance_id,
                interface = self.interface(&owner),
                reason,
                "not served; trying again"
            );
            self.troubles.insert(owner, reason);
        }
    }

    fn interface(&self, owner: &Owner) -> &str {
        let record = self.records.get(&owner.instance_id);
        record.and_then(|record| record.interfaces.get(owner.interface)).map_or("", |interface| &interface.name)
    }
}
