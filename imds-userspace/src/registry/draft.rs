//! An instance as it was asked for: checked, with every default filled in, but not yet made.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use imds_common::options::MetadataOptions;
use thiserror::Error;

use super::field::{self, FieldError};
use super::options::{Changes, OptionsError, Scope};
use super::record::Record;
use crate::control::protocol::CreateInstance;
use crate::metadata::instance::{Credentials, Instance, Role, RoleProvider};
use crate::metadata::{default_hostname, region_of};

/// The image of an instance that isn't given one.
const DEFAULT_IMAGE_ID: &str = "ami-00000000000000000";
/// The type of an instance that isn't given one.
const DEFAULT_INSTANCE_TYPE: &str = "t3.micro";
/// The address of an instance that isn't given one: nothing on the host's side knows it.
const DEFAULT_PRIVATE_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// EC2's name for the group that everything is in which isn't given one.
const DEFAULT_SECURITY_GROUP: &str = "default";

/// What the operator's config gives to instances that don't say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// Availability zone.
    pub availability_zone: String,
    /// Account.
    pub account_id: String,
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
    /// There is nothing to serve.
    #[error("no interface is given; an instance needs at least one host-side interface")]
    NoInterface,
    /// The same interface twice.
    #[error("interface \"{0}\" is given twice; give each interface once")]
    InterfaceTwice(String),
    /// Credentials under no name.
    #[error("credentials are given without a role; give its name too, or neither")]
    CredentialsWithoutRole,
}

/// A checked request.
pub struct Draft {
    /// The instance. Its id may be empty, and what is made at creation is: reservation, MAC, pending time.
    pub instance: Instance,
    /// Its interfaces, the primary first, each once.
    pub interfaces: Vec<String>,
    /// Its options.
    pub options: MetadataOptions,
    /// Its user data, if any.
    pub user_data: Option<Vec<u8>>,
    /// Its role's credentials, if it has its own.
    pub credentials: Option<Credentials>,
}

/// What is kept of an instance beside its record, and compared with what a repeated create gives.
#[derive(Default)]
pub struct Kept {
    /// Its user data, if any.
    pub user_data: Option<Vec<u8>>,
    /// Its role's credentials, if it has its own.
    pub credentials: Option<Credentials>,
}

impl Draft {
    /// Checks a request and fills in what it leaves out.
    ///
    /// # Errors
    ///
    /// The first [`DraftError`].
    pub fn new(request: &CreateInstance, defaults: &Defaults) -> Result<Self, DraftError> {
        let CreateInstance {
            interfaces,
            instance_id,
            image_id,
            instance_type,
            availability_zone,
            private_ip,
            hostname,
            account_id,
            iam_role,
            credentials,
            tags,
            user_data,
            metadata_options,
        } = request;
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
        let zone = availability_zone.as_deref().unwrap_or(&defaults.availability_zone);
        let private_ip = private_ip.unwrap_or(DEFAULT_PRIVATE_IP);
        let hostname = hostname.clone().unwrap_or_else(|| default_hostname(private_ip, region_of(zone)));
        let role = match (iam_role, credentials) {
            (Some(name), Some(credentials)) => {
                field::credentials(credentials)?;
                let provider = RoleProvider::Static { expiration: credentials.expiration.clone() };
                Some(Role { name: field::role(name)?.to_owned(), provider })
            }
            (Some(name), None) => Some(Role { name: field::role(name)?.to_owned(), provider: RoleProvider::Config }),
            (None, None) => None,
            (None, Some(_)) => return Err(DraftError::CredentialsWithoutRole),
        };
        field::tag_count(tags.len())?;
        tags.iter().try_for_each(|(key, value)| field::tag(key, value))?;
        let instance = Instance {
            instance_id: instance_id.to_owned(),
            image_id: field::image_id(image_id.as_deref().unwrap_or(DEFAULT_IMAGE_ID))?.to_owned(),
            instance_type: field::instance_type(instance_type.as_deref().unwrap_or(DEFAULT_INSTANCE_TYPE))?.to_owned(),
            availability_zone: field::availability_zone(zone)?.to_owned(),
            private_ip,
            hostname: field::hostname(&hostname)?.to_owned(),
            account_id: field::account_id(account_id.as_deref().unwrap_or(&defaults.account_id))?.to_owned(),
            reservation_id: String::new(),
            mac: String::new(),
            pending_time: String::new(),
            security_groups: vec![DEFAULT_SECURITY_GROUP.to_owned()],
            tags: tags.clone(),
            role,
        };
        let user_data = user_data.as_ref().map(|data| field::user_data(&data.0)).transpose()?.flatten();
        let options = Changes::parse(metadata_options)?.apply(&MetadataOptions::default(), tags, Scope::One)?;
        let (interfaces, credentials) = (interfaces.clone(), credentials.clone());
        Ok(Self { instance, interfaces, options, user_data, credentials })
    }

    /// What is to be kept of it beside its record.
    #[must_use]
    pub fn kept(&self) -> Kept {
        Kept { user_data: self.user_data.clone(), credentials: self.credentials.clone() }
    }

    /// Whether `record` was made of the same `request`, of which this is the draft. A value that the request leaves out
    /// is whatever the record has, since defaults may have changed; no user data, tags or role are content themselves.
    /// What is made at creation is no content, and options that were changed since are no difference.
    #[must_use]
    pub fn made(&self, request: &CreateInstance, record: &Record, kept: &Kept) -> bool {
        let (ours, stored) = (&self.instance, &record.instance);
        let same = |given: &Option<String>, ours: &String, stored: &String| given.is_none() || ours == stored;
        let options = Changes::parse(&request.metadata_options).map(|given| given.replace(&record.created_options));
        same(&request.instance_id, &ours.instance_id, &stored.instance_id)
            && same(&request.image_id, &ours.image_id, &stored.image_id)
            && same(&request.instance_type, &ours.instance_type, &stored.instance_type)
            && same(&request.availability_zone, &ours.availability_zone, &stored.availability_zone)
            && request.private_ip.is_none_or(|ip| ip == stored.private_ip)
            && same(&request.hostname, &ours.hostname, &stored.hostname)
            && same(&request.account_id, &ours.account_id, &stored.account_id)
            && ours.tags == stored.tags
            && ours.role == stored.role
            && options.is_ok_and(|options| options == record.created_options)
            && self.user_data == kept.user_data
            && same_credentials(self.credentials.as_ref(), kept.credentials.as_ref())
            && self.interfaces.iter().eq(record.interfaces.iter().map(|interface| &interface.name))
    }
}

/// Whether credentials are the same, in a time that tells nothing of where they differ.
fn same_credentials(given: Option<&Credentials>, kept: Option<&Credentials>) -> bool {
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

#[cfg(test)]
mod tests;
