//! A kernel's side in memory, for tests of everything above it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use imds_common::counters::{COUNTERS, Counter, SlotCounters};
use imds_common::options::{MetadataOptions, OptionsWord};
use imds_common::place::{self, PLACES, Place};
use imds_common::token::{KEYS, Key};

use super::directory::{Directory, Served};
use super::kernel::Kernel;
use super::limits::Limits;
use super::record::{InterfaceRecord, Record};
use super::totals::Totals;
use crate::dataplane::attach::{Attach, WithoutXdp, XdpMode};
use crate::dataplane::counters::{SlotCounter, Untold};
use crate::dataplane::interface::{Interface, InterfaceError, Kind};
use crate::dataplane::{DataplaneError, Rules, SlotStatus};
use crate::metadata::{identity, sample};

/// A record as the store has it.
pub(crate) fn record(instance_id: &str, interfaces: &[&str]) -> Record {
    let mut instance = sample::instance();
    instance.instance_id = instance_id.to_owned();
    let interfaces =
        interfaces.iter().map(|&name| InterfaceRecord { name: name.to_owned(), attach: None, assignment: None });
    Record {
        identity: Some(Arc::new(identity::sample::authority().sign(instance_id.to_owned()).expect("signed"))),
        instance,
        options: MetadataOptions::default(),
        created_options: MetadataOptions::default(),
        limits: Limits::default(),
        created_limits: Limits::default(),
        created_document: None,
        created_credentials: None,
        created_user_data: None,
        interfaces: interfaces.collect(),
        user_data_bytes: None,
        carried: Totals::default(),
    }
}

/// As a daemon that attaches by tc where nobody says how.
fn mode(attach: Option<Attach>) -> Option<XdpMode> {
    attach.unwrap_or(Attach::Tc).mode(Kind::Tap)
}

/// What becomes of one step of the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It isn't done.
    Fails,
    /// It isn't done, nor is any after it: the daemon that asks is dead.
    Ends,
}

/// The kernel's side in memory: it outlives registries, as the kernel outlives daemons.
#[derive(Default)]
pub(crate) struct FakeKernel {
    /// Interfaces that are there.
    pub(crate) links: Mutex<BTreeMap<String, u32>>,
    link_changes: AtomicU64,
    slots: Mutex<BTreeMap<u16, SlotStatus>>,
    prepared: Mutex<BTreeMap<u16, (u16, u64)>>,
    /// Interfaces that lead to nobody.
    pub(crate) closed: Mutex<BTreeSet<u32>>,
    kernel_counters: Mutex<BTreeMap<u16, SlotCounters>>,
    service_counters: Mutex<BTreeMap<u16, SlotCounter>>,
    untold: Mutex<BTreeMap<u16, Untold>>,
    /// The clients behind each slot, by their place.
    pub(crate) clients: Mutex<BTreeMap<(u16, usize), place::Client>>,
    /// Whether lookups fail, as without file descriptors.
    pub(crate) unsure: AtomicBool,
    /// The name of an interface that `assign` and `keep` refuse.
    pub(crate) broken: Mutex<Option<String>>,
    /// What becomes of a step, after so many that are done.
    pub(crate) trouble: Mutex<Option<(usize, Trouble)>>,
    /// A slot whose options can't be changed.
    pub(crate) deaf: Mutex<Option<u16>>,
    /// What was done, a word each.
    pub(crate) log: Mutex<Vec<String>>,
    /// The registry's directory, to see what the daemon knew when the kernel was told.
    pub(crate) directory: Mutex<Option<Arc<Directory>>>,
    generation: AtomicU64,
    /// Every key there ever was; the last one at a place counts.
    keys: Mutex<Vec<Key>>,
}

impl FakeKernel {
    /// With interfaces of these names and indices.
    pub(crate) fn with_links(links: &[(&str, u32)]) -> Self {
        let links = links.iter().map(|&(name, index)| (name.to_owned(), index)).collect();
        Self { links: Mutex::new(links), ..Self::default() }
    }

    /// Lets the interface vanish, or come (back) under an index.
    pub(crate) fn set_link(&self, name: &str, index: Option<u32>) {
        let mut links = self.links.lock().expect("not poisoned");
        match index {
            Some(index) => links.insert(name.to_owned(), index),
            None => links.remove(name),
        };
        self.link_changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts something on a slot, as the kernel.
    pub(crate) fn count(&self, slot: u16, counter: Counter) {
        self.kernel_counters.lock().expect("not poisoned").entry(slot).or_insert([0; COUNTERS])[counter.index()] += 1;
    }

    /// Forgets everything, as a reboot.
    pub(crate) fn reboot(&self) {
        self.slots.lock().expect("not poisoned").clear();
        self.closed.lock().expect("not poisoned").clear();
        self.kernel_counters.lock().expect("not poisoned").clear();
        self.service_counters.lock().expect("not poisoned").clear();
    }

    /// The options of a slot that somebody owns.
    pub(crate) fn options(&self, slot: u16) -> Option<OptionsWord> {
        self.slots.lock().expect("not poisoned").get(&slot).map(|status| status.rules.options())
    }

    /// The rules of a slot that somebody owns.
    pub(crate) fn rules(&self, slot: u16) -> Option<Rules> {
        self.slots.lock().expect("not poisoned").get(&slot).map(|status| status.rules.clone())
    }

    /// Whether a step is done: an error if there is trouble with it.
    fn step(&self) -> Result<(), DataplaneError> {
        let mut trouble = self.trouble.lock().expect("not poisoned");
        match &mut *trouble {
            None => return Ok(()),
            Some((0, Trouble::Fails)) => *trouble = None,
            Some((0, Trouble::Ends)) => {}
            Some((steps, _)) => {
                *steps -= 1;
                return Ok(());
            }
        }
        Err(InterfaceError::Unsuitable { name: "any".to_owned(), what: "in trouble" }.into())
    }

    fn note(&self, what: String) {
        self.log.lock().expect("not poisoned").push(what);
    }

    fn served(&self, slot: u16) -> Option<Arc<Served>> {
        self.directory.lock().expect("not poisoned").as_ref().and_then(|directory| directory.get(slot))
    }

    fn set_mode(&self, ifindex: u32, attach: Option<Attach>) {
        let mut slots = self.slots.lock().expect("not poisoned");
        slots.values_mut().filter(|status| status.ifindex == ifindex).for_each(|status| status.xdp = mode(attach));
    }

    fn refuse(&self, interface: &str) -> Result<(), DataplaneError> {
        if self.broken.lock().expect("not poisoned").as_deref() == Some(interface) {
            return Err(InterfaceError::Unsuitable { name: interface.to_owned(), what: "broken" }.into());
        }
        Ok(())
    }
}

impl Kernel for FakeKernel {
    fn link_changes(&self) -> u64 {
        self.link_changes.load(Ordering::Relaxed)
    }

    fn index_of(&self, name: &str) -> io::Result<Option<u32>> {
        if self.unsure.load(Ordering::Relaxed) {
            return Err(rustix::io::Errno::MFILE.into());
        }
        Ok(self.links.lock().expect("not poisoned").get(name).copied())
    }

    async fn find(&self, name: &str) -> Result<Interface, InterfaceError> {
        let index = self.links.lock().expect("not poisoned").get(name).copied();
        let index = index.ok_or_else(|| InterfaceError::Missing { name: name.to_owned() })?;
        if name == "lo" {
            return Err(InterfaceError::Unsuitable { name: name.to_owned(), what: "the loopback interface" });
        }
        let mac = [2, 0, 0, 0, 0, index.to_le_bytes()[0]];
        Ok(Interface { name: name.to_owned(), index, kind: Kind::Tap, mac })
    }

    fn status(&self) -> Result<Vec<SlotStatus>, DataplaneError> {
        Ok(self.slots.lock().expect("not poisoned").values().cloned().collect())
    }

    fn prepare(&self, slot: u16, of_instance: Option<u64>) -> Result<(u16, u64), DataplaneError> {
        self.step()?;
        self.note(format!("prepare {slot}"));
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        let generations = (u16::try_from(generation).expect("few"), of_instance.unwrap_or(generation << 32));
        assert!(!self.slots.lock().expect("not poisoned").contains_key(&slot), "slot {slot} has an owner");
        self.prepared.lock().expect("not poisoned").insert(slot, generations);
        self.kernel_counters.lock().expect("not poisoned").remove(&slot);
        self.service_counters.lock().expect("not poisoned").remove(&slot);
        self.untold.lock().expect("not poisoned").remove(&slot);
        Ok(generations)
    }

    async fn assign(
        &self,
        slot: u16,
        interface: &Interface,
        rules: &Rules,
        (attach, _): (Option<Attach>, WithoutXdp),
    ) -> Result<SlotStatus, DataplaneError> {
        tokio::task::yield_now().await;
        self.step()?;
        self.note(format!("assign {slot} {}", interface.name));
        assert!(
            self.served(slot).is_some_and(|served| served.options() == rules.options()),
            "the daemon knows the tenant first"
        );
        self.refuse(&interface.name)?;
        let (generation, token_generation) =
            self.prepared.lock().expect("not poisoned").remove(&slot).expect("prepared first");
        let (rules, xdp) = (rules.clone(), mode(attach));
        let status = SlotStatus { slot, ifindex: interface.index, generation, token_generation, rules, xdp };
        self.slots.lock().expect("not poisoned").insert(slot, status.clone());
        self.closed.lock().expect("not poisoned").remove(&interface.index);
        tokio::task::yield_now().await;
        Ok(status)
    }

    async fn keep(&self, status: &SlotStatus, attach: Option<Attach>) -> Result<(), DataplaneError> {
        tokio::task::yield_now().await;
        self.step()?;
        self.note(format!("keep {}", status.slot));
        assert!(
            self.served(status.slot).is_some_and(|served| served.token_generation == status.token_generation),
            "the daemon knows the tenant before its programs tell of it"
        );
        let links = self.links.lock().expect("not poisoned").clone();
        links.iter().filter(|(_, index)| **index == status.ifindex).try_for_each(|(name, _)| self.refuse(name))?;
        self.set_mode(status.ifindex, attach);
        Ok(())
    }

    async fn attach(&self, ifindex: u32, attach: Option<Attach>) -> Result<(), DataplaneError> {
        self.step()?;
        self.set_mode(ifindex, attach);
        Ok(())
    }

    fn release(&self, slot: u16) -> Result<(), DataplaneError> {
        self.step()?;
        self.note(format!("release {slot}"));
        self.prepared.lock().expect("not poisoned").remove(&slot);
        if let Some(status) = self.slots.lock().expect("not poisoned").remove(&slot) {
            self.closed.lock().expect("not poisoned").insert(status.ifindex);
        }
        Ok(())
    }

    async fn let_go(&self, ifindex: u32) -> Result<bool, DataplaneError> {
        self.note(format!("let go {ifindex}"));
        let links = self.links.lock().expect("not poisoned").clone();
        links.iter().filter(|(_, index)| **index == ifindex).try_for_each(|(name, _)| self.refuse(name))?;
        Ok(self.closed.lock().expect("not poisoned").remove(&ifindex))
    }

    async fn mend_hooks(&self) -> Result<(), DataplaneError> {
        Ok(())
    }

    fn set_rules(&self, slot: u16, rules: &Rules) {
        let told = self.served(slot).is_none_or(|served| served.options() == rules.options());
        match self.rules(slot) {
            Some(now) if now == *rules => (),
            _ if told => self.note(format!("options {slot} daemon first")),
            _ => self.note(format!("options {slot} kernel first")),
        }
        if self.step().is_err() || *self.deaf.lock().expect("not poisoned") == Some(slot) {
            return;
        }
        if let Some(status) = self.slots.lock().expect("not poisoned").get_mut(&slot) {
            status.rules = rules.clone();
        }
    }

    fn set_traced(&self, slot: u16, traced: bool) {
        self.note(format!("{} {slot}", if traced { "trace" } else { "end trace" }));
    }

    fn kernel_counters(&self, slot: u16) -> Result<SlotCounters, DataplaneError> {
        Ok(self.kernel_counters.lock().expect("not poisoned").get(&slot).copied().unwrap_or([0; COUNTERS]))
    }

    fn service_counters(&self, slot: u16) -> SlotCounter {
        let mut counters = self.service_counters.lock().expect("not poisoned");
        counters.entry(slot).or_insert_with(SlotCounter::anonymous).clone()
    }

    fn untold(&self, slot: u16) -> Untold {
        self.untold.lock().expect("not poisoned").entry(slot).or_insert_with(Untold::anonymous).clone()
    }

    fn places(&self, slot: u16) -> Result<[Place; PLACES], DataplaneError> {
        let clients = self.clients.lock().expect("not poisoned");
        let nobody = place::Client { address: [0; 16], mac: [0; 6], gateway: [0; 6], family: 0, vlan: 0 };
        Ok(std::array::from_fn(|number| match clients.get(&(slot, number)) {
            Some(client) => Place { state: place::READY, touched: 0, client: *client },
            None => Place { state: place::EMPTY, touched: 0, client: nobody },
        }))
    }

    fn keys(&self) -> Result<[Key; KEYS], DataplaneError> {
        let mut keys = [Key::EMPTY; KEYS];
        for key in self.keys.lock().expect("not poisoned").iter() {
            keys[Key::index_of(key.number.to_le_bytes()[0]) as usize] = *key;
        }
        Ok(keys)
    }

    fn set_key(&self, key: Key) -> Result<(), DataplaneError> {
        let directory = self.directory.lock().expect("not poisoned");
        let signing = directory.as_ref().map(|directory| u64::from(directory.keys().current));
        assert_ne!(signing, Some(key.number), "the kernel verifies before the daemon signs");
        self.keys.lock().expect("not poisoned").push(key);
        Ok(())
    }
}
