use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::json;

use super::*;
use crate::metadata::document::Credentials;
use crate::metadata::sample;

fn specs(given: &[(&str, Delivery, Provider)]) -> Vec<RoleSpec> {
    given
        .iter()
        .cloned()
        .map(|(name, delivery, provider)| RoleSpec { name: name.to_owned(), delivery, provider })
        .collect()
}

fn credentials_file(scratch: &tempfile::TempDir, name: &str) -> PathBuf {
    let path = scratch.path().join(name);
    let credentials = Credentials { access_key_id: name.to_owned(), ..sample::credentials() };
    fs::write(&path, serde_json::to_vec(&credentials).expect("JSON")).expect("scratch");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("owner");
    path
}

fn opened(scratch: &tempfile::TempDir, specs: &[RoleSpec]) -> Issuer {
    fs::set_permissions(scratch.path(), Permissions::from_mode(0o700)).expect("owner");
    Issuer::open(scratch.path(), specs).expect("opened").0
}

/// An instance that has a role of the config.
fn instance(role: &str) -> Instance {
    sample::with(json!({ "iam": { "role": role } }))
}

/// What its reads of its role's credentials get, without a token and with one.
fn read(issuer: &Issuer, instance: &Instance) -> [String; 2] {
    read_of(Bearer::Role, issuer, instance)
}

fn read_of(bearer: Bearer, issuer: &Issuer, instance: &Instance) -> [String; 2] {
    let deliveries = issuer.deliveries(instance);
    let deliveries = deliveries.of(bearer).expect("it has them");
    let body = |with_token| {
        let page = deliveries.page(date::unix_seconds(), with_token);
        String::from_utf8(page.body().to_vec()).expect("UTF-8")
    };
    [body(false), body(true)]
}

#[test]
fn reads_with_and_without_a_token_can_be_given_different_credentials() {
    let scratch = tempfile::tempdir().expect("scratch directory");
    let [one, two] = ["one", "two"].map(|name| Provider::Static(credentials_file(&scratch, name)));
    let specs = specs(&[
        ("both", Delivery::Any, one.clone()),
        ("each", Delivery::WithoutToken, one.clone()),
        ("each", Delivery::WithToken, two.clone()),
        ("tokens", Delivery::WithToken, two),
        ("no-tokens", Delivery::WithoutToken, one),
    ]);
    let issuer = opened(&scratch, &specs);
    let cases = [
        ("both", ["\"one\"", "\"one\""]),
        ("each", ["\"one\"", "\"two\""]),
        ("tokens", ["The role tokens gives no credentials to a read without a token.", "\"two\""]),
        ("no-tokens", ["\"one\"", "The role no-tokens gives no credentials to a read with a token."]),
    ];
    for (role, expected) in cases {
        let found = read(&issuer, &instance(role));
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{role}: {found}");
        }
        let state = issuer.state(&instance(role)).expect("it has a role");
        let expected = RoleState { provider: "static".into(), expiration: Some("2100-01-02T03:04:05Z".into()) };
        assert_eq!(state, expected, "{role}");
    }
}

#[test]
fn a_role_that_nobody_knows_is_refused_with_the_way_out() {
    let scratch = tempfile::tempdir().expect("scratch directory");
    let refusal = |issuer: &Issuer| issuer.check(&instance("web")).expect_err("unknown").to_string();
    let text = refusal(&opened(&scratch, &[]));
    assert!(text.contains("role \"web\" is not in imdsd's config (which has none); give --credentials-file"), "{text}");
    let specs = specs(&[
        ("db", Delivery::Any, Provider::File("/x".into())),
        ("app", Delivery::Any, Provider::File("/x".into())),
    ]);
    let issuer = opened(&scratch, &specs);
    assert!(refusal(&issuer).contains("(which has app, db)"), "{}", refusal(&issuer));
    issuer.check(&instance("db")).expect("known");
    issuer.check(&sample::instance()).expect("its own");
}

#[test]
fn a_role_that_is_gone_from_the_config_is_a_failure() {
    let scratch = tempfile::tempdir().expect("scratch directory");
    let issuer = opened(&scratch, &[]);
    issuer.load([instance("web")].iter());
    for body in read(&issuer, &instance("web")) {
        assert!(body.contains("AssumeRoleUnauthorizedAccess"), "{body}");
    }
    let state = issuer.state(&instance("web"));
    assert_eq!(state, Some(RoleState { provider: "none".into(), expiration: None }));
}

#[test]
fn a_static_file_of_the_config_must_be_good_at_the_start() {
    let scratch = tempfile::tempdir().expect("scratch directory");
    let missing = scratch.path().join("missing.json");
    let specs_of = |provider: fn(PathBuf) -> Provider| specs(&[("web", Delivery::Any, provider(missing.clone()))]);
    let error = Issuer::open(scratch.path(), &specs_of(Provider::Static)).err().expect("refused").to_string();
    assert!(
        error.starts_with("role \"web\" of imdsd's config: ") && error.contains("missing.json can't be read"),
        "{error}"
    );
    let issuer = opened(&scratch, &specs_of(Provider::File));
    assert!(read(&issuer, &instance("web"))[0].contains("The role web has no credentials now."));
    assert_eq!(issuer.state(&instance("web")), Some(RoleState { provider: "file".into(), expiration: None }));
}

#[test]
fn an_instances_own_outlive_the_daemon_and_go_with_the_instance() {
    let scratch = tempfile::tempdir().expect("scratch directory");
    let own = sample::instance();
    let deposit = Deposit::new(&own, Bearer::Role, sample::credentials());
    let deposits = ByBearer { role: Some(deposit.clone()), instance: None };
    opened(&scratch, &[]).keep(&own.instance_id, &deposits).expect("kept");
    let issuer = opened(&scratch, &[]);
    let lost = RoleState { provider: "static".into(), expiration: None };
    let there = RoleState { expiration: Some("2100-01-02T03:04:05Z".into()), ..lost.clone() };
    assert_eq!(issuer.state(&own), Some(there.clone()), "not read yet");
    issuer.load([own.clone()].iter());
    for body in read(&issuer, &own) {
        assert!(
            body.contains("\"secret/key+1\"") && body.contains("\"LastUpdated\" : \"2026-11-22T09:08:07Z\""),
            "{body}"
        );
    }
    assert_eq!(issuer.state(&own), Some(there));
    assert_eq!(issuer.kept(&own.instance_id, Bearer::Role).expect("readable"), Some(deposit));
    issuer.forget(&own.instance_id, Bearer::Role).expect("forgotten");
    assert_eq!(issuer.kept(&own.instance_id, Bearer::Role).expect("readable"), None);
    assert!(read(&issuer, &own)[0].contains("The role app has no credentials now."));
    assert_eq!(issuer.state(&own), Some(lost));
}

#[test]
fn an_instances_own_identity_is_not_its_roles() {
    let scratch = tempfile::tempdir().expect("scratch directory");
    let instance = sample::everything();
    let issuer = opened(&scratch, &[]);
    assert!(read_of(Bearer::Instance, &issuer, &instance)[0].contains("The instance has no credentials now."));
    let own = Credentials { token: "identity==".into(), ..sample::credentials() };
    let given = Instance { modified: Time::parse("2026-12-24T01:02:03Z").expect("a time"), ..instance.clone() };
    let deposits = ByBearer {
        role: Some(Deposit::new(&instance, Bearer::Role, sample::credentials())),
        instance: Some(Deposit::new(&given, Bearer::Instance, own)),
    };
    issuer.keep(&instance.instance_id, &deposits).expect("kept");
    issuer.load([instance.clone()].iter());
    let updated = "\"LastUpdated\" : \"2026-12-24T01:02:03Z\"";
    for body in read_of(Bearer::Instance, &issuer, &instance) {
        assert!(body.contains("\"Token\" : \"identity==\"") && body.contains(updated), "{body}");
    }
    let page = issuer.deliveries(&instance).instance.map(|deliveries| deliveries.page(0, true)).expect("it has them");
    assert_eq!(page.modified(), b"Thu, 24 Dec 2026 01:02:03 GMT");
    assert!(read(&issuer, &instance)[1].contains("\"Token\" : \"session==\""));
    let deliveries = issuer.deliveries(&instance).instance.expect("it has them");
    let over = deliveries.page(u64::MAX, true);
    let over = String::from_utf8_lossy(over.body());
    assert!(over.contains("The credentials of the instance expired at 2100-01-02T03:04:05Z."), "{over}");
    assert!(issuer.deliveries(&sample::instance()).instance.is_none());
}
