//! The run directory: whose daemon it is, and where its socket is.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use thiserror::Error;

use crate::private_directory::{self, PrivateDirectoryError};

/// The control socket's name in the run directory.
pub const SOCKET: &str = "imdsd.sock";
/// The name of the file that a daemon holds locked while it lives.
const LOCK: &str = "imdsd.lock";
/// Bytes of a socket's path that the kernel takes (`sun_path` without its end).
const SOCKET_PATH_MAX: usize = 107;

/// Why a run directory can't be had.
#[derive(Debug, Error)]
pub enum RunDirError {
    /// The directory itself.
    #[error("run directory: {0}")]
    Directory(#[from] PrivateDirectoryError),
    /// Its path leaves no room for the socket's name.
    #[error("run directory {} is too long a path for a socket in it; give one of at most {} bytes", .path.display(), SOCKET_PATH_MAX - SOCKET.len() - 1)]
    TooLong {
        /// The directory.
        path: PathBuf,
    },
    /// A daemon has it.
    #[error("imdsd with process id {pid} runs on {} already; stop it, or give another --run-dir", .path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        pid: String,
    },
    /// A file in it.
    #[error("{} can't be used ({source})", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// A run directory that this process has for itself until the value is dropped.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    lock: File,
    /// What was missing before it was taken.
    made: Made,
}

#[derive(Clone, Copy, Debug)]
struct Made {
    directory: bool,
    lock: bool,
}

impl RunDir {
    /// Makes the directory where it is missing and takes it.
    ///
    /// # Errors
    ///
    /// [`RunDirError`], [`RunDirError::InUse`] while a daemon has it.
    pub fn take(path: &Path) -> Result<Self, RunDirError> {
        let directory = !path.exists();
        let path = private_directory::ensure(path)?;
        if path.as_os_str().len() + 1 + SOCKET.len() > SOCKET_PATH_MAX {
            return Err(RunDirError::TooLong { path });
        }
        let file = path.join(LOCK);
        let made = Made { directory, lock: !file.exists() };
        let failed = |source| RunDirError::File { path: file.clone(), source };
        loop {
            let mut lock = open_lock(&file).map_err(failed)?;
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => (),
                Err(rustix::io::Errno::WOULDBLOCK) => return Err(RunDirError::InUse { path, pid: owner(&mut lock) }),
                Err(error) => return Err(failed(error.into())),
            }
            // Whoever had it may have removed the file in between: then the lock is on a file that nobody finds.
            if !is_at(&lock, &file) {
                continue;
            }
            write_owner(&mut lock).map_err(failed)?;
            return Ok(Self { path, lock, made });
        }
    }

    /// The directory's path without symbolic links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Listens on the control socket, in the place of one that a dead daemon left.
    ///
    /// # Errors
    ///
    /// [`RunDirError::File`]
    pub fn listen(&self) -> Result<UnixListener, RunDirError> {
        let socket = self.path.join(SOCKET);
        let listen = || {
            remove(&socket)?;
            let listener = UnixListener::bind(&socket)?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        listen().map_err(|source| RunDirError::File { path: socket.clone(), source })
    }

    /// Removes the socket: nobody answers any more.
    ///
    /// # Errors
    ///
    /// [`RunDirError::File`]
    pub fn remove_socket(&self) -> Result<(), RunDirError> {
        let socket = self.path.join(SOCKET);
        remove(&socket).map_err(|source| RunDirError::File { path: socket, source })
    }

    /// Removes everything of a daemon in it, and the directory itself when nothing else is in it.
    ///
    /// # Errors
    ///
    /// [`RunDirError::File`]
    pub fn remove(self) -> Result<(), RunDirError> {
        let Self { path, lock, made: _ } = &self;
        self.remove_socket()?;
        let file = path.join(LOCK);
        remove(&file).map_err(|source| RunDirError::File { path: file, source })?;
        let _ = lock;
        remove_empty(path)
    }

    /// Removes what [`RunDir::take`] made, for a start that comes to nothing.
    ///
    /// # Errors
    ///
    /// [`RunDirError::File`]
    pub fn abandon(self) -> Result<(), RunDirError> {
        let file = self.path.join(LOCK);
        if self.made.lock {
            remove(&file).map_err(|source| RunDirError::File { path: file, source })?;
        }
        if self.made.directory { remove_empty(&self.path) } else { Ok(()) }
    }
}

/// Removes a directory, unless something is in it.
fn remove_empty(path: &Path) -> Result<(), RunDirError> {
    match fs::remove_dir(path) {
        Err(source) if source.kind() != io::ErrorKind::DirectoryNotEmpty => {
            Err(RunDirError::File { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// The path of a run directory that may not be there, by the name that it would have when taken.
#[must_use]
pub fn real_path(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let parent = absolute.parent().and_then(|parent| parent.canonicalize().ok());
    let joined = parent.zip(absolute.file_name()).map(|(parent, name): (PathBuf, &OsStr)| parent.join(name));
    absolute.canonicalize().ok().or(joined).unwrap_or(absolute)
}

fn open_lock(file: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(file)
}

fn is_at(file: &File, path: &Path) -> bool {
    let there = fs::metadata(path).ok().zip(file.metadata().ok());
    there.is_some_and(|(there, ours)| (there.dev(), there.ino()) == (ours.dev(), ours.ino()))
}

fn write_owner(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    lock.write_all(format!("{}\n", std::process::id()).as_bytes())
}

/// The process id in a lock file that somebody else holds.
fn owner(lock: &mut File) -> String {
    let mut text = [0; 16];
    let length = lock.read(&mut text).unwrap_or(0);
    let digits: Vec<u8> = text[..length].iter().copied().take_while(u8::is_ascii_digit).collect();
    let pid = OsStr::from_bytes(&digits).to_string_lossy().into_owned();
    if pid.is_empty() { "unknown".to_owned() } else { pid }
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_run_directory_has_one_daemon() {
        let scratch = tempfile::tempdir().expect("scratch directory");
        let path = scratch.path().join("run");
        let first = RunDir::take(&path).expect("free");
        let second = RunDir::take(&path).expect_err("taken").to_string();
        let expected = format!("imdsd with process id {} runs on {}", std::process::id(), first.path().display());
        assert!(second.starts_with(&expected), "{second}");
        drop(first);
        RunDir::take(&path).expect("free again");
    }

    #[test]
    fn a_dead_daemons_socket_is_replaced() {
        let scratch = tempfile::tempdir().expect("scratch directory");
        let run_dir = RunDir::take(scratch.path()).expect("free");
        drop(run_dir.listen().expect("nothing there"));
        let socket = scratch.path().join(SOCKET);
        UnixStream::connect(&socket).expect_err("nobody listens");
        let _listener = run_dir.listen().expect("the dead one's is replaced");
        UnixStream::connect(&socket).expect("listens");
        run_dir.remove_socket().expect("removed");
        assert!(!socket.exists());
        run_dir.remove_socket().expect("nothing there is fine");
    }

    #[test]
    fn nothing_is_left_behind() {
        let scratch = tempfile::tempdir().expect("scratch directory");
        let path = scratch.path().join("run");
        let run_dir = RunDir::take(&path).expect("free");
        let listener = run_dir.listen().expect("nothing there");
        run_dir.remove().expect("removed");
        drop(listener);
        assert!(!path.exists());
        let run_dir = RunDir::take(&path).expect("free");
        fs::write(path.join("other"), "").expect("scratch");
        run_dir.remove().expect("removed");
        assert_eq!(fs::read_dir(&path).expect("kept").count(), 1);
    }

    #[test]
    fn a_start_that_comes_to_nothing_leaves_what_was_there() {
        let scratch = tempfile::tempdir().expect("scratch directory");
        let path = scratch.path().join("run");
        RunDir::take(&path).expect("free").abandon().expect("removed");
        assert!(!path.exists());
        fs::create_dir(&path).expect("scratch");
        RunDir::take(&path).expect("free").abandon().expect("removed");
        assert_eq!(fs::read_dir(&path).expect("kept").count(), 0);
        drop(RunDir::take(&path).expect("free"));
        RunDir::take(&path).expect("free").abandon().expect("nothing is new");
        assert!(path.join(LOCK).exists());
    }

    #[test]
    fn too_long_a_path_is_refused_by_name() {
        let scratch = tempfile::tempdir().expect("scratch directory");
        let error = RunDir::take(&scratch.path().join("x".repeat(100))).expect_err("too long").to_string();
        assert!(error.contains("too long") && error.contains("at most 96 bytes"), "{error}");
    }

    #[test]
    fn a_path_has_one_name_whether_it_is_there_or_not() {
        let scratch = tempfile::tempdir().expect("scratch directory");
        let link = scratch.path().join("link");
        std::os::unix::fs::symlink(scratch.path(), &link).expect("symbolic link");
        let missing = real_path(&link.join("run"));
        let taken = RunDir::take(&link.join("run")).expect("free");
        assert_eq!(missing, taken.path());
        assert_eq!(real_path(&link.join("run")), taken.path());
    }
}
