use serde_json::json;

use super::*;
use crate::metadata::sample;

/// The schema's place in the repository.
const SCHEMA_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/instance-document.schema.json");

#[test]
fn the_published_schema_is_that_of_the_types() {
    let mut schema = schemars::schema_for!(Document);
    schema.insert("title".into(), "Instance document".into());
    let text = serde_json::to_string_pretty(&schema).expect("JSON") + "\n";
    if std::env::var_os("IMDS_WRITE_SCHEMA").is_some() {
        std::fs::write(SCHEMA_FILE, &text).expect("written");
    } else {
        assert_eq!(SCHEMA, text, "write it anew: IMDS_WRITE_SCHEMA=1 cargo test -p imds-userspace published_schema");
    }
}

/// Every key of an object, with those of the objects below.
fn keys(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let path = if path.is_empty() { key.clone() } else { format!("{path}/{key}") };
                found.insert(path.clone());
                keys(value, &path, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, path, found)),
        _ => {}
    }
}

/// The keys that the schema knows.
fn schema_keys(node: &Value, root: &Value, path: &str, found: &mut BTreeSet<String>) {
    if let Some(name) = node.get("$ref").and_then(Value::as_str) {
        schema_keys(&root["$defs"][name.trim_start_matches("#/$defs/")], root, path, found);
    }
    for branch in ["anyOf", "oneOf"].into_iter().filter_map(|branch| node.get(branch)?.as_array()) {
        branch.iter().for_each(|node| schema_keys(node, root, path, found));
    }
    for (key, below) in node.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}/{key}") };
        found.insert(path.clone());
        schema_keys(below, root, &path, found);
    }
    if let Some(items) = node.get("items") {
        schema_keys(items, root, path, found);
    }
}

#[test]
fn the_example_has_every_key_of_the_schema() {
    let (mut known, mut shown) = (BTreeSet::new(), BTreeSet::new());
    let schema = serde_json::from_str(SCHEMA).expect("JSON");
    schema_keys(&schema, &schema, "", &mut known);
    keys(&serde_json::from_str(sample::EVERYTHING).expect("JSON"), "", &mut shown);
    let missing: Vec<_> = known.difference(&shown).collect();
    // The other form of user data.
    assert_eq!(missing, ["user-data/base64"]);
    assert!(known.len() > 100, "{}", known.len());
}

#[test]
fn the_schema_takes_null_wherever_a_document_may_be_without() {
    let schema: Value = serde_json::from_str(SCHEMA).expect("JSON");
    let properties = schema["properties"].as_object().expect("properties");
    let takes_null = |property: &Value| {
        let alternatives = property["anyOf"].as_array().cloned().unwrap_or_else(|| vec![property.clone()]);
        let is_null = |kind: &Value| kind == "null";
        let kinds =
            |one: &Value| is_null(&one["type"]) || one["type"].as_array().is_some_and(|all| all.iter().any(is_null));
        alternatives.iter().any(kinds)
    };
    let strict: Vec<_> = properties.iter().filter(|(_, property)| !takes_null(property)).collect();
    assert!(strict.is_empty(), "{strict:?}");
}

#[test]
fn a_document_is_written_as_it_was_read() {
    let mut value: Value = serde_json::from_str(sample::EVERYTHING).expect("JSON");
    let document = Document::parse(value.clone()).expect("good");
    value["user-data"] = json!({ "base64": "I2Nsb3VkLWNvbmZpZwo=" });
    assert_eq!(document.to_value(), value);
    assert_eq!(Document::default().to_value(), json!({}));
    let mut everything: Value = serde_json::from_str(sample::EVERYTHING).expect("JSON");
    everything.as_object_mut().expect("an object").values_mut().for_each(|value| *value = Value::Null);
    assert_eq!(Document::parse(everything).expect("null is nothing"), Document::default());
}

#[test]
fn what_is_wrong_is_named_by_its_path() {
    let tags: BTreeMap<_, _> = (0..51).map(|number| (number.to_string(), "")).collect();
    let event = json!({ "event-id": "e", "code": "system-reboot", "description": "d",
        "not-before": "2030-01-01T00:00:00Z", "not-after": "2030-01-01T00:00:00Z" });
    let early = json!({ "event-id": "e", "code": "system-reboot", "description": "d",
        "not-before": "2030-01-01T00:00:01Z", "not-after": "2030-01-01T00:00:00Z" });
    let mut long = event.clone();
    long["description"] = "ä".repeat(257).into();
    let at = |second: u32| format!("2030-01-01T00:00:0{second}Z");
    let mac = json!({ "mac": "02:00:00:00:00:01" });
    let key = json!({ "name": "k", "openssh-key": "ssh-ed25519 A" });
    for (document, expected) in [
        (json!({ "ami": "x" }), "document, at ami: unknown field `ami`, expected one of "),
        (json!({ "placement": { "zone": "x" } }), "document, at placement/zone: unknown field `zone`"),
        (
            json!({ "placement": { "availability-zone": "moon" } }),
            "document, at placement/availability-zone: availability zone \"moon\" is malformed: it is a region",
        ),
        (json!({ "ami-launch-index": "1" }), "document, at ami-launch-index: invalid type: string \"1\""),
        (json!({ "local-ipv4": "10.0.0.256" }), "document, at local-ipv4: invalid IPv4 address syntax"),
        (
            json!({ "network": { "interfaces": [{}, { "ipv6s": ["::1", "x"] }] } }),
            "document, at network/interfaces/1/ipv6s/1: invalid IPv6 address syntax",
        ),
        (
            json!({ "network": { "interfaces": [mac, mac] } }),
            "document, at network/interfaces/1/mac: another interface has this MAC address",
        ),
        (json!({ "network": { "interfaces": vec![json!({}); 65] } }), "document, at network/interfaces: 65 interfaces"),
        (json!({ "tags": { "/a\u{1}": "b" } }), "document, at tags/~1a\\u{1}: tag key \"/a\\u{1}\" is malformed"),
        (json!({ "tags": tags }), "document, at tags: 51 tags are given, an instance has at most 50"),
        (json!({ "events": { "rebalance": "soon" } }), "document, at events/rebalance: time \"soon\" is malformed"),
        (json!({ "events": { "maintenance": [early] } }), "document, at events/maintenance/0: it is over before"),
        (
            json!({ "events": { "maintenance": [event, event] } }),
            "document, at events/maintenance/1: another event has",
        ),
        (
            json!({ "events": { "maintenance": [long] } }),
            "document, at events/maintenance/0/description: it has 257 characters, at most 256 are taken",
        ),
        (
            json!({ "events": { "maintenance": vec![event.clone(); 17] } }),
            "document, at events/maintenance: 17 are given, at most 16 are taken; give fewer, or `imdsctl event clear ID`",
        ),
        (json!({ "spot": { "action": "stop" } }), "document, at spot: an action or a notice is given without a time"),
        (json!({ "spot": { "notice": at(1) } }), "document, at spot: an action or a notice is given without a time"),
        (
            json!({ "spot": { "time": at(1), "notice": at(1) } }),
            "document, at spot/notice: the instance would be told when all is over",
        ),
        (json!({ "spot": { "time": at(1), "notice": at(2) } }), "document, at spot/notice: the instance would be"),
        (
            json!({ "autoscaling": { "target-lifecycle-state": "Asleep" } }),
            "document, at autoscaling/target-lifecycle-state: unknown variant `Asleep`",
        ),
        (json!({ "public-keys": [key, key] }), "document, at public-keys: two keys have one name"),
        (json!({ "iam": { "instance-profile-id": "A" } }), "document, at iam: a profile is given without a role"),
        (json!({ "elastic-gpus": { "a": "x".repeat(70_000) } }), "document: it has 70025 bytes, at most 65536"),
        (json!({ "placement": ["us-east-1a"] }), "document, at placement: it is not of the form"),
        (json!({ "placement": [] }), "document, at placement: it is not of the form"),
        (json!({ "network": { "interfaces": [{}, [7]] } }), "document, at network/interfaces/1: it is not of the form"),
        (json!([]), "document: it is not of the form that the schema says"),
    ] {
        let error = Document::parse(document.clone()).expect_err(&document.to_string()).to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn what_stands_in_two_places_is_the_same_in_both() {
    let two = |given: Value, primary: Value| {
        let mut document = given;
        document["network"] = json!({ "interfaces": [primary, {}] });
        Document::parse(document).map(drop).map_err(|error| error.to_string())
    };
    let (one, other) = ("02:00:00:00:00:01", "02:00:00:00:00:02");
    for (given, primary, paths) in [
        (
            json!({ "mac": one }),
            json!({ "mac": other }),
            ["mac says 02:00:00:00:00:01", "network/interfaces/0/mac 02:"],
        ),
        (
            json!({ "local-ipv4": "10.0.0.1" }),
            json!({ "local-ipv4s": ["10.0.0.2", "10.0.0.1"] }),
            ["local-ipv4 says 10.0.0.1", "network/interfaces/0/local-ipv4s/0 10.0.0.2"],
        ),
        (
            json!({ "local-ipv4": "10.0.0.1" }),
            json!({ "local-ipv4s": [] }),
            ["local-ipv4 says 10.0.0.1", "network/interfaces/0/local-ipv4s/0 nothing"],
        ),
        (json!({ "ipv6": "::1" }), json!({ "ipv6s": ["::2"] }), ["ipv6 says ::1", "network/interfaces/0/ipv6s/0 ::2"]),
        (
            json!({ "public-ipv4": "1.1.1.1" }),
            json!({ "public-ipv4s": ["1.1.1.2"] }),
            ["public-ipv4 says 1.1.1.1", "network/interfaces/0/public-ipv4s/0 1.1.1.2"],
        ),
        (
            json!({ "local-hostname": "a" }),
            json!({ "local-hostname": "b" }),
            ["local-hostname says a", "network/interfaces/0/local-hostname b"],
        ),
        (
            json!({ "public-hostname": "a" }),
            json!({ "public-hostname": "b" }),
            ["public-hostname says a", "network/interfaces/0/public-hostname b"],
        ),
        (
            json!({}),
            json!({ "vpc-ipv4-cidr-block": "10.0.0.0/8", "vpc-ipv4-cidr-blocks": ["10.1.0.0/16"] }),
            ["vpc-ipv4-cidr-block says 10.0.0.0/8", "network/interfaces/0/vpc-ipv4-cidr-blocks/0 10.1.0.0/16"],
        ),
    ] {
        let error = two(given, primary.clone()).expect_err(&primary.to_string());
        assert!(paths.iter().all(|path| error.contains(path)), "{error}");
    }
    for (given, primary) in [
        (
            json!({ "mac": one, "local-ipv4": "10.0.0.1" }),
            json!({ "mac": one, "local-ipv4s": ["10.0.0.1", "10.0.0.2"] }),
        ),
        (json!({ "public-hostname": "a" }), json!({ "public-hostname": "" })),
        (json!({ "security-groups": ["a", "b"] }), json!({ "security-groups": ["a"] })),
    ] {
        assert_eq!(two(given, primary.clone()), Ok(()), "{primary}");
    }
}

#[test]
fn no_error_quotes_a_secret() {
    let credentials = |expiration: &str| json!({ "AccessKeyId": "A", "SecretAccessKey": "SECRET", "Token": "SECRET", "Expiration": expiration });
    let missing = json!({ "AccessKeyId": "A", "SecretAccessKey": "SECRET" });
    for (document, path) in [
        (json!("SECRET"), "document: "),
        (json!({ "iam": "SECRET" }), "document, at iam: "),
        (json!({ "iam": { "role": "app", "credentials": "SECRET" } }), "document, at iam/credentials: "),
        (json!({ "iam": { "role": "app", "credentials": missing } }), "document, at iam/credentials: "),
        (json!({ "iam": { "credentials": credentials("2030-01-31T12:00:00Z") } }), "document, at iam: credentials"),
        (json!({ "iam": { "role": "app", "credentials": credentials("soon") } }), "document, at iam/credentials: Exp"),
        (
            json!({ "iam": { "role": "app", "credentials": { "Token": ["SECRET"] } } }),
            "document, at iam/credentials/Tok",
        ),
        (
            json!({ "iam": { "role": "app", "credentials": credentials("SECRET") } }),
            "document, at iam/credentials: Exp",
        ),
        (json!({ "iam": { "role": "app", "credentials": { "SECRET": "A" } } }), "document, at iam/credentials: it is"),
        (json!({ "iam": { "SECRET": "A" } }), "document, at iam: it is not of the form"),
        (json!({ "user-data": { "SECRET": "A" } }), "document, at user-data: it is not of the form"),
        (json!({ "identity-credentials": { "credentials": "SECRET" } }), "document, at identity-credentials/cred"),
        (json!({ "user-data": "SECRET" }), "document, at user-data: "),
        (json!({ "user-data": { "base64": "SECRET" } }), "document, at user-data: "),
        (
            json!({ "user-data": { "text": "SECRET".repeat(3000) } }),
            "document, at user-data: user data has 18000 bytes",
        ),
        (json!({ "user-data": { "base64": "SECRET" } }), "document, at user-data: user data is not valid base64"),
        (json!({ "user-data": { "text": "SECRET", "base64": "U0VDUkVU" } }), "document, at user-data: it is not of"),
        (json!({ "iam": { "role": "SECRET/1" } }), "document, at iam/role: IAM role is malformed: it is 1 to 64"),
        (json!({ "iam": { "role": ["SECRET"] } }), "document, at iam/role: it is not of the form"),
        (
            json!({ "iam": { "role": "a", "instance-profile-arn": "SECRET\n" } }),
            "document, at iam/instance-profile-arn: text is malformed: it is 1 to 4096",
        ),
        (
            json!({ "iam": { "role": "a", "instance-profile-id": "SECRET/" } }),
            "document, at iam/instance-profile-id: name is malformed: it is 1 to 128",
        ),
        (
            json!({ "iam": { "role": "a", "last-updated": "SECRET" } }),
            "document, at iam/last-updated: time is malformed: it is a time in UTC",
        ),
    ] {
        let error = Document::parse(document.clone()).expect_err(&document.to_string()).to_string();
        assert!(error.starts_with(path) && !error.contains("SECRET"), "{error}");
    }
    let packed = sample::everything().document;
    let everything = packed.unpack();
    let debugged = format!("{everything:?} {packed:?}");
    let shown = everything.shown().to_value().to_string();
    for secret in ["secret/key+1", "session==", "identity/key+1", "cloud-config", "I2Nsb3"] {
        assert!(!debugged.contains(secret) && !shown.contains(secret), "{secret}");
    }
}
