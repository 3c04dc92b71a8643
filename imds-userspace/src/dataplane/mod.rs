//! The kernel's side as the daemon sees it: programs, links, maps, the namespace. The only room that knows aya.
//!
//! | module | what it holds |
//! |---|---|
//! | [`names`] | the names that follow from the run directory |
//! | [`interface`] | which interfaces can carry an instance |
//! | [`features`] | what all of it needs of the host, tried |
//! | `namespace` | the namespace of the listening sockets, and the link into it |
//! | `object` | loading the programs |
//! | `tables` | the shared maps, typed |
//! | `mapping` | maps as memory |
//! | `dump` | maps read whole |
//! | `links` | attaching, and staying attached |
//! | [`attach`] | by tc, and by XDP where |
//! | `early` | XDP before tc, and staying attached |
//! | `hooks` | whether programs still hang where they were attached |
//! | `layout` | the pins' directory, and whether it is this build's |
//! | `owners` | giving slots to owners, and taking them back |
//! | `rules` | what a slot's packets are judged by |
//! | `residue` | what a daemon made on the host, and its removal |
//! | `keys` | the tokens' keys |
//! | [`counters`] | the daemon's own counters |
//! | `debug_lines` | the debug object's lines |
//! | `events` | what the programs tell of packets |
//! | `departures` | interfaces that go away |

pub mod attach;
pub mod counters;
mod debug_lines;
mod departures;
mod dump;
mod early;
mod events;
pub mod features;
mod hooks;
pub mod interface;
mod keys;
mod layout;
mod links;
mod mapping;
pub mod names;
mod namespace;
mod netlink;
mod object;
mod owners;
mod residue;
mod rules;
mod tables;

use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aya::Ebpf;
use imds_common::answer::{DATE_LENGTH, DATES, Date};
use imds_common::counters::SlotCounters;
use imds_common::event::Event;
use imds_common::place::{PLACES, Place};
use rustix::time::{ClockId, clock_gettime};
use tokio::task::block_in_place;

use self::attach::{Attach, XdpMode};
use self::counters::{SlotCounter, Untold};
use self::links::Hook;
use self::names::{BPF_FS, Names};
use self::namespace::Namespace;
pub use self::object::LoadReport;
pub use self::residue::Leftover;
pub use self::rules::Rules;
use self::tables::SharedTables;

/// What the kernel has of one slot that somebody owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotStatus {
    /// Its number, from 1.
    pub slot: u16,
    /// The interface that leads to it; 0 once that is gone.
    pub ifindex: u32,
    /// Its address generation.
    pub generation: u16,
    /// Its token generation, which the slots of one instance share.
    pub token_generation: u64,
    /// What its packets are judged by.
    pub rules: Rules,
    /// The mode of XDP on its interface, if there is.
    pub xdp: Option<XdpMode>,
}

/// Why the kernel's side can't do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DataplaneError {
    /// An interface can't carry an instance.
    #[error(transparent)]
    Interface(#[from] interface::InterfaceError),
    /// The namespace can't be made.
    #[error(transparent)]
    Namespace(#[from] namespace::NamespaceError),
    /// The programs can't be loaded.
    #[error(transparent)]
    Object(#[from] object::ObjectError),
    /// A map can't be read or written.
    #[error(transparent)]
    Table(#[from] tables::TableError),
    /// A program can't be attached.
    #[error(transparent)]
    Link(#[from] links::LinkFailure),
    /// Another build's pins are there.
    #[error(
        "{} is of another version of imdsd, this one would make {}; nothing was changed: go on with that version, or run `imdsd detach --run-dir {}` of it, which drops enforcement until this one has started",
        found.display(), ours.display(), run_dir.display()
    )]
    OtherLayout {
        /// What is there.
        found: PathBuf,
        /// What this build makes.
        ours: PathBuf,
        /// The run directory that both have.
        run_dir: PathBuf,
    },
    /// Something is still there though it was removed.
    #[error("still there after all was removed: {}; remove it by hand, or reboot", list(.0))]
    Left(Vec<Leftover>),
    /// Something of the host's can't be read or made.
    #[error("{what}: {source}")]
    Host {
        /// What failed.
        what: String,
        /// The kernel's error.
        source: io::Error,
    },
    /// rtnetlink failed.
    #[error("rtnetlink: {0}")]
    Netlink(#[from] rtnetlink::Error),
}

fn list(things: &[Leftover]) -> String {
    things.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn host(what: impl Into<String>) -> impl FnOnce(io::Error) -> DataplaneError {
    let what = what.into();
    move |source| DataplaneError::Host { what, source }
}

/// What changes all the time: the maps.
struct Kernel {
    tables: SharedTables,
}

/// The loaded and attached programs, and their maps.
pub struct Dataplane {
    names: Names,
    /// How interfaces are attached to that nobody says it of.
    attach: Attach,
    slots: u16,
    namespace: Namespace,
    kernel: Mutex<Kernel>,
    /// Apart from the maps, as attaching one waits for every packet in the kernel's hands.
    programs: Mutex<Ebpf>,
    /// The kernel's number of the program of instances' interfaces.
    ingress_id: u32,
    /// What the programs tell of packets, until somebody listens.
    events: Mutex<Option<events::Ring>>,
    /// The index of the interface whose hook was looked at last.
    looked_at: AtomicU32,
    /// How often something was told of a link of the host's.
    link_changes: AtomicU64,
}

impl Dataplane {
    /// Checks that [`Dataplane::start`] can take over what is pinned, without making or changing anything.
    ///
    /// # Errors
    ///
    /// [`DataplaneError::OtherLayout`], [`DataplaneError::Object`] with the map that has another shape.
    pub fn check_layout(names: &Names, slots: u16) -> Result<(), DataplaneError> {
        layout::check(names, slots).map(drop)
    }

    /// Makes the namespace and its link, loads the programs or takes over what an earlier daemon left, and pins all.
    /// `slots` is how many slots there are to be, slot 0 among them; maps that are there already keep theirs (see
    /// [`Dataplane::slots`]).
    ///
    /// # Errors
    ///
    /// [`DataplaneError`]; what was made stays for the next try or for [`Dataplane::detach`].
    pub async fn start(names: &Names, attach: Attach, slots: u16) -> Result<Self, DataplaneError> {
        let netlink = netlink::connect()?;
        let slots = layout::check(names, slots)?;
        layout::mount_bpf_fs().map_err(host(format!("mounting {BPF_FS}")))?;
        layout::make_directories(names)?;
        let namespace = Namespace::open(names, &netlink).await?;
        let early = [XdpMode::Driver, XdpMode::Generic].into_iter().filter(|&mode| attach.may_be(mode));
        let programs: Vec<_> = object::NEEDED.into_iter().chain(early.map(early::program_of)).collect();
        let mut ebpf = object::load(&names.layout(), slots.into(), namespace.host_link, &programs)?;
        let tables = SharedTables::take(&mut ebpf, slots.into())?;
        debug_lines::forward(&mut ebpf).map_err(host("reading the programs' debug lines"))?;
        let events = events::take(&mut ebpf).map_err(host("opening the programs' ring of events"))?;
        object::pin_all(&mut ebpf, &names.layout(), &programs)?;
        let ingress_id = object::id(&ebpf, object::INGRESS)?;
        let (kernel, programs) = (Mutex::new(Kernel { tables }), Mutex::new(ebpf));
        let events = Mutex::new(Some(events));
        let (names, looked_at, link_changes) = (names.clone(), AtomicU32::new(0), AtomicU64::new(0));
        let dataplane =
            Self { names, attach, slots, namespace, kernel, programs, ingress_id, events, looked_at, link_changes };
        dataplane.end_traces();
        dataplane.attach_tc(object::REPLY, &dataplane.names.host_link, dataplane.namespace.host_link, true)?;
        dataplane.forget_vanished()?;
        dataplane.keep_closed().await?;
        Ok(dataplane)
    }

    /// Closes slots as their interfaces go away, as long as the data plane lives.
    ///
    /// # Errors
    ///
    /// [`DataplaneError::Host`] if the kernel doesn't tell of links.
    pub fn watch(self: &Arc<Self>) -> Result<(), DataplaneError> {
        departures::watch(self)
    }

    /// How often something was told of a link of the host's, as long as they are watched: as long as it stays, no
    /// interface has come, gone, or got another name.
    #[must_use]
    pub fn link_changes(&self) -> u64 {
        self.link_changes.load(Ordering::Acquire)
    }

    /// Hands what the programs tell of packets to `sink`, as long as the data plane's runtime lives. Once; a second
    /// listener hears nothing.
    ///
    /// # Errors
    ///
    /// [`DataplaneError::Host`] if the ring can't be waited on.
    pub fn listen(&self, sink: impl FnMut(&Event) + Send + 'static) -> Result<(), DataplaneError> {
        let ring = self.events.lock().unwrap_or_else(PoisonError::into_inner).take();
        ring.map_or(Ok(()), |ring| events::forward(ring, sink)).map_err(host("waiting for the programs' events"))
    }

    fn kernel(&self) -> MutexGuard<'_, Kernel> {
        // Every critical section leaves the maps whole, so a panic elsewhere doesn't spoil them.
        self.kernel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the programs, which may take some milliseconds: other tasks of this thread's go on elsewhere.
    fn with_programs<T>(&self, act: impl FnOnce(&mut Ebpf) -> T) -> T {
        block_in_place(|| act(&mut self.programs.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    fn attach_tc(
        &self,
        program: &'static str,
        interface: &str,
        ifindex: u32,
        ours: bool,
    ) -> Result<Hook, DataplaneError> {
        self.with_programs(|programs| {
            let program = object::classifier(programs, program).ok_or(object::ObjectError::Missing)?;
            Ok(links::attach(program, &self.names.layout(), interface, ifindex, ours)?)
        })
    }

    /// A listening socket on `[fd00:ec2::254]:80` inside the namespace, not blocking.
    ///
    /// # Errors
    ///
    /// [`DataplaneError::Namespace`]
    pub fn listener(&self) -> Result<TcpListener, DataplaneError> {
        Ok(self.namespace.listener()?)
    }

    /// The kernel's counters of a slot, added up over CPUs; slot 0 counts what no instance owns.
    ///
    /// # Errors
    ///
    /// [`DataplaneError::Table`]
    pub fn kernel_counters(&self, slot: u16) -> Result<SlotCounters, DataplaneError> {
        Ok(self.kernel().tables.counters(slot)?)
    }

    /// The daemon's own counters of a slot.
    #[must_use]
    pub fn service_counters(&self, slot: u16) -> SlotCounter {
        SlotCounter::new(self.kernel().tables.service.clone(), slot)
    }

    /// How many refusals and drops of a slot the daemon isn't told of.
    #[must_use]
    pub fn untold(&self, slot: u16) -> Untold {
        Untold::new(self.kernel().tables.untold.clone(), slot)
    }

    /// The clients behind a slot.
    ///
    /// # Errors
    ///
    /// [`DataplaneError::Table`]
    pub fn places(&self, slot: u16) -> Result<[Place; PLACES], DataplaneError> {
        Ok(self.kernel().tables.places(slot)?)
    }

    /// How many slots there are, slot 0 among them.
    #[must_use]
    pub const fn slots(&self) -> u16 {
        self.slots
    }

    /// Keeps the dates for the kernel's answers right; to be called at least once a second. `http_date` writes the
    /// date of a second since 1970.
    ///
    /// # Errors
    ///
    /// [`DataplaneError::Table`]
    pub fn refresh_dates(&self, http_date: impl Fn(u64) -> [u8; DATE_LENGTH]) -> Result<(), DataplaneError> {
        let seconds = |clock| u64::try_from(clock_gettime(clock).tv_sec).unwrap_or(0);
        let (boot, wall) = (seconds(ClockId::Boottime), seconds(ClockId::Realtime));
        let mut kernel = self.kernel();
        // One entry is always left alone: that of the second that just ended. This second's is not touched under its
        // readers either, unless it isn't there yet.
        for ahead in 0..u64::from(DATES) - 1 {
            let second = boot + ahead;
            let mut text = [0; 32];
            text[..DATE_LENGTH].copy_from_slice(&http_date(wall + ahead));
            let index = u32::try_from(second % u64::from(DATES)).unwrap_or(0);
            let entry = kernel.tables.date(index)?;
            if entry.second != second || ahead > 0 && entry.text != text {
                kernel.tables.set_date(index, Date { second, text })?;
            }
        }
        Ok(())
    }

    /// Everything that a daemon with these names has on the host now.
    ///
    /// # Errors
    ///
    /// [`DataplaneError`] if the kernel doesn't tell.
    pub async fn leftovers(names: &Names) -> Result<Vec<Leftover>, DataplaneError> {
        residue::find(names).await
    }

    /// Removes everything that a daemon with these names has on the host, and looks whether it is gone. Returns what
    /// there was; nothing is not an error.
    ///
    /// # Errors
    ///
    /// [`DataplaneError`] for the first thing that can't be removed, the rest being removed all the same;
    /// [`DataplaneError::Left`] with what is still there.
    pub async fn detach(names: &Names) -> Result<Vec<Leftover>, DataplaneError> {
        residue::remove(names).await
    }

    /// Loads every program of the embedded object without attaching or pinning anything.
    ///
    /// # Errors
    ///
    /// [`DataplaneError::Object`] says which program the kernel refuses.
    pub fn check() -> Result<Vec<LoadReport>, DataplaneError> {
        Ok(object::check()?)
    }
}

fn random() -> Result<u64, DataplaneError> {
    getrandom::u64().map_err(|error| host("reading random numbers")(io::Error::other(error.to_string())))
}
