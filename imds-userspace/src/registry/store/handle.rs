//! The database behind a store. Once the disk has failed it, redb refuses all that comes after, reads too: then it is
//! opened again, as soon as it is needed, so that a disk that was full for a while needs nobody to start the daemon.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use redb::backends::FileBackend;
use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableError, WriteTransaction,
};

use super::{CACHE, META, MODE, StoreError};

/// Where the number of the last commit stands in `meta`.
const COMMITS_KEY: &str = "commits";
/// From one try to open it again to the next: every page is checked, and guests' reads may be what asks for it.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// A database that is opened again after it failed.
pub(super) struct Handle {
    path: PathBuf,
    current: RwLock<Current>,
    /// Whether the disk failed it.
    pub(super) failed: AtomicBool,
    /// The number of the last commit that was reported as done.
    pub(super) commits: AtomicU64,
}

struct Current {
    /// None while it can't be opened again.
    database: Option<Database>,
    /// When that was tried last.
    tried: Option<Instant>,
}

impl Handle {
    /// Opens the file, makes it where it is missing, and checks every page.
    pub(super) fn open(path: PathBuf) -> Result<Self, StoreError> {
        let database = open(&path)?;
        let commits = last_commit(&database).map_err(|source| StoreError::of(&path, source))?;
        let current = RwLock::new(Current { database: Some(database), tried: None });
        Ok(Self { path, current, failed: AtomicBool::new(false), commits: AtomicU64::new(commits) })
    }

    /// Reads from it.
    pub(super) fn read<T>(&self, act: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        if self.failed.load(Ordering::Acquire) {
            self.open_again()?;
        }
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = &current.database else { return Err(StoreError::Closed { path: self.path.clone() }) };
        act(database).map_err(|source| {
            // Told while nobody can open it again: what is opened then is not what failed.
            if matches!(source, redb::Error::Io(_) | redb::Error::PreviousIo) {
                self.failed.store(true, Ordering::Release);
            }
            StoreError::of(&self.path, source)
        })
    }

    /// Makes a change, all of it or nothing.
    pub(super) fn write(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), StoreError> {
        self.read(|database| {
            let transaction = database.begin_write()?;
            change(&transaction)?;
            let number = {
                let mut meta = transaction.open_table(META)?;
                let last = meta.get(COMMITS_KEY)?.map_or(0, |number| number.value());
                meta.insert(COMMITS_KEY, last + 1)?;
                last + 1
            };
            transaction.commit()?;
            self.commits.fetch_max(number, Ordering::AcqRel);
            Ok(())
        })
    }

    /// Opens it again, unless somebody did, or tried just now. A commit that was reported as failed and is there all the
    /// same is what nobody here knows of: then it stays closed.
    fn open_again(&self) -> Result<(), StoreError> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if !self.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        if current.tried.is_some_and(|tried| tried.elapsed() < PAUSE) {
            return Err(StoreError::Closed { path: self.path.clone() });
        }
        current.tried = Some(Instant::now());
        // First of all, as it holds the file's lock.
        current.database = None;
        let database = open(&self.path)?;
        let commits = last_commit(&database).map_err(|source| StoreError::of(&self.path, source))?;
        if commits != self.commits.load(Ordering::Acquire) {
            return Err(StoreError::Ahead { path: self.path.clone() });
        }
        current.database = Some(database);
        self.failed.store(false, Ordering::Release);
        tracing::info!("the store is open again after it failed");
        Ok(())
    }
}

fn open(path: &PathBuf) -> Result<Database, StoreError> {
    let file = open_private(path).map_err(|source| StoreError::Open { path: path.clone(), source })?;
    let opened = || {
        Builder::new()
            .set_cache_size(CACHE)
            .set_check_integrity_on_open(true)
            .create_with_backend(FileBackend::new(file)?)
    };
    match opened() {
        Ok(database) => Ok(database),
        Err(DatabaseError::DatabaseAlreadyOpen) => Err(StoreError::InUse { path: path.clone() }),
        // What isn't redb's at all, or is cut short, comes as an I/O error of these kinds.
        Err(DatabaseError::Storage(StorageError::Io(source)))
            if !matches!(source.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) =>
        {
            Err(StoreError::Open { path: path.clone(), source })
        }
        Err(error) => Err(StoreError::Damaged { path: path.clone(), reason: error.to_string() }),
    }
}

/// Opens or makes a file that only its owner reads.
fn open_private(path: &PathBuf) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(MODE).open(path)?;
    file.set_permissions(Permissions::from_mode(MODE))?;
    Ok(file)
}

/// The number of the last commit; 0 in a store that counted none.
fn last_commit(database: &Database) -> Result<u64, redb::Error> {
    match database.begin_read()?.open_table(META) {
        Ok(table) => Ok(table.get(COMMITS_KEY)?.map_or(0, |number| number.value())),
        Err(TableError::TableDoesNotExist(_)) => Ok(0),
        Err(error) => Err(error.into()),
    }
}
