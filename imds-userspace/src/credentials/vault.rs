//! Credentials that instances have of their own, on disk: in the state directory, `credentials/<instance id>.json` for an
//! instance's role and `credentials/<instance id>.identity.json` for the instance itself.
//!
//! They stand beside the store and never in it: a file is 0600 in a directory of 0700, written whole or not at all, and
//! gone with its instance.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::form::{self, FormError, Writer};
use crate::metadata::bearer::Bearer;
use crate::metadata::document::{Credentials, RoleName, Time};
use crate::metadata::instance::Instance;
use crate::private_directory::{self, PrivateDirectoryError};
use crate::private_file::{self, PrivateFileError};

/// The directory's name in the state directory.
const DIRECTORY: &str = "credentials";
/// What a file's name ends with.
const SUFFIX: &str = ".json";
/// What stands before that where the credentials are the instance's own. No instance's id has a dot.
const IDENTITY: &str = ".identity";

/// Why credentials can't be kept or found.
#[derive(Debug, Error)]
pub enum VaultError {
    /// The directory.
    #[error("directory of credentials: {0}")]
    Directory(#[from] PrivateDirectoryError),
    /// A file isn't read.
    #[error("credentials in {0}")]
    Unread(#[from] PrivateFileError),
    /// A file can't be written or removed.
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
    /// A file doesn't say what its credentials are.
    #[error(
        "{} doesn't say for which role its credentials are, or when they were given; delete the instance and create it again",
        .path.display()
    )]
    Unlabelled {
        /// The file.
        path: PathBuf,
    },
    /// There is something that no daemon made.
    #[error("{} is not a file of credentials, and nothing else belongs there; take it away", .path.display())]
    Foreign {
        /// What it is called.
        path: PathBuf,
    },
}

/// Credentials with what they are: a file that came for another role than the record has is never taken for this one's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deposit {
    label: Label,
    /// The credentials.
    pub credentials: Credentials,
}

/// What a file says of its credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Label {
    /// The role that they are for; none for the instance's own.
    role: Option<RoleName>,
    /// When they were given.
    last_updated: Time,
}

/// A file.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(flatten)]
    label: &'a Label,
    #[serde(flatten)]
    credentials: &'a Credentials,
}

impl Deposit {
    /// Credentials that an instance is given with its last change.
    #[must_use]
    pub fn new(instance: &Instance, bearer: Bearer, credentials: Credentials) -> Self {
        let label = Label { role: role_of(instance, bearer), last_updated: instance.modified };
        Self { label, credentials }
    }

    /// Whether they are an instance's, in the role that it has.
    #[must_use]
    pub fn is_of(&self, instance: &Instance, bearer: Bearer) -> bool {
        self.label.role == role_of(instance, bearer)
    }

    /// When they were given.
    #[must_use]
    pub const fn given(&self) -> Time {
        self.label.last_updated
    }
}

fn role_of(instance: &Instance, bearer: Bearer) -> Option<RoleName> {
    match bearer {
        Bearer::Role => instance.role(),
        Bearer::Instance => None,
    }
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
    pub(super) fn put(&self, instance_id: &str, bearer: Bearer, deposit: &Deposit) -> Result<(), VaultError> {
        let path = self.path(instance_id, bearer);
        let Deposit { label, credentials } = deposit;
        let text = serde_json::to_vec(&Written { label, credentials }).map_err(io::Error::from);
        text.and_then(|text| private_file::write(&path, &text)).map_err(|source| failed(&path, "written", source))
    }

    /// An instance's credentials, if it has any.
    pub(super) fn get(&self, instance_id: &str, bearer: Bearer) -> Result<Option<Deposit>, VaultError> {
        let path = self.path(instance_id, bearer);
        let text = match private_file::read(&path, form::SIZE_MAX) {
            Err(error) if error.is_not_found() => return Ok(None),
            read => read?,
        };
        let damaged = |reason| VaultError::Damaged { path: path.clone(), reason };
        let credentials = form::parse(&text, Writer::File).map_err(damaged)?;
        let label: Label = serde_json::from_slice(&text).map_err(|_| VaultError::Unlabelled { path: path.clone() })?;
        if label.role.is_some() != (bearer == Bearer::Role) {
            return Err(VaultError::Unlabelled { path });
        }
        Ok(Some(Deposit { label, credentials }))
    }

    /// Whether an instance has any.
    pub(super) fn has(&self, instance_id: &str, bearer: Bearer) -> bool {
        self.path(instance_id, bearer).exists()
    }

    /// Forgets an instance's credentials.
    pub(super) fn remove(&self, instance_id: &str, bearer: Bearer) -> Result<(), VaultError> {
        let path = self.path(instance_id, bearer);
        private_file::forget(&path).map_err(|source| failed(&path, "removed", source))
    }

    /// Forgets everything that no instance owns: what a crash left of a creation or a deletion.
    pub(super) fn sweep(&self, is_owned: impl Fn(&str, Bearer) -> bool) -> Result<(), VaultError> {
        let unreadable = |source| failed(&self.directory, "listed", source);
        for entry in fs::read_dir(&self.directory).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name();
            let owner = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)).map(owner_of);
            if owner.is_some_and(|(instance_id, bearer)| is_owned(instance_id, bearer)) {
                continue;
            }
            if entry.file_type().map_err(unreadable)?.is_dir() {
                return Err(VaultError::Foreign { path: entry.path() });
            }
            private_file::forget(&entry.path()).map_err(|source| failed(&entry.path(), "removed", source))?;
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
}

/// Whose a file is, by its name without [`SUFFIX`].
fn owner_of(stem: &str) -> (&str, Bearer) {
    stem.strip_suffix(IDENTITY).map_or((stem, Bearer::Role), |instance_id| (instance_id, Bearer::Instance))
}

fn failed(path: &Path, what: &'static str, source: io::Error) -> VaultError {
    VaultError::File { path: path.to_owned(), what, source }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;
    use crate::metadata::sample;

    const ID: &str = "i-0000000a";

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").mode() & 0o7777
    }

    /// The sample's credentials with this token.
    fn deposit(bearer: Bearer, token: &str) -> Deposit {
        Deposit::new(&sample::instance(), bearer, Credentials { token: token.into(), ..sample::credentials() })
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
        vault.put(ID, Bearer::Role, &deposit(Bearer::Role, "first")).expect("written");
        let path = scratch.path().join("credentials/i-0000000a.json");
        assert_eq!(mode(&path), 0o600);
        let others = deposit(Bearer::Role, "other");
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
        let own = deposit(Bearer::Instance, "own");
        vault.put(ID, Bearer::Role, &deposit(Bearer::Role, "first")).expect("written");
        vault.put(ID, Bearer::Instance, &own).expect("written");
        assert_eq!(names(&vault), ["i-0000000a.identity.json", "i-0000000a.json"]);
        assert_eq!(vault.get(ID, Bearer::Instance).expect("readable"), Some(own));
        vault.remove(ID, Bearer::Instance).expect("removed");
        assert_eq!(vault.get(ID, Bearer::Role).expect("readable"), Some(deposit(Bearer::Role, "first")));
    }

    #[test]
    fn what_nobody_owns_is_swept() {
        let scratch = tempfile::tempdir().expect("scratch directory");
        let vault = Vault::open(scratch.path()).expect("made");
        for id in [ID, "i-0000000b"] {
            for bearer in Bearer::ALL {
                vault.put(id, bearer, &deposit(bearer, "first")).expect("written");
            }
        }
        fs::write(vault.directory.join("i-0000000a.new"), "half").expect("scratch");
        vault.sweep(|id, bearer| id == ID || bearer == Bearer::Instance).expect("swept");
        assert_eq!(names(&vault), ["i-0000000a.identity.json", "i-0000000a.json", "i-0000000b.identity.json"]);
        vault.sweep(|id, bearer| id == ID && bearer == Bearer::Role).expect("swept");
        assert_eq!(names(&vault), ["i-0000000a.json"]);
        fs::create_dir(vault.directory.join("old")).expect("scratch");
        let text = vault.sweep(|_, _| true).expect_err("a directory").to_string();
        assert!(text.contains("credentials/old is not a file of credentials"), "{text}");
    }

    #[test]
    fn credentials_say_for_which_role_they_are() {
        let scratch = tempfile::tempdir().expect("scratch directory");
        let vault = Vault::open(scratch.path()).expect("made");
        for bearer in Bearer::ALL {
            vault.put(ID, bearer, &deposit(bearer, "first")).expect("written");
            let deposit = vault.get(ID, bearer).expect("readable").expect("there");
            assert!(deposit.is_of(&sample::instance(), bearer));
            let other = sample::with(serde_json::json!({ "iam": { "role": "web" } }));
            assert_eq!(deposit.is_of(&other, bearer), bearer == Bearer::Instance, "its own have no role");
        }
        let bare = serde_json::to_vec(&sample::credentials()).expect("JSON");
        fs::write(vault.path(ID, Bearer::Role), &bare).expect("scratch");
        assert!(matches!(vault.get(ID, Bearer::Role), Err(VaultError::Unlabelled { .. })));
        let (one, other) = (vault.path(ID, Bearer::Instance), vault.path(ID, Bearer::Role));
        fs::copy(one, other).expect("scratch");
        assert!(matches!(vault.get(ID, Bearer::Role), Err(VaultError::Unlabelled { .. })));
    }

    #[test]
    fn an_altered_file_is_named_without_its_content() {
        let scratch = tempfile::tempdir().expect("scratch directory");
        let vault = Vault::open(scratch.path()).expect("made");
        let path = vault.path(ID, Bearer::Role);
        fs::write(&path, "{\"Token\":\"a secret\"}").expect("scratch");
        assert!(matches!(vault.get(ID, Bearer::Role), Err(VaultError::Unread(PrivateFileError::Open { .. }))));
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("owner");
        let text = vault.get(ID, Bearer::Role).expect_err("damaged").to_string();
        assert!(text.contains("i-0000000a.json holds no credentials") && !text.contains("a secret"), "{text}");
    }
}
