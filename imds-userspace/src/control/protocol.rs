//! What `imdsctl` and `imdsd` say to each other: one JSON object a line, over the control socket.
//!
//! A connection carries one request and one reply. Names and values of options are EC2's. The replies' payloads are
//! also what `imdsctl --output json` prints, so fields are only ever added.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::metadata::instance::{Credentials, Instance};

/// The version of this protocol. A daemon answers a request of another version with an error that names both.
pub const VERSION: u32 = 1;

/// The longest request that the daemon takes, in bytes: user data of 16 KiB in base64, credentials and tags fit many
/// times.
pub const MESSAGE_MAX: usize = 1024 * 1024;

/// The longest reply that `imdsctl` takes, in bytes: an instance in each of the 65,536 slots there can be, with its
/// counters or its options in under 2 KiB.
pub const REPLY_MAX: usize = 65_536 * 2048;

/// Raw user data's largest size in bytes (behaviour.md section 5).
pub const USER_DATA_MAX: usize = 16 * 1024;

/// A request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// [`VERSION`] of the sender.
    pub version: u32,
    /// What to do.
    pub command: Command,
}

/// A reply: exactly one of the two.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It was done.
    Ok(Payload),
    /// It was not, and nothing was changed.
    Error(Failure),
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// The broken condition and the way out.
    pub message: String,
}

/// The kinds of failures; each has an exit code of `imdsctl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The request itself is wrong: a malformed id, a value out of range, options that exclude each other.
    Invalid,
    /// No such instance.
    NotFound,
    /// The id or the interface is taken, or the id exists with other content.
    Conflict,
    /// The host can't do it: no such interface, a kind that doesn't work, a kernel's no.
    Unsupported,
    /// The other side speaks another version.
    Version,
    /// Something inside failed; the message says what.
    Internal,
}

/// What to do.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Creates an instance, or finds it there with the same content.
    InstanceCreate(Box<CreateInstance>),
    /// Lists all instances.
    InstanceList,
    /// Shows one instance.
    InstanceShow {
        /// Its id.
        instance_id: String,
    },
    /// Deletes one instance.
    InstanceDelete {
        /// Its id.
        instance_id: String,
    },
    /// Restarts one instance: its identity document is made and signed anew.
    InstanceRestart {
        /// Its id.
        instance_id: String,
    },
    /// Gives the certificates that identity documents are checked with.
    IdentityCertificates,
    /// Changes options of one instance, or of all.
    OptionsSet {
        /// Its id, or all instances.
        instance_id: Option<String>,
        /// What to change; what is left out keeps its value.
        changes: OptionChanges,
    },
    /// Reads the counters of one instance, or of all and of the host.
    Stats {
        /// Its id, or all.
        instance_id: Option<String>,
    },
}

/// A reply's payload.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payload {
    /// Of create, show, restart and delete: the instance (as it was, when deleted).
    Instance(Box<InstanceView>),
    /// Of list and of `OptionsSet`: the instances.
    Instances(Vec<InstanceView>),
    /// Of stats.
    Stats(StatsView),
    /// Of `IdentityCertificates`.
    Certificates(CertificatesView),
}

/// What an instance is created from. What is left out gets a default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateInstance {
    /// Host-side interfaces, the first one being the primary. At least one.
    pub interfaces: Vec<String>,
    /// `i-…`; left out: a new random one.
    pub instance_id: Option<String>,
    /// Left out: `ami-00000000000000000`.
    pub image_id: Option<String>,
    /// Left out: `t3.micro`.
    pub instance_type: Option<String>,
    /// Left out: the daemon's config says.
    pub availability_zone: Option<String>,
    /// Left out: `10.0.0.1`, since nothing on the host's side knows the guest's address.
    pub private_ip: Option<Ipv4Addr>,
    /// Left out: EC2's IP name, `ip-10-0-0-1.<region>.compute.internal` (`ec2.internal` in us-east-1).
    pub hostname: Option<String>,
    /// Left out: the daemon's config says.
    pub account_id: Option<String>,
    /// A role's name; goes with `credentials`.
    pub iam_role: Option<String>,
    /// The role's static credentials.
    pub credentials: Option<Credentials>,
    /// Tags by key.
    pub tags: BTreeMap<String, String>,
    /// User data, if any.
    pub user_data: Option<EncodedUserData>,
    /// Options that differ from EC2's defaults.
    pub metadata_options: OptionChanges,
}

/// User data in base64: a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EncodedUserData(pub String);

impl fmt::Debug for EncodedUserData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodedUserData").finish_non_exhaustive()
    }
}

/// Options to change, under EC2's names; what is left out keeps its value (or has its default, at create).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct OptionChanges {
    /// `optional` or `required`
    pub http_tokens: Option<String>,
    /// 1 to 64
    pub http_put_response_hop_limit: Option<i64>,
    /// `enabled` or `disabled`
    pub http_endpoint: Option<String>,
    /// `enabled` or `disabled`
    pub http_protocol_ipv6: Option<String>,
    /// `enabled` or `disabled`
    pub instance_metadata_tags: Option<String>,
}

/// An instance as replies show it. No secret is in it: credentials appear by role name and expiration only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceView {
    /// Its id.
    pub instance_id: String,
    /// Its interfaces, the primary first.
    pub interfaces: Vec<InterfaceView>,
    /// Its options.
    pub metadata_options: OptionsView,
    /// Image.
    pub image_id: String,
    /// Type.
    pub instance_type: String,
    /// Zone.
    pub availability_zone: String,
    /// Address.
    pub private_ip: Ipv4Addr,
    /// Private DNS name.
    pub hostname: String,
    /// Account.
    pub account_id: String,
    /// Role's name.
    pub iam_role: Option<String>,
    /// When the role's credentials expire.
    pub credentials_expiration: Option<String>,
    /// Tags by key.
    pub tags: BTreeMap<String, String>,
    /// Size of the user data in bytes; its content is not shown.
    pub user_data_bytes: Option<usize>,
}

impl InstanceView {
    /// The parts of a view that the instance itself gives.
    #[must_use]
    pub fn new(
        instance: &Instance,
        user_data_bytes: Option<usize>,
        interfaces: Vec<InterfaceView>,
        metadata_options: OptionsView,
    ) -> Self {
        Self {
            instance_id: instance.instance_id.clone(),
            interfaces,
            metadata_options,
            image_id: instance.image_id.clone(),
            instance_type: instance.instance_type.clone(),
            availability_zone: instance.availability_zone.clone(),
            private_ip: instance.private_ip,
            hostname: instance.hostname.clone(),
            account_id: instance.account_id.clone(),
            iam_role: instance.role.as_ref().map(|role| role.name.clone()),
            credentials_expiration: instance.role.as_ref().map(|role| role.credentials.expiration.clone()),
            tags: instance.tags.clone(),
            user_data_bytes,
        }
    }
}

/// One interface of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceView {
    /// Its name on the host.
    pub name: String,
    /// Its index, or nothing while it isn't there.
    pub ifindex: Option<u32>,
    /// Its slot in the kernel's tables; 0 while it is absent.
    pub slot: u16,
    /// Whether the kernel enforces on it now: `enforced`, or `absent` while the interface isn't there or is refused.
    pub status: String,
}

/// The options of an instance, under EC2's names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OptionsView {
    /// `applied` while every interface that is there has them, else `pending`.
    pub state: String,
    /// `optional` or `required`
    pub http_tokens: String,
    /// 1 to 64
    pub http_put_response_hop_limit: u8,
    /// `enabled` or `disabled`
    pub http_endpoint: String,
    /// `enabled` or `disabled`
    pub http_protocol_ipv6: String,
    /// `enabled` or `disabled`
    pub instance_metadata_tags: String,
}

/// Certificates in PEM. They are public.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificatesView {
    /// Of the key behind `signature` and `rsa2048`.
    pub rsa: String,
    /// Of the key behind `pkcs7`.
    pub dsa: String,
}

/// Counters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatsView {
    /// Each instance's.
    pub instances: Vec<InstanceStats>,
    /// What no instance owns; left out when one instance was asked for.
    pub host: Option<BTreeMap<String, u64>>,
}

/// The counters of one instance, added up over its interfaces. All only ever grow, over restarts of the daemon too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct InstanceStats {
    /// Its id.
    pub instance_id: String,
    /// Reads without a token that were served (CloudWatch's `MetadataNoToken`).
    #[serde(rename = "MetadataNoToken")]
    pub metadata_no_token: u64,
    /// Reads without a token that were refused since one is required (CloudWatch's `MetadataNoTokenRejected`).
    #[serde(rename = "MetadataNoTokenRejected")]
    pub metadata_no_token_rejected: u64,
    /// Tokens issued.
    pub tokens_issued: u64,
    /// Requests that the daemon answered.
    pub requests: u64,
    /// What the kernel counted, by name: `delivered`, `answered`, `limited`, `refused-…`, `dropped-…`. Every name is there.
    pub kernel: BTreeMap<String, u64>,
    /// What the daemon itself refused, by name: `refused-…`. Every name is there.
    pub daemon: BTreeMap<String, u64>,
}

#[cfg(test)]
mod tests;
