//! A daemon's pinned programs, and the tables that they share.

use imds_common::slot::Tables;

use super::state::State;
use crate::attachment::Attachment;
use crate::bpf::{self, Hook, Outcome, Program, Table};
use crate::host::Host;

/// Bytes that a slot has in `IMDS_BUDGETS`.
const BUDGET: usize = 8;

/// A daemon, and what it has pinned.
#[derive(Debug)]
pub(super) struct Daemon {
    /// XDP, where that comes before tc.
    early: Option<Program>,
    pub(super) ingress: Program,
    reply: Program,
    pub(super) tables: Table,
    budgets: Table,
    // Last, as its end takes the programs away.
    pub(super) host: Host,
}

impl Daemon {
    /// Starts one that attaches as the test that runs wants it, with more in its config.
    pub(super) fn start(config: &str) -> Self {
        let host = Host::with_config(config);
        let namespace = host.service_namespace();
        let early = Attachment::current().and_then(Attachment::early);
        Self {
            early: early.map(|name| Program::pinned(Hook::Xdp, &namespace.pin(name))),
            ingress: Program::pinned(Hook::Tc, &namespace.pin("imds_ingress")),
            reply: Program::pinned(Hook::Tc, &namespace.pin("imds_reply")),
            tables: Table::pinned(&namespace.pin("IMDS_TABLES"), size_of::<Tables>()),
            budgets: Table::pinned(&namespace.pin("IMDS_BUDGETS"), BUDGET),
            host,
        }
    }

    /// Gives a frame of an interface's to the programs of the way in, as tc says what becomes of it, and whether XDP
    /// dropped it before tc saw it.
    pub(super) fn ingress(&self, frame: &[u8], ifindex: u32) -> (Outcome, bool) {
        if let Some(early) = &self.early {
            let outcome = early.run(frame, ifindex);
            assert_eq!(outcome.frame, frame, "XDP changes a frame");
            if outcome.verdict == bpf::XDP_DROPPED {
                return (Outcome { verdict: bpf::DROPPED, ..outcome }, true);
            }
            assert_eq!(outcome.verdict, bpf::XDP_PASSED);
        }
        (self.ingress.run(frame, ifindex), false)
    }

    /// Gives a frame to the program of the way back, which doesn't ask which interface it is on.
    pub(super) fn reply(&self, frame: &[u8], ifindex: u32) -> Outcome {
        self.reply.run(frame, ifindex)
    }

    /// Brings a slot into a state, or empties its tables.
    pub(super) fn set(&self, slot: u32, state: Option<State>) {
        match state.and_then(State::tables) {
            Some(tables) => self.tables.set(slot, &tables),
            None => self.tables.clear(slot),
        }
        match state.and_then(State::budget) {
            Some(budget) => self.budgets.set(slot, &budget),
            None => self.budgets.clear(slot),
        }
    }
}
