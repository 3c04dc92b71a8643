//! Identity documents of instances: signed when an instance is made, frozen until it restarts.

use std::sync::Arc;

use super::Registry;
use super::draft::DraftError;
use super::error::RegistryError;
use super::kernel::Kernel;
use super::record::Record;
use crate::metadata::document::Time;
use crate::metadata::identity::{Algorithm, Identity};
use crate::metadata::identity_document;
use crate::metadata::instance::Instance;
use crate::registry::view::{CertificatesView, InstanceView};

impl<K: Kernel> Registry<K> {
    /// Restarts an instance, as far as its metadata goes: its pending time is now, and its identity document says what
    /// it is by now, signed with the keys that the daemon has now. Its tokens and connections live on.
    ///
    /// # Errors
    ///
    /// [`RegistryError::NotFound`], [`RegistryError::Sign`], the store's, the kernel's.
    pub async fn restart(&self, instance_id: &str) -> Result<InstanceView, RegistryError> {
        let mut state = self.state.lock().await;
        let mut record = state.record(instance_id)?.clone();
        launch_again(&mut record, Time::now())?;
        record.identity = Some(self.signed(&record.instance).await?);
        let (written, next_slot) = (record.clone(), state.slots.next());
        self.write(move |store| store.update([&written], next_slot)).await?;
        self.load_credentials(&record).await;
        let tree = self.tree(&record);
        for served in record.slots().filter_map(|slot| self.directory.get(slot)) {
            served.set_tree(Arc::clone(&tree));
        }
        state.records.insert(instance_id.to_owned(), record);
        tracing::info!(instance = instance_id, "restarted");
        self.view(state.record(instance_id)?)
    }

    /// The certificates that documents signed from now on are checked with.
    #[must_use]
    pub fn certificates(&self) -> CertificatesView {
        let certificate = |algorithm| self.settings.authority.certificate(algorithm).to_owned();
        CertificatesView { rsa: certificate(Algorithm::RsaSha256), dsa: certificate(Algorithm::DsaSha1) }
    }

    /// The document of an instance as it is now, and its signatures.
    pub(super) async fn signed(&self, instance: &Instance) -> Result<Arc<Identity>, RegistryError> {
        let (authority, document) = (Arc::clone(&self.settings.authority), identity_document(instance));
        // Some milliseconds of computing, in which a guest's requests would wait.
        Ok(Arc::new(super::blocking(move || authority.sign(document)).await?))
    }

    /// Signs for instances that were stored without an identity, by a daemon that gave none.
    pub(super) async fn sign_unsigned(&self) -> Result<(), RegistryError> {
        let mut state = self.state.lock().await;
        let mut signed = Vec::new();
        for record in state.records.values_mut().filter(|record| record.identity.is_none()) {
            record.identity = Some(self.signed(&record.instance).await?);
            signed.push(record.clone());
        }
        if signed.is_empty() {
            return Ok(());
        }
        let next_slot = state.slots.next();
        Ok(self.write(move |store| store.update(&signed, next_slot)).await?)
    }
}

/// Gives an instance another launch, whatever its document says of the one before.
fn launch_again(record: &mut Record, now: Time) -> Result<(), DraftError> {
    let instance = &mut record.instance;
    (instance.pending_time, instance.modified) = (now, now);
    let mut document = instance.document.unpack();
    if document.pending_time.take().is_some() {
        let former = std::mem::replace(&mut instance.document, (&document).try_into()?);
        record.created_document.get_or_insert(former);
    }
    Ok(())
}
