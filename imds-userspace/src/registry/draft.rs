//! An instance as it was asked for: checked, with every default filled in, but not yet made.

use std::collections::BTreeSet;

use imds_common::options::MetadataOptions;
use serde_json::Value;
use thiserror::Error;

use super::limits::{Limits, LimitsError};
use super::options::{Changes, OptionsError, Scope};
use super::record::{Record, user_data_digest};
use crate::dataplane::attach::Attach;
use crate::metadata::bearer::{Bearer, ByBearer};
use crate::metadata::document::{AccountId, AvailabilityZone, Credentials, Document, DocumentError, INTERFACES_MAX};
use crate::metadata::field::{self, FieldError};
use crate::metadata::instance::Instance;
use crate::registry::request::CreateInstance;

/// What the operator's config gives to instances that don't say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// Availability zone.
    pub availability_zone: AvailabilityZone,
    /// Account.
    pub account_id: AccountId,
}

/// Why a request makes no instance.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DraftError {
    /// A field.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// An option.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// A limit.
    #[error(transparent)]
    Limits(#[from] LimitsError),
    /// There is nothing to serve.
    #[error("no interface is given; an instance needs at least one host-side interface")]
    NoInterface,
    /// The same interface twice.
    #[error("interface \"{0}\" is given twice; give each interface once")]
    InterfaceTwice(String),
    /// More interfaces than a tree shows.
    #[error("{0} interfaces are given, an instance has at most {INTERFACES_MAX}; give fewer")]
    TooManyInterfaces(usize),
    /// The document.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

/// A checked request.
pub struct Draft {
    /// The instance. Its id may be empty, and what is made at creation is: reservation, MACs, times.
    pub instance: Instance,
    /// Its interfaces, the primary first, each once.
    pub interfaces: Vec<String>,
    /// How programs are attached to them, if that is said. No content: a repetition changes nothing of it.
    pub attach: Option<Attach>,
    /// Its options.
    pub options: MetadataOptions,
    /// Its limits.
    pub limits: Limits,
    /// What is kept of it beside its record.
    pub kept: Kept,
}

/// The secrets of a document, which are kept of an instance beside its record.
#[derive(Default)]
pub struct Kept {
    /// Its user data, if any.
    pub user_data: Option<Vec<u8>>,
    /// Its own credentials, if any.
    pub credentials: ByBearer<Credentials>,
}

impl Draft {
    /// Checks a request.
    ///
    /// # Errors
    ///
    /// The first [`DraftError`].
    pub fn new(request: &CreateInstance, defaults: &Defaults) -> Result<Self, DraftError> {
        let CreateInstance { interfaces, attach, instance_id, document, metadata_options, limits } = request;
        if interfaces.len() > INTERFACES_MAX {
            return Err(DraftError::TooManyInterfaces(interfaces.len()));
        }
        let mut seen = BTreeSet::new();
        for interface in interfaces {
            field::interface(interface)?;
            if !seen.insert(interface) {
                return Err(DraftError::InterfaceTwice(interface.clone()));
            }
        }
        if interfaces.is_empty() {
            return Err(DraftError::NoInterface);
        }
        let instance_id = instance_id.as_deref().map(field::instance_id).transpose()?.unwrap_or_default();
        let (document, kept) = read_document(document.0.clone())?;
        let options = Changes::parse(metadata_options)?;
        let options = options.apply(&MetadataOptions::default(), tag_keys(&document), Scope::One)?;
        let limits = Limits::default().changed(limits)?;
        let Defaults { availability_zone, account_id } = defaults.clone();
        let instance = Instance {
            instance_id: instance_id.to_owned(),
            reservation_id: String::new(),
            pending_time: Default::default(),
            macs: Vec::new(),
            account_id,
            availability_zone,
            modified: Default::default(),
            document: (&document).try_into()?,
            own_credentials: kept.credentials.map(Credentials::end),
        };
        Ok(Self { instance, interfaces: interfaces.clone(), attach: *attach, options, limits, kept })
    }

    /// Whether `record` was made of the same `request`, of which this is the draft. A value that the request leaves out
    /// is whatever the record has; no user data, credentials, tags or role are content themselves. What is made at
    /// creation is no content, and what was changed since is no difference: of `credentials`, the instance's own ones
    /// now, only those tell that it was created with. Of others since, their expiration is all that is known.
    #[must_use]
    pub fn made(&self, request: &CreateInstance, record: &Record, credentials: &ByBearer<Credentials>) -> bool {
        let ours = self.instance.document.unpack();
        let created = Instance { document: record.created_document().clone(), ..record.instance.clone() };
        let (given, theirs) = (ours.to_value(), created.document.unpack());
        let same_document = theirs.tags.iter().flatten().eq(ours.tags.iter().flatten())
            && theirs.iam.role == ours.iam.role
            && (contains(&theirs.to_value(), &given) || contains(&created.complete().to_value(), &given));
        let options = Changes::parse(&request.metadata_options).map(|given| given.replace(&record.created_options));
        let limits = record.created_limits.changed(&request.limits);
        let same_credentials = |bearer| same_credentials(self.kept.credentials.of(bearer), credentials.of(bearer));
        let created_credentials = record.created_credentials.as_ref();
        same_document
            && self.instance.own_credentials == *created_credentials.unwrap_or(&record.instance.own_credentials)
            && (created_credentials.is_some() || Bearer::ALL.into_iter().all(same_credentials))
            && request.instance_id.as_ref().is_none_or(|id| *id == record.instance.instance_id)
            && options.is_ok_and(|options| options == record.created_options)
            && limits.is_ok_and(|limits| limits == record.created_limits)
            && self.kept.user_data.as_deref().map(user_data_digest) == record.created_user_data
            && self.interfaces.iter().eq(record.interfaces.iter().map(|interface| &interface.name))
    }
}

/// A document from JSON, and its secrets, which are kept elsewhere.
pub(super) fn read_document(value: Value) -> Result<(Document, Kept), DocumentError> {
    let value = if value.is_null() { Value::Object(serde_json::Map::new()) } else { value };
    let mut document = Document::parse(value)?;
    let kept = Kept::take(&mut document);
    Ok((document, kept))
}

impl Kept {
    /// Takes the secrets out of a document. Empty user data is none.
    pub(super) fn take(document: &mut Document) -> Self {
        let user_data = document.user_data.take().map(|data| data.bytes().to_vec()).filter(|data| !data.is_empty());
        Self { user_data, credentials: document.take_credentials() }
    }
}

/// Whether credentials are the same, in a time that tells nothing of where they differ.
pub(super) fn same_credentials(given: Option<&Credentials>, kept: Option<&Credentials>) -> bool {
    let parts = |credentials: &Credentials| {
        let Credentials { access_key_id, secret_access_key, token, expiration } = credentials.clone();
        [access_key_id, secret_access_key, token, expiration]
    };
    let differs = |(one, other): (&String, &String)| {
        let difference = one.bytes().zip(other.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
        one.len() != other.len() || std::hint::black_box(difference) != 0
    };
    match (given.map(parts), kept.map(parts)) {
        (Some(given), Some(kept)) => given.iter().zip(&kept).filter(|pair| differs(*pair)).count() == 0,
        (given, kept) => given.is_none() && kept.is_none(),
    }
}

/// The keys of a document's tags.
pub(super) fn tag_keys(document: &Document) -> impl Iterator<Item = &str> {
    document.tags.iter().flatten().map(|(key, _)| &**key)
}

/// Whether all of `part` stands in `whole`.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| contains(whole, part)))
        }
        (whole, part) => whole == part,
    }
}

#[cfg(test)]
mod tests;
