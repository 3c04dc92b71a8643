//! The shared maps as typed tables, and the check that a pinned map is what this build makes.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use aya::Ebpf;
use aya::maps::{Array, HashMap, IterableMap, Map, MapData, MapError, MapInfo, PerCpuArray, PerCpuValues};
use aya::util::nr_cpus;
use imds_common::Shared;
use imds_common::answer::{DATES, Date};
use imds_common::counters::{COUNTERS, SlotCounters};
use imds_common::place::{PLACES, Place};
use imds_common::sender::Senders;
use imds_common::slot::{SENDERS_BANKS, Slot, Tables};
use imds_common::token::{KEYS, Key};

use super::dump::dump;
use super::events;
use super::mapping::Mapping;

/// `BPF_F_MMAPABLE` (include/uapi/linux/bpf.h).
pub(super) const MMAPABLE: u32 = 1 << 10;
/// `BPF_MAP_TYPE_*` (include/uapi/linux/bpf.h).
const TYPE_HASH: u32 = 1;
const TYPE_ARRAY: u32 = 2;
const TYPE_PERCPU_ARRAY: u32 = 6;

/// A shared type as aya takes it.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Raw<T>(pub(super) T);

// SAFETY: `Shared` promises no padding and no invalid bit pattern.
unsafe impl<T: Shared> aya::Pod for Raw<T> {}

/// What a pinned map must be.
pub(super) struct Table {
    pub(super) name: &'static str,
    kind: u32,
    value_size: usize,
    /// Its entries: for each slot, where it goes by slot.
    entries: u32,
    pub(super) by_slot: bool,
    flags: u32,
}

/// Interfaces on record for each slot: one that leads to it, and closed ones whose instance was deleted.
const INTERFACES_PER_SLOT: u32 = 4;

impl Table {
    /// How many entries it has where there are so many slots.
    pub(super) fn entries(&self, slots: u32) -> u32 {
        if self.by_slot { slots * self.entries } else { self.entries }
    }
}

const fn by_slot(name: &'static str, kind: u32, value_size: usize, flags: u32) -> Table {
    Table { name, kind, value_size, entries: 1, by_slot: true, flags }
}

/// Every map that outlives a daemon. Keys are `u32` throughout.
pub(super) const PINNED: &[Table] = &[
    Table { entries: INTERFACES_PER_SLOT, ..by_slot("IMDS_INTERFACES", TYPE_HASH, size_of::<u32>(), 0) },
    by_slot("IMDS_OPTIONS", TYPE_ARRAY, size_of::<u64>(), MMAPABLE),
    by_slot("IMDS_SLOTS", TYPE_ARRAY, size_of::<Slot>(), 0),
    by_slot("IMDS_TABLES", TYPE_ARRAY, size_of::<Tables>(), 0),
    Table { entries: SENDERS_BANKS, ..by_slot("IMDS_SENDERS", TYPE_ARRAY, size_of::<Senders>(), 0) },
    by_slot("IMDS_BUDGETS", TYPE_ARRAY, size_of::<u64>(), 0),
    by_slot("IMDS_EVENT_BUDGETS", TYPE_ARRAY, size_of::<u64>(), 0),
    by_slot("IMDS_COUNTERS", TYPE_PERCPU_ARRAY, size_of::<SlotCounters>(), 0),
    by_slot("IMDS_SERVICE", TYPE_ARRAY, size_of::<SlotCounters>(), MMAPABLE),
    Table { name: "IMDS_KEYS", kind: TYPE_ARRAY, value_size: size_of::<Key>(), entries: 2, by_slot: false, flags: 0 },
    Table {
        name: "IMDS_DATES",
        kind: TYPE_ARRAY,
        value_size: size_of::<Date>(),
        entries: DATES,
        by_slot: false,
        flags: 0,
    },
];

const _: () = assert!(KEYS == 2);

/// A pinned map isn't what this build makes.
#[derive(Debug, thiserror::Error)]
#[error("the pinned map {} has {found}, but this imdsd makes {expected}; end the daemon and run `imdsd detach`, which drops enforcement, or go back to the build that made it", path.display())]
pub struct ShapeError {
    path: PathBuf,
    found: String,
    expected: String,
}

/// How many slots the pinned maps have, if there are any: they keep the size they were made with.
pub(super) fn pinned_slots(pins: &Path) -> Option<u16> {
    let path = pins.join("IMDS_OPTIONS");
    path.exists().then(|| MapInfo::from_pin(&path).ok()).flatten().and_then(|info| info.max_entries().try_into().ok())
}

/// Checks every pinned map under `pins` for type, sizes, entries and flags; aya takes what it finds.
pub(super) fn check_pins(pins: &Path, slots: u32) -> Result<(), ShapeError> {
    for table in PINNED {
        let path = pins.join(table.name);
        if !path.exists() {
            continue;
        }
        let expected = shape(table.kind, 4, table.value_size, table.entries(slots), table.flags);
        let found = match MapInfo::from_pin(&path) {
            Ok(info) => shape(
                info.map_type().map_or(0, |kind| kind as u32),
                info.key_size(),
                info.value_size() as usize,
                info.max_entries(),
                info.map_flags(),
            ),
            Err(error) => format!("no readable map ({error})"),
        };
        if found != expected {
            return Err(ShapeError { path, found, expected });
        }
    }
    Ok(())
}

fn shape(kind: u32, key: u32, value: usize, entries: u32, flags: u32) -> String {
    format!("type {kind}, keys of {key} bytes, values of {value} bytes, {entries} entries, flags {flags:#x}")
}

/// A table can't be read or written.
#[derive(Debug, thiserror::Error)]
#[error("BPF map {name}: {source}")]
pub struct TableError {
    name: &'static str,
    source: MapError,
}

fn table_error(name: &'static str) -> impl Fn(MapError) -> TableError {
    move |source| TableError { name, source }
}

/// The shared maps.
pub(super) struct SharedTables {
    interfaces: HashMap<MapData, u32, u32>,
    slots: Array<MapData, Raw<Slot>>,
    tables: Array<MapData, Raw<Tables>>,
    senders: Array<MapData, Raw<Senders>>,
    budgets: Array<MapData, u64>,
    event_budgets: Array<MapData, u64>,
    counters: PerCpuArray<MapData, Raw<SlotCounters>>,
    keys: Array<MapData, Raw<Key>>,
    dates: Array<MapData, Raw<Date>>,
    /// The options words.
    pub(super) options: Mapping,
    /// The daemon's counters.
    pub(super) service: Arc<Mapping>,
    /// What the daemon isn't told of.
    pub(super) untold: Arc<Mapping>,
}

impl SharedTables {
    /// Takes the maps out of a loaded object.
    pub(super) fn take(ebpf: &mut Ebpf, slots: u32) -> Result<Self, TableError> {
        fn take<T: TryFrom<Map, Error = MapError>>(ebpf: &mut Ebpf, name: &'static str) -> Result<T, TableError> {
            let map = ebpf.take_map(name).ok_or(MapError::InvalidName { name: name.to_owned() });
            map.and_then(T::try_from).map_err(table_error(name))
        }
        let slots = slots as usize;
        Ok(Self {
            interfaces: take(ebpf, "IMDS_INTERFACES")?,
            slots: take(ebpf, "IMDS_SLOTS")?,
            tables: take(ebpf, "IMDS_TABLES")?,
            senders: take(ebpf, "IMDS_SENDERS")?,
            budgets: take(ebpf, "IMDS_BUDGETS")?,
            event_budgets: take(ebpf, "IMDS_EVENT_BUDGETS")?,
            counters: take(ebpf, "IMDS_COUNTERS")?,
            keys: take(ebpf, "IMDS_KEYS")?,
            dates: take(ebpf, "IMDS_DATES")?,
            options: map_words(ebpf, "IMDS_OPTIONS", slots)?,
            service: Arc::new(map_words(ebpf, "IMDS_SERVICE", slots * COUNTERS)?),
            untold: Arc::new(map_words(ebpf, events::UNTOLD, slots)?),
        })
    }

    /// Every interface that leads somewhere, and where.
    pub(super) fn interfaces(&self) -> Result<Vec<(u32, u32)>, TableError> {
        let failed = |error| table_error("IMDS_INTERFACES")(MapError::IoError(error));
        dump(self.interfaces.map().fd().as_fd()).map_err(failed)
    }

    /// Where one interface leads, if it is on record.
    pub(super) fn interface(&self, ifindex: u32) -> Result<Option<u32>, TableError> {
        match self.interfaces.get(&ifindex, 0) {
            Ok(value) => Ok(Some(value)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(table_error("IMDS_INTERFACES")(error)),
        }
    }

    pub(super) fn set_interface(&mut self, ifindex: u32, value: u32) -> Result<(), TableError> {
        self.interfaces.insert(ifindex, value, 0).map_err(table_error("IMDS_INTERFACES"))
    }

    /// One that isn't there is fine: whoever noticed first that it is gone has removed it.
    pub(super) fn remove_interface(&mut self, ifindex: u32) -> Result<(), TableError> {
        match self.interfaces.remove(&ifindex) {
            Ok(()) => Ok(()),
            Err(MapError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(table_error("IMDS_INTERFACES")(error)),
        }
    }

    pub(super) fn slot(&self, slot: u16) -> Result<Slot, TableError> {
        self.slots.get(&slot.into(), 0).map(|Raw(value)| value).map_err(table_error("IMDS_SLOTS"))
    }

    pub(super) fn set_slot(&mut self, slot: u16, value: Slot) -> Result<(), TableError> {
        self.slots.set(slot.into(), Raw(value), 0).map_err(table_error("IMDS_SLOTS"))
    }

    /// One of a slot's tables of senders.
    pub(super) fn senders(&self, slot: u16, bank: u32) -> Result<Senders, TableError> {
        let index = u32::from(slot) * SENDERS_BANKS + bank;
        self.senders.get(&index, 0).map(|Raw(value)| value).map_err(table_error("IMDS_SENDERS"))
    }

    pub(super) fn set_senders(&mut self, slot: u16, bank: u32, senders: Senders) -> Result<(), TableError> {
        let index = u32::from(slot) * SENDERS_BANKS + bank;
        self.senders.set(index, Raw(senders), 0).map_err(table_error("IMDS_SENDERS"))
    }

    /// The clients behind a slot.
    pub(super) fn places(&self, slot: u16) -> Result<[Place; PLACES], TableError> {
        self.tables.get(&slot.into(), 0).map(|Raw(tables)| tables.places).map_err(table_error("IMDS_TABLES"))
    }

    /// Lets a slot tell of as much as after a silence.
    pub(super) fn renew_event_budget(&mut self, slot: u16) -> Result<(), TableError> {
        self.event_budgets.set(slot.into(), 0, 0).map_err(table_error("IMDS_EVENT_BUDGETS"))
    }

    /// Forgets a slot's clients, connections and counters.
    pub(super) fn clear(&mut self, slot: u16) -> Result<(), TableError> {
        // SAFETY: `Shared`: every bit pattern of it is valid, zeros among them.
        let empty: Box<Raw<Tables>> = unsafe { Box::new_zeroed().assume_init() };
        self.tables.set(slot.into(), *empty, 0).map_err(table_error("IMDS_TABLES"))?;
        self.budgets.set(slot.into(), 0, 0).map_err(table_error("IMDS_BUDGETS"))?;
        self.renew_event_budget(slot)?;
        if let Some(word) = self.untold.word(slot.into()) {
            word.store(0, Ordering::Relaxed);
        }
        let failed = |source| TableError { name: "IMDS_COUNTERS", source };
        let cpus = nr_cpus().map_err(|(_, error)| failed(MapError::IoError(error)))?;
        let zeros = PerCpuValues::try_from(vec![Raw([0; COUNTERS]); cpus]).map_err(|error| failed(error.into()))?;
        self.counters.set(slot.into(), zeros, 0).map_err(failed)?;
        for index in 0..COUNTERS {
            if let Some(word) = self.service.word(usize::from(slot) * COUNTERS + index) {
                word.store(0, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// The kernel's counters of a slot, added up over CPUs.
    pub(super) fn counters(&self, slot: u16) -> Result<SlotCounters, TableError> {
        let values = self.counters.get(&slot.into(), 0).map_err(table_error("IMDS_COUNTERS"))?;
        let mut sums = [0; COUNTERS];
        for Raw(value) in values.iter() {
            for (sum, count) in sums.iter_mut().zip(value) {
                *sum += count;
            }
        }
        Ok(sums)
    }

    pub(super) fn keys(&self) -> Result<[Key; KEYS], TableError> {
        let key = |index| self.keys.get(&index, 0).map(|Raw(key)| key).map_err(table_error("IMDS_KEYS"));
        Ok([key(0)?, key(1)?])
    }

    pub(super) fn set_key(&mut self, key: Key) -> Result<(), TableError> {
        let index = Key::index_of(key.number.to_le_bytes()[0]);
        self.keys.set(index, Raw(key), 0).map_err(table_error("IMDS_KEYS"))
    }

    pub(super) fn date(&self, index: u32) -> Result<Date, TableError> {
        self.dates.get(&index, 0).map(|Raw(date)| date).map_err(table_error("IMDS_DATES"))
    }

    pub(super) fn set_date(&mut self, index: u32, date: Date) -> Result<(), TableError> {
        self.dates.set(index, Raw(date), 0).map_err(table_error("IMDS_DATES"))
    }
}

fn map_words(ebpf: &Ebpf, name: &'static str, words: usize) -> Result<Mapping, TableError> {
    let failed = |error: io::Error| TableError { name, source: MapError::IoError(error) };
    let Some(Map::Array(map)) = ebpf.map(name) else {
        return Err(failed(io::ErrorKind::NotFound.into()));
    };
    Mapping::new(map.fd().as_fd(), words).map_err(failed)
}
