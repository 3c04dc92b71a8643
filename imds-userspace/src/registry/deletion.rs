//! How an instance goes, and what becomes of its interfaces.

use super::Registry;
use super::error::RegistryError;
use super::kernel::Kernel;
use super::record::{InterfaceRecord, Record};
use crate::registry::view::{InstanceView, ReleasedInterface};

impl<K: Kernel> Registry<K> {
    /// Deletes an instance and returns it as it was: its connections end, its tokens are dead, its slots rest. Its
    /// interfaces stay closed, or are let go where they are to be `released`.
    ///
    /// # Errors
    ///
    /// [`RegistryError::NotFound`], the store's; [`RegistryError::NotReleased`] and [`RegistryError::NotLetGo`] when
    /// the instance is gone all the same.
    pub async fn delete(&self, instance_id: &str, released: bool) -> Result<InstanceView, RegistryError> {
        let mut state = self.state.lock().await;
        let view = self.view(state.record(instance_id)?)?;
        let id = instance_id.to_owned();
        self.write(move |store| store.remove(&id)).await?;
        let Some(record) = state.records.remove(instance_id) else {
            return Err(RegistryError::NotFound(instance_id.to_owned()));
        };
        self.forget_credentials(instance_id, &record.instance.own_credentials.bearers()).await;
        state.troubles.retain(|owner, _| owner.instance_id != instance_id);
        let mut outcome = Ok(view);
        for slot in record.slots() {
            if let Err(source) = self.vacate(slot).map_err(Box::new) {
                outcome = Err(RegistryError::NotReleased { instance_id: instance_id.to_owned(), slot, source });
            }
        }
        if released {
            for interface in &record.interfaces {
                if let Err(source) = self.let_go_of(interface).await {
                    let (instance_id, interface) = (instance_id.to_owned(), interface.name.clone());
                    outcome = Err(RegistryError::NotLetGo { instance_id, interface, source: Box::new(source) });
                }
            }
        }
        outcome
    }

    async fn let_go_of(&self, interface: &InterfaceRecord) -> Result<(), RegistryError> {
        let given = interface.assignment.map(|given| given.ifindex);
        let index = if given.is_some() { given } else { self.index_of(&interface.name)? };
        if let Some(index) = index {
            self.kernel.let_go(index).await?;
        }
        Ok(())
    }

    /// Lets a closed interface go whose instance was deleted before.
    ///
    /// # Errors
    ///
    /// [`RegistryError::InterfaceTaken`] while it is an instance's, [`RegistryError::NotClosed`] where there is nothing
    /// to let go, the kernel's.
    pub async fn release_interface(&self, name: &str) -> Result<ReleasedInterface, RegistryError> {
        let state = self.state.lock().await;
        let not_closed = || RegistryError::NotClosed(name.to_owned());
        let ifindex = self.index_of(name)?.ok_or_else(not_closed)?;
        let is_it = |interface: &InterfaceRecord| {
            interface.name == name || interface.assignment.is_some_and(|given| given.ifindex == ifindex)
        };
        if let Some(Record { instance, .. }) = state.owner_of(is_it) {
            let (interface, instance_id) = (name.to_owned(), instance.instance_id.clone());
            return Err(RegistryError::InterfaceTaken { interface, instance_id });
        }
        if !self.kernel.let_go(ifindex).await? {
            return Err(not_closed());
        }
        tracing::info!(interface = name, "released");
        Ok(ReleasedInterface { name: name.to_owned(), ifindex })
    }
}
