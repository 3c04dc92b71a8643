//! What stands in a slot's tables before a case begins.

use std::time::Duration;

use imds_common::flow::{FLOWS, Flow, READS, key};
use imds_common::place::{Client, PLACES, Place, READY, V4};
use imds_common::slot::Tables;
use rustix::time::{ClockId, clock_gettime};

/// What is there before the first step: tables are empty otherwise, and the budget is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Every place is another client's.
    PlacesTaken,
    /// Every flow is another connection's.
    FlowsTaken,
    /// The packet budget is spent for a while.
    BudgetSpent,
}

/// Longer than a case takes.
const A_WHILE: Duration = Duration::from_secs(3_600);

/// A place that no client has in [`State::FlowsTaken`].
const NO_PLACE: u32 = 0xffff;

impl State {
    const ALL: [(&'static str, Self); 3] =
        [("places taken", Self::PlacesTaken), ("flows taken", Self::FlowsTaken), ("budget spent", Self::BudgetSpent)];

    /// The one that cases call so.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, state)| *state)
    }

    /// A slot's entry in `IMDS_TABLES`, if it isn't empty.
    pub(super) fn tables(self) -> Option<Vec<u8>> {
        /// The kernel's programs count so.
        fn milliseconds() -> u32 {
            u32::try_from(now().as_millis() & u128::from(u32::MAX)).expect("masked")
        }
        let (places, flows) = match self {
            Self::PlacesTaken => (READY, 0),
            Self::FlowsTaken => (0, READS),
            Self::BudgetSpent => return None,
        };
        let client = |n: u8| Client { address: [n; 16], mac: [2; 6], gateway: [2; 6], family: V4, vlan: 0 };
        let place = |n: usize| Place {
            state: places,
            touched: milliseconds(),
            client: client(u8::try_from(n).expect("few places")),
        };
        let flow = |n: usize| Flow {
            key: key(NO_PLACE, u16::try_from(n).expect("few flows")),
            phase: flows,
            touched: milliseconds(),
            ..Flow::EMPTY
        };
        let tables: Tables = Tables {
            places: std::array::from_fn::<_, PLACES, _>(place),
            flows: std::array::from_fn::<_, FLOWS, _>(flow),
        };
        // SAFETY: what maps share with the kernel has no padding.
        let bytes = unsafe { std::slice::from_raw_parts((&raw const tables).cast::<u8>(), size_of::<Tables>()) };
        Some(bytes.to_vec())
    }

    /// A slot's entry in `IMDS_BUDGETS`, if it isn't whole.
    pub(super) fn budget(self) -> Option<[u8; 8]> {
        let due = (now() + A_WHILE).as_nanos();
        (self == Self::BudgetSpent).then(|| u64::try_from(due).expect("some centuries").to_ne_bytes())
    }
}

/// What `bpf_ktime_get_ns` says.
fn now() -> Duration {
    clock_gettime(ClockId::Monotonic).try_into().expect("after the boot")
}
