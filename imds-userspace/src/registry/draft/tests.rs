use imds_common::options::HttpTokens;
use serde_json::json;

use super::*;
use crate::config::DefaultsTable;
use crate::metadata::document::Time;
use crate::registry::record::InterfaceRecord;
use crate::registry::request::BudgetChange;
use crate::registry::request::Json;
use crate::registry::totals::Totals;

fn defaults(zone: &str) -> Defaults {
    let account_id = DefaultsTable::default().account_id;
    Defaults { availability_zone: zone.to_owned().try_into().expect("a zone"), account_id }
}

fn least() -> CreateInstance {
    CreateInstance { interfaces: vec!["tap0".into()], ..CreateInstance::default() }
}

fn with(document: Value) -> CreateInstance {
    CreateInstance { document: Json(document), ..least() }
}

fn draft(request: &CreateInstance) -> Result<Draft, DraftError> {
    Draft::new(request, &defaults("eu-central-1b"))
}

#[test]
fn what_is_left_out_has_a_default() {
    let Draft { instance, interfaces, attach, options, limits, kept } = draft(&least()).expect("valid");
    assert_eq!(attach, None);
    assert_eq!(interfaces, ["tap0"]);
    assert_eq!((options, limits, kept.user_data), (MetadataOptions::default(), Limits::default(), None));
    assert_eq!(instance.document.unpack(), Document::default());
    assert_eq!(instance.instance_id, "");
    assert_eq!((&*instance.availability_zone, &*instance.account_id), ("eu-central-1b", "000000000000"));
}

/// A change to a valid request.
type Change = fn(&mut CreateInstance);

#[test]
fn each_bad_input_is_refused_by_name() {
    let cases: [(&str, Change); 11] = [
        ("no interface is given", |r| r.interfaces.clear()),
        ("65 interfaces are given, an instance has at most 64", |r| {
            r.interfaces = (0..65).map(|number| format!("tap{number}")).collect();
        }),
        ("interface \"tap0\" is given twice", |r| r.interfaces.push("tap0".into())),
        ("interface \"../x\" is malformed", |r| r.interfaces.push("../x".into())),
        ("instance id \"i-1\" is malformed", |r| r.instance_id = Some("i-1".into())),
        ("document, at ami-id: image id \"debian\" is malformed", |r| r.document.0 = json!({ "ami-id": "debian" })),
        ("document, at ami: unknown field", |r| r.document.0 = json!({ "ami": "ami-1" })),
        ("document: it is not of the form", |r| r.document.0 = json!("x")),
        ("document, at user-data", |r| r.document.0 = json!({ "user-data": { "text": "x".repeat(16_385) } })),
        ("HttpPutResponseHopLimit is 1 to 64, got 65", |r| {
            r.metadata_options.http_put_response_hop_limit = Some(65);
        }),
        ("tag key \"a b\" can't be shown", |r| {
            r.document.0 = json!({ "tags": { "a b": "" } });
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

#[test]
fn user_data_is_taken_out_of_the_document() {
    let draft = draft(&with(json!({ "ami-id": "ami-1", "user-data": { "base64": "aGk=" } }))).expect("valid");
    assert_eq!(draft.kept.user_data.as_deref(), Some(&b"hi"[..]));
    assert_eq!(draft.instance.document.unpack().to_value(), json!({ "ami-id": "ami-1" }));
}

fn credentials() -> Value {
    json!({ "AccessKeyId": "A", "SecretAccessKey": "secret", "Token": "token", "Expiration": "2030-01-31T12:00:00Z" })
}

#[test]
fn credentials_are_taken_out_of_the_document() {
    let own = json!({ "role": "app", "credentials": credentials() });
    let both = draft(&with(json!({ "iam": own, "identity-credentials": { "credentials": credentials() } })));
    let Draft { instance, kept, .. } = both.expect("valid");
    assert_eq!(instance.document.unpack().to_value(), json!({ "iam": { "role": "app" } }));
    let expiration = Time::parse("2030-01-31T12:00:00Z").ok();
    assert_eq!(instance.own_credentials, ByBearer { role: expiration, instance: expiration });
    for bearer in Bearer::ALL {
        let given = kept.credentials.of(bearer).map(|credentials| json!(credentials));
        assert_eq!(given, Some(credentials()), "{bearer:?}");
    }
    let Draft { instance, kept, .. } = draft(&with(json!({ "iam": { "role": "app" } }))).expect("valid");
    assert_eq!(instance.role().as_deref(), Some("app"));
    assert_eq!((instance.own_credentials, kept.credentials), Default::default());
}

fn record_of(request: &CreateInstance) -> (Record, Kept) {
    let Draft { instance, interfaces, attach, options, limits, kept } = draft(request).expect("valid");
    let record = Record {
        instance: Instance { reservation_id: "r-1".into(), pending_time: Time::from_unix(9), ..instance },
        identity: None,
        options: MetadataOptions { http_tokens: HttpTokens::Required, ..options },
        created_options: options,
        limits: Limits::default(),
        created_limits: limits,
        created_document: None,
        created_credentials: None,
        created_user_data: kept.user_data.as_deref().map(user_data_digest),
        interfaces: interfaces.into_iter().map(|name| InterfaceRecord { name, attach, assignment: None }).collect(),
        user_data_bytes: kept.user_data.as_ref().map(Vec::len),
        carried: Totals::default(),
    };
    (record, kept)
}

#[test]
fn the_same_content_is_known_again() {
    let mut request = with(json!({
        "user-data": { "text": "hi" }, "local-ipv4": "10.0.0.9", "tags": { "a": "b" },
        "iam": { "role": "app", "credentials": credentials() },
    }));
    request.limits.allow_addresses = Some(vec!["10.0.0.9".into()]);
    let (mut record, kept) = record_of(&request);
    let made = |request: &CreateInstance, record: &Record| {
        draft(request).expect("valid").made(request, record, &kept.credentials)
    };
    assert!(made(&request, &record));
    let same: [Change; 5] = [
        |r| r.limits.allow_addresses = Some(vec!["10.0.0.9/32".into()]),
        |r| r.metadata_options.http_tokens = Some("optional".into()),
        |r| r.document.0["ami-id"] = "ami-00000000000000000".into(),
        |r| r.document.0["account-id"] = "000000000000".into(),
        |r| drop(r.document.0.as_object_mut().and_then(|document| document.remove("local-ipv4"))),
    ];
    let other: [Change; 15] = [
        |r| r.limits.allow_addresses = Some(Vec::new()),
        |r| r.limits.packet_budget = Some(BudgetChange::Rate(5)),
        |r| r.interfaces.push("tap1".into()),
        |r| r.interfaces[0] = "tap1".into(),
        |r| r.document.0["user-data"]["text"] = "ho".into(),
        |r| r.document.0["user-data"] = Value::Null,
        |r| r.document.0["local-ipv4"] = "10.0.0.8".into(),
        |r| r.document.0["tags"] = Value::Null,
        |r| r.metadata_options.http_tokens = Some("required".into()),
        |r| r.document.0["tags"]["k"] = "".into(),
        |r| r.document.0["iam"]["credentials"] = Value::Null,
        |r| r.document.0["iam"] = json!({}),
        |r| r.document.0["iam"]["role"] = "another".into(),
        |r| r.document.0["iam"]["credentials"]["SecretAccessKey"] = "secreu".into(),
        |r| r.document.0["iam"]["credentials"]["Token"] = "token0".into(),
    ];
    // What is changed while it runs is no difference.
    let changed = Document::parse(json!({ "local-ipv4": "10.0.0.8" })).expect("good");
    for _ in 0..2 {
        for (changes, expected) in [(&same[..], true), (&other[..], false)] {
            for (number, change) in changes.iter().enumerate() {
                let mut request = request.clone();
                change(&mut request);
                assert_eq!(made(&request, &record), expected, "{number}");
            }
        }
        let created = std::mem::replace(&mut record.instance.document, (&changed).try_into().expect("flat"));
        record.created_document.get_or_insert(created);
    }
}

#[test]
fn what_a_retry_leaves_out_is_no_difference_after_the_defaults_changed() {
    let (record, kept) = record_of(&least());
    let changed = defaults("us-west-2a");
    let made = |request: &CreateInstance| {
        Draft::new(request, &changed).expect("valid").made(request, &record, &kept.credentials)
    };
    assert!(made(&least()));
    let zone = |zone: &str| with(json!({ "placement": { "availability-zone": zone } }));
    assert!(made(&zone("eu-central-1b")));
    assert!(!made(&zone("us-west-2a")), "given, and another");
}

#[test]
fn of_credentials_that_were_replaced_the_expiration_is_known() {
    let request = |token: &str, expiration: &str| {
        let mut credentials = credentials();
        (credentials["Token"], credentials["Expiration"]) = (token.into(), expiration.into());
        with(json!({ "iam": { "role": "app", "credentials": credentials } }))
    };
    let created = request("first", "2030-01-31T12:00:00Z");
    let (mut record, _) = record_of(&created);
    let second = draft(&request("second", "2031-01-31T12:00:00Z")).expect("valid");
    record.created_credentials = Some(std::mem::take(&mut record.instance.own_credentials));
    record.instance.own_credentials = second.instance.own_credentials;
    let made =
        |request: &CreateInstance| draft(request).expect("valid").made(request, &record, &second.kept.credentials);
    assert!(made(&created));
    assert!(!made(&request("second", "2031-01-31T12:00:00Z")));
    assert!(!made(&with(json!({ "iam": { "role": "app" } }))));
}
