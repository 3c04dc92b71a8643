//! Instances as replies show them: what is recorded beside what the kernel has.

use std::collections::BTreeMap;

use imds_common::slot::NOBODY;

use super::error::RegistryError;
use super::kernel::Kernel;
use super::record::{Assignment, Record};
use super::{Registry, options};
use crate::dataplane::SlotStatus;
use crate::dataplane::attach::Attach;
use crate::registry::view::{InstanceView, InterfaceView};

impl<K: Kernel> Registry<K> {
    pub(super) fn view(&self, record: &Record) -> Result<InstanceView, RegistryError> {
        self.view_of(record, &self.by_slot()?)
    }

    pub(super) fn views<'a>(
        &self,
        records: impl Iterator<Item = &'a Record>,
    ) -> Result<Vec<InstanceView>, RegistryError> {
        let statuses = self.by_slot()?;
        records.map(|record| self.view_of(record, &statuses)).collect()
    }

    fn by_slot(&self) -> Result<BTreeMap<u16, SlotStatus>, RegistryError> {
        Ok(self.kernel.status()?.into_iter().map(|status| (status.slot, status)).collect())
    }

    fn view_of(&self, record: &Record, statuses: &BTreeMap<u16, SlotStatus>) -> Result<InstanceView, RegistryError> {
        let status_of = |given: Assignment| statuses.get(&given.slot).filter(|status| given.owns(status));
        let rules = self.rules(&record.options, &record.limits);
        let mut applied = true;
        let mut interfaces = Vec::with_capacity(record.interfaces.len());
        for interface in &record.interfaces {
            let ifindex = self.index_of(&interface.name)?;
            let status = interface.assignment.and_then(status_of).filter(|status| Some(status.ifindex) == ifindex);
            applied &= ifindex.is_none() || status.is_some_and(|status| status.rules == rules);
            interfaces.push(InterfaceView {
                name: interface.name.clone(),
                ifindex,
                slot: status.map_or(NOBODY, |status| status.slot),
                attachment: status.map(|status| Attach::of(status.xdp)),
                status: if status.is_some() { "enforced" } else { "absent" }.to_owned(),
            });
        }
        let options = options::view(&record.options, applied);
        let limits = record.limits.view(self.settings.budgets);
        let role = self.issuer.state(&record.instance);
        Ok(InstanceView::new(&record.instance, role, record.user_data_bytes, interfaces, options, limits))
    }
}
