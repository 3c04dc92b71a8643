use serde_json::json;

use super::*;
use crate::metadata::document::Time;
use crate::registry::request::{Change, Json};

/// What a lookup of an identity's leaf finds.
fn leaf(daemon: &Daemon, name: &str) -> String {
    let tree = daemon.directory.get(1).expect("served").tree();
    match tree.lookup(format!("/latest/dynamic/instance-identity/{name}").as_bytes(), 0) {
        crate::metadata::tree::Lookup::Text(text) => String::from_utf8(text.to_vec()).expect("text"),
        _ => panic!("{name} is no text"),
    }
}

fn leaves(daemon: &Daemon) -> [String; 4] {
    ["document", "signature", "pkcs7", "rsa2048"].map(|name| leaf(daemon, name))
}

fn check(leaves: &[String; 4]) {
    use crate::metadata::identity::{Certificates, Claim, sample};
    let trusted = Certificates::from_pem(&[sample::RSA, sample::DSA].concat()).expect("certificates");
    let [document, signature, pkcs7, rsa2048] = leaves;
    for (claim, text) in [(Claim::Signature, signature), (Claim::Pkcs7, pkcs7), (Claim::Rsa2048, rsa2048)] {
        assert_eq!(trusted.verify(claim, document.as_bytes(), text), Ok(()), "{}", claim.name());
    }
}

#[tokio::test]
async fn an_identity_is_frozen_from_its_creation_on() {
    let host = Host::new(&[("a0", 10)]);
    let first = {
        let daemon = host.daemon().await;
        daemon.create(A, &["a0"]).await.expect("created");
        leaves(&daemon)
    };
    check(&first);
    assert!(first[0].contains(A), "{}", first[0]);
    // Another second, by which a document that is rendered again would differ.
    let record = |store: &Store| store.load().expect("good").records.remove(0);
    let store = Store::open(host.state.path()).expect("a good store");
    let mut later = record(&store);
    later.instance.pending_time = Time::parse("2001-02-03T04:05:06Z").expect("a time");
    store.update([&later], 1).expect("written");
    drop(store);
    let daemon = host.daemon().await;
    assert_eq!(leaves(&daemon), first);
    let tags = OptionChanges { instance_metadata_tags: Some("enabled".into()), ..OptionChanges::default() };
    daemon.registry.set_options(Some(A), &tags).await.expect("set");
    assert_eq!(leaves(&daemon), first, "a tree that is rendered anew has it too");
}

#[tokio::test]
async fn a_restart_signs_anew_and_keeps_everything_else() {
    let host = Host::new(&[("a0", 10)]);
    let daemon = host.daemon().await;
    let created = daemon.create(A, &["a0"]).await.expect("created");
    drop(daemon);
    let store = Store::open(host.state.path()).expect("a good store");
    let mut earlier = store.load().expect("good").records.remove(0);
    let identity = Arc::make_mut(earlier.identity.as_mut().expect("signed"));
    identity.document = "as it was".into();
    store.update([&earlier], 1).expect("written");
    drop(store);
    let daemon = host.daemon().await;
    assert_eq!(leaf(&daemon, "document"), "as it was");
    assert_eq!(daemon.registry.restart(A).await.expect("restarted"), created);
    let restarted = leaves(&daemon);
    check(&restarted);
    drop(daemon);
    assert_eq!(leaves(&host.daemon().await), restarted, "it is stored");
    let unknown = host.daemon().await.registry.restart(B).await.expect_err("unknown");
    assert!(matches!(unknown, RegistryError::NotFound(id) if id == B));
}

#[tokio::test]
async fn an_instance_without_an_identity_gets_one_at_the_start() {
    let host = Host::new(&[("a0", 10)]);
    host.daemon().await.create(A, &["a0"]).await.expect("created");
    let store = Store::open(host.state.path()).expect("a good store");
    let mut record = store.load().expect("good").records.remove(0);
    record.identity = None;
    store.update([&record], 1).expect("written");
    drop(store);
    let signed = leaves(&host.daemon().await);
    check(&signed);
    assert_eq!(leaves(&host.daemon().await), signed, "once");
}

#[tokio::test]
async fn what_changes_while_it_runs_is_in_the_next_restarts_document() {
    let host = Host::new(&[("a0", 10)]);
    let daemon = host.daemon().await;
    let launched = json!({ "instance-type": "m5.large", "pending-time": "2001-02-03T04:05:06Z" });
    let created = CreateInstance { document: Json(launched), ..request(A, &["a0"]) };
    daemon.registry.create(&created).await.expect("created");
    let first = leaves(&daemon);
    check(&first);
    assert!(first[0].contains("\"pendingTime\" : \"2001-02-03T04:05:06Z\""), "{}", first[0]);
    let change = Change::Merge(Json(json!({ "instance-type": "m5.xlarge", "local-ipv4": "10.9.9.9" })));
    daemon.registry.change(A, &change).await.expect("changed");
    assert_eq!(leaves(&daemon), first);
    let before = Time::now();
    daemon.registry.restart(A).await.expect("restarted");
    let second = leaves(&daemon);
    check(&second);
    let document: serde_json::Value = serde_json::from_str(&second[0]).expect("JSON");
    assert_eq!((&document["instanceType"], &document["privateIp"]), (&json!("m5.xlarge"), &json!("10.9.9.9")));
    let pending = Time::parse(document["pendingTime"].as_str().expect("text")).expect("a time");
    assert!(pending >= before, "{pending}");
    daemon.registry.create(&created).await.expect("the same create, whatever was changed since");
}
