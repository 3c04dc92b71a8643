//! Many instances brought to a described state.

use std::collections::BTreeSet;

use imds_common::options::MetadataOptions;

use super::draft::{Draft, DraftError, read_document, tag_keys};
use super::error::RegistryError;
use super::fates::Fates;
use super::kernel::Kernel;
use super::options::{self, Changes, Scope};
use super::{Registry, State, blocking, creation};
use crate::control::change::{Applied, ApplyOutcome, Described};
use crate::control::protocol::{CreateInstance, OptionChanges};
use crate::heap;
use crate::metadata::instance::Instance;

impl<K: Kernel> Registry<K> {
    /// Creates or changes every described instance, one after the other, and says of each what was done; with `check`
    /// only what would be.
    ///
    /// # Errors
    ///
    /// [`RegistryError::Described`] for the first description that can't be; then nothing was changed.
    pub async fn apply(&self, described: &[Described], check: bool) -> Result<Vec<Applied>, RegistryError> {
        let mut planned = Vec::with_capacity(described.len());
        {
            let state = self.state.lock().await;
            let mut seen = BTreeSet::new();
            for instance in described {
                let refused = |source| RegistryError::described(&instance.instance_id, source);
                if !seen.insert(&instance.instance_id) {
                    return Err(refused(RegistryError::DescribedTwice));
                }
                planned.push(self.plan_one(&state, instance).await.map_err(refused)?);
            }
        }
        let mut applied = Vec::with_capacity(described.len());
        for (instance, planned) in described.iter().zip(planned) {
            let outcome = if check { Ok(planned) } else { self.apply_one(instance).await };
            let (outcome, message) = match outcome {
                Ok(outcome) => (outcome, None),
                Err(error) => (ApplyOutcome::Failed, Some(error.to_string())),
            };
            applied.push(Applied { instance_id: instance.instance_id.clone(), outcome, message });
        }
        // Every instance took many times the memory that it keeps.
        blocking(heap::give_back).await;
        Ok(applied)
    }

    /// What has to be done for an instance.
    async fn plan_one(&self, state: &State, described: &Described) -> Result<ApplyOutcome, RegistryError> {
        let draft = Draft::new(&create_of(described), &self.settings.defaults)?;
        let Some(record) = state.records.get(&described.instance_id) else {
            self.issuer.check(&draft.instance)?;
            let macs = creation::macs(&self.find_all(state, &draft.interfaces).await?);
            Instance { macs, ..draft.instance }.check().map_err(DraftError::from)?;
            return Ok(ApplyOutcome::Created);
        };
        if !draft.interfaces.iter().eq(record.interfaces.iter().map(|interface| &interface.name)) {
            return Err(RegistryError::OtherInterfaces(described.instance_id.clone()));
        }
        let options = wanted(&described.metadata_options, &record.options, &draft)?;
        let Draft { instance, kept, .. } = draft;
        let document = instance.document.unpack();
        let fates = Fates::of_replacement(record, &document, kept);
        let limits = record.limits.changed(&described.limits).map_err(DraftError::from)?;
        let same = self.planned(record, &document, fates).await?.is_none()
            && options == record.options
            && limits == record.limits;
        Ok(if same { ApplyOutcome::Unchanged } else { ApplyOutcome::Updated })
    }

    async fn apply_one(&self, described: &Described) -> Result<ApplyOutcome, RegistryError> {
        let id = &described.instance_id;
        let current = self.state.lock().await.records.get(id).map(|record| (record.options, record.limits.clone()));
        let Some((options, limits)) = current else {
            self.create(&create_of(described)).await?;
            return Ok(ApplyOutcome::Created);
        };
        let draft = Draft::new(&create_of(described), &self.settings.defaults)?;
        let wanted = wanted(&described.metadata_options, &options, &draft)?;
        // Tags that can't be shown come after they are hidden, and go before others are shown.
        let shown = wanted.instance_metadata_tags.is_enabled();
        let mut changed = limits.changed(&described.limits).map_err(DraftError::from)? != limits;
        if changed {
            self.set_limits(id, &described.limits).await?;
        }
        if !shown {
            changed |= self.put_options(id, &described.metadata_options, wanted != options).await?;
        }
        let (document, kept) = read_document(described.document.0.clone()).map_err(DraftError::from)?;
        let mut state = self.state.lock().await;
        let fates = Fates::of_replacement(state.record(id)?, &document, kept);
        changed |= self.put(&mut state, id, document, fates).await?;
        drop(state);
        if shown {
            changed |= self.put_options(id, &described.metadata_options, wanted != options).await?;
        }
        Ok(if changed { ApplyOutcome::Updated } else { ApplyOutcome::Unchanged })
    }

    async fn put_options(&self, id: &str, changes: &OptionChanges, needed: bool) -> Result<bool, RegistryError> {
        if needed {
            self.set_options(Some(id), changes).await?;
        }
        Ok(needed)
    }
}

fn create_of(described: &Described) -> CreateInstance {
    CreateInstance {
        interfaces: described.interfaces.clone(),
        attach: None,
        instance_id: Some(described.instance_id.clone()),
        document: described.document.clone(),
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
