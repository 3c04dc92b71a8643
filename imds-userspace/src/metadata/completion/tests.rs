use serde_json::{Value, json};

use crate::metadata::patch::get;
use crate::metadata::sample;

/// What stands at a path of the completed document, as text.
fn completed(document: Value, path: &str) -> String {
    let complete = sample::with(document).complete().to_value();
    match get(&complete, path) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => "nothing".to_owned(),
    }
}

#[test]
fn what_is_left_out_is_derived() {
    let network = |interface: Value| json!({ "network": { "interfaces": [interface] } });
    for (document, path, expected) in [
        (json!({}), "account-id", "123456789012"),
        (json!({}), "ami-id", "ami-00000000000000000"),
        (json!({}), "instance-type", "t3.micro"),
        (json!({}), "placement/availability-zone", "eu-west-2c"),
        (json!({}), "placement/region", "eu-west-2"),
        (json!({}), "local-ipv4", "10.0.0.1"),
        (json!({}), "local-hostname", "ip-10-0-0-1.eu-west-2.compute.internal"),
        (json!({}), "hostname", "ip-10-0-0-1.eu-west-2.compute.internal"),
        (json!({}), "mac", "02:00:00:00:00:01"),
        (json!({}), "public-ipv4", "nothing"),
        (json!({}), "public-hostname", "nothing"),
        (json!({}), "ipv6", "nothing"),
        (json!({}), "security-groups", r#"["default"]"#),
        (json!({}), "services/domain", "amazonaws.com"),
        (json!({}), "pending-time", "2026-11-22T09:08:07Z"),
        (json!({}), "iam", "nothing"),
        (json!({}), "spot", "nothing"),
        (json!({}), "architecture", "x86_64"),
        (json!({ "instance-type": "c7g.large" }), "architecture", "arm64"),
        (json!({ "instance-type": "c7g.large", "architecture": "other" }), "architecture", "other"),
        (json!({ "placement": { "availability-zone": "us-west-2-lax-1a" } }), "placement/region", "us-west-2"),
        (json!({}), "network/interfaces/0/local-ipv4s", r#"["10.0.0.1"]"#),
        (json!({}), "network/interfaces/0/mac", "02:00:00:00:00:01"),
        (json!({}), "network/interfaces/0/device-number", "0"),
        (json!({}), "network/interfaces/0/owner-id", "123456789012"),
        (json!({}), "network/interfaces/1", "nothing"),
        (json!({ "placement": { "availability-zone": "us-east-1b" } }), "local-hostname", "ip-10-0-0-1.ec2.internal"),
        (json!({ "placement": { "availability-zone": "cn-north-1a" } }), "services/domain", "amazonaws.com.cn"),
        (json!({ "placement": { "availability-zone": "cn-north-1a" } }), "services/partition", "aws-cn"),
        (json!({ "local-ipv4": "10.1.2.3" }), "hostname", "ip-10-1-2-3.eu-west-2.compute.internal"),
        (json!({ "local-ipv4": "10.1.2.3" }), "network/interfaces/0/local-ipv4s", r#"["10.1.2.3"]"#),
        (json!({ "local-hostname": "web" }), "hostname", "web"),
        (json!({ "ipv6": "2001:db8::1" }), "local-ipv4", "nothing"),
        (json!({ "ipv6": "2001:db8::1" }), "network/interfaces/0/local-ipv4s", "nothing"),
        (json!({ "ipv6": "2001:db8::1" }), "hostname", "i-0123456789abcdef0.eu-west-2.compute.internal"),
        (json!({ "public-ipv4": "203.0.113.5" }), "public-hostname", "ec2-203-0-113-5.eu-west-2.compute.amazonaws.com"),
        (
            json!({ "public-ipv4": "203.0.113.5" }),
            "network/interfaces/0/ipv4-associations",
            r#"{"203.0.113.5":["10.0.0.1"]}"#,
        ),
        (network(json!({ "local-ipv4s": ["10.9.9.9", "10.9.9.8"] })), "local-ipv4", "10.9.9.9"),
        (network(json!({ "ipv4-associations": { "203.0.113.5": ["10.0.0.1"] } })), "public-ipv4", "203.0.113.5"),
        (network(json!({ "mac": "02:00:00:00:00:77" })), "mac", "02:00:00:00:00:77"),
        (network(json!({ "security-groups": ["web"] })), "security-groups", r#"["web"]"#),
        (
            network(json!({ "vpc-ipv4-cidr-block": "10.0.0.0/8" })),
            "network/interfaces/0/vpc-ipv4-cidr-blocks",
            r#"["10.0.0.0/8"]"#,
        ),
        (json!({}), "block-device-mapping", r#"{"ami":"/dev/xvda","root":"/dev/xvda"}"#),
        (
            json!({ "block-device-mapping": { "ebs1": "sdb" } }),
            "block-device-mapping",
            r#"{"ami":"/dev/xvda","ebs1":"sdb","root":"/dev/xvda"}"#,
        ),
        (
            json!({ "block-device-mapping": { "root": "/dev/sda1" } }),
            "block-device-mapping",
            r#"{"ami":"/dev/sda1","root":"/dev/sda1"}"#,
        ),
        (json!({ "spot": { "time": "2030-01-01T00:10:00Z" } }), "spot/notice", "2030-01-01T00:08:00Z"),
        (json!({ "spot": { "time": "2030-01-01T00:10:00Z" } }), "spot/action", "terminate"),
    ] {
        assert_eq!(completed(document.clone(), path), expected, "{path} of {document}");
    }
}

#[test]
fn an_instance_has_as_many_interfaces_as_the_host_or_its_document_says() {
    let two = json!({ "network": { "interfaces": [{}, { "local-ipv4s": ["10.0.1.1"] }] } });
    assert_eq!(completed(two.clone(), "network/interfaces/1/local-hostname"), "ip-10-0-1-1.eu-west-2.compute.internal");
    assert_eq!(completed(two.clone(), "network/interfaces/1/mac").len(), 17);
    assert_eq!(completed(two.clone(), "network/interfaces/1/device-number"), "1");
    assert_eq!(completed(two, "network/interfaces/1/security-groups"), r#"["default"]"#);
    let mut instance = sample::with(json!({}));
    instance.macs.push("02:00:00:00:00:02".to_owned().try_into().expect("a MAC"));
    let interfaces = instance.complete().network.interfaces.expect("complete");
    let macs: Vec<_> = interfaces.iter().filter_map(|interface| interface.mac.as_deref()).collect();
    assert_eq!(macs, ["02:00:00:00:00:01", "02:00:00:00:00:02"]);
    assert_ne!(interfaces[0].interface_id, interfaces[1].interface_id);
}

#[test]
fn what_is_given_stays() {
    let given = sample::everything();
    let (document, mut complete) = (given.document.unpack().to_value(), given.complete().to_value());
    // Only the second interface left anything out.
    complete["network"]["interfaces"][1] = document["network"]["interfaces"][1].clone();
    assert_eq!(complete, document);
}

#[test]
fn no_two_interfaces_have_one_mac_given_or_derived() {
    let (host, other) = ("02:00:00:00:00:01", "02:00:00:00:00:02");
    let two = |first: Value, second: Value| json!({ "network": { "interfaces": [first, second] } });
    let mac = |mac: &str| json!({ "mac": mac });
    let mut top = two(json!({}), mac(other));
    top["mac"] = other.into();
    for document in [two(json!({}), mac(host)), top] {
        let error = sample::with(document.clone()).check().expect_err(&document.to_string()).to_string();
        assert!(
            error.starts_with("document, at network/interfaces/1/mac: interface 0 has this MAC address"),
            "{error}"
        );
    }
    for document in [two(json!({}), mac(other)), two(mac(other), mac(host)), two(json!({}), json!({}))] {
        assert_eq!(sample::with(document.clone()).check(), Ok(()), "{document}");
    }
    let mut instance = sample::with(two(mac(other), json!({})));
    instance.macs.push(other.to_owned().try_into().expect("a MAC"));
    assert!(instance.check().is_err(), "the second interface is the host's");
}
