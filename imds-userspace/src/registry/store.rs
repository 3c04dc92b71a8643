//! Instances on disk: `imdsd.redb` in the state directory.
//!
//! redb, since it is one file without a server or a log beside it, crash-safe by copy-on-write (a commit is there whole
//! or not at all, and what was there before is never overwritten), checks every page by its checksum, and is Rust
//! throughout. The file holds user data: it is 0600 in a directory that only its owner writes. Credentials are never in it,
//! since a page that is freed keeps its bytes: they are in the [vault](crate::credentials::vault).
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | `schema` | version of this layout |
//! | `meta` | `next-slot` | where the next free slot is looked for |
//! | `meta` | `commits` | number of the last commit |
//! | `instances` | instance id | [`Record`] as JSON |
//! | `user-data` | instance id | bytes |

mod handle;

use std::io;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

use redb::{Range, ReadableDatabase, ReadableTable, TableDefinition, TableError};
use thiserror::Error;

use self::handle::Handle;
use super::record::Record;
use crate::private_directory::{self, PrivateDirectoryError};

/// The store's name in the state directory.
const FILE: &str = "imdsd.redb";
/// The version of the layout above. An older daemon refuses a newer store. An older store is refused, too: the records of
/// version 1 have credentials in them, which no rewriting takes off the disk, and those of 2 are of another form.
const SCHEMA: u64 = 3;
/// Memory for cached pages, in bytes: records are read at the start and seldom later.
const CACHE: usize = 4 * 1024 * 1024;
/// Permissions of the file.
const MODE: u32 = 0o600;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const INSTANCES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("instances");
const USER_DATA: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("user-data");
const SCHEMA_KEY: &str = "schema";
const NEXT_SLOT_KEY: &str = "next-slot";

/// Why the store can't be read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The state directory.
    #[error("state directory: {0}")]
    Directory(#[from] PrivateDirectoryError),
    /// The file can't be opened.
    #[error("the store {} can't be opened ({source})", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Another daemon has it.
    #[error("the store {} is in use by another imdsd; stop it, or give another --state-dir", .path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A newer daemon wrote it.
    #[error(
        "the store {} has schema version {found}, this imdsd knows {SCHEMA}; start the newer imdsd again, or move the \
         file away to begin without instances. Nothing was changed",
        .path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
    /// An older daemon wrote it.
    #[error(
        "the store {} has schema version {found}, this imdsd knows {SCHEMA} and takes none over that is older: such a store \
         holds credentials, or instances in another form. Remove the file and create the instances again, or start the \
         older imdsd. Nothing was changed",
        .path.display()
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
    /// It isn't a store, or was altered.
    #[error(
        "the store {} is damaged ({reason}); restore it from a copy, or move it away to begin without instances. \
         Nothing in it was overwritten",
        .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It failed a moment ago.
    #[error("the store {} failed a moment ago; nothing was changed: look at the disk, and try again", .path.display())]
    Closed {
        /// The file.
        path: PathBuf,
    },
    /// It holds a change that was reported as failed.
    #[error(
        "the store {} holds a change that was reported as failed; nothing was changed since: restart imdsd, which goes on \
         with what the store holds",
        .path.display()
    )]
    Ahead {
        /// The file.
        path: PathBuf,
    },
    /// A read or a write failed.
    #[error(
        "the store {} failed ({source}); nothing was changed: look at the disk, imdsd opens the store again by itself",
        .path.display()
    )]
    Failed {
        /// The file.
        path: PathBuf,
        /// What redb said.
        source: Box<redb::Error>,
    },
}

/// What a store holds when it is opened.
#[derive(Debug, Default)]
pub struct Contents {
    /// Every instance.
    pub records: Vec<Record>,
    /// Where the next free slot is looked for.
    pub next_slot: u16,
}

/// Instances as they are stored.
type Rows<'a> = Range<'a, &'static str, &'static [u8]>;

/// The open store. Calls block for a disk write at most; each is one transaction.
pub struct Store {
    path: PathBuf,
    handle: Handle,
}

impl Store {
    /// Opens the store in `directory`, makes both where they are missing, and checks every page.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; an existing file that isn't a good store is left as it is.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let path = private_directory::ensure(directory)?.join(FILE);
        let store = Self { handle: Handle::open(path.clone())?, path };
        store.check_schema()?;
        Ok(store)
    }

    fn check_schema(&self) -> Result<(), StoreError> {
        let found = self.meta(SCHEMA_KEY)?;
        match found {
            Some(SCHEMA) => Ok(()),
            Some(found) if found > SCHEMA => Err(StoreError::Newer { path: self.path.clone(), found }),
            Some(found) => Err(StoreError::Older { path: self.path.clone(), found }),
            None if self.is_empty()? => self.handle.write(|transaction| {
                transaction.open_table(META)?.insert(SCHEMA_KEY, SCHEMA)?;
                transaction.open_table(INSTANCES)?;
                transaction.open_table(USER_DATA)?;
                Ok(())
            }),
            _ => Err(self.damaged("it has no schema version".to_owned())),
        }
    }

    fn is_empty(&self) -> Result<bool, StoreError> {
        self.handle.read(|database| Ok(database.begin_read()?.list_tables()?.count() == 0))
    }

    fn meta(&self, key: &str) -> Result<Option<u64>, StoreError> {
        self.handle.read(|database| match database.begin_read()?.open_table(META) {
            Ok(table) => Ok(table.get(key)?.map(|value| value.value())),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        })
    }

    /// Everything but the user data.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] for a record that can't be read, [`StoreError::Failed`].
    pub fn load(&self) -> Result<Contents, StoreError> {
        let records: Vec<Result<Vec<Record>, StoreError>> = self.handle.read(|database| {
            let table = database.begin_read()?.open_table(INSTANCES)?;
            let rows = Mutex::new(table.iter()?);
            let cores = thread::available_parallelism().map_or(1, NonZero::get);
            thread::scope(|scope| {
                let readers: Vec<_> = (0..cores).map(|_| scope.spawn(|| self.records(&rows))).collect();
                readers.into_iter().map(|reader| reader.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
            })
        })?;
        let records: Vec<Vec<Record>> = records.into_iter().collect::<Result<_, _>>()?;
        let mut records: Vec<_> = records.into_iter().flatten().collect();
        records.sort_unstable_by(|one, other| one.instance.instance_id.cmp(&other.instance.instance_id));
        let next_slot = self.meta(NEXT_SLOT_KEY)?.and_then(|next| u16::try_from(next).ok()).unwrap_or_default();
        Ok(Contents { records, next_slot })
    }

    /// Reads rows until none is left, one after the other: the text of all of them at once would be many times what is
    /// kept.
    fn records(&self, rows: &Mutex<Rows<'_>>) -> Result<Result<Vec<Record>, StoreError>, redb::Error> {
        let next = || rows.lock().unwrap_or_else(PoisonError::into_inner).next();
        let mut records = Vec::new();
        while let Some(row) = next() {
            let (id, json) = row?;
            match self.record(id.value(), json.value()) {
                Ok(record) => records.push(record),
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(records))
    }

    fn record(&self, id: &str, json: &[u8]) -> Result<Record, StoreError> {
        // Where, not what: tags may be nobody else's business.
        let reason = |error: serde_json::Error| format!("record {id} can't be read at column {}", error.column());
        let record: Record = serde_json::from_slice(json).map_err(|error| self.damaged(reason(error)))?;
        if record.instance.instance_id == id {
            Ok(record)
        } else {
            Err(self.damaged(format!("record {id} is of another id")))
        }
    }

    /// The user data of an instance, if it has any.
    ///
    /// # Errors
    ///
    /// [`StoreError::Failed`]
    pub fn user_data(&self, instance_id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.handle.read(|database| {
            let table = database.begin_read()?.open_table(USER_DATA)?;
            Ok(table.get(instance_id)?.map(|bytes| bytes.value().to_vec()))
        })
    }

    /// Writes a new instance.
    ///
    /// # Errors
    ///
    /// [`StoreError::Failed`]; then nothing of it is there.
    pub fn insert(&self, record: &Record, user_data: Option<&[u8]>, next_slot: u16) -> Result<(), StoreError> {
        let id = record.instance.instance_id.as_str();
        self.handle.write(|transaction| {
            transaction.open_table(META)?.insert(NEXT_SLOT_KEY, u64::from(next_slot))?;
            transaction.open_table(INSTANCES)?.insert(id, &*json(record)?)?;
            if let Some(bytes) = user_data {
                transaction.open_table(USER_DATA)?.insert(id, bytes)?;
            }
            Ok(())
        })
    }

    /// Replaces records of instances that are there, all of them or none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Failed`]
    pub fn update<'a>(&self, records: impl IntoIterator<Item = &'a Record>, next_slot: u16) -> Result<(), StoreError> {
        self.handle.write(|transaction| {
            transaction.open_table(META)?.insert(NEXT_SLOT_KEY, u64::from(next_slot))?;
            let mut instances = transaction.open_table(INSTANCES)?;
            for record in records {
                instances.insert(record.instance.instance_id.as_str(), &*json(record)?)?;
            }
            Ok(())
        })
    }

    /// Replaces a record of an instance that is there, and its user data if it is given, by other or by none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Failed`]
    pub fn change(&self, record: &Record, user_data: Option<Option<&[u8]>>) -> Result<(), StoreError> {
        let id = record.instance.instance_id.as_str();
        self.handle.write(|transaction| {
            transaction.open_table(INSTANCES)?.insert(id, &*json(record)?)?;
            match user_data {
                Some(Some(bytes)) => drop(transaction.open_table(USER_DATA)?.insert(id, bytes)?),
                Some(None) => drop(transaction.open_table(USER_DATA)?.remove(id)?),
                None => {}
            }
            Ok(())
        })
    }

    /// Removes an instance and its user data.
    ///
    /// # Errors
    ///
    /// [`StoreError::Failed`]
    pub fn remove(&self, instance_id: &str) -> Result<(), StoreError> {
        self.handle.write(|transaction| {
            transaction.open_table(INSTANCES)?.remove(instance_id)?;
            transaction.open_table(USER_DATA)?.remove(instance_id)?;
            Ok(())
        })
    }

    fn damaged(&self, reason: String) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), reason }
    }
}

impl StoreError {
    /// What redb said of a file.
    fn of(path: &Path, source: redb::Error) -> Self {
        match source {
            redb::Error::Corrupted(reason) => Self::Damaged { path: path.to_owned(), reason },
            source => Self::Failed { path: path.to_owned(), source: Box::new(source) },
        }
    }
}

fn json(record: &Record) -> Result<Vec<u8>, redb::Error> {
    serde_json::to_vec(record).map_err(|error| redb::Error::Io(error.into()))
}

#[cfg(test)]
mod tests;
