use serde_json::{Value, json};

use crate::metadata::bearer::ByBearer;
use crate::metadata::identity_document;
use crate::metadata::instance::Instance;
use crate::metadata::sample;
use crate::metadata::tree::{Lookup, Tree};

/// 2026-12-01.
const NOW: u64 = 1_796_083_200;

fn at(instance: &Instance, path: &str, now: u64) -> String {
    let tree = sample::tree(instance, false, true);
    match tree.lookup(format!("/latest/{path}").as_bytes(), now) {
        Lookup::Text(body) => String::from_utf8_lossy(body).into_owned(),
        _ => "nothing".to_owned(),
    }
}

#[test]
fn every_value_stands_at_its_place() {
    let everything = sample::everything();
    let interface = "meta-data/network/interfaces/macs/02:00:00:00:00:05";
    for (path, expected) in [
        ("dynamic/fws/instance-monitoring", "enabled"),
        ("meta-data/ami-id", "ami-0123456789abcdef0"),
        ("meta-data/ami-launch-index", "2"),
        ("meta-data/ami-manifest-path", "(unknown)"),
        ("meta-data/ancestor-ami-ids", "ami-0a0a0a0a0a0a0a0a0\nami-0b0b0b0b0b0b0b0b0"),
        ("meta-data/autoscaling/target-lifecycle-state", "InService"),
        ("meta-data/block-device-mapping/ebs1", "sdb"),
        ("meta-data/block-device-mapping/root", "/dev/xvda"),
        ("meta-data/elastic-gpus/associations/egpu-1", r#"{"version":"1.0"}"#),
        ("meta-data/events/recommendations/rebalance", r#"{"noticeTime": "2020-10-27T08:22:00Z"}"#),
        ("meta-data/hibernation/configured", "true"),
        ("meta-data/hostname", "web.example.com"),
        ("meta-data/instance-action", "none"),
        ("meta-data/instance-id", "i-0123456789abcdef0"),
        ("meta-data/instance-life-cycle", "spot"),
        ("meta-data/instance-type", "c7g.large"),
        ("meta-data/ipv6", "2001:db8::1"),
        ("meta-data/kernel-id", "aki-0123456789abcdef0"),
        ("meta-data/local-hostname", "ip-10-0-0-5.eu-west-2.compute.internal"),
        ("meta-data/local-ipv4", "10.0.0.5"),
        ("meta-data/mac", "02:00:00:00:00:05"),
        ("meta-data/managed-ssh-keys/active-keys/ec2-user", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA== one"),
        ("meta-data/managed-ssh-keys/signer-cert", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"),
        ("meta-data/managed-ssh-keys/signer-ocsp/A9B8C7D6E5F4A3B2C1D0A9B8C7D6E5F4A3B2C1D0", "MAMKAQY="),
        ("meta-data/metrics/vhostmd", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"),
        ("meta-data/placement/availability-zone", "eu-west-2c"),
        ("meta-data/placement/availability-zone-id", "euw2-az1"),
        ("meta-data/placement/group-name", "web group"),
        ("meta-data/placement/host-id", "h-0da999999f9999fb9"),
        ("meta-data/placement/partition-number", "1"),
        ("meta-data/placement/region", "eu-west-2"),
        ("meta-data/product-codes", "3iplms73etrdhxdepv72l6ywj"),
        ("meta-data/profile", "default-hvm"),
        ("meta-data/public-hostname", "ec2-203-0-113-25.eu-west-2.compute.amazonaws.com"),
        ("meta-data/public-ipv4", "203.0.113.25"),
        ("meta-data/ramdisk-id", "ari-0123456789abcdef0"),
        ("meta-data/reservation-id", "r-0123456789abcdef1"),
        ("meta-data/security-groups", "default\nweb"),
        ("meta-data/services/domain", "amazonaws.com"),
        ("meta-data/services/partition", "aws"),
        ("meta-data/spot/termination-time", "2100-01-01T00:00:00Z"),
        ("meta-data/system", "nitro"),
        ("meta-data/tags/instance/stage", "test"),
    ] {
        assert_eq!(at(&everything, path, NOW), expected, "{path}");
    }
    for (name, expected) in [
        ("device-number", "0"),
        ("interface-id", "eni-0123456789abcdef0"),
        ("ipv4-associations/203.0.113.25", "10.0.0.5"),
        ("ipv6s", "2001:db8::1\n2001:db8::2"),
        ("local-hostname", "ip-10-0-0-5.eu-west-2.compute.internal"),
        ("local-ipv4s", "10.0.0.5\n10.0.0.6"),
        ("mac", "02:00:00:00:00:05"),
        ("network-card", "0"),
        ("network-card-index", "0"),
        ("owner-id", "123456789012"),
        ("public-hostname", "ec2-203-0-113-25.eu-west-2.compute.amazonaws.com"),
        ("public-ipv4s", "203.0.113.25"),
        ("security-group-ids", "sg-0123456789abcdef0"),
        ("security-groups", "web"),
        ("subnet-id", "subnet-0123456789abcdef0"),
        ("subnet-ipv4-cidr-block", "10.0.0.0/24"),
        ("subnet-ipv6-cidr-blocks", "2001:db8::/64"),
        ("vpc-id", "vpc-0123456789abcdef0"),
        ("vpc-ipv4-cidr-block", "10.0.0.0/16"),
        ("vpc-ipv4-cidr-blocks", "10.0.0.0/16\n10.1.0.0/16"),
        ("vpc-ipv6-cidr-blocks", "2001:db8::/56"),
    ] {
        assert_eq!(at(&everything, &format!("{interface}/{name}"), NOW), expected, "{name}");
    }
    assert_eq!(at(&everything, "meta-data/network/interfaces/macs/02:00:00:00:00:06/local-ipv4s", NOW), "10.0.1.5");
}

#[test]
fn a_public_name_can_be_left_out_though_there_is_an_address() {
    let (name, interface) = ("meta-data/public-hostname", "meta-data/network/interfaces/macs/02:00:00:00:00:01");
    let names = |document| {
        let instance = sample::with(document);
        [name.to_owned(), format!("{interface}/public-hostname")].map(|path| at(&instance, &path, NOW))
    };
    let derived = "ec2-203-0-113-9.eu-west-2.compute.amazonaws.com";
    let primary = |name: &str| json!({ "interfaces": [{ "public-hostname": name }] });
    for (document, expected) in [
        (json!({ "public-ipv4": "203.0.113.9" }), [derived; 2]),
        (json!({ "public-ipv4": "203.0.113.9", "public-hostname": null }), [derived; 2]),
        (json!({ "public-ipv4": "203.0.113.9", "public-hostname": "" }), ["nothing"; 2]),
        (json!({ "public-ipv4": "203.0.113.9", "network": primary("") }), ["nothing"; 2]),
        (json!({ "public-ipv4": "203.0.113.9", "public-hostname": "a.b", "network": primary("") }), ["a.b", "nothing"]),
        (json!({ "public-ipv4": "203.0.113.9", "public-hostname": "", "network": primary("a.b") }), ["nothing", "a.b"]),
    ] {
        assert_eq!(names(document.clone()), expected, "{document}");
    }
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
  "marketplaceProductCodes" : null,
  "imageId" : "ami-0123456789abcdef0",
  "instanceId" : "i-0123456789abcdef0",
  "instanceType" : "t3.micro",
  "kernelId" : null,
  "pendingTime" : "2026-11-22T09:08:07Z",
  "privateIp" : "10.0.0.1",
  "ramdiskId" : null,
  "region" : "eu-west-2",
  "version" : "2017-09-30"
}"#
    );
    let full = identity_document(&sample::everything());
    for line in [
        "\"billingProducts\" : [ \"bp-6fa54006\" ],",
        "\"kernelId\" : \"aki-0123456789abcdef0\",",
        "\"pendingTime\" : \"2026-11-22T09:00:00Z\",",
        "\"architecture\" : \"arm64\",",
    ] {
        assert!(full.contains(line), "{full}");
    }
}

#[test]
fn the_profile_is_byte_exact() {
    assert_eq!(
        at(&sample::instance(), "meta-data/iam/info", u64::MAX - 1),
        r#"{
  "Code" : "Success",
  "LastUpdated" : "2026-11-22T09:08:07Z",
  "InstanceProfileArn" : "arn:aws:iam::123456789012:instance-profile/app",
  "InstanceProfileId" : "AIPATGDRIOVSWOISWWPFM"
}"#
    );
    assert_eq!(
        at(&sample::instance(), "meta-data/identity-credentials/ec2/info", NOW),
        r#"{
  "Code" : "Success",
  "LastUpdated" : "2026-11-22T09:08:07Z",
  "AccountId" : "123456789012"
}"#
    );
}

#[test]
fn credentials_stand_where_they_are_theirs() {
    let instance = sample::everything();
    let tree = sample::tree(&instance, false, false);
    let role = "/latest/meta-data/iam/security-credentials/app";
    let own = "/latest/meta-data/identity-credentials/ec2/security-credentials/ec2-instance";
    for (path, expected) in [(role, "the role's credentials"), (own, "the instance's credentials")] {
        let Lookup::Credentials(deliveries) = tree.lookup(path.as_bytes(), NOW) else { panic!("{path}") };
        assert_eq!(deliveries.page(NOW, true).body(), expected.as_bytes(), "{path}");
    }
    let without = Tree::render(&instance, None, false, false, ByBearer::default());
    for path in [role, own, "/latest/meta-data/iam/"] {
        assert!(matches!(without.lookup(path.as_bytes(), NOW), Lookup::NotFound), "{path}");
    }
}

#[test]
fn maintenance_is_scheduled_until_it_is_over_and_history_then() {
    let everything = sample::everything();
    let history = |now| at(&everything, "meta-data/events/maintenance/history", now);
    let scheduled = |now| at(&everything, "meta-data/events/maintenance/scheduled", now);
    // 2030-01-21T09:17:23Z
    let over = 1_895_217_443;
    assert_eq!(
        scheduled(over - 1),
        r#"[ {
  "NotBefore" : "21 Jan 2030 09:00:43 GMT",
  "Code" : "system-reboot",
  "Description" : "scheduled reboot",
  "EventId" : "instance-event-0d59937288b749b32",
  "NotAfter" : "21 Jan 2030 09:17:23 GMT",
  "State" : "active"
} ]"#
    );
    let canceled = history(over - 1);
    assert!(canceled.contains("\"State\" : \"canceled\"") && !canceled.contains("0d59937288b749b32"), "{canceled}");
    assert!(canceled.contains("\"Description\" : \"[Canceled] The instance is running on degraded hardware\""));
    assert_eq!(scheduled(over), "[]");
    let both = history(over);
    assert!(both.starts_with("[ {\n") && both.contains("\n}, {\n") && both.ends_with("\n} ]"), "{both}");
    assert!(
        both.contains("\"Description\" : \"[Completed] scheduled reboot\"") && both.contains("\"completed\""),
        "{both}"
    );
    let none = sample::instance();
    for list in ["history", "scheduled"] {
        assert_eq!(at(&none, &format!("meta-data/events/maintenance/{list}"), NOW), "[]");
    }
}

#[test]
fn maintenance_without_an_end_is_scheduled_until_it_has_a_state() {
    let lists = |state: Value| {
        let event = json!({
            "event-id": "instance-event-0d59937288b749b32",
            "code": "instance-stop",
            "description": "The instance is running on degraded hardware",
            "not-before": "2019-01-21T09:00:43Z",
            "state": state,
        });
        let instance = sample::with(json!({ "events": { "maintenance": [event] } }));
        ["scheduled", "history"]
            .map(|list| at(&instance, &format!("meta-data/events/maintenance/{list}"), u64::MAX - 1))
    };
    let scheduled = r#"[ {
  "NotBefore" : "21 Jan 2019 09:00:43 GMT",
  "Code" : "instance-stop",
  "Description" : "The instance is running on degraded hardware",
  "EventId" : "instance-event-0d59937288b749b32",
  "State" : "active"
} ]"#;
    assert_eq!(lists(Value::Null), [scheduled, "[]"]);
    for (state, prefix) in [("completed", "[Completed]"), ("canceled", "[Canceled]")] {
        let [scheduled, history] = lists(state.into());
        assert_eq!(scheduled, "[]");
        assert!(history.contains(prefix) && !history.contains("NotAfter"), "{history}");
    }
}

#[test]
fn a_lifecycle_state_changes_when_it_is_due() {
    let state = |document, now| at(&sample::with(document), "meta-data/autoscaling/target-lifecycle-state", now);
    let changes = json!([
        { "at": "2030-01-01T00:00:10Z", "target-lifecycle-state": "Terminated" },
        { "at": "2030-01-01T00:00:00Z", "target-lifecycle-state": "Warmed:Running" },
    ]);
    let first = 1_893_456_000;
    for (now, expected) in
        [(first - 1, "InService"), (first, "Warmed:Running"), (first + 9, "Warmed:Running"), (first + 10, "Terminated")]
    {
        let plan = json!({ "autoscaling": { "target-lifecycle-state": "InService", "changes": changes } });
        assert_eq!(state(plan, now), expected, "{now}");
    }
    let later = json!({ "autoscaling": { "changes": changes } });
    assert_eq!((state(later.clone(), first - 1), state(later, first)), ("nothing".into(), "Warmed:Running".into()));
}
