//! The credentials of instances, beside their records.

use std::fs;

use serde_json::{Value, json};

use super::*;
use crate::credentials::CredentialsError;
use crate::metadata::document::{Credentials, Time};
use crate::metadata::tree::Lookup;
use crate::metadata::{patch, sample};
use crate::registry::request::{ApplyOutcome, Change, Described, Json};

fn with_role(id: &str, interface: &str) -> CreateInstance {
    let document = json!({ "iam": { "role": "app", "credentials": sample::credentials() } });
    CreateInstance { document: Json(document), ..request(id, &[interface]) }
}

/// Names of the files in the vault.
fn kept(host: &Host) -> Vec<String> {
    let entries = fs::read_dir(host.state.path().join("credentials")).expect("there");
    entries.map(|entry| entry.expect("there").file_name().into_string().expect("UTF-8")).collect()
}

/// Whether a text stands in the store.
fn is_stored(host: &Host, text: &str) -> bool {
    let bytes = fs::read(host.state.path().join("imdsd.redb")).expect("there");
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// What the instance behind slot 1 reads at a path, if credentials are there.
fn read_at(daemon: &Daemon, path: &str) -> Option<String> {
    let tree = daemon.directory.get(1).expect("served").tree();
    match tree.lookup(format!("/latest/meta-data/{path}").as_bytes(), 0) {
        Lookup::Credentials(deliveries) => String::from_utf8(deliveries.page(0, true).body().to_vec()).ok(),
        _ => None,
    }
}

/// What it reads of its role's credentials.
fn read(daemon: &Daemon) -> String {
    read_at(daemon, "iam/security-credentials/app").expect("credentials")
}

/// What it reads of its own.
fn read_own(daemon: &Daemon) -> Option<String> {
    read_at(daemon, "identity-credentials/ec2/security-credentials/ec2-instance")
}

/// Credentials with another token and expiration.
fn others(token: &str, expiration: &str) -> Value {
    json!(Credentials { token: token.into(), expiration: expiration.into(), ..sample::credentials() })
}

fn merge(patch: Value) -> Change {
    Change::Merge(Json(patch))
}

fn unset(path: &str) -> Change {
    Change::Unset { path: path.into() }
}

#[tokio::test]
async fn they_are_served_and_kept_but_never_in_the_store() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    let view = daemon.registry.create(&with_role(A, "tap1")).await.expect("created");
    assert_eq!((view.iam_role.as_deref(), view.credentials_provider.as_deref()), (Some("app"), Some("static")));
    assert_eq!(view.credentials_expiration.as_deref(), Some("2100-01-02T03:04:05Z"));
    assert!(read(&daemon).contains("\"secret/key+1\""));
    assert_eq!(kept(&host), ["i-0000000a.json"]);
    // Options that are changed render the tree anew.
    daemon.registry.set_options(None, &changes(r#"{"InstanceMetadataTags":"enabled"}"#)).await.expect("set");
    assert!(read(&daemon).contains("\"secret/key+1\""));
    drop(daemon);
    assert!(is_stored(&host, "tap1") && is_stored(&host, "2100-01-02T03:04:05Z"));
    let Credentials { secret_access_key, token, access_key_id, .. } = sample::credentials();
    for secret in [secret_access_key, token, access_key_id] {
        assert!(!is_stored(&host, &secret), "{secret}");
    }
    let daemon = host.daemon().await;
    assert!(read(&daemon).contains("\"secret/key+1\""));
    daemon.registry.delete(A, false).await.expect("deleted");
    assert_eq!(kept(&host), [""; 0]);
}

#[tokio::test]
async fn the_same_ones_are_known_again_and_others_refused() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    let created = daemon.registry.create(&with_role(A, "tap1")).await.expect("created");
    assert_eq!(daemon.registry.create(&with_role(A, "tap1")).await.expect("the same"), created);
    let mut other = with_role(A, "tap1");
    other.document.0["iam"]["credentials"]["SecretAccessKey"] = "secret/key+2".into();
    let refused = daemon.registry.create(&other).await.expect_err("others");
    assert!(matches!(refused, RegistryError::OtherContent(id) if id == A));
    assert!(read(&daemon).contains("\"secret/key+1\""), "and nothing is changed");
}

#[tokio::test]
async fn an_instance_that_comes_to_nothing_leaves_none() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    *host.kernel.broken.lock().expect("not poisoned") = Some("tap1".to_owned());
    daemon.registry.create(&with_role(A, "tap1")).await.expect_err("broken");
    daemon.registry.create(&with_role(A, "tap2")).await.expect_err("missing");
    assert_eq!(kept(&host), [""; 0]);
}

#[tokio::test]
async fn what_a_crash_left_is_swept_by_the_next_start() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12)]);
    let daemon = host.daemon().await;
    daemon.registry.create(&with_role(A, "tap1")).await.expect("created");
    daemon.create(B, &["tap2"]).await.expect("created");
    drop(daemon);
    let vault = host.state.path().join("credentials");
    for name in ["i-0000000b.json", "i-0000000c.json", "i-0000000a.new"] {
        fs::copy(vault.join("i-0000000a.json"), vault.join(name)).expect("scratch");
    }
    let daemon = host.daemon().await;
    assert_eq!(kept(&host), ["i-0000000a.json"]);
    assert!(read(&daemon).contains("\"secret/key+1\""));
}

#[tokio::test]
async fn lost_ones_are_a_failure_to_the_guest_and_no_harm_to_anybody_else() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12)]);
    let daemon = host.daemon().await;
    daemon.registry.create(&with_role(A, "tap1")).await.expect("created");
    daemon.create(B, &["tap2"]).await.expect("created");
    drop(daemon);
    let file = host.state.path().join("credentials/i-0000000a.json");
    fs::write(&file, "{}").expect("scratch");
    let daemon = host.daemon().await;
    assert_eq!(daemon.served().len(), 2);
    assert!(read(&daemon).contains("AssumeRoleUnauthorizedAccess"));
    assert_eq!(daemon.registry.show(A).await.expect("there").credentials_expiration, None);
    assert!(file.exists(), "to be looked at");
    daemon.registry.delete(A, false).await.expect("deleted");
    assert!(!file.exists());
}

#[tokio::test]
async fn those_of_another_role_that_a_crash_left_are_served_to_nobody() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    daemon.registry.create(&with_role(A, "tap1")).await.expect("created");
    drop(daemon);
    let file = host.state.path().join("credentials/i-0000000a.json");
    let before = fs::read_to_string(&file).expect("there");
    let daemon = host.daemon().await;
    let another = merge(json!({ "iam": { "role": "web", "credentials": others("web==", "2100-01-02T03:04:05Z") } }));
    daemon.registry.change(A, &another).await.expect("changed");
    drop(daemon);
    // The credentials are there, and the record isn't: as if it were the other way round.
    let after = fs::read_to_string(&file).expect("there");
    assert!(after.contains("web==") && !after.contains("session=="), "{after}");
    fs::write(&file, before).expect("scratch");
    let daemon = host.daemon().await;
    let path = "iam/security-credentials/web";
    let read = read_at(&daemon, path).expect("credentials");
    assert!(read.contains("AssumeRoleUnauthorizedAccess") && !read.contains("session=="), "{read}");
    assert_eq!(daemon.registry.show(A).await.expect("there").credentials_expiration, None);
    for token in ["web==", "session=="] {
        let given = merge(json!({ "iam": { "credentials": others(token, "2100-01-02T03:04:05Z") } }));
        daemon.registry.change(A, &given).await.expect("given again");
        assert!(read_at(&daemon, path).is_some_and(|body| body.contains(token)), "{token}");
    }
}

#[tokio::test]
async fn the_same_ones_given_for_another_role_are_kept_for_that() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    daemon.registry.create(&with_role(A, "tap1")).await.expect("created");
    let renamed = merge(json!({ "iam": { "role": "web", "credentials": sample::credentials() } }));
    daemon.registry.change(A, &renamed).await.expect("changed");
    drop(daemon);
    let read = read_at(&host.daemon().await, "iam/security-credentials/web").expect("credentials");
    assert!(read.contains("\"session==\""), "{read}");
}

#[tokio::test]
async fn a_role_that_nobody_knows_makes_no_instance() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    let mut unknown = with_role(A, "tap1");
    unknown.document.0["iam"]["credentials"].take();
    let error = daemon.registry.create(&unknown).await.expect_err("unknown");
    assert!(matches!(error, RegistryError::Credentials(CredentialsError::UnknownRole { .. })), "{error}");
    assert!(host.log().is_empty() && daemon.registry.list().await.expect("fake").is_empty());
}

#[tokio::test]
async fn others_come_in_their_place_and_what_does_not_give_any_keeps_them() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    daemon.registry.create(&with_role(A, "tap1")).await.expect("created");
    let change = merge(json!({ "iam": { "credentials": others("second==", "2101-01-01T00:00:00Z") } }));
    let view = daemon.registry.change(A, &change).await.expect("changed");
    assert_eq!(view.credentials_expiration.as_deref(), Some("2101-01-01T00:00:00Z"));
    assert!(read(&daemon).contains("\"second==\""));
    for keeping in [
        merge(json!({ "iam": { "role": "app" }, "ami-id": "ami-1" })),
        Change::Replace(Json(json!({ "iam": { "role": "app" } }))),
        Change::Set { path: "instance-type".into(), value: Json("m5.large".into()) },
        unset("instance-type"),
    ] {
        daemon.registry.change(A, &keeping).await.expect("changed");
        assert!(read(&daemon).contains("\"second==\""), "{keeping:?}");
    }
    // They go to another role only where they are given for it.
    for renamed in
        [Change::Set { path: "iam/role".into(), value: Json("web".into()) }, merge(json!({ "iam": { "role": "web" } }))]
    {
        let error = daemon.registry.change(A, &renamed).await.expect_err("the config has no such role");
        assert!(matches!(error, RegistryError::Credentials(CredentialsError::UnknownRole { .. })), "{error}");
        assert!(read(&daemon).contains("\"second==\""), "{renamed:?}");
    }
    let again = others("second==", "2101-01-01T00:00:00Z");
    let renamed = merge(json!({ "iam": { "role": "web", "credentials": again } }));
    daemon.registry.change(A, &renamed).await.expect("changed");
    assert!(read_at(&daemon, "iam/security-credentials/web").is_some_and(|body| body.contains("\"second==\"")));
    assert!(!daemon.registry.document(A).await.expect("there").to_value().to_string().contains("second=="));
    drop(daemon);
    assert!(!is_stored(&host, "second==") && is_stored(&host, "2101-01-01T00:00:00Z"));
    let daemon = host.daemon().await;
    assert!(read_at(&daemon, "iam/security-credentials/web").is_some_and(|body| body.contains("\"second==\"")));
    daemon.registry.create(&with_role(A, "tap1")).await.expect("the same create, whatever was changed since");
    assert_eq!(kept(&host), ["i-0000000a.json"]);
}

#[tokio::test]
async fn they_go_with_the_role_and_not_without_it() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    daemon.registry.create(&with_role(A, "tap1")).await.expect("created");
    let another = Change::Replace(Json(json!({ "iam": { "role": "another" } })));
    for refused in [unset("iam/credentials"), merge(json!({ "iam": { "credentials": null } })), another] {
        let error = daemon.registry.change(A, &refused).await.expect_err("the config has no such role");
        assert!(matches!(error, RegistryError::Credentials(CredentialsError::UnknownRole { .. })), "{error}");
        assert!(read(&daemon).contains("\"session==\"") && kept(&host) == ["i-0000000a.json"], "{refused:?}");
    }
    let view = daemon.registry.change(A, &unset("iam")).await.expect("changed");
    assert_eq!((view.iam_role, view.credentials_provider, view.credentials_expiration), (None, None, None));
    assert_eq!((read_at(&daemon, "iam/security-credentials/app"), kept(&host)), (None, Vec::new()));
}

#[tokio::test]
async fn a_member_alone_is_not_unset_and_it_is_said_what_is() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    daemon.registry.create(&with_role(A, "tap1")).await.expect("created");
    for (path, words) in [
        ("iam/credentials/Token", "taken away as a whole: unset iam/credentials, or set"),
        ("/iam//credentials/AccessKeyId/", "taken away as a whole: unset iam/credentials, or set"),
        ("iam/credentialsToken", "nothing is set there"),
        ("identity-credentials/credentials/Token", "nothing is set there"),
    ] {
        let error = daemon.registry.change(A, &unset(path)).await.expect_err(path).to_string();
        assert!(error.contains(words), "{path}: {error}");
    }
    assert!(read(&daemon).contains("\"session==\""));
}

#[tokio::test]
async fn an_instances_own_identity_has_some_beside_its_roles() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    daemon.registry.create(&with_role(A, "tap1")).await.expect("created");
    assert_eq!(read_own(&daemon), None);
    let own = merge(json!({ "identity-credentials": { "credentials": others("own==", "2101-01-01T00:00:00Z") } }));
    daemon.registry.change(A, &own).await.expect("changed");
    assert!(
        read_own(&daemon).is_some_and(|body| body.contains("\"own==\"")) && read(&daemon).contains("\"session==\"")
    );
    drop(daemon);
    assert!(!is_stored(&host, "own=="));
    let daemon = host.daemon().await;
    assert!(read_own(&daemon).is_some_and(|body| body.contains("\"own==\"")));
    daemon.registry.change(A, &unset("identity-credentials")).await.expect("changed");
    assert_eq!((read_own(&daemon), kept(&host)), (None, vec!["i-0000000a.json".to_owned()]));
    daemon.registry.change(A, &own).await.expect("changed");
    daemon.registry.delete(A, false).await.expect("deleted");
    assert_eq!(kept(&host), [""; 0]);
}

#[tokio::test]
async fn a_change_that_comes_to_nothing_leaves_the_former_ones() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    daemon.registry.create(&with_role(A, "tap1")).await.expect("created");
    // The role's are written, and then the instance's can't be.
    let obstacle = host.state.path().join("credentials/i-0000000a.identity.new");
    fs::create_dir(&obstacle).expect("scratch");
    let change = merge(json!({
        "iam": { "credentials": others("second==", "2101-01-01T00:00:00Z") },
        "identity-credentials": { "credentials": others("own==", "2101-01-01T00:00:00Z") },
    }));
    let error = daemon.registry.change(A, &change).await.expect_err("an obstacle");
    assert!(matches!(error, RegistryError::Credentials(CredentialsError::Vault(_))), "{error}");
    let view = daemon.registry.show(A).await.expect("there");
    assert_eq!(view.credentials_expiration.as_deref(), Some("2100-01-02T03:04:05Z"));
    assert!(read(&daemon).contains("\"session==\"") && read_own(&daemon).is_none());
    drop(daemon);
    fs::remove_dir(&obstacle).expect("there");
    assert_eq!(kept(&host), ["i-0000000a.json"]);
    assert!(read(&host.daemon().await).contains("\"session==\""));
}

#[tokio::test]
async fn a_description_without_them_keeps_them() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12)]);
    let daemon = host.daemon().await;
    daemon.registry.create(&with_role(A, "tap1")).await.expect("created");
    let described = |id: &str, interface: &str, iam: Value| Described {
        instance_id: id.into(),
        interfaces: vec![interface.into()],
        attach: None,
        metadata_options: OptionChanges::default(),
        limits: LimitChanges::default(),
        document: Json(json!({ "iam": iam })),
    };
    let second = others("second==", "2101-01-01T00:00:00Z");
    for (iam, outcome, token) in [
        (json!({ "role": "app" }), ApplyOutcome::Unchanged, "\"session==\""),
        (json!({ "role": "app", "credentials": sample::credentials() }), ApplyOutcome::Unchanged, "\"session==\""),
        (json!({ "role": "app", "credentials": second }), ApplyOutcome::Updated, "\"second==\""),
        (json!({ "role": "app", "credentials": second }), ApplyOutcome::Unchanged, "\"second==\""),
    ] {
        for check in [true, false] {
            let applied =
                daemon.registry.apply(&[described(A, "tap1", iam.clone())], check, &[]).await.expect("applied");
            assert_eq!(applied[0].outcome, outcome, "{iam}");
        }
        assert!(read(&daemon).contains(token), "{iam}");
    }
    let unknown = described(B, "tap2", json!({ "role": "app" }));
    let error = daemon.registry.apply(&[unknown], true, &[]).await.expect_err("unknown").to_string();
    assert!(error.contains("role \"app\" is not in imdsd's config"), "{error}");
}

#[tokio::test]
async fn ones_that_are_over_are_refused_and_the_same_again_is_no_error() {
    const OVER: &str = "expired at 2020-01-01T00:00:00Z; give ones that are still good";
    let host = Host::new(&[("tap1", 11), ("tap2", 12)]);
    let daemon = host.daemon().await;
    let over = others("over==", "2020-01-01T00:00:00Z");
    let described = |credentials: &Value| Described {
        instance_id: A.into(),
        interfaces: vec!["tap1".into()],
        attach: None,
        metadata_options: OptionChanges::default(),
        limits: LimitChanges::default(),
        document: Json(json!({ "iam": { "role": "app", "credentials": credentials } })),
    };
    let mut request = with_role(A, "tap1");
    for path in ["/iam/credentials", "/identity-credentials/credentials"] {
        request.document = with_role(A, "tap1").document;
        patch::merge(&mut request.document.0, at(path, &over));
        let refused = daemon.registry.create(&request).await.expect_err("over").to_string();
        assert!(refused.contains(OVER), "{refused}");
    }
    for check in [true, false] {
        let refused = daemon.registry.apply(&[described(&over)], check, &[]).await.expect_err("over").to_string();
        assert!(refused.contains(OVER) && refused.contains(A), "{refused}");
    }
    assert!(host.owned().is_empty() && kept(&host).is_empty());

    let soon = Time::now().plus(2);
    let short = others("short==", &soon.to_string());
    request.document = described(&short).document;
    daemon.registry.create(&request).await.expect("still good");
    assert_eq!(daemon.registry.show(A).await.expect("there").credentials_expiration, Some(soon.to_string()));
    while Time::now() < soon {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let shown = daemon.registry.show(A).await.expect("there");
    assert_eq!((shown.credentials_provider.as_deref(), shown.credentials_expiration.as_ref()), (Some("static"), None));
    assert_eq!(daemon.registry.create(&request).await.expect("the same"), shown);
    let applied = daemon.registry.apply(&[described(&short)], false, &[]).await.expect("the same");
    assert_eq!(applied[0].outcome, ApplyOutcome::Unchanged);
    let tagged = merge(json!({ "tags": { "a": "b" } }));
    daemon.registry.change(A, &tagged).await.expect("something else");
    let before = daemon.registry.show(A).await.expect("there");
    for change in [merge(at("/iam/credentials", &over)), Change::Replace(described(&over).document)] {
        let refused = daemon.registry.change(A, &change).await.expect_err("over").to_string();
        assert!(refused.contains(OVER), "{refused}");
    }
    daemon.registry.apply(&[described(&over)], false, &[]).await.expect_err("over");
    assert_eq!(daemon.registry.show(A).await.expect("there"), before);
    let fresh = merge(at("/iam/credentials", &others("fresh==", "2101-01-01T00:00:00Z")));
    let changed = daemon.registry.change(A, &fresh).await.expect("good ones");
    assert_eq!(changed.credentials_expiration.as_deref(), Some("2101-01-01T00:00:00Z"));
}

/// A document with one value at a path.
fn at(path: &str, value: &Value) -> Value {
    path.rsplit('/').filter(|name| !name.is_empty()).fold(value.clone(), |value, name| json!({ name: value }))
}
