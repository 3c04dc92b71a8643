//! A file that somebody else keeps up to date.
//!
//! It is looked at by name each second, and not watched as an inode: whichever way it is replaced (a rename over it, a
//! symbolic link on its way turned, another file system mounted), the name leads to something else.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use thiserror::Error;

use super::form::{self, FormError, Writer};
use crate::metadata::document::Credentials;

/// The permission bits of others than the owner.
const OTHERS: u32 = 0o077;

/// Why a file gives no credentials.
#[derive(Debug, Error)]
pub enum FileError {
    /// It can't be read.
    #[error("{} can't be read ({source})", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It is a directory, a pipe or a device.
    #[error("{} is not a regular file", .path.display())]
    NotRegular {
        /// The file.
        path: PathBuf,
    },
    /// Others can read it, or write it.
    #[error("{} is open to others (mode {mode:04o}); `chmod 600` it, where it is written too", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Somebody else could replace its content.
    #[error("{} belongs to user {owner}; `chown` it to root, where it is written too", .path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
    },
    /// It is too large.
    #[error("{} has more than {} bytes", .path.display(), form::SIZE_MAX)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Its content.
    #[error("{}: {source}", .path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: FormError,
    },
}

/// What tells one content of a file from another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fingerprint {
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Fingerprint {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// A file, and what of it was read last. Calls block for the disk.
#[derive(Clone, Debug)]
pub(super) struct WatchedFile {
    path: PathBuf,
    seen: Option<Fingerprint>,
}

impl WatchedFile {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, seen: None }
    }

    /// Whether the name leads to something else than what was read last.
    pub(super) fn is_replaced(&self) -> bool {
        fs::metadata(&self.path).ok().map(|metadata| Fingerprint::of(&metadata)) != self.seen
    }

    /// Reads it.
    pub(super) fn read(&mut self) -> Result<Credentials, FileError> {
        let path = || self.path.clone();
        self.seen = None;
        // A pipe must not keep the daemon waiting for its writer.
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        let unreadable = |source| FileError::Unreadable { path: path(), source };
        let file = options.open(&self.path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        self.seen = Some(Fingerprint::of(&metadata));
        check(&self.path, &metadata)?;
        let text = read_whole(file).map_err(unreadable)?.ok_or_else(|| FileError::TooLarge { path: path() })?;
        form::parse(&text, Writer::File).map_err(|source| FileError::Form { path: path(), source })
    }
}

/// Whether only the daemon's user, or root, can have written the file, and only they can read it.
fn check(path: &Path, metadata: &Metadata) -> Result<(), FileError> {
    let path = || path.to_owned();
    let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
    if !metadata.is_file() {
        return Err(FileError::NotRegular { path: path() });
    }
    if mode & OTHERS != 0 {
        return Err(FileError::Open { path: path(), mode });
    }
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(FileError::Owner { path: path(), owner });
    }
    Ok(())
}

/// All of a file, or nothing if it is too large.
fn read_whole(file: File) -> io::Result<Option<Vec<u8>>> {
    let mut text = Vec::new();
    file.take(form::SIZE_MAX as u64 + 1).read_to_end(&mut text)?;
    Ok(Some(text).filter(|text| text.len() <= form::SIZE_MAX))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn json(token: &str) -> String {
        format!(
            r#"{{"AccessKeyId":"A","SecretAccessKey":"wJalrXUtn","Token":"{token}","Expiration":"2100-01-01T00:00:00Z"}}"#
        )
    }

    fn write(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).expect("scratch");
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("owner");
    }

    fn token(file: &mut WatchedFile) -> String {
        file.read().expect("good").token
    }

    #[test]
    fn however_the_file_is_replaced_it_is_seen() {
        let scratch = tempfile::tempdir().expect("scratch directory");
        let at = |name: &str| scratch.path().join(name);
        let mut file = WatchedFile::new(at("link/role.json"));
        assert!(!file.is_replaced(), "not there, as before");
        for name in ["one", "two"] {
            fs::create_dir(at(name)).expect("scratch");
            write(&at(name).join("role.json"), &json(name), 0o600);
        }
        symlink("one", at("link")).expect("scratch");
        assert!(file.is_replaced());
        assert_eq!(token(&mut file), "one");
        assert!(!file.is_replaced());
        symlink("two", at("next")).expect("scratch");
        fs::rename(at("next"), at("link")).expect("scratch");
        assert!(file.is_replaced(), "a link turned");
        assert_eq!(token(&mut file), "two");
        write(&at("new"), &json("owt"), 0o600);
        fs::rename(at("new"), at("two/role.json")).expect("scratch");
        assert!(file.is_replaced(), "a rename");
        assert_eq!(token(&mut file), "owt");
        write(&at("two/role.json"), &json("longer"), 0o600);
        assert!(file.is_replaced(), "written in its place");
        assert_eq!(token(&mut file), "longer");
        fs::remove_file(at("two/role.json")).expect("scratch");
        assert!(file.is_replaced(), "gone");
        assert!(matches!(file.read(), Err(FileError::Unreadable { .. })));
        assert!(!file.is_replaced());
    }

    #[test]
    fn what_is_no_private_file_of_credentials_is_refused_without_its_content() {
        let scratch = tempfile::tempdir().expect("scratch directory");
        let path = scratch.path().join("role.json");
        let mut file = WatchedFile::new(path.clone());
        let mut refused = |expected: &str| {
            let error = file.read().expect_err(expected).to_string();
            assert!(error.contains("role.json") && error.contains(expected), "{error}");
            assert!(!error.contains("wJalrXUtn"), "{error}");
            assert!(!file.is_replaced(), "{expected}: not read again until it changes");
        };
        refused("can't be read (No such file");
        for mode in [0o644, 0o640, 0o604, 0o620, 0o601] {
            write(&path, &json("t"), mode);
            refused(&format!("open to others (mode {mode:04o}); `chmod 600`"));
        }
        write(&path, "{\"SecretAccessKey\":\"wJalrXUtn\"", 0o600);
        refused("line 1, column 30: not JSON");
        write(&path, "{\"SecretAccessKey\":\"wJalrXUtn\"}", 0o600);
        refused("no key AccessKeyId");
        write(&path, &" ".repeat(form::SIZE_MAX + 1), 0o600);
        refused("more than 65536 bytes");
        fs::remove_file(&path).expect("scratch");
        fs::create_dir(&path).expect("scratch");
        refused("not a regular file");
        fs::remove_dir(&path).expect("scratch");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("scratch");
        refused("not a regular file");
    }

    #[test]
    fn a_file_of_another_user_is_refused() {
        let scratch = tempfile::tempdir().expect("scratch directory");
        let path = scratch.path().join("role.json");
        write(&path, &json("t"), 0o600);
        let metadata = fs::metadata(&path).expect("there");
        check(&path, &metadata).expect("our own");
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(65_534), None).expect("root");
            let error = WatchedFile::new(path.clone()).read().expect_err("another's").to_string();
            assert!(error.contains("belongs to user 65534; `chown` it"), "{error}");
        }
    }
}
