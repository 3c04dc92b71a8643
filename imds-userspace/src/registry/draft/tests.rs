use imds_common::options::HttpTokens;

use super::*;
use crate::control::protocol::EncodedUserData;
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
        ("not valid base64", |r| r.user_data = Some(EncodedUserData("%".into()))),
        ("16385 bytes", |r| r.user_data = Some(EncodedUserData("AAAA".repeat(16384 / 3) + "AAA="))),
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
        identity: None,
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
    request.user_data = Some(EncodedUserData("aGk=".into()));
    let (record, user_data) = record_of(&request);
    let made = |request: &CreateInstance| draft(request).expect("valid").made(request, &record, user_data.as_deref());
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
        |r| r.user_data = Some(EncodedUserData("aG8=".into())),
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

#[test]
fn what_a_retry_leaves_out_is_no_difference_after_the_defaults_changed() {
    let (record, _) = record_of(&least());
    let changed = Defaults { availability_zone: "us-west-2a".into(), account_id: "000000000000".into() };
    let made = |request: &CreateInstance| Draft::new(request, &changed).expect("valid").made(request, &record, None);
    assert!(made(&least()));
    let zone = |zone: &str| CreateInstance { availability_zone: Some(zone.into()), ..least() };
    assert!(made(&zone("eu-central-1b")));
    assert!(!made(&zone("us-west-2a")), "given, and another");
}
