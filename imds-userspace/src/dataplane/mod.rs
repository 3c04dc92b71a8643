//! The kernel's side as the daemon sees it: programs, links, maps, the namespace. The only room that knows aya.

pub mod counters;
pub mod interface;
mod mapping;
pub mod names;

use imds_common::counters::SlotCounters;
use imds_common::options::OptionsWord;
use imds_common::token::{KEYS, Key};

use self::counters::SlotCounter;
use self::interface::Interface;
use self::names::Names;

/// How programs are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attach {
    /// The best that the kernel takes.
    Auto,
    /// tc: tcx links where the kernel has them, else a clsact filter.
    Tc,
}

/// What the kernel has of one slot that somebody owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotStatus {
    /// Its number, from 1.
    pub slot: u16,
    /// The interface that leads to it.
    pub ifindex: u32,
    /// Its address generation.
    pub generation: u16,
    /// Its token generation.
    pub token_generation: u64,
    /// Its options.
    pub options: OptionsWord,
}

/// Why the kernel's side can't do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DataplaneError {
    /// An interface can't carry an instance.
    #[error(transparent)]
    Interface(#[from] interface::InterfaceError),
}

/// The loaded and attached programs, and their maps.
pub struct Dataplane {}

impl Dataplane {
    /// Makes the namespace and its link, loads the programs or takes over what an earlier daemon left, and pins all.
    /// `slots` is how many slots there are, slot 0 among them.
    pub async fn start(_names: &Names, _attach: Attach, _slots: u16) -> Result<Self, DataplaneError> {
        unimplemented!()
    }

    /// A listening socket on `[fd00:ec2::254]:80` inside the namespace, not blocking.
    pub fn listener(&self) -> Result<std::net::TcpListener, DataplaneError> {
        unimplemented!()
    }

    /// What the kernel has now: every slot that an interface leads to.
    pub fn status(&self) -> Result<Vec<SlotStatus>, DataplaneError> {
        unimplemented!()
    }

    /// Gives a slot that nobody owns to a new owner behind `interface`, with fresh generations and empty tables, and
    /// attaches the program. The first packet after it is judged by `options`.
    pub async fn assign(&self, _slot: u16, _interface: &Interface, _options: OptionsWord) -> Result<SlotStatus, DataplaneError> {
        unimplemented!()
    }

    /// Sees to it that the program of this build is attached to the interface of a slot that has an owner already.
    pub async fn keep(&self, _status: &SlotStatus) -> Result<(), DataplaneError> {
        unimplemented!()
    }

    /// Takes a slot from its owner: from the next packet on, its interface is closed and its tokens are dead.
    pub fn release(&self, _slot: u16) -> Result<(), DataplaneError> {
        unimplemented!()
    }

    /// Replaces a slot's options: the next packet sees them.
    pub fn set_options(&self, _slot: u16, _options: OptionsWord) {
        unimplemented!()
    }

    /// The kernel's counters of a slot, added up over CPUs; slot 0 counts what no instance owns.
    pub fn kernel_counters(&self, _slot: u16) -> Result<SlotCounters, DataplaneError> {
        unimplemented!()
    }

    /// The daemon's own counters of a slot.
    pub fn service_counters(&self, _slot: u16) -> SlotCounter {
        unimplemented!()
    }

    /// The keys of the tokens, and the number of the one that signs. They outlive the daemon, never a reboot.
    pub fn keys(&self) -> Result<([Key; KEYS], u8), DataplaneError> {
        unimplemented!()
    }

    /// Keeps the dates for the kernel's answers right; to be called at least once a second.
    pub fn refresh_dates(&self) -> Result<(), DataplaneError> {
        unimplemented!()
    }

    /// Removes everything that a daemon with these names ever made: links, filters, pins, the namespace, its link.
    /// Says what it removed, a line each. Nothing there is not an error.
    pub async fn detach(_names: &Names) -> Result<Vec<String>, DataplaneError> {
        unimplemented!()
    }

    /// Loads every program of the embedded object without attaching or pinning anything.
    /// Returns name, verified instructions and load time of each.
    pub fn check() -> Result<Vec<LoadReport>, DataplaneError> {
        unimplemented!()
    }
}

/// How one program loaded.
#[derive(Debug)]
pub struct LoadReport {
    /// The program's name.
    pub program: String,
    /// Instructions that the verifier walked.
    pub verified_instructions: Option<u32>,
    /// How long the load took.
    pub duration: std::time::Duration,
}
