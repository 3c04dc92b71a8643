//! Why the registry refuses or fails.

use std::io;

use thiserror::Error;

use super::draft::DraftError;
use super::options::OptionsError;
use super::store::StoreError;
use crate::credentials::CredentialsError;
use crate::credentials::vault::VaultError;
use crate::dataplane::DataplaneError;
use crate::dataplane::interface::InterfaceError;
use crate::metadata::identity::SignError;

/// Why a command wasn't done. Nothing was changed, but where the message says so.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// The request itself.
    #[error(transparent)]
    Draft(#[from] DraftError),
    /// Options of an instance.
    #[error("instance {instance_id}: {source}")]
    Options {
        /// The instance.
        instance_id: String,
        /// What is wrong with them.
        source: OptionsError,
    },
    /// No such instance.
    #[error("instance {0} does not exist; `imdsctl instance list` shows those that do")]
    NotFound(String),
    /// The id is another instance's.
    #[error("instance {0} exists already with other content; delete it first, or give another id")]
    OtherContent(String),
    /// A described instance stands behind other interfaces.
    #[error("instance {0} is behind other interfaces; delete it first, or describe the interfaces that it has")]
    OtherInterfaces(String),
    /// The same id twice.
    #[error("it is described twice; describe each instance once")]
    DescribedTwice,
    /// Two described instances behind one interface.
    #[error("interface \"{0}\" is that of another described instance under another name; describe each interface once")]
    DescribedInterface(String),
    /// A description that can't be.
    #[error("instance {instance_id}: {source}")]
    Described {
        /// The instance.
        instance_id: String,
        /// What is wrong.
        source: Box<RegistryError>,
    },
    /// The interface is another instance's.
    #[error(
        "interface \"{interface}\" belongs to instance {instance_id}; delete that first, or give another interface"
    )]
    InterfaceTaken {
        /// The interface.
        interface: String,
        /// Whose it is.
        instance_id: String,
    },
    /// Two names of one interface.
    #[error("interfaces \"{first}\" and \"{second}\" are the same one; give each interface once")]
    SameInterface {
        /// One name.
        first: String,
        /// The other.
        second: String,
    },
    /// Every slot is taken.
    #[error(
        "all {0} slots are taken; delete instances, or raise max-slots in imdsd's config and restart it after `imdsd detach`"
    )]
    NoSlot(u16),
    /// An interface can't carry an instance.
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    /// The kernel doesn't say whether an interface is there.
    #[error(
        "interface \"{interface}\" can't be looked up ({source}); nothing is known of it until a later try succeeds"
    )]
    Lookup {
        /// The interface.
        interface: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel's side.
    #[error(transparent)]
    Dataplane(Box<DataplaneError>),
    /// The credentials of a role.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The instance is gone, but the kernel kept a slot of it.
    #[error(
        "instance {instance_id} is deleted, but the kernel did not release slot {slot} ({source}); imdsd tries again by itself"
    )]
    NotReleased {
        /// The instance.
        instance_id: String,
        /// The slot.
        slot: u16,
        /// Why.
        source: Box<DataplaneError>,
    },
    /// The instance is gone, but an interface of it is still closed.
    #[error(
        "instance {instance_id} is deleted, but interface \"{interface}\" is not released ({source}); it stays closed: `imdsctl interface release {interface}` tries again"
    )]
    NotLetGo {
        /// The instance.
        instance_id: String,
        /// The interface.
        interface: String,
        /// Why.
        source: Box<RegistryError>,
    },
    /// There is nothing to release.
    #[error("interface \"{0}\" is not one that imdsd keeps closed after its instance was deleted; nothing was changed")]
    NotClosed(String),
    /// Nobody has it.
    #[error("interface \"{0}\" belongs to no instance; `imdsctl instance list` shows those that do")]
    NoOwner(String),
    /// A rotation now would end tokens before their time.
    #[error(
        "a rotation of the keys now would end good tokens of key {key}; it ends none from {at} on (in {seconds} s), or give --force to end them now"
    )]
    RotationTooSoon {
        /// The key that it would remove.
        key: u8,
        /// When none of its tokens is good any more.
        at: String,
        /// In how many seconds that is.
        seconds: u64,
    },
    /// As many trace it as may.
    #[error("instance {0} is traced by too many at once; end one of their `imdsctl trace`")]
    TooManyTracers(String),
    /// No identity document.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// No random numbers.
    #[error("the kernel gave no random numbers for a new id or key ({0})")]
    Random(getrandom::Error),
}

impl From<VaultError> for RegistryError {
    fn from(error: VaultError) -> Self {
        Self::Credentials(error.into())
    }
}

impl RegistryError {
    pub(super) fn described(instance_id: &str, source: Self) -> Self {
        Self::Described { instance_id: instance_id.to_owned(), source: Box::new(source) }
    }
}

impl From<DataplaneError> for RegistryError {
    fn from(error: DataplaneError) -> Self {
        Self::Dataplane(Box::new(error))
    }
}
