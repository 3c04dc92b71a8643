//! An instance as it was asked for: checked, with every default filled in, but not yet made.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use imds_common::options::MetadataOptions;
use thiserror::Error;

use super::field::{self, FieldError};
use super::options::{Changes, OptionsError};
use super::record::Record;
use crate::control::protocol::CreateInstance;
use crate::metadata::instance::{Instance, Role};
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
    /// A role that has nothing to give.
    #[error("a role is given without credentials; give both, or neither")]
    RoleWithoutCredentials,
    /// Credentials under no name.
    #[error("credentials are given without a role; give both, or neither")]
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
                Some(Role { name: field::role(name)?.to_owned(), credentials: credentials.clone() })
            }
            (None, None) => None,
            (Some(_), None) => return Err(DraftError::RoleWithoutCredentials),
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
        let user_data = user_data.as_deref().map(field::user_data).transpose()?.flatten();
        let options = Changes::parse(metadata_options)?.apply(&MetadataOptions::default(), tags)?;
        Ok(Self { instance, interfaces: interfaces.clone(), options, user_data })
    }

    /// Whether `record` was made of the same content. What is made at creation is no content, and options that were
    /// changed since are no difference.
    #[must_use]
    pub fn made(&self, record: &Record, user_data: Option<&[u8]>) -> bool {
        let created = Instance {
            reservation_id: self.instance.reservation_id.clone(),
            mac: self.instance.mac.clone(),
            pending_time: self.instance.pending_time.clone(),
            ..record.instance.clone()
        };
        self.instance == created
            && self.options == record.created_options
            && self.user_data.as_deref() == user_data
            && self.interfaces.iter().eq(record.interfaces.iter().map(|interface| &interface.name))
    }
}

#[cfg(test)]
mod tests {
    use imds_common::options::HttpTokens;

    use super::*;
    use crate::metadata::instance::Credentials;
    use crate::registry::record::InterfaceRecord;
    use crate::registry::totals::Totals;

    fn defaults() -> Defaults {
        Defaults { availability_zone: "eu-central-1b".into(), account_id: "123456789012".into() }
    }

    fn least() -> CreateInstance {
        CreateInstance { interfaces: vec!["tap0".into()], ..CreateInstance::default() }
    }

    fn credentials() -> Credentials {
        Credentials {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: "secret".into(),
            token: "token".into(),
            expiration: "2030-01-31T12:00:00Z".into(),
        }
    }

    fn draft(request: &CreateInstance) -> Result<Draft, DraftError> {
        Draft::new(request, &defaults())
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let Draft { instance, interfaces, options, user_data } = draft(&least()).expect("valid");
        assert_eq!(interfaces, ["tap0"]);
        assert_eq!((options, user_data), (MetadataOptions::default(), None));
        assert_eq!(instance.image_id, "ami-00000000000000000");
        assert_eq!(instance.instance_type, "t3.micro");
        assert_eq!(instance.availability_zone, "eu-central-1b");
        assert_eq!(instance.private_ip, Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(instance.hostname, "ip-10-0-0-1.eu-central-1.compute.internal");
        assert_eq!(instance.account_id, "123456789012");
        assert_eq!(instance.security_groups, ["default"]);
        assert_eq!((instance.instance_id, instance.role), (String::new(), None));
    }

    /// A change to a valid request.
    type Change = fn(&mut CreateInstance);

    #[test]
    fn each_bad_input_is_refused_by_name() {
        let cases: [(&str, Change); 18] = [
            ("no interface is given", |r| r.interfaces.clear()),
            ("interface \"tap0\" is given twice", |r| r.interfaces.push("tap0".into())),
            ("interface \"../x\" is malformed", |r| r.interfaces.push("../x".into())),
            ("instance id \"i-1\" is malformed", |r| r.instance_id = Some("i-1".into())),
            ("image id \"debian\" is malformed", |r| r.image_id = Some("debian".into())),
            ("instance type \"big\" is malformed", |r| r.instance_type = Some("big".into())),
            ("availability zone \"moon\" is malformed", |r| r.availability_zone = Some("moon".into())),
            ("hostname \"a b\" is malformed", |r| r.hostname = Some("a b".into())),
            ("account id \"1\" is malformed", |r| r.account_id = Some("1".into())),
            ("role is given without credentials", |r| r.iam_role = Some("app".into())),
            ("credentials are given without a role", |r| r.credentials = Some(credentials())),
            ("IAM role \"a/b\" is malformed", |r| {
                r.iam_role = Some("a/b".into());
                r.credentials = Some(credentials());
            }),
            ("Expiration \"soon\" is malformed", |r| {
                r.iam_role = Some("app".into());
                r.credentials = Some(Credentials { expiration: "soon".into(), ..credentials() });
            }),
            ("tag key \"\\n\" is malformed", |r| drop(r.tags.insert("\n".into(), String::new()))),
            ("not valid base64", |r| r.user_data = Some("%".into())),
            ("16385 bytes", |r| r.user_data = Some("AAAA".repeat(16384 / 3) + "AAA=")),
            ("HttpPutResponseHopLimit is 1 to 64, got 65", |r| {
                r.metadata_options.http_put_response_hop_limit = Some(65);
            }),
            ("tag key \"a b\" can't be shown", |r| {
                r.tags.insert("a b".into(), String::new());
                r.metadata_options.instance_metadata_tags = Some("enabled".into());
            }),
        ];
        for (expected, change) in cases {
            let mut request = least();
            change(&mut request);
            let error = draft(&request).err().unwrap_or_else(|| panic!("{expected}: taken")).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    fn record_of(request: &CreateInstance) -> (Record, Option<Vec<u8>>) {
        let Draft { instance, interfaces, options, user_data } = draft(request).expect("valid");
        let record = Record {
            instance: Instance { reservation_id: "r-1".into(), mac: "m".into(), pending_time: "t".into(), ..instance },
            options: MetadataOptions { http_tokens: HttpTokens::Required, ..options },
            created_options: options,
            interfaces: interfaces.into_iter().map(|name| InterfaceRecord { name, assignment: None }).collect(),
            user_data_bytes: user_data.as_ref().map(Vec::len),
            carried: Totals::default(),
        };
        (record, user_data)
    }

    #[test]
    fn the_same_content_is_known_again() {
        let mut request = least();
        request.user_data = Some("aGk=".into());
        let (record, user_data) = record_of(&request);
        let made = |request: &CreateInstance| draft(request).expect("valid").made(&record, user_data.as_deref());
        assert!(made(&request));
        let same: [Change; 3] = [
            |r| r.metadata_options.http_tokens = Some("optional".into()),
            |r| r.image_id = Some("ami-00000000000000000".into()),
            |r| r.account_id = Some("123456789012".into()),
        ];
        for change in same {
            let mut request = request.clone();
            change(&mut request);
            assert!(made(&request), "{request:?}");
        }
        let other: [Change; 6] = [
            |r| r.interfaces.push("tap1".into()),
            |r| r.interfaces[0] = "tap1".into(),
            |r| r.user_data = Some("aG8=".into()),
            |r| r.user_data = None,
            |r| r.metadata_options.http_tokens = Some("required".into()),
            |r| drop(r.tags.insert("k".into(), String::new())),
        ];
        for change in other {
            let mut request = request.clone();
            change(&mut request);
            assert!(!made(&request), "{request:?}");
        }
    }
}
