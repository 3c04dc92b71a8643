//! Who gives instances their credentials.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;

use super::document;
use super::file::{FileError, WatchedFile};
use super::refresh::Refresh;
use super::role::{Delivery, Provider, RoleSpec};
use super::vault::{Deposit, Vault, VaultError};
use crate::metadata::bearer::{Bearer, ByBearer};
use crate::metadata::date;
use crate::metadata::document::{Credentials, Time};
use crate::metadata::instance::Instance;
use crate::metadata::live::{Deliveries, Live};

/// What is wrong where credentials are to come from somewhere, but haven't.
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
    /// Credentials that an instance is given when they are over.
    #[error("the credentials that are given for {owner} expired at {expiration}; give ones that are still good")]
    Expired {
        /// Whose they are.
        owner: &'static str,
        /// When.
        expiration: Time,
    },
}

/// Whether credentials that an instance is given can be served at all.
///
/// # Errors
///
/// [`CredentialsError::Expired`]
pub fn check_given(given: &ByBearer<Credentials>) -> Result<(), CredentialsError> {
    let now = Time::now();
    given.iter().try_for_each(|(bearer, credentials)| {
        let owner = match bearer {
            Bearer::Role => "the instance's role",
            Bearer::Instance => "the instance itself",
        };
        let expiration = credentials.end();
        if expiration > now { Ok(()) } else { Err(CredentialsError::Expired { owner, expiration }) }
    })
}

fn known(roles: &[String]) -> String {
    if roles.is_empty() { "which has none".to_owned() } else { format!("which has {}", roles.join(", ")) }
}

/// The credentials of an instance's role as they are now, without themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleState {
    /// `static`, `file` or `process`; `none` for a role that the config has no more. Two where they differ.
    pub provider: String,
    /// When the first of them expire, as `YYYY-MM-DDTHH:MM:SSZ`; none while any read gets a failure, as from then on.
    pub expiration: Option<String>,
}

/// A role of the config.
struct ConfigRole {
    /// The kind of each provider, and what it gives.
    providers: Vec<(String, Arc<Live>)>,
    deliveries: Deliveries,
}

/// What instances have of their own, as far as it was asked for; nothing where it can't be read.
type Own = BTreeMap<(String, Bearer), Option<Arc<Live>>>;

/// Who gives instances their credentials: the config's roles, and the vault of the instances' own.
pub struct Issuer {
    roles: BTreeMap<String, ConfigRole>,
    vault: Vault,
    /// What is in the vault.
    own: Mutex<Own>,
}

impl Issuer {
    /// Opens the vault in the state directory and reads the static ones of `specs`; the others are to be refreshed.
    ///
    /// # Errors
    ///
    /// [`CredentialsError::Static`], [`CredentialsError::Vault`]
    pub fn open(state_directory: &Path, specs: &[RoleSpec]) -> Result<(Self, Vec<Refresh>), CredentialsError> {
        let vault = Vault::open(state_directory)?;
        let now = Time::now();
        let mut roles = BTreeMap::new();
        let mut refreshes = Vec::new();
        for RoleSpec { name, delivery, provider } in specs {
            let live = match provider {
                Provider::Static(path) => {
                    let wrong = |source| CredentialsError::Static { role: name.clone(), source };
                    let credentials = WatchedFile::new(path.clone()).read().map_err(wrong)?;
                    if credentials.end() <= now {
                        let (role, expiration) = (name, &credentials.expiration);
                        let path = path.display();
                        tracing::error!(role, expiration, %path, "no credentials: they expired; put others there and restart imdsd");
                    }
                    Live::new(document::success(&document::the_role(name), &credentials, now))
                }
                Provider::File(path) => {
                    let live = nothing(&format!("The role {name}"), NOTHING_NOW, now);
                    refreshes.push(Refresh::of_file(name, path, &live));
                    live
                }
                Provider::Process(process) => {
                    let live = nothing(&format!("The role {name}"), NOTHING_NOW, now);
                    refreshes.push(Refresh::of_process(name, process, &live));
                    live
                }
            };
            let role = roles.entry(name.clone()).or_insert_with(|| ConfigRole {
                providers: Vec::new(),
                deliveries: Deliveries {
                    without_token: nothing(
                        &format!("The role {name}"),
                        "gives no credentials to a read without a token",
                        now,
                    ),
                    with_token: nothing(
                        &format!("The role {name}"),
                        "gives no credentials to a read with a token",
                        now,
                    ),
                },
            });
            role.add(*delivery, provider, &live);
        }
        Ok((Self { roles, vault, own: Mutex::default() }, refreshes))
    }

    /// Reads the credentials of every instance that has its own, and serves them from now on. What can't be read is a
    /// failure to the guest, and keeps nothing else from being served. Blocks for the disk.
    pub fn load<'a>(&self, instances: impl Iterator<Item = &'a Instance>) {
        for instance in instances {
            let id = &instance.instance_id;
            if let Err(error) = self.check(instance) {
                tracing::error!(instance = id, %error, "it gets no credentials");
            }
            for (bearer, _) in instance.own_credentials.iter() {
                self.own().entry((id.clone(), bearer)).or_default();
                match self.vault.get(id, bearer) {
                    Ok(Some(deposit)) if deposit.is_of(instance, bearer) => self.serve(instance, bearer, &deposit),
                    // A crash between the two has left those of one that the record has not.
                    Ok(Some(_)) => {
                        tracing::error!(instance = id, "its credentials there are for another role; give it others");
                    }
                    Ok(None) => tracing::error!(instance = id, "its credentials are lost; give it others"),
                    Err(error) => tracing::error!(instance = id, %error, "its credentials can't be read"),
                }
            }
        }
    }

    /// Removes the credentials that no instance owns: what a crash left of a creation, a change or a deletion.
    ///
    /// # Errors
    ///
    /// [`VaultError`]
    pub fn sweep(&self, is_owned: impl Fn(&str, Bearer) -> bool) -> Result<(), VaultError> {
        self.vault.sweep(is_owned)
    }

    /// Whether an instance can have its role: it has the role's credentials itself, or the config has the role.
    ///
    /// # Errors
    ///
    /// [`CredentialsError::UnknownRole`]
    pub fn check(&self, instance: &Instance) -> Result<(), CredentialsError> {
        let Some(role) = instance.role().filter(|_| instance.own_credentials.role.is_none()) else { return Ok(()) };
        if self.roles.contains_key(&*role) {
            return Ok(());
        }
        let roles = self.roles.keys().cloned().collect();
        Err(CredentialsError::UnknownRole { role: role.to_string(), roles })
    }

    /// Keeps credentials of an instance. They are served from [`load`](Self::load) on. Blocks for the disk.
    ///
    /// # Errors
    ///
    /// [`VaultError`]
    pub fn keep(&self, instance_id: &str, deposits: &ByBearer<Deposit>) -> Result<(), VaultError> {
        deposits.iter().try_for_each(|(bearer, deposit)| self.vault.put(instance_id, bearer, deposit))
    }

    fn serve(&self, instance: &Instance, bearer: Bearer, deposit: &Deposit) {
        let owner = match (bearer, instance.role()) {
            (Bearer::Role, Some(role)) => document::the_role(&role),
            (Bearer::Role, None) => return,
            (Bearer::Instance, _) => "the instance".to_owned(),
        };
        let edition = document::success(&owner, &deposit.credentials, deposit.given());
        self.own().insert((instance.instance_id.clone(), bearer), Some(Live::new(edition)));
    }

    /// Credentials of an instance's own, if it has any. Blocks for the disk.
    ///
    /// # Errors
    ///
    /// [`VaultError`]
    pub fn kept(&self, instance_id: &str, bearer: Bearer) -> Result<Option<Deposit>, VaultError> {
        self.vault.get(instance_id, bearer)
    }

    /// Forgets credentials of an instance's own. Blocks for the disk.
    ///
    /// # Errors
    ///
    /// [`VaultError`]; they are removed by the next start at the latest.
    pub fn forget(&self, instance_id: &str, bearer: Bearer) -> Result<(), VaultError> {
        self.own().remove(&(instance_id.to_owned(), bearer));
        self.vault.remove(instance_id, bearer)
    }

    /// What an instance's reads of its credentials get, now and later.
    #[must_use]
    pub fn deliveries(&self, instance: &Instance) -> ByBearer<Deliveries> {
        let Instance { instance_id, own_credentials, .. } = instance;
        let own = |bearer| self.own().get(&(instance_id.clone(), bearer))?.as_ref().map(Deliveries::same);
        let or_nothing = |there: Option<Deliveries>, owner: &str| {
            let nothing = || nothing(owner, NOTHING_NOW, Time::now());
            there.unwrap_or_else(|| Deliveries::same(&nothing()))
        };
        ByBearer {
            role: instance.role().map(|role| {
                let there = match own_credentials.role {
                    Some(_) => own(Bearer::Role),
                    None => self.roles.get(&*role).map(|role| role.deliveries.clone()),
                };
                or_nothing(there, &format!("The role {role}"))
            }),
            instance: own_credentials.instance.map(|_| or_nothing(own(Bearer::Instance), "The instance")),
        }
    }

    /// How an instance's role stands, if it has any.
    #[must_use]
    pub fn state(&self, instance: &Instance) -> Option<RoleState> {
        let role = instance.role()?;
        if let Some(expiration) = instance.own_credentials.role {
            let id = &instance.instance_id;
            let read = self.own().get(&(id.clone(), Bearer::Role)).map(Option::is_some);
            // Those of an instance that isn't served yet were not read yet.
            let is_there = read.unwrap_or_else(|| self.vault.has(id, Bearer::Role));
            let is_good = is_there && expiration > Time::now();
            let expiration = is_good.then(|| expiration.to_string());
            return Some(RoleState { provider: "static".to_owned(), expiration });
        }
        Some(self.roles.get(&*role).map_or_else(
            || RoleState { provider: "none".to_owned(), expiration: None },
            |role| role.state(date::unix_seconds()),
        ))
    }

    fn own(&self) -> MutexGuard<'_, Own> {
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
            expiration: ends.and_then(|ends| ends.into_iter().min()).map(|end| Time::from_unix(end).to_string()),
        }
    }
}

/// A place with nothing in it.
fn nothing(owner: &str, why: &str, now: Time) -> Arc<Live> {
    Live::new(document::failure(&format!("{owner} {why}."), now))
}

#[cfg(test)]
mod tests;
