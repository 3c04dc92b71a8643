//! The credentials of instances, beside their records.

use std::fs;

use super::*;
use crate::credentials::CredentialsError;
use crate::metadata::instance::Credentials;
use crate::metadata::sample;
use crate::metadata::tree::Lookup;

fn with_role(id: &str, interface: &str) -> CreateInstance {
    let credentials = Some(sample::credentials());
    CreateInstance { iam_role: Some("app".into()), credentials, ..request(id, &[interface]) }
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

/// What the instance behind slot 1 reads of its role's credentials.
fn read(daemon: &Daemon) -> String {
    let tree = daemon.directory.get(1).expect("served").tree();
    match tree.lookup(b"/latest/meta-data/iam/security-credentials/app") {
        Lookup::Leaf(leaf) => String::from_utf8(leaf.page(0, true).body().to_vec()).expect("UTF-8"),
        other => panic!("{other:?}"),
    }
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
    other.credentials.as_mut().expect("given").secret_access_key = "secret/key+2".into();
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
async fn a_role_that_nobody_knows_makes_no_instance() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    let unknown = CreateInstance { credentials: None, ..with_role(A, "tap1") };
    let error = daemon.registry.create(&unknown).await.expect_err("unknown");
    assert!(matches!(error, RegistryError::Credentials(CredentialsError::UnknownRole { .. })), "{error}");
    assert!(host.log().is_empty() && daemon.registry.list().await.expect("fake").is_empty());
}
