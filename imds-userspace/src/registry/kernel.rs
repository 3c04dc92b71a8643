//! What the registry needs of the kernel's side.

use std::future::Future;
use std::io;

use imds_common::counters::SlotCounters;
use imds_common::place::{PLACES, Place};
use imds_common::token::{KEYS, Key};

use crate::dataplane::attach::{Attach, WithoutXdp};
use crate::dataplane::counters::{SlotCounter, Untold};
use crate::dataplane::interface::{self, Interface, InterfaceError};
use crate::dataplane::{Dataplane, DataplaneError, Rules, SlotStatus};

/// The kernel's side, as [`Dataplane`] is it.
pub trait Kernel: Send + Sync + 'static {
    /// Changes whenever an interface may have come, gone, or got another name.
    fn link_changes(&self) -> u64;

    /// The index of an interface of this name, whatever its kind, `None` only where there surely is none.
    ///
    /// # Errors
    ///
    /// The kernel's, which say nothing of the interface.
    fn index_of(&self, name: &str) -> io::Result<Option<u32>>;

    /// Looks an interface up and checks that its ingress carries a guest's packets.
    fn find(&self, name: &str) -> impl Future<Output = Result<Interface, InterfaceError>> + Send;

    /// Every slot that an interface leads to.
    ///
    /// # Errors
    ///
    /// The kernel's.
    fn status(&self) -> Result<Vec<SlotStatus>, DataplaneError>;

    /// Closes a slot and gives it a fresh address generation, the token generation `of_instance`, or a fresh one, and
    /// empty tables and counters. Returns both generations.
    ///
    /// # Errors
    ///
    /// The kernel's.
    fn prepare(&self, slot: u16, of_instance: Option<u64>) -> Result<(u16, u64), DataplaneError>;

    /// Leads `interface` to a prepared slot: its first packet is judged by `rules`. `attach` says how programs are
    /// attached, if that is said, and what becomes of it where that can't be.
    fn assign(
        &self,
        slot: u16,
        interface: &Interface,
        rules: &Rules,
        attach: (Option<Attach>, WithoutXdp),
    ) -> impl Future<Output = Result<SlotStatus, DataplaneError>> + Send;

    /// Sees to it that the programs of this build are attached to the interface of a slot that has an owner already.
    fn keep(
        &self,
        status: &SlotStatus,
        attach: Option<Attach>,
    ) -> impl Future<Output = Result<(), DataplaneError>> + Send;

    /// Attaches to the interface of a slot that has an owner in another way.
    fn attach(&self, ifindex: u32, attach: Option<Attach>) -> impl Future<Output = Result<(), DataplaneError>> + Send;

    /// Takes a slot from its owner.
    ///
    /// # Errors
    ///
    /// The kernel's.
    fn release(&self, slot: u16) -> Result<(), DataplaneError>;

    /// Takes the program off a closed interface. Says whether it was one.
    fn let_go(&self, ifindex: u32) -> impl Future<Output = Result<bool, DataplaneError>> + Send;

    /// Looks whether the program still hangs on the next few interfaces, owned or closed, and attaches it again.
    fn mend_hooks(&self) -> impl Future<Output = Result<(), DataplaneError>> + Send;

    /// Replaces a slot's rules: the next packet sees them.
    fn set_rules(&self, slot: u16, rules: &Rules);

    /// Begins or ends a trace of a slot.
    fn set_traced(&self, slot: u16, traced: bool);

    /// The kernel's counters of a slot.
    ///
    /// # Errors
    ///
    /// The kernel's.
    fn kernel_counters(&self, slot: u16) -> Result<SlotCounters, DataplaneError>;

    /// The daemon's own counters of a slot.
    fn service_counters(&self, slot: u16) -> SlotCounter;

    /// How many refusals and drops of a slot the daemon isn't told of.
    fn untold(&self, slot: u16) -> Untold;

    /// The clients behind a slot.
    ///
    /// # Errors
    ///
    /// The kernel's.
    fn places(&self, slot: u16) -> Result<[Place; PLACES], DataplaneError>;

    /// The keys that tokens are verified with.
    ///
    /// # Errors
    ///
    /// The kernel's.
    fn keys(&self) -> Result<[Key; KEYS], DataplaneError>;

    /// Puts a key in the place that its number has: tokens of it are good from now on.
    ///
    /// # Errors
    ///
    /// The kernel's.
    fn set_key(&self, key: Key) -> Result<(), DataplaneError>;
}

impl Kernel for Dataplane {
    fn link_changes(&self) -> u64 {
        Self::link_changes(self)
    }

    fn index_of(&self, name: &str) -> io::Result<Option<u32>> {
        interface::index_of(name)
    }

    async fn find(&self, name: &str) -> Result<Interface, InterfaceError> {
        Interface::find(name).await
    }

    fn status(&self) -> Result<Vec<SlotStatus>, DataplaneError> {
        Self::status(self)
    }

    fn prepare(&self, slot: u16, of_instance: Option<u64>) -> Result<(u16, u64), DataplaneError> {
        Self::prepare(self, slot, of_instance)
    }

    async fn assign(
        &self,
        slot: u16,
        interface: &Interface,
        rules: &Rules,
        attach: (Option<Attach>, WithoutXdp),
    ) -> Result<SlotStatus, DataplaneError> {
        Self::assign(self, slot, interface, rules, attach).await
    }

    async fn keep(&self, status: &SlotStatus, attach: Option<Attach>) -> Result<(), DataplaneError> {
        Self::keep(self, status, attach).await
    }

    async fn attach(&self, ifindex: u32, attach: Option<Attach>) -> Result<(), DataplaneError> {
        Self::attach(self, ifindex, attach).await
    }

    fn release(&self, slot: u16) -> Result<(), DataplaneError> {
        Self::release(self, slot)
    }

    async fn let_go(&self, ifindex: u32) -> Result<bool, DataplaneError> {
        Self::let_go(self, ifindex).await
    }

    async fn mend_hooks(&self) -> Result<(), DataplaneError> {
        Self::mend_hooks(self).await
    }

    fn set_rules(&self, slot: u16, rules: &Rules) {
        Self::set_rules(self, slot, rules);
    }

    fn set_traced(&self, slot: u16, traced: bool) {
        Self::set_traced(self, slot, traced);
    }

    fn kernel_counters(&self, slot: u16) -> Result<SlotCounters, DataplaneError> {
        Self::kernel_counters(self, slot)
    }

    fn service_counters(&self, slot: u16) -> SlotCounter {
        Self::service_counters(self, slot)
    }

    fn untold(&self, slot: u16) -> Untold {
        Self::untold(self, slot)
    }

    fn places(&self, slot: u16) -> Result<[Place; PLACES], DataplaneError> {
        Self::places(self, slot)
    }

    fn keys(&self) -> Result<[Key; KEYS], DataplaneError> {
        Self::keys(self)
    }

    fn set_key(&self, key: Key) -> Result<(), DataplaneError> {
        Self::set_key(self, key)
    }
}
