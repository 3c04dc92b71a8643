//! The one definition of what an instance's tree holds (behaviour.md section 6).

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use super::identity::Identity;
use super::instance::{Instance, Role};
use super::json;
use super::page::{Leaf, Page};
use super::placement::region_of;

/// The version of the identity document's form.
const DOCUMENT_VERSION: &str = "2017-09-30";

/// Names every leaf that the instance has: its path below a version, and what stands there. `modified` is in seconds
/// since 1970. What the instance doesn't have is not named, so that it is neither listed nor found.
pub(super) fn leaves(
    instance: &Instance,
    identity: Option<&Identity>,
    user_data: Option<&[u8]>,
    tags: bool,
    modified: Option<u64>,
    mut add: impl FnMut(&[&str], Leaf),
) {
    let text = |body: &str| Leaf::lasting(Page::text(body, modified));
    if let Some(Identity { document, signature, pkcs7, rsa2048 }) = identity {
        for (name, value) in [("document", document), ("pkcs7", pkcs7), ("rsa2048", rsa2048), ("signature", signature)]
        {
            add(&["dynamic", "instance-identity", name], text(value));
        }
    }
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
    if let Some(role) = &instance.role {
        add(&["meta-data", "iam", "info"], text(&profile_info(instance, role)));
        let credentials = ["meta-data", "iam", "security-credentials", &role.name];
        add(&credentials, role_credentials(instance, role, modified));
    }
    if let Some(data) = user_data.filter(|data| !data.is_empty()) {
        add(&["user-data"], Leaf::lasting(Page::user_data(data, modified)));
    }
}

/// The text of `dynamic/instance-identity/document` as the instance is now; it is signed and kept before it is served.
pub(crate) fn identity_document(instance: &Instance) -> String {
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

/// `iam/security-credentials/<role>`: the credentials, and EC2's failure from their expiration on. An expiration that
/// can't be read is one that has passed.
fn role_credentials(instance: &Instance, role: &Role, modified: Option<u64>) -> Leaf {
    let credentials = &role.credentials;
    let expiration = unix_seconds(&credentials.expiration).unwrap_or_default();
    // Clients parse this one form only.
    let written = written_time(expiration);
    let success = json::object(&[
        ("Code", Some("Success")),
        ("LastUpdated", Some(&instance.pending_time)),
        ("Type", Some("AWS-HMAC")),
        ("AccessKeyId", Some(&credentials.access_key_id)),
        ("SecretAccessKey", Some(&credentials.secret_access_key)),
        ("Token", Some(&credentials.token)),
        ("Expiration", Some(&written)),
    ]);
    let failure = json::object(&[
        ("Code", Some("AssumeRoleUnauthorizedAccess")),
        ("Message", Some(&format!("The credentials of the role {} expired at {written}.", role.name))),
        ("LastUpdated", Some(&written)),
    ]);
    Leaf::expiring(Page::text(success, modified), expiration, Page::text(failure, modified))
}

/// A time as `YYYY-MM-DDTHH:MM:SSZ`, or in another form of RFC 3339, in seconds since 1970.
pub(super) fn unix_seconds(text: &str) -> Option<u64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(time.unix_timestamp()).ok()
}

/// A time as `YYYY-MM-DDTHH:MM:SSZ`, from seconds since 1970.
fn written_time(seconds: u64) -> String {
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    let time = i64::try_from(seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.and_then(|time| time.format(form).ok()).unwrap_or_default()
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
        leaves(instance, None, Some(b"#!/bin/sh"), true, None, |at, leaf| {
            if at == path {
                found = Some(leaf);
            }
        });
        found.expect("there")
    }

    fn body(path: &[&str], now: u64) -> String {
        let leaf = leaf_at(&sample::instance(), path);
        String::from_utf8(leaf.page(now).body().to_vec()).expect("UTF-8")
    }

    #[test]
    fn the_identity_document_is_byte_exact() {
        assert_eq!(
            identity_document(&sample::instance()),
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

    #[test]
    fn credentials_are_byte_exact_until_they_expire() {
        let path = ["meta-data", "iam", "security-credentials", "app"];
        let expiration = unix_seconds("2100-01-02T03:04:05Z").expect("a time");
        assert_eq!(
            body(&path, expiration - 1),
            r#"{
  "Code" : "Success",
  "LastUpdated" : "2026-11-22T09:08:07Z",
  "Type" : "AWS-HMAC",
  "AccessKeyId" : "ASIAEXAMPLE",
  "SecretAccessKey" : "secret/key+1",
  "Token" : "session==",
  "Expiration" : "2100-01-02T03:04:05Z"
}"#
        );
        assert_eq!(
            body(&path, expiration),
            r#"{
  "Code" : "AssumeRoleUnauthorizedAccess",
  "Message" : "The credentials of the role app expired at 2100-01-02T03:04:05Z.",
  "LastUpdated" : "2100-01-02T03:04:05Z"
}"#
        );
    }

    #[test]
    fn an_expiration_is_normalised_and_an_unreadable_one_has_passed() {
        let path = ["meta-data", "iam", "security-credentials", "app"];
        for (given, before, shown) in [
            ("2100-01-02T05:04:05.9+02:00", 4_102_542_000, "2100-01-02T03:04:05Z"),
            ("soon", 0, "1970-01-01T00:00:00Z"),
        ] {
            let mut instance = sample::instance();
            let role = instance.role.as_mut().expect("a role");
            role.credentials.expiration = given.into();
            let leaf = leaf_at(&instance, &path);
            let body = String::from_utf8(leaf.page(before).body().to_vec()).expect("UTF-8");
            assert!(body.contains(shown), "{body}");
            assert_eq!(body.contains("SecretAccessKey"), before > 0, "{given}");
        }
    }
}
