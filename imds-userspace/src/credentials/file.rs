//! A file that somebody else keeps up to date.
//!
//! It is looked at by name each second, and not watched as an inode: whichever way it is replaced (a rename over it, a
//! symbolic link on its way turned, another file system mounted), the name leads to something else.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use thiserror::Error;

use super::form::{self, FormError, Writer};
use crate::metadata::document::Credentials;
use crate::private_file::{self, PrivateFileError};

/// Why a file gives no credentials.
#[derive(Debug, Error)]
pub enum FileError {
    /// It isn't read.
    #[error(transparent)]
    File(#[from] PrivateFileError),
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
        self.look() != self.seen
    }

    /// Reads it.
    pub(super) fn read(&mut self) -> Result<Credentials, FileError> {
        // Looked at before it is read: what is replaced meanwhile is seen as other than this.
        self.seen = self.look();
        let text = private_file::read(&self.path, form::SIZE_MAX)?;
        form::parse(&text, Writer::File).map_err(|source| FileError::Form { path: self.path.clone(), source })
    }

    fn look(&self) -> Option<Fingerprint> {
        fs::metadata(&self.path).ok().map(|metadata| Fingerprint::of(&metadata))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;

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
        assert!(matches!(file.read(), Err(FileError::File(PrivateFileError::Unreadable { .. }))));
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
        fs::set_permissions(scratch.path(), Permissions::from_mode(0o777)).expect("owner");
        refused("which others can replace or write (user");
        fs::set_permissions(scratch.path(), Permissions::from_mode(0o700)).expect("owner");
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
        WatchedFile::new(path.clone()).read().expect("our own");
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(65_534), None).expect("root");
            let error = WatchedFile::new(path.clone()).read().expect_err("another's").to_string();
            assert!(error.contains("belongs to user 65534; `chown` it"), "{error}");
        }
    }
}
