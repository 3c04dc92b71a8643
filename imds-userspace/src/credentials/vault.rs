//! Credentials that instances have of their own, on disk: in the state directory, `credentials/<instance id>.json` for an
//! instance's role and `credentials/<instance id>.identity.json` for the instance itself.
//!
//! They stand beside the store and never in it: a file is 0600 in a directory of 0700, written whole or not at all, and
//! gone with its instance.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::form::{self, FormError, Writer};
use crate::metadata::bearer::Bearer;
use crate::metadata::document::Credentials;
use crate::private_directory::{self, PrivateDirectoryError};

/// The directory's name in the state directory.
const DIRECTORY: &str = "credentials";
/// What a file's name ends with.
const SUFFIX: &str = ".json";
/// What stands before that where the credentials are the instance's own. No instance's id has a dot.
const IDENTITY: &str = ".identity";
/// What the name of a file ends with that isn't whole yet.
const UNFINISHED: &str = ".new";
/// Permissions of a file.
const MODE: u32 = 0o600;

/// Why credentials can't be kept or found.
#[derive(Debug, Error)]
pub enum VaultError {
    /// The directory.
    #[error("directory of credentials: {0}")]
    Directory(#[from] PrivateDirectoryError),
    /// A file can't be read, written or removed.
    #[error("credentials in {} can't be {what} ({source}); look at the disk", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file was altered.
    #[error("{} holds no credentials: {reason}; delete the instance and create it again", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: FormError,
    },
}

/// The directory of credentials. Calls block for the disk.
#[derive(Debug)]
pub(super) struct Vault {
    directory: PathBuf,
}

impl Vault {
    /// Opens it, and makes it where it is missing.
    pub(super) fn open(state_directory: &Path) -> Result<Self, VaultError> {
        let state_directory = private_directory::ensure(state_directory)?;
        Ok(Self { directory: private_directory::ensure(&state_directory.join(DIRECTORY))? })
    }

    /// Keeps credentials of an instance, in the place of those that it had.
    pub(super) fn put(&self, instance_id: &str, bearer: Bearer, credentials: &Credentials) -> Result<(), VaultError> {
        let path = self.path(instance_id, bearer);
        let unfinished = path.with_extension(&UNFINISHED[1..]);
        let write = || {
            let text = serde_json::to_vec(credentials)?;
            remove(&unfinished)?;
            let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&unfinished)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            self.sync()
        };
        write().map_err(|source| failed(&path, "written", source))
    }

    /// An instance's credentials, if it has any.
    pub(super) fn get(&self, instance_id: &str, bearer: Bearer) -> Result<Option<Credentials>, VaultError> {
        let path = self.path(instance_id, bearer);
        let mut text = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(form::SIZE_MAX as u64).read_to_end(&mut text));
        match read {
            Ok(_) => form::parse(&text, Writer::File).map(Some).map_err(|reason| VaultError::Damaged { path, reason }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(failed(&path, "read", source)),
        }
    }

    /// Whether an instance has any.
    pub(super) fn has(&self, instance_id: &str, bearer: Bearer) -> bool {
        self.path(instance_id, bearer).exists()
    }

    /// Forgets an instance's credentials.
    pub(super) fn remove(&self, instance_id: &str, bearer: Bearer) -> Result<(), VaultError> {
        let path = self.path(instance_id, bearer);
        remove(&path).and_then(|()| self.sync()).map_err(|source| failed(&path, "removed", source))
    }

    /// Forgets everything that no instance owns: what a crash left of a creation or a deletion.
    pub(super) fn sweep(&self, is_owned: impl Fn(&str, Bearer) -> bool) -> Result<(), VaultError> {
        let unreadable = |source| failed(&self.directory, "listed", source);
        for entry in fs::read_dir(&self.directory).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name();
            let owner = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)).map(owner_of);
            if !owner.is_some_and(|(instance_id, bearer)| is_owned(instance_id, bearer)) {
                remove(&entry.path()).map_err(|source| failed(&entry.path(), "removed", source))?;
            }
        }
        Ok(())
    }

    fn path(&self, instance_id: &str, bearer: Bearer) -> PathBuf {
        let identity = match bearer {
            Bearer::Role => "",
            Bearer::Instance => IDENTITY,
        };
        self.directory.join(format!("{instance_id}{identity}{SUFFIX}"))
    }

    /// Brings names that came and went to the disk.
    fn sync(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }
}

/// Whose a file is, by its name without [`SUFFIX`].
fn owner_of(stem: &str) -> (&str, Bearer) {
    stem.strip_suffix(IDENTITY).map_or((stem, Bearer::Role), |instance_id| (instance_id, Bearer::Instance))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn failed(path: &Path, what: &'static str, source: io::Error) -> VaultError {
    VaultError::File { path: path.to_owned(), what, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;
    use crate::metadata::sample;

    const ID: &str = "i-0000000a";

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").mode() & 0o7777
    }

    fn names(vault: &Vault) -> Vec<String> {
        let entries = fs::read_dir(&vault.directory).expect("there");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("there").file_name().into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }

    #[test]
    fn credentials_are_their_owners_alone_and_go_with_the_instance() {
        let scratch = tempfile::tempdir().expect("scratch directory");
        let vault = Vault::open(scratch.path()).expect("made");
        assert_eq!(mode(&scratch.path().join("credentials")), 0o700);
        assert_eq!(vault.get(ID, Bearer::Role).expect("readable"), None);
        vault.put(ID, Bearer::Role, &sample::credentials()).expect("written");
        let path = scratch.path().join("credentials/i-0000000a.json");
        assert_eq!(mode(&path), 0o600);
        let others = Credentials { token: "other".into(), ..sample::credentials() };
        // What a crash left of a write is no obstacle.
        fs::write(path.with_extension("new"), "half").expect("scratch");
        vault.put(ID, Bearer::Role, &others).expect("written");
        assert_eq!(Vault::open(scratch.path()).expect("there").get(ID, Bearer::Role).expect("readable"), Some(others));
        assert_eq!(names(&vault), ["i-0000000a.json"]);
        vault.remove(ID, Bearer::Role).expect("removed");
        vault.remove(ID, Bearer::Role).expect("nothing there is fine");
        assert_eq!(names(&vault), <[&str; 0]>::default());
    }

    #[test]
    fn an_instances_own_stand_beside_its_roles() {
        let scratch = tempfile::tempdir().expect("scratch directory");
        let vault = Vault::open(scratch.path()).expect("made");
        let own = Credentials { token: "own".into(), ..sample::credentials() };
        vault.put(ID, Bearer::Role, &sample::credentials()).expect("written");
        vault.put(ID, Bearer::Instance, &own).expect("written");
        assert_eq!(names(&vault), ["i-0000000a.identity.json", "i-0000000a.json"]);
        assert_eq!(vault.get(ID, Bearer::Instance).expect("readable"), Some(own));
        vault.remove(ID, Bearer::Instance).expect("removed");
        assert_eq!(vault.get(ID, Bearer::Role).expect("readable"), Some(sample::credentials()));
    }

    #[test]
    fn what_nobody_owns_is_swept() {
        let scratch = tempfile::tempdir().expect("scratch directory");
        let vault = Vault::open(scratch.path()).expect("made");
        for id in [ID, "i-0000000b"] {
            for bearer in Bearer::ALL {
                vault.put(id, bearer, &sample::credentials()).expect("written");
            }
        }
        fs::write(vault.directory.join("i-0000000a.new"), "half").expect("scratch");
        vault.sweep(|id, bearer| id == ID || bearer == Bearer::Instance).expect("swept");
        assert_eq!(names(&vault), ["i-0000000a.identity.json", "i-0000000a.json", "i-0000000b.identity.json"]);
        vault.sweep(|id, bearer| id == ID && bearer == Bearer::Role).expect("swept");
        assert_eq!(names(&vault), ["i-0000000a.json"]);
    }

    #[test]
    fn an_altered_file_is_named_without_its_content() {
        let scratch = tempfile::tempdir().expect("scratch directory");
        let vault = Vault::open(scratch.path()).expect("made");
        fs::write(vault.path(ID, Bearer::Role), "{\"Token\":\"a secret\"}").expect("scratch");
        let text = vault.get(ID, Bearer::Role).expect_err("damaged").to_string();
        assert!(text.contains("i-0000000a.json holds no credentials") && !text.contains("a secret"), "{text}");
    }
}
