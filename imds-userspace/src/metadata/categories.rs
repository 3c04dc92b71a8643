//! The one definition of what an instance's tree holds (behaviour.md section 6). What the instance doesn't have is not
//! planted, so that it is neither listed nor found.

mod credentials;
mod events;
mod identity;
mod interfaces;

use std::fmt::Display;

use serde::Serialize;
use serde_json::Value;

pub(crate) use self::identity::identity_document;
use super::bearer::ByBearer;
use super::document::{Document, PublicHostname};
use super::instance::Instance;
use super::live::Deliveries;
use super::tree::Planting;

/// Plants every leaf that the instance has; the others say whether it has those.
pub(super) fn plant(
    instance: &Instance,
    identity: bool,
    user_data: bool,
    tags: bool,
    credentials: &ByBearer<Deliveries>,
    tree: &mut Planting,
) {
    let document = instance.complete();
    if user_data {
        tree.user_data(&["user-data"]);
    }
    if identity {
        identity::plant(tree);
    }
    own(instance, &document, tree);
    lists(&document, tree);
    keys(&document, tree);
    placement(&document, tree);
    interfaces::plant(&document, tree);
    credentials::plant(&document, credentials, tree);
    events::plant(&document, tree);
    if tags {
        for (key, value) in document.tags.iter().flatten() {
            tree.text(&["meta-data", "tags", "instance", key], value);
        }
    }
}

/// Plants a value, if there is one.
fn value(tree: &mut Planting, path: &[&str], value: Option<&dyn Display>) {
    if let Some(value) = value {
        tree.text(path, &value.to_string());
    }
}

/// Plants values line by line, if there are any.
fn values<T: Display>(tree: &mut Planting, path: &[&str], values: Option<&Vec<T>>) {
    let lines: Vec<_> = values.into_iter().flatten().map(ToString::to_string).collect();
    if !lines.is_empty() {
        tree.text(path, &lines.join("\n"));
    }
}

/// A value as the document writes it.
fn written(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => text,
        Ok(value) => value.to_string(),
        Err(_) => String::new(),
    }
}

fn text<T: Display>(value: &Option<T>) -> Option<&dyn Display> {
    value.as_ref().map(|value| value as &dyn Display)
}

/// A public name, unless it is said that there is none.
fn public(name: &Option<PublicHostname>) -> Option<&dyn Display> {
    name.as_ref().filter(|name| !name.is_empty()).map(|name| name as &dyn Display)
}

/// What is the instance's own, a value a name.
fn own(instance: &Instance, document: &Document, tree: &mut Planting) {
    tree.text(&["meta-data", "instance-id"], &instance.instance_id);
    let action = document.instance_action.as_ref().map(written);
    for (name, given) in [
        ("ami-id", text(&document.ami_id)),
        ("ami-launch-index", text(&document.ami_launch_index)),
        ("ami-manifest-path", text(&document.ami_manifest_path)),
        ("hostname", text(&document.hostname)),
        ("instance-action", text(&action)),
        ("instance-life-cycle", text(&document.instance_life_cycle)),
        ("instance-type", text(&document.instance_type)),
        ("ipv6", text(&document.ipv6)),
        ("kernel-id", text(&document.kernel_id)),
        ("local-hostname", text(&document.local_hostname)),
        ("local-ipv4", text(&document.local_ipv4)),
        ("mac", text(&document.mac)),
        ("profile", text(&document.profile)),
        ("public-hostname", public(&document.public_hostname)),
        ("public-ipv4", text(&document.public_ipv4)),
        ("ramdisk-id", text(&document.ramdisk_id)),
        ("reservation-id", text(&document.reservation_id)),
        ("system", text(&document.system)),
    ] {
        value(tree, &["meta-data", name], given);
    }
    value(tree, &["meta-data", "hibernation", "configured"], text(&document.hibernation.configured));
    value(tree, &["meta-data", "metrics", "vhostmd"], text(&document.metrics.vhostmd));
    let monitoring = document.fws.instance_monitoring.as_ref().map(written);
    value(tree, &["dynamic", "fws", "instance-monitoring"], text(&monitoring));
}

fn lists(document: &Document, tree: &mut Planting) {
    values(tree, &["meta-data", "ancestor-ami-ids"], document.ancestor_ami_ids.as_ref());
    values(tree, &["meta-data", "product-codes"], document.product_codes.as_ref());
    values(tree, &["meta-data", "security-groups"], document.security_groups.as_ref());
    for (name, device) in document.block_device_mapping.iter().flatten() {
        tree.text(&["meta-data", "block-device-mapping", name], device);
    }
    for (kind, devices) in
        [("elastic-gpus", &document.elastic_gpus), ("elastic-inference", &document.elastic_inference)]
    {
        for (id, description) in devices.iter().flatten() {
            tree.text(&["meta-data", kind, "associations", id], &description.to_string());
        }
    }
}

fn keys(document: &Document, tree: &mut Planting) {
    for (number, key) in document.public_keys.iter().flatten().enumerate() {
        let number = number.to_string();
        let path = ["meta-data", "public-keys", &number];
        tree.text(&[&path[..], &["openssh-key"]].concat(), &key.openssh_key);
        tree.label(&path, &format!("={}", key.name));
    }
    let managed = &document.managed_ssh_keys;
    value(tree, &["meta-data", "managed-ssh-keys", "signer-cert"], text(&managed.signer_cert));
    for (user, keys) in managed.active_keys.iter().flatten() {
        // Listed without a slash, so that who reads what is listed doesn't take the keys for names.
        values(tree, &["meta-data", "managed-ssh-keys", "active-keys", user], Some(keys));
    }
    for (fingerprint, answer) in managed.signer_ocsp.iter().flatten() {
        tree.text(&["meta-data", "managed-ssh-keys", "signer-ocsp", fingerprint], answer);
    }
}

fn placement(document: &Document, tree: &mut Planting) {
    let placement = &document.placement;
    for (name, given) in [
        ("availability-zone", text(&placement.availability_zone)),
        ("availability-zone-id", text(&placement.availability_zone_id)),
        ("group-name", text(&placement.group_name)),
        ("host-id", text(&placement.host_id)),
        ("partition-number", text(&placement.partition_number)),
        ("region", text(&placement.region)),
    ] {
        value(tree, &["meta-data", "placement", name], given);
    }
    value(tree, &["meta-data", "services", "domain"], text(&document.services.domain));
    value(tree, &["meta-data", "services", "partition"], text(&document.services.partition));
}

#[cfg(test)]
mod tests;
