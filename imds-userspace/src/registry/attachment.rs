//! How programs are attached to an instance's interface, while it runs.

use super::Registry;
use super::error::RegistryError;
use super::kernel::Kernel;
use super::record::{InterfaceRecord, Record};
use crate::dataplane::attach::Attach;
use crate::registry::view::InstanceView;

impl<K: Kernel> Registry<K> {
    /// Attaches to an interface of an instance in another way, and remembers that; tc enforces all the while. `None` is
    /// as the daemon does by itself.
    ///
    /// # Errors
    ///
    /// [`RegistryError::NoOwner`], the kernel's and the store's: the interface is as it was then, or has no XDP where
    /// the kernel refuses that too.
    pub async fn attach_interface(&self, name: &str, attach: Option<Attach>) -> Result<InstanceView, RegistryError> {
        let mut state = self.state.lock().await;
        let no_owner = || RegistryError::NoOwner(name.to_owned());
        let is_it = |interface: &InterfaceRecord| interface.name == name;
        let mut record = state.owner_of(is_it).ok_or_else(no_owner)?.clone();
        let interface = record.interfaces.iter_mut().find(|interface| is_it(interface)).ok_or_else(no_owner)?;
        let before = std::mem::replace(interface, InterfaceRecord { attach, ..interface.clone() });
        if let Err(error) = self.attach(&before, attach).await {
            self.restore(&before).await;
            return Err(error);
        }
        let (written, next_slot) = (record.clone(), state.slots.next());
        if let Err(error) = self.write(move |store| store.update([&written], next_slot)).await {
            self.restore(&before).await;
            return Err(error.into());
        }
        tracing::info!(interface = name, attach = attach.map(Attach::as_str), "attached in another way");
        let Record { instance, .. } = &record;
        let id = instance.instance_id.clone();
        state.records.insert(id.clone(), record);
        self.view(state.record(&id)?)
    }

    async fn attach(&self, interface: &InterfaceRecord, attach: Option<Attach>) -> Result<(), RegistryError> {
        let Some(given) = interface.assignment else { return Ok(()) };
        // One that is gone by now is attached to when it comes back.
        let is_there = self.kernel.status()?.iter().any(|status| given.owns(status) && status.ifindex == given.ifindex);
        if is_there { Ok(self.kernel.attach(given.ifindex, attach).await?) } else { Ok(()) }
    }

    async fn restore(&self, before: &InterfaceRecord) {
        if let Err(error) = self.attach(before, before.attach).await {
            tracing::error!(interface = before.name, %error, "without XDP from now on; tc enforces");
        }
    }
}
