//! How an instance comes to be.

use std::collections::BTreeSet;

use super::draft::{Draft, DraftError, Kept};
use super::error::RegistryError;
use super::kernel::Kernel;
use super::record::{InterfaceRecord, Record, user_data_digest};
use super::totals::Totals;
use super::{Registry, State};
use crate::credentials;
use crate::credentials::vault::Deposit;
use crate::dataplane::attach::WithoutXdp;
use crate::dataplane::interface::Interface;
use crate::metadata::bearer::{Bearer, ByBearer};
use crate::metadata::document::{Credentials, Mac, Time};
use crate::metadata::instance::Instance;
use crate::registry::request::CreateInstance;
use crate::registry::view::InstanceView;

impl<K: Kernel> Registry<K> {
    /// Creates an instance, or finds it there with the same content; returns when the kernel serves every interface.
    ///
    /// # Errors
    ///
    /// What is wrong with the request, [`RegistryError::OtherContent`], [`RegistryError::InterfaceTaken`],
    /// [`RegistryError::NoSlot`], [`RegistryError::Credentials`], [`RegistryError::Sign`], the interface's, the kernel's, the store's; then there is no trace of it.
    pub async fn create(&self, request: &CreateInstance) -> Result<InstanceView, RegistryError> {
        let draft = Draft::new(request, &self.settings.defaults)?;
        let mut state = self.state.lock().await;
        if let Some(record) = state.records.get(&draft.instance.instance_id) {
            let credentials = self.kept_credentials(record, &Bearer::ALL).await?.map(|kept| kept.credentials.clone());
            return if draft.made(request, record, &credentials) {
                self.view(record)
            } else {
                Err(RegistryError::OtherContent(draft.instance.instance_id))
            };
        }
        self.issuer.check(&draft.instance)?;
        credentials::check_given(&draft.kept.credentials)?;
        let interfaces = self.find_all(&state, &draft.interfaces).await?;
        let slots = self.choose_slots(&state, interfaces.len())?;
        let (mut record, Kept { user_data, credentials }) = record(draft, &interfaces)?;
        record.instance.check().map_err(DraftError::from)?;
        record.identity = Some(self.signed(&record.instance).await?);
        let id = record.instance.instance_id.clone();
        if let Err(error) = self.keep_and_occupy(&mut record, credentials, &interfaces, &slots).await {
            self.forget_credentials(&id, &Bearer::ALL).await;
            return Err(error);
        }
        let after = slots.iter().fold(state.slots.clone(), |free, &slot| free.after(slot));
        let (written, next_slot) = (record.clone(), after.next());
        if let Err(error) = self.write(move |store| store.insert(&written, user_data.as_deref(), next_slot)).await {
            record.slots().for_each(|slot| self.vacate_after(slot, &error));
            self.forget_credentials(&id, &Bearer::ALL).await;
            return Err(error.into());
        }
        state.slots = after;
        // Known before it is logged: nothing of a log keeps what is stored from being served.
        let record = state.records.entry(id).or_insert(record);
        tracing::info!(instance = record.instance.instance_id, ?slots, "created");
        self.view(record)
    }

    /// Looks all interfaces up; none is another instance's, by name or by index.
    pub(super) async fn find_all(&self, state: &State, names: &[String]) -> Result<Vec<Interface>, RegistryError> {
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
        let mut taken = self.taken_slots(state)?;
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

    /// The slots that nobody can be given.
    pub(super) fn taken_slots(&self, state: &State) -> Result<BTreeSet<u16>, RegistryError> {
        let recorded = state.records.values().flat_map(Record::slots);
        Ok(recorded.chain(self.kernel.status()?.into_iter().map(|status| status.slot)).collect())
    }

    /// Has an instance's own credentials at hand, and then its interfaces served.
    async fn keep_and_occupy(
        &self,
        record: &mut Record,
        credentials: ByBearer<Credentials>,
        interfaces: &[Interface],
        slots: &[u16],
    ) -> Result<(), RegistryError> {
        let deposits = deposits(&record.instance, credentials);
        self.keep_credentials(&record.instance.instance_id, deposits).await?;
        self.load_credentials(record).await;
        self.occupy_all(record, interfaces, slots).await
    }

    /// Gives every interface its slot, or none.
    async fn occupy_all(
        &self,
        record: &mut Record,
        interfaces: &[Interface],
        slots: &[u16],
    ) -> Result<(), RegistryError> {
        let tree = self.tree(record);
        for (number, (interface, &slot)) in interfaces.iter().zip(slots).enumerate() {
            match self.occupy(slot, interface, (record, number), tree.clone(), WithoutXdp::Refuse).await {
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
    pub(super) fn owner_of(&self, is_it: impl Fn(&InterfaceRecord) -> bool) -> Option<&Record> {
        self.records.values().find(|record| record.interfaces.iter().any(&is_it))
    }
}

/// Credentials that an instance is given, as they are kept.
pub(super) fn deposits(instance: &Instance, given: ByBearer<Credentials>) -> ByBearer<Deposit> {
    ByBearer::from_fn(|bearer| Some(Deposit::new(instance, bearer, given.of(bearer)?.clone())))
}

/// The record of a draft, with what is made at creation, and what is kept beside it.
fn record(draft: Draft, interfaces: &[Interface]) -> Result<(Record, Kept), RegistryError> {
    let Draft { instance, interfaces: names, attach, options, limits, kept } = draft;
    let instance_id = match instance.instance_id.as_str() {
        "" => format!("i-{}", random_digits()?),
        _ => instance.instance_id,
    };
    let now = Time::now();
    let record = Record {
        instance: Instance {
            instance_id,
            reservation_id: format!("r-{}", random_digits()?),
            macs: macs(interfaces),
            pending_time: now,
            modified: now,
            ..instance
        },
        identity: None,
        options,
        created_options: options,
        created_limits: limits.clone(),
        limits,
        created_document: None,
        created_credentials: None,
        created_user_data: kept.user_data.as_deref().map(user_data_digest),
        interfaces: names.into_iter().map(|name| InterfaceRecord { name, attach, assignment: None }).collect(),
        user_data_bytes: kept.user_data.as_ref().map(Vec::len),
        carried: Totals::default(),
    };
    Ok((record, kept))
}

/// The MACs of interfaces as a document writes them.
pub(super) fn macs(interfaces: &[Interface]) -> Vec<Mac> {
    let written = |[a, b, c, d, e, f]: [u8; 6]| format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
    interfaces.iter().filter_map(|interface| written(interface.mac).try_into().ok()).collect()
}

/// 17 hexadecimal digits, as EC2's ids have them.
pub(super) fn random_digits() -> Result<String, RegistryError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(RegistryError::Random)?;
    Ok(format!("{:017x}", u128::from_le_bytes(bytes) >> (128 - 17 * 4)))
}
