//! Who owns which slot: giving slots to owners and taking them back.
//!
//! At every moment between two steps an interface is closed or judged by its owner's options.

use imds_common::slot::{GONE, MADE_CLSACT, NOBODY, OF_INTERFACE, SLOT_MASK, Slot};

use super::attach::{Attach, WithoutXdp};
use super::early::{self, mode_of};
use super::interface::{Interface, Kind, name_of};
use super::links::{self, Hook};
use super::{Dataplane, DataplaneError, Kernel, Rules, SlotStatus, hooks, host, netlink, object, random};

impl Dataplane {
    /// What the kernel has now: every slot that an interface leads to.
    ///
    /// # Errors
    ///
    /// [`DataplaneError::Table`]
    pub fn status(&self) -> Result<Vec<SlotStatus>, DataplaneError> {
        let kernel = self.kernel();
        let mut status = Vec::new();
        for (ifindex, value) in kernel.tables.interfaces()? {
            let slot = slot_of(value);
            if slot != NOBODY {
                let Slot { token_generation, generation, .. } = kernel.tables.slot(slot)?;
                let rules = self.rules(&kernel, slot)?;
                let ifindex = if value & GONE == 0 { ifindex } else { 0 };
                let xdp = mode_of(value);
                status.push(SlotStatus { slot, ifindex, generation, token_generation, rules, xdp });
            }
        }
        Ok(status)
    }

    /// Readies a slot that no interface leads to for a new owner: closes it, gives it a fresh address generation and the
    /// token generation of its instance, a fresh one where that has none yet, and forgets the old owner's clients,
    /// connections and counters. Returns both generations.
    ///
    /// # Errors
    ///
    /// [`DataplaneError::Table`], or no random numbers.
    pub fn prepare(&self, slot: u16, of_instance: Option<u64>) -> Result<(u16, u64), DataplaneError> {
        let mut kernel = self.kernel();
        self.close(&kernel, slot);
        let old = kernel.tables.slot(slot)?;
        let generation = old.generation.wrapping_add(1);
        let token_generation = of_instance.map_or_else(random, Ok)?;
        kernel.tables.set_slot(slot, Slot { token_generation, ifindex: 0, generation, reserved: 0 })?;
        kernel.tables.clear(slot)?;
        Ok((generation, token_generation))
    }

    /// Attaches the program to `interface`, as was asked for or as the daemon does by itself, and lets it lead to a slot
    /// that was prepared. Until then its packets to the service are dropped; the first one after it is judged by `rules`.
    ///
    /// # Errors
    ///
    /// [`DataplaneError`]; the interface is closed then, if the program hung on it before.
    pub async fn assign(
        &self,
        slot: u16,
        interface: &Interface,
        rules: &Rules,
        (attach, without_xdp): (Option<Attach>, WithoutXdp),
    ) -> Result<SlotStatus, DataplaneError> {
        self.forget_vanished()?;
        let Interface { name, index: ifindex, kind, .. } = interface;
        let is_new = self.recorded(*ifindex)?.is_none();
        self.hang(name, *ifindex)?;
        let mode = attach.unwrap_or(self.attach).mode(*kind);
        match without_xdp {
            WithoutXdp::GoOn => self.set_early_or_go_on(name, *ifindex, mode).await,
            WithoutXdp::Refuse => {
                if let Err(error) = self.set_early(name, *ifindex, mode).await {
                    if is_new && let Err(error) = self.let_go(*ifindex).await {
                        tracing::warn!(interface = name, %error, "it stays closed");
                    }
                    return Err(error);
                }
            }
        }
        let before = self.recorded(*ifindex)?.unwrap_or(0);
        let xdp = mode_of(before);
        let mut kernel = self.kernel();
        let Slot { token_generation, generation, .. } = kernel.tables.slot(slot)?;
        kernel.tables.set_slot(slot, Slot { token_generation, ifindex: interface.index, generation, reserved: 0 })?;
        self.store_rules(&mut kernel, slot, rules)?;
        kernel.tables.set_interface(interface.index, u32::from(slot) | before & OF_INTERFACE)?;
        let rules = rules.clone();
        Ok(SlotStatus { slot, ifindex: interface.index, generation, token_generation, rules, xdp })
    }

    /// Hangs the program on an interface, which is on record first, so that whatever happens between two steps
    /// [`Dataplane::detach`] finds it: a new one is closed.
    pub(super) fn hang(&self, name: &str, ifindex: u32) -> Result<(), DataplaneError> {
        let known = self.recorded(ifindex)?;
        let before = known.unwrap_or_else(|| u32::from(NOBODY));
        self.kernel().tables.set_interface(ifindex, before)?;
        match self.attach_tc(object::INGRESS, name, ifindex, known.is_some()) {
            Ok(hook) => Ok(self.kernel().tables.set_interface(ifindex, before | made_flag(hook))?),
            Err(error) => {
                if known.is_none() {
                    self.kernel().tables.remove_interface(ifindex)?;
                }
                Err(error)
            }
        }
    }

    /// What the map holds for an interface.
    pub(super) fn recorded(&self, ifindex: u32) -> Result<Option<u32>, DataplaneError> {
        Ok(self.kernel().tables.interface(ifindex)?)
    }

    /// Sees to it that the programs of this build are attached to the interface of a slot that has an owner already. XDP
    /// that can't be is only logged: the instance is enforced on, and served, without.
    ///
    /// # Errors
    ///
    /// [`DataplaneError::Link`], for example where the interface is gone.
    pub async fn keep(&self, status: &SlotStatus, attach: Option<Attach>) -> Result<(), DataplaneError> {
        let (name, kind) = self.known(status.ifindex).await?;
        self.hang(&name, status.ifindex)?;
        self.set_early_or_go_on(&name, status.ifindex, attach.unwrap_or(self.attach).mode(kind)).await;
        Ok(())
    }

    /// Attaches to the interface of a slot that has an owner in another way.
    ///
    /// # Errors
    ///
    /// [`DataplaneError::Link`]; the interface is without XDP then.
    pub async fn attach(&self, ifindex: u32, attach: Option<Attach>) -> Result<(), DataplaneError> {
        let (name, kind) = self.known(ifindex).await?;
        self.set_early(&name, ifindex, attach.unwrap_or(self.attach).mode(kind)).await
    }

    /// The name and the kind of an interface that is on record.
    async fn known(&self, ifindex: u32) -> Result<(String, Kind), DataplaneError> {
        let name = name_of(ifindex).map_err(host(format!("asking for interface {ifindex}")))?;
        let vanished = || links::LinkFailure::Vanished(format!("number {ifindex}"));
        let name = name.ok_or_else(vanished)?;
        let link = netlink::link(&netlink::connect()?, &name).await?.ok_or_else(vanished)?;
        Ok((name, Kind::of(&link)))
    }

    /// Sees to it that the programs of this build are attached to every closed interface. One that can't be mended now is
    /// closed by an earlier build's, and looked at again by [`Dataplane::mend_hooks`].
    pub(super) async fn keep_closed(&self) -> Result<(), DataplaneError> {
        let interfaces = self.kernel().tables.interfaces()?;
        for (ifindex, value) in interfaces {
            if slot_of(value) == NOBODY
                && let Ok(Some(interface)) = name_of(ifindex)
            {
                if let Err(error) = self.hang(&interface, ifindex) {
                    tracing::warn!(interface, %error, "a closed interface keeps the earlier program");
                }
                self.renew_early(&interface, ifindex).await;
            }
        }
        Ok(())
    }

    /// Takes the program off a closed interface and forgets it: what its guest sends goes where the host's own stack
    /// leads it. Says whether the interface was on record. Interrupted, it leaves the interface closed or on record.
    ///
    /// # Errors
    ///
    /// [`DataplaneError`]; the interface is closed again by [`Dataplane::mend_hooks`] then.
    pub async fn let_go(&self, ifindex: u32) -> Result<bool, DataplaneError> {
        let known = self.recorded(ifindex)?;
        let Some(value) = known.filter(|value| slot_of(*value) == NOBODY) else { return Ok(false) };
        let netlink = netlink::connect()?;
        let name = name_of(ifindex).map_err(host(format!("asking for interface {ifindex}")))?;
        if let Some(name) = &name {
            early::take_off(&netlink, &self.names.layout(), name, ifindex).await?;
        }
        links::detach(&self.names.layout(), ifindex, name.as_deref());
        if let Some(name) = name {
            hooks::wait_until_missing(&netlink, &name, ifindex, self.ingress_id).await?;
            if value & MADE_CLSACT != 0 {
                netlink::delete_idle_clsact(&netlink, ifindex).await?;
            }
        }
        self.kernel().tables.remove_interface(ifindex)?;
        Ok(true)
    }

    /// Takes a slot from its owner: from the next packet on its tokens are dead, and its interface is closed until
    /// another instance takes it.
    ///
    /// # Errors
    ///
    /// [`DataplaneError::Table`], or no random numbers.
    pub fn release(&self, slot: u16) -> Result<(), DataplaneError> {
        let mut kernel = self.kernel();
        self.close(&kernel, slot);
        for (ifindex, value) in kernel.tables.interfaces()? {
            if slot_of(value) != slot {
                continue;
            }
            if value & GONE == 0 {
                kernel.tables.set_interface(ifindex, u32::from(NOBODY) | value & OF_INTERFACE)?;
            } else {
                self.forget(&mut kernel, ifindex)?;
            }
        }
        let old = kernel.tables.slot(slot)?;
        let token_generation = random()?;
        let generation = old.generation.wrapping_add(1);
        kernel.tables.set_slot(slot, Slot { token_generation, ifindex: 0, generation, reserved: 0 })?;
        Ok(())
    }

    /// Forgets interfaces that are gone; those that led to a slot are reported by [`Dataplane::status`] until the
    /// slot is released.
    pub(super) fn forget_vanished(&self) -> Result<(), DataplaneError> {
        let interfaces = self.kernel().tables.interfaces()?;
        for (ifindex, value) in interfaces {
            // A question that the kernel doesn't answer says nothing about the interface.
            if slot_of(value) == NOBODY && matches!(name_of(ifindex), Ok(None)) {
                self.forget(&mut self.kernel(), ifindex)?;
            }
        }
        Ok(())
    }

    /// Closes the slots of all interfaces that are gone.
    pub(super) fn close_all_vanished(&self) -> Result<(), DataplaneError> {
        let interfaces = self.kernel().tables.interfaces()?;
        for (ifindex, _) in interfaces {
            if matches!(name_of(ifindex), Ok(None)) {
                self.close_vanished(ifindex)?;
            }
        }
        Ok(())
    }

    /// Forgets an interface that is gone.
    fn forget(&self, kernel: &mut Kernel, ifindex: u32) -> Result<(), DataplaneError> {
        links::detach(&self.names.layout(), ifindex, None);
        Ok(kernel.tables.remove_interface(ifindex)?)
    }

    /// Closes the slot behind an interface that is gone, at once, until it is released; one that led to nobody is
    /// forgotten. Another interface may get its index, and is never taken for it.
    pub(super) fn close_vanished(&self, ifindex: u32) -> Result<(), DataplaneError> {
        let mut kernel = self.kernel();
        match kernel.tables.interface(ifindex)?.map(slot_of) {
            None => Ok(()),
            Some(NOBODY) => self.forget(&mut kernel, ifindex),
            Some(slot) => {
                self.close(&kernel, slot);
                Ok(kernel.tables.set_interface(ifindex, u32::from(slot) | GONE)?)
            }
        }
    }
}

fn slot_of(value: u32) -> u16 {
    u16::try_from(value & SLOT_MASK).unwrap_or(NOBODY)
}

fn made_flag(hook: Hook) -> u32 {
    if hook == Hook::Clsact(true) { MADE_CLSACT } else { 0 }
}
