//! Many instances brought to a described state.

use std::collections::BTreeSet;

use imds_common::options::MetadataOptions;

use super::draft::{Draft, DraftError, read_document, tag_keys};
use super::error::RegistryError;
use super::fates::Fates;
use super::kernel::Kernel;
use super::options::{self, Changes, Scope};
use super::record::{InterfaceRecord, Record};
use super::{Registry, State, blocking, creation, event};
use crate::metadata::instance::Instance;
use crate::registry::request::{Applied, ApplyOutcome, CreateInstance, Described, Json, OptionChanges, Part};
use crate::{credentials, heap};

/// What has to be done for a described instance.
struct Planned {
    outcome: ApplyOutcome,
    changed: BTreeSet<Part>,
    /// Interfaces that it takes.
    claimed: Vec<u32>,
}

/// What described instances that aren't made yet take away from those after them.
struct Claims {
    interfaces: BTreeSet<u32>,
    free_slots: usize,
}

impl<K: Kernel> Registry<K> {
    /// Creates or changes every described instance, one after the other, and says of each what was done; with `check`
    /// only what would be. The interfaces `claimed` are other instances' that aren't made yet.
    ///
    /// # Errors
    ///
    /// [`RegistryError::Described`] for the first description that can't be; then nothing was changed.
    pub async fn apply(
        &self,
        described: &[Described],
        check: bool,
        claimed: &[u32],
    ) -> Result<Vec<Applied>, RegistryError> {
        let mut planned = Vec::with_capacity(described.len());
        {
            let state = self.state.lock().await;
            let free = usize::from(state.slots.capacity()).saturating_sub(self.taken_slots(&state)?.len());
            let interfaces = claimed.iter().copied().collect();
            let mut claims = Claims { interfaces, free_slots: free.saturating_sub(claimed.len()) };
            let mut seen = BTreeSet::new();
            for instance in described {
                let refused = |source| RegistryError::described(&instance.instance_id, source);
                if !seen.insert(&instance.instance_id) {
                    return Err(refused(RegistryError::DescribedTwice));
                }
                planned.push(self.plan_one(&state, instance, &mut claims).await.map_err(refused)?);
            }
        }
        let mut applied = Vec::with_capacity(described.len());
        for (instance, planned) in described.iter().zip(planned) {
            let Planned { outcome, mut changed, claimed } = planned;
            let outcome = if check {
                Ok(outcome)
            } else {
                changed.clear();
                self.apply_one(instance, &mut changed).await
            };
            let (outcome, message) = match outcome {
                Ok(outcome) => (outcome, None),
                Err(error) => (ApplyOutcome::Failed, Some(error.to_string())),
            };
            let (instance_id, changed) = (instance.instance_id.clone(), changed.into_iter().collect());
            let claimed = if check { claimed } else { Vec::new() };
            applied.push(Applied { instance_id, outcome, changed, claimed, message });
        }
        // Every instance took many times the memory that it keeps.
        blocking(heap::give_back).await;
        Ok(applied)
    }

    /// What has to be done for an instance, after what has to be for those before it.
    async fn plan_one(
        &self,
        state: &State,
        described: &Described,
        claims: &mut Claims,
    ) -> Result<Planned, RegistryError> {
        let record = state.records.get(&described.instance_id);
        let draft = Draft::new(&create_of(described, record), &self.settings.defaults)?;
        let Some(record) = record else {
            self.issuer.check(&draft.instance)?;
            credentials::check_given(&draft.kept.credentials)?;
            let found = self.find_all(state, &draft.interfaces).await?;
            for (interface, name) in found.iter().zip(&draft.interfaces) {
                if !claims.interfaces.insert(interface.index) {
                    return Err(RegistryError::DescribedInterface(name.clone()));
                }
            }
            let left = claims.free_slots.checked_sub(found.len());
            claims.free_slots = left.ok_or(RegistryError::NoSlot(state.slots.capacity()))?;
            let claimed = found.iter().map(|interface| interface.index).collect();
            Instance { macs: creation::macs(&found), ..draft.instance }.check().map_err(DraftError::from)?;
            return Ok(Planned { outcome: ApplyOutcome::Created, changed: BTreeSet::new(), claimed });
        };
        if !draft.interfaces.iter().eq(record.interfaces.iter().map(|interface| &interface.name)) {
            return Err(RegistryError::OtherInterfaces(described.instance_id.clone()));
        }
        let options = wanted(&described.metadata_options, &record.options, &draft)?;
        let Draft { instance, kept, .. } = draft;
        let document = instance.document.unpack();
        let fates = Fates::of_replacement(record, &document, kept);
        let limits = record.limits.changed(&described.limits).map_err(DraftError::from)?;
        let mut changed = self.planned(record, &document, fates).await?.map(|change| change.parts).unwrap_or_default();
        changed.extend((options != record.options).then_some(Part::Options));
        changed.extend((limits != record.limits).then_some(Part::Limits));
        changed.extend(others_attached(described, record).next().map(|_| Part::Attach));
        Ok(Planned { outcome: outcome(&changed), changed, claimed: Vec::new() })
    }

    /// Does it, and says what it has `changed` even where it fails.
    async fn apply_one(
        &self,
        described: &Described,
        changed: &mut BTreeSet<Part>,
    ) -> Result<ApplyOutcome, RegistryError> {
        let id = &described.instance_id;
        let current = self.state.lock().await.records.get(id).map(|record| (record.options, record.limits.clone()));
        let Some((options, limits)) = current else {
            self.create(&create_of(described, None)).await?;
            return Ok(ApplyOutcome::Created);
        };
        let draft = Draft::new(&create_of(described, None), &self.settings.defaults)?;
        let wanted = wanted(&described.metadata_options, &options, &draft)?;
        // Tags that can't be shown come after they are hidden, and go before others are shown.
        let shown = wanted.instance_metadata_tags.is_enabled();
        if limits.changed(&described.limits).map_err(DraftError::from)? != limits {
            self.set_limits(id, &described.limits).await?;
            changed.insert(Part::Limits);
        }
        if !shown {
            changed.extend(self.put_options(id, &described.metadata_options, wanted != options).await?);
        }
        let mut state = self.state.lock().await;
        let record = state.record(id)?;
        let value = event::kept(record, described.document.0.clone());
        let (document, kept) = read_document(value).map_err(DraftError::from)?;
        let fates = Fates::of_replacement(record, &document, kept);
        changed.extend(self.put(&mut state, id, document, fates).await?);
        drop(state);
        if shown {
            changed.extend(self.put_options(id, &described.metadata_options, wanted != options).await?);
        }
        // Last, as the kernel may refuse it.
        let others: Vec<_> =
            others_attached(described, self.state.lock().await.record(id)?).map(str::to_owned).collect();
        for interface in others {
            self.attach_interface(&interface, described.attach).await?;
            changed.insert(Part::Attach);
        }
        Ok(outcome(changed))
    }

    async fn put_options(
        &self,
        id: &str,
        changes: &OptionChanges,
        needed: bool,
    ) -> Result<Option<Part>, RegistryError> {
        if needed {
            self.set_options(Some(id), changes).await?;
        }
        Ok(needed.then_some(Part::Options))
    }
}

fn outcome(changed: &BTreeSet<Part>) -> ApplyOutcome {
    if changed.is_empty() { ApplyOutcome::Unchanged } else { ApplyOutcome::Updated }
}

/// The interfaces of an instance that are attached in another way than is described, if that is.
fn others_attached<'r>(described: &Described, record: &'r Record) -> impl Iterator<Item = &'r str> {
    let wanted = described.attach;
    let is_other = move |interface: &&InterfaceRecord| wanted.is_some() && interface.attach != wanted;
    record.interfaces.iter().filter(is_other).map(|interface| interface.name.as_str())
}

/// What a description asks for, of an instance that is there with what happens to it.
fn create_of(described: &Described, record: Option<&Record>) -> CreateInstance {
    let document = described.document.clone();
    CreateInstance {
        interfaces: described.interfaces.clone(),
        attach: described.attach,
        instance_id: Some(described.instance_id.clone()),
        document: match record {
            Some(record) => Json(event::kept(record, document.0)),
            None => document,
        },
        metadata_options: described.metadata_options.clone(),
        limits: described.limits.clone(),
    }
}

fn wanted(changes: &OptionChanges, current: &MetadataOptions, draft: &Draft) -> Result<MetadataOptions, RegistryError> {
    let changes = Changes::parse(changes).map_err(DraftError::from)?;
    let options = changes.apply(current, std::iter::empty(), Scope::One).map_err(DraftError::from)?;
    options::check_tags(&options, tag_keys(&draft.instance.document.unpack())).map_err(DraftError::from)?;
    Ok(options)
}
