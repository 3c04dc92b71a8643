use serde_json::{Value, json};

use super::*;
use crate::metadata::document::{LifecycleState, MaintenanceCode, SpotAction};
use crate::metadata::tree::Lookup;
use crate::metadata::{date, sample};
use crate::registry::request::{ApplyOutcome, Change, Described, Event, Json, Part};

impl Daemon {
    /// What an instance reads at a path, if anything is there.
    fn read(&self, slot: u16, path: &str) -> Option<String> {
        let tree = self.directory.get(slot).expect("served").tree();
        match tree.lookup(format!("/latest/meta-data/{path}").as_bytes(), date::unix_seconds()) {
            Lookup::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        }
    }

    async fn user_data(&self, slot: u16) -> Option<Vec<u8>> {
        self.directory.get(slot).expect("served").user_data().await.expect("a good store")
    }

    async fn merge(&self, patch: Value) -> Result<InstanceView, RegistryError> {
        self.registry.change(A, &Change::Merge(Json(patch))).await
    }
}

fn described(id: &str, interface: &str, document: Value) -> Described {
    let metadata_options = OptionChanges::default();
    Described {
        instance_id: id.into(),
        interfaces: vec![interface.into()],
        attach: None,
        metadata_options,
        limits: LimitChanges::default(),
        document: Json(document),
    }
}

#[tokio::test]
async fn a_document_changes_on_every_interface_and_in_the_store() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1", "tap2"]).await.expect("created");
    host.log();
    let view = daemon.merge(json!({ "instance-type": "m5.large", "local-ipv4": "10.9.9.9" })).await.expect("changed");
    assert_eq!((view.instance_type.as_str(), view.private_ip), ("m5.large", Some([10, 9, 9, 9].into())));
    daemon.merge(json!({ "placement": { "group-name": "g" } })).await.expect("changed");
    for slot in [1, 2] {
        assert_eq!(daemon.read(slot, "instance-type").as_deref(), Some("m5.large"));
        assert_eq!(daemon.read(slot, "local-hostname").as_deref(), Some("ip-10-9-9-9.ec2.internal"));
        assert_eq!(daemon.read(slot, "placement/group-name").as_deref(), Some("g"));
    }
    let unset = Change::Unset { path: "instance-type".into() };
    daemon.registry.change(A, &unset).await.expect("changed");
    assert_eq!(daemon.read(1, "instance-type").as_deref(), Some("t3.micro"), "derived again");
    assert!(host.log().is_empty(), "the kernel has no part in it");
    drop(daemon);
    let daemon = host.daemon().await;
    assert_eq!(daemon.read(2, "placement/group-name").as_deref(), Some("g"));
    daemon.create(A, &["tap1", "tap2"]).await.expect("the same create, whatever was changed since");
    let replace = Change::Replace(Json(json!({ "ami-id": "ami-1" })));
    daemon.registry.change(A, &replace).await.expect("changed");
    let document = daemon.registry.document(A).await.expect("there").to_value();
    assert_eq!((&document["ami-id"], document["placement"].get("group-name")), (&json!("ami-1"), None));
}

/// A document whose second interface has the MAC that the host tells of the first, `tap3`.
fn repeated() -> Value {
    json!({ "network": { "interfaces": [{}, { "mac": "02:00:00:00:00:0d" }] } })
}

#[tokio::test]
async fn no_interface_has_the_mac_of_another() {
    let host = Host::new(&[("tap3", 13), ("tap4", 14)]);
    let daemon = host.daemon().await;
    let words = "document, at network/interfaces/1/mac: interface 0 has this MAC address already";
    let request = CreateInstance { document: Json(repeated()), ..request(A, &["tap3"]) };
    let error = daemon.registry.create(&request).await.expect_err(words).to_string();
    assert!(error.contains(words) && daemon.registry.list().await.expect("fake").is_empty(), "{error}");
    daemon.create(A, &["tap3", "tap4"]).await.expect("created");
    let before = daemon.registry.document(A).await.expect("there");
    let error = daemon.merge(repeated()).await.expect_err(words).to_string();
    assert!(error.contains(words), "{error}");
    assert_eq!(daemon.registry.document(A).await.expect("there"), before);
}

#[tokio::test]
async fn a_value_of_an_interface_that_only_the_host_has_is_set_and_unset() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1", "tap2"]).await.expect("created");
    let subnet = "network/interfaces/1/subnet-id".to_owned();
    let set = Change::Set { path: subnet.clone(), value: Json("subnet-1".into()) };
    daemon.registry.change(A, &set).await.expect("changed");
    let interfaces = async || daemon.registry.document(A).await.expect("there").network.interfaces.expect("two");
    let subnets: Vec<_> = interfaces().await.into_iter().map(|interface| interface.subnet_id).collect();
    assert_eq!(subnets.iter().map(|subnet| subnet.as_deref()).collect::<Vec<_>>(), [None, Some("subnet-1")]);
    daemon.registry.change(A, &Change::Unset { path: subnet }).await.expect("changed");
    assert_eq!(interfaces().await[1].subnet_id, None);
}

#[tokio::test]
async fn a_bad_change_changes_nothing() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1"]).await.expect("created");
    daemon.registry.set_options(Some(A), &changes(r#"{"InstanceMetadataTags":"enabled"}"#)).await.expect("set");
    let before = daemon.registry.document(A).await.expect("there");
    let set = |path: &str, value: &str| Change::Set { path: path.into(), value: Json(value.into()) };
    for (change, words) in [
        (Change::Merge(Json(json!({ "ami-id": "ami-1", "nothing": 1 }))), "document, at nothing: unknown field"),
        (set("tags/a b", "c"), "the tag key \"a b\" can't be shown while InstanceMetadataTags is enabled"),
        (set("/", "{}"), "document: no path is given"),
        (set("mac", "x"), "document, at mac: MAC address \"x\" is malformed"),
        (Change::Unset { path: "ami-id".into() }, "document, at ami-id: what is there is derived and not set"),
        (Change::Unset { path: "kernel-id".into() }, "document, at kernel-id: nothing is set there"),
    ] {
        let error = daemon.registry.change(A, &change).await.expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(daemon.registry.document(A).await.expect("there"), before);
    let absent = daemon.registry.change(B, &Change::Unset { path: "mac".into() }).await.expect_err("no such instance");
    assert!(matches!(absent, RegistryError::NotFound(_)));
}

#[tokio::test]
async fn user_data_stays_in_the_store_and_comes_and_goes() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    let created = CreateInstance { document: Json(json!({ "user-data": { "text": "one" } })), ..request(A, &["tap1"]) };
    let view = daemon.registry.create(&created).await.expect("created");
    assert_eq!((view.user_data_bytes, daemon.user_data(1).await), (Some(3), Some(b"one".to_vec())));
    assert!(!daemon.registry.document(A).await.expect("there").to_value().to_string().contains("user-data"));
    daemon.merge(json!({ "ami-id": "ami-1" })).await.expect("changed");
    assert_eq!(daemon.user_data(1).await, Some(b"one".to_vec()), "what is left out stays");
    let two = Change::Set { path: "user-data/text".into(), value: Json("two".into()) };
    assert_eq!(daemon.registry.change(A, &two).await.expect("changed").user_data_bytes, Some(3));
    drop(daemon);
    let daemon = host.daemon().await;
    assert_eq!(daemon.user_data(1).await, Some(b"two".to_vec()));
    daemon.registry.create(&created).await.expect("the same create");
    let unset = |path: &str| Change::Unset { path: path.into() };
    let gone = Change::Merge(Json(json!({ "user-data": null })));
    let each = [gone, unset("user-data"), unset("/user-data//text"), unset("user-data/base64")];
    for (number, gone) in each.into_iter().enumerate() {
        daemon.registry.change(A, &two).await.expect("changed");
        assert_eq!(daemon.registry.change(A, &gone).await.expect("changed").user_data_bytes, None, "{number}");
        let tree = daemon.directory.get(1).expect("served").tree();
        assert!(matches!(tree.lookup(b"/latest/user-data", 0), Lookup::NotFound), "{number}");
    }
}

#[tokio::test]
async fn an_event_is_there_at_once_and_stored() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1"]).await.expect("created");
    daemon.registry.change(A, &Change::Event(Event::Rebalance { seconds: 0 })).await.expect("changed");
    drop(daemon);
    let daemon = host.daemon().await;
    let notice = daemon.read(1, "events/recommendations/rebalance").expect("a notice");
    assert!(notice.starts_with("{\"noticeTime\": \"2") && notice.ends_with("Z\"}"), "{notice}");
    daemon.registry.change(A, &Change::Event(Event::Clear)).await.expect("changed");
    assert_eq!(daemon.read(1, "events/recommendations/rebalance"), None);
}

#[tokio::test]
async fn described_instances_are_created_changed_or_left() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12)]);
    let daemon = host.daemon().await;
    let mut file = vec![
        described(A, "tap1", json!({ "ami-id": "ami-1", "user-data": { "text": "one" } })),
        described(B, "tap2", json!({})),
    ];
    let outcomes = async |file: &[Described], check| {
        let applied = daemon.registry.apply(file, check, &[]).await.expect("applied");
        applied.into_iter().map(|applied| (applied.outcome, applied.changed)).collect::<Vec<_>>()
    };
    const CREATED: (ApplyOutcome, Vec<Part>) = (ApplyOutcome::Created, Vec::new());
    const UNCHANGED: (ApplyOutcome, Vec<Part>) = (ApplyOutcome::Unchanged, Vec::new());
    let updated = |parts: &[Part]| (ApplyOutcome::Updated, parts.to_vec());
    let secrets = json!({ "identity-credentials": { "credentials": sample::credentials() }, "ami-id": "ami-2" });
    assert_eq!(outcomes(&file, true).await, [CREATED, CREATED]);
    assert!(daemon.registry.list().await.expect("fake").is_empty(), "only checked");
    assert_eq!(outcomes(&file, false).await, [CREATED, CREATED]);
    assert_eq!(outcomes(&file, true).await, [UNCHANGED, UNCHANGED]);
    assert_eq!(outcomes(&file, false).await, [UNCHANGED, UNCHANGED]);
    file[0].document.0["user-data"]["text"] = "two".into();
    file[1].metadata_options.http_tokens = Some("required".into());
    for check in [true, false] {
        let expected = [updated(&[Part::UserData]), updated(&[Part::Options])];
        assert_eq!(outcomes(&file, check).await, expected, "{check}");
    }
    assert_eq!(daemon.user_data(1).await, Some(b"two".to_vec()));
    assert_eq!(daemon.registry.show(B).await.expect("there").metadata_options.http_tokens, "required");
    // Tags that can't be shown, and their hiding, at once.
    file[1].metadata_options.instance_metadata_tags = Some("enabled".into());
    file[1].document = Json(json!({ "tags": { "good": "1" } }));
    assert_eq!(outcomes(&file, false).await, [UNCHANGED, updated(&[Part::Options, Part::Tags])]);
    file[1].metadata_options.instance_metadata_tags = Some("disabled".into());
    file[1].document = Json(json!({ "tags": { "not good": "1" } }));
    assert_eq!(outcomes(&file, false).await, [UNCHANGED, updated(&[Part::Options, Part::Tags])]);
    file[1].metadata_options.instance_metadata_tags = Some("enabled".into());
    file[1].document = Json(json!({ "tags": { "good": "1" } }));
    assert_eq!(outcomes(&file, false).await, [UNCHANGED, updated(&[Part::Options, Part::Tags])]);
    file[1].document = Json(secrets);
    for check in [true, false] {
        let expected = [UNCHANGED, updated(&[Part::Document, Part::Credentials, Part::Tags])];
        assert_eq!(outcomes(&file, check).await, expected, "{check}");
    }
    assert_eq!(outcomes(&file, false).await, [UNCHANGED, UNCHANGED]);
}

#[tokio::test]
async fn what_happens_to_an_instance_outlives_a_description_that_says_nothing_of_it() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    let file = |document: Value| [described(A, "tap1", document)];
    let plain = file(json!({ "ami-id": "ami-1" }));
    let applied = async |file: &[Described], check| {
        let applied = daemon.registry.apply(file, check, &[]).await.expect("applied").remove(0);
        (applied.outcome, applied.changed)
    };
    applied(&plain, false).await;
    let maintenance =
        Event::Maintenance { seconds: 0, duration: None, code: MaintenanceCode::InstanceStop, description: None };
    for event in [
        Event::SpotInterruption { seconds: 60, action: SpotAction::Stop },
        Event::Lifecycle { seconds: 0, state: LifecycleState::Standby },
        maintenance,
    ] {
        daemon.registry.change(A, &Change::Event(event)).await.expect("changed");
    }
    let parts = async || {
        let document = daemon.registry.document(A).await.expect("there").to_value();
        ["spot", "autoscaling", "events"].map(|part| document.get(part).cloned())
    };
    let before = parts().await;
    assert!(before.iter().all(Option::is_some), "{before:?}");
    for check in [true, false] {
        assert_eq!(applied(&plain, check).await, (ApplyOutcome::Unchanged, vec![]), "{check}");
    }
    let others = file(json!({ "ami-id": "ami-2", "spot": null }));
    assert_eq!(applied(&others, false).await, (ApplyOutcome::Updated, vec![Part::Document]));
    let replace = Change::Replace(Json(json!({})));
    daemon.registry.change(A, &replace).await.expect("changed");
    assert_eq!(parts().await, before);
    // What the description has, wins.
    let given = file(json!({ "spot": {}, "autoscaling": { "target-lifecycle-state": "InService" } }));
    for (check, expected) in
        [(true, ApplyOutcome::Updated), (false, ApplyOutcome::Updated), (true, ApplyOutcome::Unchanged)]
    {
        assert_eq!(applied(&given, check).await.0, expected);
    }
    let after = parts().await;
    assert_eq!((&after[0], &after[1]), (&None, &Some(json!({ "target-lifecycle-state": "InService" }))));
    assert_eq!(after[2], before[2]);
}

#[tokio::test]
async fn descriptions_are_checked_against_each_other() {
    let links = [("tap1", 11), ("alt1", 11), ("tap2", 12), ("tap3", 13), ("tap4", 14)];
    let host = Host::new(&links);
    let daemon = host.daemon().await;
    let two = [described(A, "tap1", json!({})), described(B, "alt1", json!({}))];
    for (described, claimed) in [(&two[..], &[][..]), (&two[..1], &[11])] {
        let error = daemon.registry.apply(described, false, claimed).await.expect_err("one interface").to_string();
        assert!(error.contains("1\" is that of another described instance under another name"), "{error}");
    }
    // There are three slots.
    let ids = [A, B, "i-0000000c", "i-0000000d"];
    let names = ["tap1", "tap2", "tap3", "tap4"];
    let four: Vec<_> = ids.iter().zip(names).map(|(id, name)| described(id, name, json!({}))).collect();
    for (described, claimed) in [(&four[..], &[][..]), (&four[..2], &[13, 14])] {
        let error = daemon.registry.apply(described, false, claimed).await.expect_err("no slot").to_string();
        assert!(error.contains("all 3 slots are taken"), "{error}");
    }
    assert!(daemon.registry.list().await.expect("fake").is_empty(), "nothing is done");
    let planned = daemon.registry.apply(&four[..3], true, &[]).await.expect("room");
    let claimed: Vec<_> = planned.into_iter().flat_map(|planned| planned.claimed).collect();
    assert_eq!(claimed, [11, 12, 13]);
    daemon.registry.apply(&four[..3], false, &[]).await.expect("room");
}

#[tokio::test]
async fn a_description_that_fails_says_what_is_changed_all_the_same() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1"]).await.expect("created");
    let obstacle = host.state.path().join("credentials/i-0000000a.identity.new");
    std::fs::create_dir(&obstacle).expect("scratch");
    let own = json!({ "identity-credentials": { "credentials": sample::credentials() } });
    let mut described = described(A, "tap1", own);
    described.metadata_options.http_tokens = Some("required".into());
    let applied = daemon.registry.apply(&[described], false, &[]).await.expect("planned").remove(0);
    assert_eq!((applied.outcome, applied.changed), (ApplyOutcome::Failed, vec![Part::Options]));
    assert!(applied.message.is_some_and(|message| message.contains("can't be written")));
}

#[tokio::test]
async fn a_bad_description_keeps_all_from_being_applied() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12), ("tap3", 13)]);
    let daemon = host.daemon().await;
    daemon.create(B, &["tap2"]).await.expect("created");
    let good = described(A, "tap1", json!({ "ami-id": "ami-1" }));
    let mut options = described(B, "tap2", json!({ "tags": { "a b": "c" } }));
    options.metadata_options.instance_metadata_tags = Some("enabled".into());
    for (bad, words) in [
        (described(B, "tap2", json!({ "ami": 1 })), "instance i-0000000b: document, at ami: unknown field"),
        (described(B, "tap9", json!({})), "instance i-0000000b is behind other interfaces"),
        (described("i-0000000c", "tap9", json!({})), "instance i-0000000c: "),
        (described("i-0000000c", "tap2", json!({})), "belongs to instance i-0000000b"),
        (described(A, "tap1", json!({})), "it is described twice"),
        (options, "the tag key \"a b\" can't be shown"),
        (
            described("i-0000000c", "tap3", repeated()),
            "document, at network/interfaces/1/mac: interface 0 has this MAC",
        ),
    ] {
        for check in [true, false] {
            let error =
                daemon.registry.apply(&[good.clone(), bad.clone()], check, &[]).await.expect_err(words).to_string();
            assert!(error.contains(words), "{error}");
        }
    }
    assert_eq!(daemon.registry.list().await.expect("fake").len(), 1);
}
