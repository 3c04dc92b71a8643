//! Instances for tests.

use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use super::bearer::ByBearer;
use super::document::{Credentials, Document, Time};
use super::identity::{self, Identity};
use super::identity_document;
use super::instance::Instance;
use super::live::{Deliveries, Edition, Live, Page};
use super::tree::Tree;

/// What is made at the creation of every sample.
pub(crate) fn with(document: Value) -> Instance {
    let text = |text: &str| text.to_owned();
    let created = Time::parse("2026-11-22T09:08:07Z").expect("a time");
    let mut document = Document::parse(document).expect("a good document");
    let own_credentials = document.take_credentials().map(Credentials::end);
    Instance {
        instance_id: "i-0123456789abcdef0".into(),
        reservation_id: "r-0123456789abcdef0".into(),
        pending_time: created,
        macs: vec![text("02:00:00:00:00:01").try_into().expect("a MAC")],
        account_id: text("123456789012").try_into().expect("an account"),
        availability_zone: text("eu-west-2c").try_into().expect("a zone"),
        modified: created,
        document: (&document).try_into().expect("a flat document"),
        own_credentials,
    }
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

/// Its role's credentials.
pub(crate) fn credentials() -> Credentials {
    Credentials {
        access_key_id: "ASIAEXAMPLE".into(),
        secret_access_key: "secret/key+1".into(),
        token: "session==".into(),
        expiration: "2100-01-02T03:04:05Z".into(),
    }
}

/// What an instance's reads of its credentials get: something in the place of their documents.
pub(crate) fn deliveries(instance: &Instance) -> ByBearer<Deliveries> {
    let text = |text: &str| Deliveries::same(&Live::new(Edition::lasting(Page::new(text, 0))));
    ByBearer {
        role: instance.role().map(|_| text("the role's credentials")),
        instance: instance.own_credentials.instance.map(|_| text("the instance's credentials")),
    }
}

/// The tree of an instance, with those and the identity of [`instance()`].
pub(crate) fn tree(instance: &Instance, user_data: bool, tags: bool) -> Tree {
    Tree::render(instance, Some(identity()), user_data, tags, deliveries(instance))
}

/// The example that is published beside the schema: everything that a document can say.
pub(crate) const EVERYTHING: &str = include_str!("../../../docs/examples/everything.json");

/// An instance that has everything.
pub(crate) fn everything() -> Instance {
    with(serde_json::from_str(EVERYTHING).expect("JSON"))
}

/// The identity of [`instance()`].
pub(crate) fn identity() -> Arc<Identity> {
    static IDENTITY: OnceLock<Arc<Identity>> = OnceLock::new();
    let sign = || identity::sample::authority().sign(identity_document(&instance())).expect("signed");
    Arc::clone(IDENTITY.get_or_init(|| Arc::new(sign())))
}
