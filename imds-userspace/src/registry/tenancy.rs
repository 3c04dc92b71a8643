//! One slot and its tenant: moving in, moving out, other options. The kernel and the directory are changed together
//! here and nowhere else.

use std::sync::Arc;

use super::allowance::Allowance;
use super::directory::Served;
use super::error::RegistryError;
use super::kernel::Kernel;
use super::record::{Assignment, Record};
use super::{Registry, blocking};
use crate::credentials::Issuer;
use crate::dataplane::attach::WithoutXdp;
use crate::dataplane::interface::Interface;
use crate::dataplane::{DataplaneError, Rules};
use crate::metadata::tree::Tree;

impl<K: Kernel> Registry<K> {
    /// The tree of an instance.
    pub(super) fn tree(&self, record: &Record) -> Arc<Tree> {
        tree(&self.issuer, record)
    }

    /// Gives a free slot to an instance's `interface`, the one with that number in its record. The directory knows the
    /// tenant before the first packet can come. On failure the slot is free again.
    pub(super) async fn occupy(
        &self,
        slot: u16,
        interface: &Interface,
        (record, number): (&Record, usize),
        tree: Arc<Tree>,
        without_xdp: WithoutXdp,
    ) -> Result<Assignment, RegistryError> {
        let generations = self.kernel.prepare(slot, record.token_generation())?;
        self.serve(slot, generations, record, tree);
        let attach = record.interfaces.get(number).and_then(|interface| interface.attach);
        let rules = self.rules(&record.options, &record.limits);
        match self.kernel.assign(slot, interface, &rules, (attach, without_xdp)).await {
            Ok(status) => Ok(status.into()),
            Err(error) => {
                self.vacate_after(slot, &error);
                Err(error.into())
            }
        }
    }

    /// Puts the tenant of a slot into the directory; one that was there before is gone.
    pub(super) fn serve(&self, slot: u16, generations: (u16, u64), record: &Record, tree: Arc<Tree>) {
        let counters = (self.kernel.service_counters(slot), self.kernel.untold(slot));
        let word = self.rules(&record.options, &record.limits).options();
        let (id, allowance) = (record.instance.instance_id.clone(), self.allowance(record));
        let served = Served::new(id, generations, counters, word, tree, allowance).with_user_data(&self.store);
        self.evict(slot, Some(Arc::new(served)));
    }

    /// Who serves an instance now, on any of its slots.
    fn served_of(&self, record: &Record) -> impl Iterator<Item = Arc<Served>> {
        let of_instance = |served: &Arc<Served>| served.instance_id == record.instance.instance_id;
        record.slots().filter_map(|slot| self.directory.get(slot)).filter(of_instance)
    }

    /// What an instance may have at once: what its other interfaces share already, or its own.
    fn allowance(&self, record: &Record) -> Arc<Allowance> {
        let requests = record.limits.budgets(self.settings.budgets).requests;
        let shared = self.served_of(record).next().map(|served| Arc::clone(&served.allowance));
        shared.unwrap_or_else(|| Arc::new(Allowance::new(requests)))
    }

    /// Gives an instance the budget of requests that it has on record.
    pub(super) fn allow(&self, record: &Record) {
        if let Some(served) = self.served_of(record).next() {
            served.allowance.set_request_budget(record.limits.budgets(self.settings.budgets).requests);
        }
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
            tracing::error!(slot, %error, %reason, "slot not released; trying again");
        }
    }

    /// Puts somebody behind a slot for the service, or nobody; whoever was there before is gone.
    pub(super) fn evict(&self, slot: u16, next: Option<Arc<Served>>) {
        if let Some(former) = self.directory.set(slot, next) {
            former.gone.cancel();
        }
    }

    /// Puts rules in force on `slots` of an instance. What gets stricter is in the daemon before it is in the
    /// kernel; anything else, in the kernel first.
    pub(super) async fn enforce(&self, slots: impl IntoIterator<Item = u16>, record: &Record, rules: &Rules) {
        let word = rules.options();
        let mut tree = None;
        for slot in slots {
            let Some(served) = self.directory.get(slot) else {
                self.set_rules(slot, rules).await;
                continue;
            };
            let now = served.options();
            let mut tell_daemon = || {
                served.set_options(word);
                if now.tags_enabled() != word.tags_enabled() {
                    served.set_tree(Arc::clone(
                        tree.get_or_insert_with(|| tree_with_tags(&self.issuer, record, word.tags_enabled())),
                    ));
                }
            };
            if now.is_tightened_by(word) {
                tell_daemon();
                self.set_rules(slot, rules).await;
            } else {
                self.set_rules(slot, rules).await;
                tell_daemon();
            }
        }
    }

    async fn set_rules(&self, slot: u16, rules: &Rules) {
        if !rules.lists_senders() {
            return self.kernel.set_rules(slot, rules);
        }
        let (kernel, rules) = (Arc::clone(&self.kernel), rules.clone());
        blocking(move || kernel.set_rules(slot, &rules)).await;
    }
}

/// The tree of an instance.
pub(super) fn tree(issuer: &Issuer, record: &Record) -> Arc<Tree> {
    tree_with_tags(issuer, record, record.options.instance_metadata_tags.is_enabled())
}

fn tree_with_tags(issuer: &Issuer, record: &Record, tags: bool) -> Arc<Tree> {
    let instance = &record.instance;
    let (identity, user_data) = (record.identity.clone(), record.user_data_bytes.is_some());
    Arc::new(Tree::render(instance, identity, user_data, tags, issuer.deliveries(instance)))
}
