//! Instances for tests.

use serde_json::{Value, json};

use super::document::{Document, Time};
use super::instance::Instance;

/// What is made at the creation of every sample.
pub(crate) fn with(document: Value) -> Instance {
    let text = |text: &str| text.to_owned();
    let created = Time::parse("2026-11-22T09:08:07Z").expect("a time");
    Instance {
        instance_id: "i-0123456789abcdef0".into(),
        reservation_id: "r-0123456789abcdef0".into(),
        pending_time: created,
        macs: vec![text("02:00:00:00:00:01").try_into().expect("a MAC")],
        account_id: text("123456789012").try_into().expect("an account"),
        availability_zone: text("eu-west-2c").try_into().expect("a zone"),
        modified: created,
        document: (&Document::parse(document).expect("a good document")).into(),
    }
}

/// An instance whose role's credentials expire at another time.
pub(crate) fn expiring(expiration: &str) -> Instance {
    let mut instance = instance();
    let mut document = instance.document.unpack();
    document.iam.credentials.as_mut().expect("a role").expiration = expiration.to_owned();
    instance.document = (&document).into();
    instance
}

/// An instance with little more than tags and a role, its credentials good until 2100.
pub(crate) fn instance() -> Instance {
    with(json!({
        "ami-id": "ami-0123456789abcdef0",
        "security-groups": ["default", "web"],
        "tags": { "Name": "one", "Empty": "" },
        "iam": { "role": "app", "credentials": credentials() },
    }))
}

fn credentials() -> Value {
    json!({
        "AccessKeyId": "ASIAEXAMPLE",
        "SecretAccessKey": "secret/key+1",
        "Token": "session==",
        "Expiration": "2100-01-02T03:04:05Z",
    })
}

/// The example that is published beside the schema: everything that a document can say.
pub(crate) const EVERYTHING: &str = include_str!("../../../docs/examples/everything.json");

/// An instance that has everything.
pub(crate) fn everything() -> Instance {
    with(serde_json::from_str(EVERYTHING).expect("JSON"))
}
