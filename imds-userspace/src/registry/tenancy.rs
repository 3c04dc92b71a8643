//! One slot and its tenant: moving in, moving out, other options. The kernel and the directory are changed together
//! here and nowhere else.

use std::sync::Arc;

use imds_common::options::MetadataOptions;

use super::Registry;
use super::directory::Served;
use super::error::RegistryError;
use super::kernel::Kernel;
use super::record::{Assignment, Record};
use crate::dataplane::DataplaneError;
use crate::dataplane::interface::Interface;
use crate::metadata::tree::Tree;

impl<K: Kernel> Registry<K> {
    /// The tree of an instance with these options.
    pub(super) fn tree(&self, record: &Record, options: &MetadataOptions) -> Arc<Tree> {
        let (instance, tags) = (&record.instance, options.instance_metadata_tags.is_enabled());
        let (identity, user_data) = (record.identity.clone(), record.user_data_bytes.is_some());
        Arc::new(Tree::render(instance, identity, user_data, tags, self.issuer.deliveries(instance)))
    }

    /// Gives a free slot to an instance's `interface`, the one with that number in its record. The directory knows the tenant before the first packet can
    /// come. On failure the slot is free again.
    pub(super) async fn occupy(
        &self,
        slot: u16,
        interface: &Interface,
        (record, number): (&Record, usize),
        tree: Arc<Tree>,
    ) -> Result<Assignment, RegistryError> {
        let generations = self.kernel.prepare(slot)?;
        self.serve(slot, generations, record, tree);
        let attach = record.interfaces.get(number).and_then(|interface| interface.attach);
        match self.kernel.assign(slot, interface, self.word(&record.options), attach).await {
            Ok(status) => Ok(status.into()),
            Err(error) => {
                self.vacate_after(slot, &error);
                Err(error.into())
            }
        }
    }

    /// Puts the tenant of a slot into the directory; one that was there before is gone.
    pub(super) fn serve(&self, slot: u16, generations: (u16, u64), record: &Record, tree: Arc<Tree>) {
        let counters = self.kernel.service_counters(slot);
        let word = self.word(&record.options);
        let id = record.instance.instance_id.clone();
        let served = Served::new(id, generations, counters, word, tree).with_user_data(&self.store);
        self.evict(slot, Some(Arc::new(served)));
    }

    /// Takes a slot from its tenant: the open connections end first, then the kernel closes the interface.
    pub(super) fn vacate(&self, slot: u16) -> Result<(), DataplaneError> {
        self.evict(slot, None);
        self.kernel.release(slot)
    }

    /// Frees a slot whose tenant can't move in for `reason`. A slot that the kernel doesn't release is the
    /// reconciler's: nobody is recorded behind it.
    pub(super) fn vacate_after(&self, slot: u16, reason: &(dyn std::error::Error + Send + Sync)) {
        if let Err(error) = self.vacate(slot) {
            tracing::error!(slot, %error, %reason, "slot not released; trying again every second");
        }
    }

    fn evict(&self, slot: u16, next: Option<Arc<Served>>) {
        if let Some(former) = self.directory.set(slot, next) {
            former.gone.cancel();
        }
    }

    /// Puts options in force on `slots` of an instance. What gets stricter is in the daemon before it is in the
    /// kernel; anything else, in the kernel first.
    pub(super) fn enforce(&self, slots: impl IntoIterator<Item = u16>, record: &Record, options: &MetadataOptions) {
        let word = self.word(options);
        let mut tree = None;
        for slot in slots {
            let Some(served) = self.directory.get(slot) else {
                self.kernel.set_options(slot, word);
                continue;
            };
            let now = served.options();
            let mut tell_daemon = || {
                served.set_options(word);
                if now.tags_enabled() != word.tags_enabled() {
                    served.set_tree(Arc::clone(tree.get_or_insert_with(|| self.tree(record, options))));
                }
            };
            if now.is_tightened_by(word) {
                tell_daemon();
                self.kernel.set_options(slot, word);
            } else {
                self.kernel.set_options(slot, word);
                tell_daemon();
            }
        }
    }
}
