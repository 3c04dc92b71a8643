//! Interfaces that came, and what is made for them ahead: attaching the programs to the one before is mostly waiting for
//! the kernel.

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::vec;

use tokio::task::JoinHandle;

use super::error::RegistryError;
use super::kernel::Kernel;
use super::plan::{Action, Owner};
use super::record::Record;
use super::tenancy;
use super::{Registry, State, load_credentials};
use crate::credentials::Issuer;
use crate::dataplane::interface::Interface;
use crate::metadata::tree::Tree;

/// How many are made ready ahead: those of most hosts at once, as attaching waits the less the less else is done meanwhile.
const AHEAD: usize = 1_024;

/// An interface, and what its instance serves.
pub(super) struct Arrival {
    pub(super) interface: Interface,
    pub(super) tree: Arc<Tree>,
}

/// The interfaces that slots are planned for, in the plan's order.
pub(super) struct Arrivals {
    planned: vec::IntoIter<Owner>,
    readied: VecDeque<JoinHandle<Result<Arrival, RegistryError>>>,
}

impl Arrivals {
    /// Those of a plan.
    pub(super) fn of(actions: &[Action]) -> Self {
        let assigned = actions.iter().filter_map(|action| match action {
            Action::Assign { owner, slot: Some(_) } => Some(owner.clone()),
            _ => None,
        });
        Self { planned: assigned.collect::<Vec<_>>().into_iter(), readied: VecDeque::new() }
    }

    /// The next one.
    pub(super) async fn next<K: Kernel>(
        &mut self,
        registry: &Registry<K>,
        state: &State,
    ) -> Option<Result<Arrival, RegistryError>> {
        while self.readied.len() < AHEAD
            && let Some(owner) = self.planned.next()
        {
            let record = state.record(&owner.instance_id).cloned();
            let (kernel, issuer) = (Arc::clone(&registry.kernel), Arc::clone(&registry.issuer));
            self.readied
                .push_back(tokio::spawn(async move { ready(&*kernel, &issuer, record?, owner.interface).await }));
        }
        // It isn't cancelled, so that it can only have panicked: that goes on here.
        let arrival = self.readied.pop_front()?.await;
        Some(arrival.unwrap_or_else(|error| resume_unwind(error.into_panic())))
    }
}

async fn ready(
    kernel: &impl Kernel,
    issuer: &Arc<Issuer>,
    record: Record,
    interface: usize,
) -> Result<Arrival, RegistryError> {
    let interface = kernel.find(&record.interfaces[interface].name).await?;
    load_credentials(issuer, &record).await;
    Ok(Arrival { interface, tree: tenancy::tree(issuer, &record) })
}
