//! The instance document: what an operator says of an instance, in one JSON form.
//!
//! Its keys are the names of EC2's tree (behaviour.md section 6), nested as there. Anything may be left out: the
//! [`completion`](super::completion) derives the rest. A member that the tree has not, that is of another type, or that
//! has a malformed value, is refused with its path.

mod depth;
mod events;
mod iam;
mod network;
mod packed;
mod placement;
mod reading;
mod repeated;
mod section;
mod text;
mod time;
mod user_data;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

pub use self::depth::DEPTH_MAX;
pub use self::events::{
    Autoscaling, DESCRIPTION_MAX, Events, LifecycleChange, LifecycleState, MAINTENANCE_MAX, Maintenance,
    MaintenanceCode, MaintenanceState, Spot, SpotAction,
};
pub use self::iam::{Credentials, Iam, IdentityCredentials};
pub use self::network::{INTERFACES_MAX, Network, NetworkInterface};
pub use self::packed::PackedDocument;
pub use self::placement::{Placement, Services};
use self::section::section;
pub use self::text::{
    AccountId, AvailabilityZone, Base64, Cidr, Hostname, ImageId, InstanceType, KeyName, Line, Lines, Mac, Name,
    PublicHostname, RoleName, TagKey, TagValue,
};
pub use self::time::Time;
pub use self::user_data::UserData;
use super::bearer::ByBearer;
use super::field;

/// The published JSON Schema of the document, as `imdsctl metadata schema` prints it.
pub const SCHEMA: &str = include_str!("../../../docs/instance-document.schema.json");

/// The largest document in bytes, as compact JSON without its user data: EC2's whole tree of an instance is smaller.
pub const DOCUMENT_MAX: usize = 64 * 1024;

section! {
    /// One instance, as far as its operator says. Every key may be left out; null is the same.
    Document {
        /// The account; left out: as the daemon's config says.
        account_id: AccountId,
        /// The image; left out: `ami-00000000000000000`.
        ami_id: ImageId,
        /// The place among instances launched together; left out: 0.
        ami_launch_index: u32,
        /// Left out: `(unknown)`, as for images on EBS.
        ami_manifest_path: Line,
        /// Images that the image was made of.
        ancestor_ami_ids: Vec<ImageId>,
        /// The processor, in the identity document; left out: `arm64` for a type with AWS's own processors, else `x86_64`.
        architecture: Name,
        /// Devices by name: `ami`, `root`, `ebs1`, `ephemeral0`, `swap`, …; `ami` and `root` left out: as the other of
        /// them, or `/dev/xvda`.
        block_device_mapping: BTreeMap<Name, Line>,
        /// Descriptions of Elastic GPUs by id, JSON of any form.
        elastic_gpus: BTreeMap<Name, Value>,
        /// Descriptions of Elastic Inference accelerators by id, JSON of any form.
        elastic_inference: BTreeMap<Name, Value>,
        /// The private DNS name; left out: `local-hostname`.
        hostname: Hostname,
        /// Left out: `none`.
        instance_action: InstanceAction,
        /// `on-demand`, `spot`, `scheduled`, …; left out: `on-demand`.
        instance_life_cycle: Name,
        /// Left out: `t3.micro`.
        instance_type: InstanceType,
        /// The IPv6 address; left out: the first of the primary interface, or none.
        ipv6: Ipv6Addr,
        /// The kernel of a paravirtual image.
        kernel_id: Name,
        /// The private DNS name; left out: EC2's IP name of `local-ipv4`.
        local_hostname: Hostname,
        /// The private IPv4 address; left out: the first of the primary interface; else none if there is an IPv6
        /// address, or `10.0.0.1`.
        local_ipv4: Ipv4Addr,
        /// The MAC address of the primary interface; left out: the guest's as the host sees it.
        mac: Mac,
        /// When the instance was launched, in the identity document; left out: when it was created or restarted.
        pending_time: Time,
        /// AWS Marketplace's codes.
        product_codes: Vec<Name>,
        /// Left out: `default-hvm`.
        profile: Name,
        /// The public DNS name; left out: EC2's name of `public-ipv4`; empty: none.
        public_hostname: PublicHostname,
        /// The public IPv4 address; left out: the first of the primary interface, or none.
        public_ipv4: Ipv4Addr,
        /// Keys to log in with.
        public_keys: Vec<PublicKey>,
        /// The RAM disk of a paravirtual image.
        ramdisk_id: Name,
        /// Left out: made at creation.
        reservation_id: Name,
        /// Names of security groups; left out: those of the primary interface, or `default`.
        security_groups: Vec<Line>,
        /// The hypervisor; left out: `nitro`.
        system: Name,
        /// Tags by key, 50 at most without those whose keys begin with `aws:`; in the tree while InstanceMetadataTags is
        /// enabled.
        tags: BTreeMap<TagKey, TagValue>,
        /// User data, 16 KiB at most. Never shown.
        user_data: UserData,
    }
    sections {
        /// Auto Scaling's plan with the instance. Left out of `apply` and `update --replace`: as it is.
        autoscaling: Autoscaling,
        /// Maintenance, and recommendations. Left out of `apply` and `update --replace`: as they are.
        events: Events,
        /// Monitoring.
        fws: Monitoring,
        /// Hibernation.
        hibernation: Hibernation,
        /// The role, and its credentials.
        iam: Iam,
        /// The instance's own credentials.
        identity_credentials: IdentityCredentials,
        /// More of the identity document.
        instance_identity: InstanceIdentity,
        /// EC2 Instance Connect's keys.
        managed_ssh_keys: ManagedSshKeys,
        /// The retired metrics.
        metrics: Metrics,
        /// Network interfaces.
        network: Network,
        /// Where the instance is.
        placement: Placement,
        /// Where AWS's services are.
        services: Services,
        /// The interruption of a Spot Instance. Left out of `apply` and `update --replace`: as it is.
        spot: Spot,
    }
}

section! {
    /// `dynamic/fws`
    Monitoring {
        /// Detailed monitoring; left out: `disabled`.
        instance_monitoring: InstanceMonitoring,
    }
}

section! {
    /// `hibernation`
    Hibernation {
        /// Whether the instance can hibernate; left out: false.
        configured: bool,
    }
}

section! {
    /// Members of the identity document that stand nowhere else.
    InstanceIdentity {
        /// `billingProducts`
        billing_products: Vec<Name>,
        /// `devpayProductCodes`
        devpay_product_codes: Vec<Name>,
        /// `marketplaceProductCodes`
        marketplace_product_codes: Vec<Name>,
    }
}

section! {
    /// `managed-ssh-keys`
    ManagedSshKeys {
        /// Keys by user.
        active_keys: BTreeMap<Name, Vec<Line>>,
        /// The signer's certificate, PEM.
        signer_cert: Lines,
        /// OCSP answers on the certificates of the signer's chain by their fingerprints, base64 of DER.
        signer_ocsp: BTreeMap<Name, Base64>,
    }
}

section! {
    /// `metrics`
    Metrics {
        /// Left out: an empty XML document.
        vhostmd: Lines,
    }
}

/// `instance-action`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum InstanceAction {
    /// Nothing is asked of it.
    None,
    /// It shall shut down.
    Shutdown,
    /// It shall restart to be bundled.
    BundlePending,
}

/// `dynamic/fws/instance-monitoring`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum InstanceMonitoring {
    /// Each minute.
    Enabled,
    /// Each five minutes.
    Disabled,
}

/// A key to log in with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PublicKey {
    /// The key pair's name.
    pub name: KeyName,
    /// The key as `authorized_keys` has it.
    pub openssh_key: Line,
}

/// Why something is no document.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("document{}: {reason}", .path.as_ref().map_or_else(String::new, |path| format!(", at {}", path.escape_debug())))]
pub struct DocumentError {
    /// Where, as paths are written; none for the whole.
    pub path: Option<String>,
    /// What is wrong there.
    pub reason: String,
}

impl DocumentError {
    /// What is wrong at a path.
    pub(crate) fn at(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { path: Some(path.into()), reason: reason.into() }
    }

    /// What is wrong with the whole.
    pub(crate) fn whole(reason: impl Into<String>) -> Self {
        Self { path: None, reason: reason.into() }
    }
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    ///
    /// [`DocumentError`], which names the first thing that is wrong by its path, and quotes no secret.
    pub fn parse(value: Value) -> Result<Self, DocumentError> {
        depth::check(&value)?;
        let document = reading::read(&value)?;
        document.check()?;
        Ok(document)
    }

    /// Checks what no member can check by itself.
    fn check(&self) -> Result<(), DocumentError> {
        let keys = self.tags.iter().flatten().map(|(key, _)| &**key);
        field::tag_count(keys).map_err(|error| DocumentError::at("tags", error.to_string()))?;
        self.iam.check()?;
        self.identity_credentials.check()?;
        self.network.check()?;
        repeated::check(self)?;
        self.events.check()?;
        self.spot.check()?;
        self.autoscaling.check()?;
        let names: Vec<_> = self.public_keys.iter().flatten().map(|key| &key.name).collect();
        if names.iter().collect::<BTreeSet<_>>().len() < names.len() {
            return Err(DocumentError::at("public-keys", "two keys have one name; give each a name of its own"));
        }
        let bytes = serde_json::to_vec(&Self { user_data: None, ..self.clone() }).map_or(0, |json| json.len());
        if bytes > DOCUMENT_MAX {
            return Err(DocumentError::whole(format!("it has {bytes} bytes, at most {DOCUMENT_MAX} are taken")));
        }
        Ok(())
    }

    /// Itself as JSON, without what is left out.
    #[must_use]
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Takes the credentials out of it, which are kept elsewhere.
    pub fn take_credentials(&mut self) -> ByBearer<Credentials> {
        ByBearer { role: self.iam.credentials.take(), instance: self.identity_credentials.credentials.take() }
    }

    /// Itself without secrets: what may be shown.
    #[must_use]
    pub fn shown(mut self) -> Self {
        self.take_credentials();
        self.user_data = None;
        self
    }
}

#[cfg(test)]
mod tests;
