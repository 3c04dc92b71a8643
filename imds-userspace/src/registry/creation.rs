//! How an instance comes to be.

use std::collections::BTreeSet;

use super::draft::Draft;
use super::error::RegistryError;
use super::identities::now;
use super::kernel::Kernel;
use super::record::{InterfaceRecord, Record};
use super::totals::Totals;
use super::{Registry, State};
use crate::control::protocol::{CreateInstance, InstanceView};
use crate::dataplane::interface::Interface;
use crate::metadata::instance::Instance;

impl<K: Kernel> Registry<K> {
    /// Creates an instance, or finds it there with the same content; returns when the kernel serves every interface.
    ///
    /// # Errors
    ///
    /// What is wrong with the request, [`RegistryError::OtherContent`], [`RegistryError::InterfaceTaken`],
    /// [`RegistryError::NoSlot`], [`RegistryError::Sign`], the interface's, the kernel's, the store's; then there is no trace of it.
    pub async fn create(&self, request: &CreateInstance) -> Result<InstanceView, RegistryError> {
        let draft = Draft::new(request, &self.settings.defaults)?;
        let mut state = self.state.lock().await;
        if let Some(record) = state.records.get(&draft.instance.instance_id) {
            let same = draft.made(request, record, self.user_data(record).await?.as_deref());
            return if same { self.view(record) } else { Err(RegistryError::OtherContent(draft.instance.instance_id)) };
        }
        let interfaces = self.find_all(&state, &draft.interfaces).await?;
        let slots = self.choose_slots(&state, interfaces.len())?;
        let user_data = draft.user_data.clone();
        let mut record = record(draft, &interfaces[0])?;
        record.identity = Some(self.signed(&record.instance).await?);
        self.occupy_all(&mut record, &interfaces, &slots, user_data.as_deref()).await?;
        let after = slots.iter().fold(state.slots.clone(), |free, &slot| free.after(slot));
        let (written, next_slot) = (record.clone(), after.next());
        if let Err(error) = self.write(move |store| store.insert(&written, user_data.as_deref(), next_slot)).await {
            record.slots().for_each(|slot| self.vacate_after(slot, &error));
            return Err(error.into());
        }
        state.slots = after;
        let id = record.instance.instance_id.clone();
        // Known before it is logged: nothing of a log keeps what is stored from being served.
        let record = state.records.entry(id).or_insert(record);
        tracing::info!(instance = record.instance.instance_id, ?slots, "created");
        self.view(record)
    }

    /// Looks all interfaces up; none is another instance's, by name or by index.
    async fn find_all(&self, state: &State, names: &[String]) -> Result<Vec<Interface>, RegistryError> {
        let mut found: Vec<Interface> = Vec::with_capacity(names.len());
        for name in names {
            let taken = |owner: &Record| RegistryError::InterfaceTaken {
                interface: name.clone(),
                instance_id: owner.instance.instance_id.clone(),
            };
            if let Some(owner) = state.owner_of(|interface| interface.name == *name) {
                return Err(taken(owner));
            }
            let interface = self.kernel.find(name).await?;
            let same_index =
                |given: &InterfaceRecord| given.assignment.is_some_and(|given| given.ifindex == interface.index);
            if let Some(owner) = state.owner_of(same_index) {
                return Err(taken(owner));
            }
            if let Some(first) = found.iter().position(|other| other.index == interface.index) {
                return Err(RegistryError::SameInterface { first: names[first].clone(), second: name.clone() });
            }
            found.push(interface);
        }
        Ok(found)
    }

    fn choose_slots(&self, state: &State, count: usize) -> Result<Vec<u16>, RegistryError> {
        let recorded = state.records.values().flat_map(Record::slots);
        let in_kernel = self.kernel.status()?.into_iter().map(|status| status.slot);
        let mut taken: BTreeSet<u16> = recorded.chain(in_kernel).collect();
        let mut free = state.slots.clone();
        let mut slots = Vec::with_capacity(count);
        for _ in 0..count {
            let slot = free.free(&taken).ok_or(RegistryError::NoSlot(free.capacity()))?;
            taken.insert(slot);
            free = free.after(slot);
            slots.push(slot);
        }
        Ok(slots)
    }

    /// Gives every interface its slot, or none.
    async fn occupy_all(
        &self,
        record: &mut Record,
        interfaces: &[Interface],
        slots: &[u16],
        user_data: Option<&[u8]>,
    ) -> Result<(), RegistryError> {
        let tree = Self::tree(record, user_data, &record.options);
        for (number, (interface, &slot)) in interfaces.iter().zip(slots).enumerate() {
            match self.occupy(slot, interface, record, tree.clone()).await {
                Ok(assignment) => record.interfaces[number].assignment = Some(assignment),
                Err(error) => {
                    record.slots().for_each(|slot| self.vacate_after(slot, &error));
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

impl State {
    fn owner_of(&self, is_it: impl Fn(&InterfaceRecord) -> bool) -> Option<&Record> {
        self.records.values().find(|record| record.interfaces.iter().any(&is_it))
    }
}

/// The record of a draft, with what is made at creation.
fn record(draft: Draft, primary: &Interface) -> Result<Record, RegistryError> {
    let Draft { instance, interfaces, options, user_data } = draft;
    let instance_id = match instance.instance_id.as_str() {
        "" => format!("i-{}", random_digits()?),
        _ => instance.instance_id,
    };
    let [a, b, c, d, e, f] = primary.mac;
    Ok(Record {
        instance: Instance {
            instance_id,
            reservation_id: format!("r-{}", random_digits()?),
            mac: format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"),
            pending_time: now(),
            ..instance
        },
        identity: None,
        options,
        created_options: options,
        interfaces: interfaces.into_iter().map(|name| InterfaceRecord { name, assignment: None }).collect(),
        user_data_bytes: user_data.map(|data| data.len()),
        carried: Totals::default(),
    })
}

/// 17 hexadecimal digits, as EC2's ids have them.
fn random_digits() -> Result<String, RegistryError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(RegistryError::Random)?;
    Ok(format!("{:017x}", u128::from_le_bytes(bytes) >> (128 - 17 * 4)))
}
