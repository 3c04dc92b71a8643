//! What is shown of instances, in the shapes that the control socket gives and `--output json` prints.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::credentials::RoleState;
use crate::dataplane::attach::Attach;
use crate::metadata::instance::Instance;

/// An instance as replies show it. No secret is in it: credentials appear by role name and expiration only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceView {
    /// Its id.
    pub instance_id: String,
    /// Its interfaces, the primary first.
    pub interfaces: Vec<InterfaceView>,
    /// Its options.
    pub metadata_options: OptionsView,
    /// Its limits.
    pub limits: LimitsView,
    /// Image.
    pub image_id: String,
    /// Type.
    pub instance_type: String,
    /// Zone.
    pub availability_zone: String,
    /// IPv4 address; none if it has IPv6 alone.
    pub private_ip: Option<Ipv4Addr>,
    /// IPv6 address, if it has one.
    pub ipv6: Option<Ipv6Addr>,
    /// Private DNS name.
    pub hostname: String,
    /// Account.
    pub account_id: String,
    /// Role's name.
    pub iam_role: Option<String>,
    /// Who gives the role's credentials: `static`, `file` or `process`, two with a comma between where reads without a
    /// token get others; `none` for a role that the config has no more.
    #[serde(default)]
    pub credentials_provider: Option<String>,
    /// When the role's credentials expire; none while it has none that are good.
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
        role: Option<RoleState>,
        user_data_bytes: Option<usize>,
        interfaces: Vec<InterfaceView>,
        metadata_options: OptionsView,
        limits: LimitsView,
    ) -> Self {
        let (provider, expiration) = role.map(|role| (role.provider, role.expiration)).unzip();
        let document = instance.complete();
        let text = |text: Option<String>| text.unwrap_or_default();
        Self {
            instance_id: instance.instance_id.clone(),
            interfaces,
            metadata_options,
            limits,
            image_id: text(document.ami_id.map(|id| id.to_string())),
            instance_type: text(document.instance_type.map(|name| name.to_string())),
            availability_zone: text(document.placement.availability_zone.map(|zone| zone.to_string())),
            private_ip: document.local_ipv4,
            ipv6: document.ipv6,
            hostname: text(document.hostname.map(|name| name.to_string())),
            account_id: text(document.account_id.map(|id| id.to_string())),
            iam_role: document.iam.role.map(|role| role.to_string()),
            credentials_provider: provider,
            credentials_expiration: expiration.flatten(),
            tags: document
                .tags
                .into_iter()
                .flatten()
                .map(|(key, value)| (key.to_string(), value.to_string()))
                .collect(),
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
    /// How programs are attached to it: `tc`, `tc+xdp-driver` or `tc+xdp-generic`; nothing while it is absent.
    #[serde(default)]
    pub attachment: Option<Attach>,
}

/// An interface that was let go: what its guest sends goes where the host's own stack leads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasedInterface {
    /// Its name on the host.
    pub name: String,
    /// Its index.
    pub ifindex: u32,
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

/// The limits of an instance. They are in force when the state of its options is `applied`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitsView {
    /// The addresses and networks that it may send from; any, if there is none.
    pub allow_addresses: Vec<String>,
    /// The MACs that it may send from; any, if there is none.
    pub allow_macs: Vec<String>,
    /// Packets a second of each interface, 0 for no limit.
    pub packet_budget: u32,
    /// Requests a second of the instance, 0 for no limit.
    pub request_budget: u32,
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

/// What became of packets and requests of one instance, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsView {
    /// Its id.
    pub instance_id: String,
    /// The events.
    pub events: Vec<EventView>,
    /// Of `Explain`: how many more refusals and drops there were since the oldest of these. Of `Trace`: how many packets
    /// there were no room or budget for at any time; what it grows by is lost to this trace.
    pub lost: u64,
    /// The number of the newest event that was looked at.
    pub newest: u64,
}

/// One packet or request, and its verdict. No secret is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventView {
    /// When, in UTC.
    pub time: String,
    /// Who gave the verdict: `kernel` or `daemon`.
    pub by: String,
    /// The client's address, as far as it is known.
    pub client: Option<String>,
    /// The MAC that a client's packet comes from, or one to a client goes to; null where the daemon saw a request only.
    pub mac: Option<String>,
    /// The client's port.
    pub port: Option<u16>,
    /// What kind of packet it was; null where the daemon saw a request only.
    pub packet: Option<String>,
    /// The request's method, where the packet begins one.
    pub method: Option<String>,
    /// Its target as it was sent.
    pub path: Option<String>,
    /// Its User-Agent.
    pub user_agent: Option<String>,
    /// The verdict: the name of what counted it.
    pub reason: String,
    /// What to change, where something went wrong.
    pub advice: Option<String>,
}

/// The keys after a rotation, by their numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysView {
    /// The one that signs now.
    pub key: u8,
    /// The one before it, whose tokens stay good.
    pub previous: u8,
    /// The one whose good tokens ended before their time; only where that was forced.
    pub ended: Option<u8>,
    /// From when on a further rotation ends no good token.
    pub next_rotation: String,
}
