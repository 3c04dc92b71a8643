//! Who gives instances their credentials.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;

use super::document;
use super::file::{FileError, WatchedFile};
use super::refresh::Refresh;
use super::role::{Delivery, Provider, RoleSpec};
use super::vault::{Vault, VaultError};
use crate::metadata::date;
use crate::metadata::instance::{Credentials, Instance, Role, RoleProvider};
use crate::metadata::live::{Deliveries, Live};

/// What a role does that has a provider, but nothing of it.
const NOTHING_NOW: &str = "has no credentials now";

/// Why credentials can't be had.
#[derive(Debug, Error)]
pub enum CredentialsError {
    /// A file of the config's that is read at the start only.
    #[error(
        "role \"{role}\" of imdsd's config: {source}; mend it, or give it the provider \"file\", which may come later"
    )]
    Static {
        /// The role.
        role: String,
        /// What is wrong.
        source: FileError,
    },
    /// The directory of the instances' own.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A role that nobody knows.
    #[error(
        "role \"{role}\" is not in imdsd's config ({}); give --credentials-file, or add a [[roles]] table to the config \
         and restart imdsd", known(.roles)
    )]
    UnknownRole {
        /// The role.
        role: String,
        /// Those that the config has.
        roles: Vec<String>,
    },
}

fn known(roles: &[String]) -> String {
    if roles.is_empty() { "which has none".to_owned() } else { format!("which has {}", roles.join(", ")) }
}

/// The credentials of an instance's role as they are now, without themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleState {
    /// `static`, `file` or `process`; `none` for a role that the config has no more. Two where they differ.
    pub provider: String,
    /// When the first of them expire, as `YYYY-MM-DDTHH:MM:SSZ`; none while any read gets a failure.
    pub expiration: Option<String>,
}

/// A role of the config.
struct ConfigRole {
    /// The kind of each provider, and what it gives.
    providers: Vec<(String, Arc<Live>)>,
    deliveries: Deliveries,
}

/// Who gives instances their credentials: the config's roles, and the vault of the instances' own.
pub struct Issuer {
    roles: BTreeMap<String, ConfigRole>,
    vault: Vault,
    /// What is in the vault, by instance.
    own: Mutex<BTreeMap<String, Arc<Live>>>,
}

impl Issuer {
    /// Opens the vault in the state directory and reads the static ones of `specs`; the others are to be refreshed.
    ///
    /// # Errors
    ///
    /// [`CredentialsError::Static`], [`CredentialsError::Vault`]
    pub fn open(state_directory: &Path, specs: &[RoleSpec]) -> Result<(Self, Vec<Refresh>), CredentialsError> {
        let vault = Vault::open(state_directory)?;
        let now = date::unix_seconds();
        let mut roles = BTreeMap::new();
        let mut refreshes = Vec::new();
        for RoleSpec { name, delivery, provider } in specs {
            let live = match provider {
                Provider::Static(path) => {
                    let wrong = |source| CredentialsError::Static { role: name.clone(), source };
                    let credentials = WatchedFile::new(path.clone()).read().map_err(wrong)?;
                    Live::new(document::success(name, &credentials, now))
                }
                Provider::File(path) => {
                    let live = nothing(name, NOTHING_NOW, now);
                    refreshes.push(Refresh::of_file(name, path, &live));
                    live
                }
                Provider::Process(process) => {
                    let live = nothing(name, NOTHING_NOW, now);
                    refreshes.push(Refresh::of_process(name, process, &live));
                    live
                }
            };
            let role = roles.entry(name.clone()).or_insert_with(|| ConfigRole {
                providers: Vec::new(),
                deliveries: Deliveries {
                    without_token: nothing(name, "gives no credentials to a read without a token", now),
                    with_token: nothing(name, "gives no credentials to a read with a token", now),
                },
            });
            role.add(*delivery, provider, &live);
        }
        Ok((Self { roles, vault, own: Mutex::default() }, refreshes))
    }

    /// Reads the credentials of every instance that has its own. What can't be read is a failure to the guest, and keeps
    /// nothing else from being served.
    pub fn load<'a>(&self, instances: impl Iterator<Item = &'a Instance>) {
        for instance in instances {
            let (id, Some(role)) = (&instance.instance_id, &instance.role) else { continue };
            if !role.has_own_credentials() {
                if let Err(error) = self.check(role) {
                    tracing::error!(instance = id, %error, "it gets no credentials");
                }
                continue;
            }
            match self.vault.get(id) {
                Ok(Some(credentials)) => self.serve(instance, &credentials),
                Ok(None) => tracing::error!(instance = id, "its credentials are lost; delete it and create it again"),
                Err(error) => tracing::error!(instance = id, %error, "its credentials can't be read"),
            }
        }
    }

    /// Removes the credentials that no instance owns: what a crash left of a creation or a deletion.
    ///
    /// # Errors
    ///
    /// [`VaultError`]
    pub fn sweep(&self, is_owned: impl Fn(&str) -> bool) -> Result<(), VaultError> {
        self.vault.sweep(is_owned)
    }

    /// Whether an instance can be given this role.
    ///
    /// # Errors
    ///
    /// [`CredentialsError::UnknownRole`]
    pub fn check(&self, role: &Role) -> Result<(), CredentialsError> {
        if role.has_own_credentials() || self.roles.contains_key(&role.name) {
            return Ok(());
        }
        let roles = self.roles.keys().cloned().collect();
        Err(CredentialsError::UnknownRole { role: role.name.clone(), roles })
    }

    /// Keeps the credentials of an instance's role, and serves them from now on. Blocks for the disk.
    ///
    /// # Errors
    ///
    /// [`VaultError`]
    pub fn keep(&self, instance: &Instance, credentials: &Credentials) -> Result<(), VaultError> {
        self.vault.put(&instance.instance_id, credentials)?;
        self.serve(instance, credentials);
        Ok(())
    }

    fn serve(&self, instance: &Instance, credentials: &Credentials) {
        let Some(role) = &instance.role else { return };
        let updated = date::seconds_of(&instance.pending_time).unwrap_or_default();
        let edition = document::success(&role.name, credentials, updated);
        self.own().insert(instance.instance_id.clone(), Live::new(edition));
    }

    /// An instance's own credentials, if it has any. Blocks for the disk.
    ///
    /// # Errors
    ///
    /// [`VaultError`]
    pub fn kept(&self, instance_id: &str) -> Result<Option<Credentials>, VaultError> {
        self.vault.get(instance_id)
    }

    /// Forgets an instance's own credentials. Blocks for the disk.
    ///
    /// # Errors
    ///
    /// [`VaultError`]; they are removed by the next start at the latest.
    pub fn forget(&self, instance_id: &str) -> Result<(), VaultError> {
        self.own().remove(instance_id);
        self.vault.remove(instance_id)
    }

    /// What an instance's reads of its role's credentials get, now and later.
    #[must_use]
    pub fn deliveries(&self, instance: &Instance) -> Option<Deliveries> {
        let role = instance.role.as_ref()?;
        let there = match role.provider {
            RoleProvider::Static { .. } => self.own().get(&instance.instance_id).map(Deliveries::same),
            RoleProvider::Config => self.roles.get(&role.name).map(|role| role.deliveries.clone()),
        };
        Some(there.unwrap_or_else(|| Deliveries::same(&nothing(&role.name, NOTHING_NOW, date::unix_seconds()))))
    }

    /// How an instance's role stands, if it has any.
    #[must_use]
    pub fn state(&self, instance: &Instance) -> Option<RoleState> {
        let role = instance.role.as_ref()?;
        if let RoleProvider::Static { expiration } = &role.provider {
            let is_there = self.own().contains_key(&instance.instance_id);
            return Some(RoleState { provider: "static".to_owned(), expiration: is_there.then(|| expiration.clone()) });
        }
        Some(self.roles.get(&role.name).map_or_else(
            || RoleState { provider: "none".to_owned(), expiration: None },
            |role| role.state(date::unix_seconds()),
        ))
    }

    fn own(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Live>>> {
        // Whoever panicked with it held a whole map.
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConfigRole {
    fn add(&mut self, delivery: Delivery, provider: &Provider, live: &Arc<Live>) {
        self.providers.push((provider.to_string(), Arc::clone(live)));
        if delivery.overlaps(Delivery::WithoutToken) {
            self.deliveries.without_token = Arc::clone(live);
        }
        if delivery.overlaps(Delivery::WithToken) {
            self.deliveries.with_token = Arc::clone(live);
        }
    }

    fn state(&self, now: u64) -> RoleState {
        let kinds: BTreeSet<&str> = self.providers.iter().map(|(kind, _)| kind.as_str()).collect();
        let ends: Option<Vec<u64>> = self.providers.iter().map(|(_, live)| live.end(now)).collect();
        RoleState {
            provider: kinds.into_iter().collect::<Vec<_>>().join(", "),
            expiration: ends.and_then(|ends| ends.into_iter().min()).map(date::document_time),
        }
    }
}

/// A place with nothing in it.
fn nothing(role: &str, why: &str, now: u64) -> Arc<Live> {
    Live::new(document::failure(&format!("The role {role} {why}."), now))
}

#[cfg(test)]
mod tests;
