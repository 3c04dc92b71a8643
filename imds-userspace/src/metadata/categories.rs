//! The one definition of what an instance's tree holds (behaviour.md section 6).

use super::instance::{Instance, Role};
use super::json;
use super::live::Deliveries;
use super::page::{Leaf, Page};
use super::placement::region_of;

/// The version of the identity document's form.
const DOCUMENT_VERSION: &str = "2017-09-30";

/// Names every leaf that the instance has: its path below a version, and what stands there. `modified` is in seconds
/// since 1970. What the instance doesn't have is not named, so that it is neither listed nor found. `credentials` are the role's.
pub(super) fn leaves(
    instance: &Instance,
    user_data: Option<&[u8]>,
    tags: bool,
    credentials: Option<&Deliveries>,
    modified: Option<u64>,
    mut add: impl FnMut(&[&str], Leaf),
) {
    let text = |body: &str| Leaf::Lasting(Page::text(body, modified));
    let document = identity_document(instance);
    add(&["dynamic", "instance-identity", "document"], text(&document));
    for (name, value) in [
        ("ami-id", instance.image_id.as_str()),
        ("ami-launch-index", "0"),
        ("hostname", &instance.hostname),
        ("instance-id", &instance.instance_id),
        ("instance-type", &instance.instance_type),
        ("local-hostname", &instance.hostname),
        ("local-ipv4", &instance.private_ip.to_string()),
        ("mac", &instance.mac),
        ("reservation-id", &instance.reservation_id),
    ] {
        add(&["meta-data", name], text(value));
    }
    add(&["meta-data", "placement", "availability-zone"], text(&instance.availability_zone));
    add(&["meta-data", "placement", "region"], text(region_of(&instance.availability_zone)));
    if !instance.security_groups.is_empty() {
        add(&["meta-data", "security-groups"], text(&instance.security_groups.join("\n")));
    }
    if tags {
        for (key, value) in &instance.tags {
            add(&["meta-data", "tags", "instance", key], text(value));
        }
    }
    if let (Some(role), Some(credentials)) = (&instance.role, credentials) {
        add(&["meta-data", "iam", "info"], text(&profile_info(instance, role)));
        add(&["meta-data", "iam", "security-credentials", &role.name], Leaf::Role(credentials.clone()));
    }
    if let Some(data) = user_data.filter(|data| !data.is_empty()) {
        add(&["user-data"], Leaf::Lasting(Page::user_data(data, modified)));
    }
}

/// `dynamic/instance-identity/document`. Its signatures cover these exact bytes.
fn identity_document(instance: &Instance) -> String {
    json::object(&[
        ("accountId", Some(&instance.account_id)),
        ("architecture", Some("x86_64")),
        ("availabilityZone", Some(&instance.availability_zone)),
        ("billingProducts", None),
        ("devpayProductCodes", None),
        ("imageId", Some(&instance.image_id)),
        ("instanceId", Some(&instance.instance_id)),
        ("instanceType", Some(&instance.instance_type)),
        ("kernelId", None),
        ("marketplaceProductCodes", None),
        ("pendingTime", Some(&instance.pending_time)),
        ("privateIp", Some(&instance.private_ip.to_string())),
        ("ramdiskId", None),
        ("region", Some(region_of(&instance.availability_zone))),
        ("version", Some(DOCUMENT_VERSION)),
    ])
}

/// `iam/info`.
fn profile_info(instance: &Instance, role: &Role) -> String {
    let (account, name) = (&instance.account_id, &role.name);
    json::object(&[
        ("Code", Some("Success")),
        ("LastUpdated", Some(&instance.pending_time)),
        ("InstanceProfileArn", Some(&format!("arn:aws:iam::{account}:instance-profile/{name}"))),
        ("InstanceProfileId", Some(&profile_id(account, name))),
    ])
}

/// An id as IAM's look, `AIPA` and 17 characters, always the same for one role of one account.
fn profile_id(account: &str, role: &str) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    // FNV-1a: nothing but the stability of its result matters.
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let bytes = account.bytes().chain([b'/']).chain(role.bytes());
    let hash = bytes.fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME));
    let character = |place: u32| char::from(ALPHABET[(hash >> (place * 5) & 31) as usize]);
    "AIPA".chars().chain((0..17).map(character)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::sample;

    fn leaf_at(instance: &Instance, path: &[&str]) -> Leaf {
        let mut found = None;
        leaves(instance, Some(b"#!/bin/sh"), true, Some(&sample::deliveries()), None, |at, leaf| {
            if at == path {
                found = Some(leaf);
            }
        });
        found.expect("there")
    }

    fn body(path: &[&str], now: u64) -> String {
        let leaf = leaf_at(&sample::instance(), path);
        String::from_utf8(leaf.page(now, true).body().to_vec()).expect("UTF-8")
    }

    #[test]
    fn the_identity_document_is_byte_exact() {
        assert_eq!(
            body(&["dynamic", "instance-identity", "document"], 0),
            r#"{
  "accountId" : "123456789012",
  "architecture" : "x86_64",
  "availabilityZone" : "eu-west-2c",
  "billingProducts" : null,
  "devpayProductCodes" : null,
  "imageId" : "ami-0123456789abcdef0",
  "instanceId" : "i-0123456789abcdef0",
  "instanceType" : "t3.micro",
  "kernelId" : null,
  "marketplaceProductCodes" : null,
  "pendingTime" : "2026-11-22T09:08:07Z",
  "privateIp" : "10.0.0.1",
  "ramdiskId" : null,
  "region" : "eu-west-2",
  "version" : "2017-09-30"
}"#
        );
    }

    #[test]
    fn the_profile_is_byte_exact() {
        assert_eq!(
            body(&["meta-data", "iam", "info"], u64::MAX),
            r#"{
  "Code" : "Success",
  "LastUpdated" : "2026-11-22T09:08:07Z",
  "InstanceProfileArn" : "arn:aws:iam::123456789012:instance-profile/app",
  "InstanceProfileId" : "AIPATGDRIOVSWOISWWPFM"
}"#
        );
        assert_ne!(profile_id("1", "ab"), profile_id("1a", "b"));
    }
}
