//! Options that change while an instance runs: the next packet sees them.

use imds_tests::family::Family;
use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::http::{Connection, TTL, request};
use imds_tests::over_both_families;
use serde_json::{Value, json};

over_both_families!(
    tokenless_reads_are_served_and_counted_while_optional,
    the_next_tokenless_read_is_refused_by_the_kernel,
    an_open_connection_is_refused_too,
    a_disabled_endpoint_refuses_everything,
    all_instances_change_at_once,
    one_instance_changes_alone,
    tags_appear_and_go_with_their_option,
    options_are_applied_when_the_call_returns_and_after_a_restart
);

const ADDRESS: &str = "10.0.0.1";
const INSTANCE_ID: &str = "/latest/meta-data/instance-id";

fn defaults() -> Value {
    json!({
        "State": "applied",
        "HttpTokens": "optional",
        "HttpPutResponseHopLimit": 1,
        "HttpEndpoint": "enabled",
        "HttpProtocolIpv6": "disabled",
        "InstanceMetadataTags": "disabled",
    })
}

fn assert_shown(shown: &Value, expected: &Value) {
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&shown[name], value, "{name} of {shown}");
    }
}

#[test]
fn a_new_instance_has_ec2s_defaults() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let id = host.create(guest.interface(), &[]);
    assert_shown(&host.ask(&["options", "show", &id]), &defaults());
}

fn tokenless_reads_are_served_and_counted_while_optional(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let id = host.create(guest.interface(), &[]);
    for count in 1..=3 {
        assert_eq!(guest.get(INSTANCE_ID, None).status, 200);
        assert_eq!(host.stats(&id).no_token(), count);
    }
    assert_eq!(guest.get("/latest/meta-data/no-such-thing", None).status, 404);
    let stats = host.stats(&id);
    assert_eq!((stats.no_token(), stats.no_token_rejected()), (3, 0), "what isn't there isn't an access");
}

fn the_next_tokenless_read_is_refused_by_the_kernel(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let id = host.create(guest.interface(), &[]);
    assert_eq!(guest.get(INSTANCE_ID, None).status, 200);
    let before = host.stats(&id);
    host.set(&id, &["--http-tokens", "required"]);
    let answer = guest.get(INSTANCE_ID, None);
    let after = host.stats(&id);
    assert_eq!(answer.status, 401);
    assert_eq!(answer.header("Server"), Some("EC2ws"));
    assert_eq!(after.requests(), before.requests(), "the daemon has seen it");
    assert_eq!(after.kernel("refused-token-missing"), 1);
    assert_eq!((after.no_token(), after.no_token_rejected()), (1, 1));
    assert_eq!(guest.get(INSTANCE_ID, Some(&guest.token())).status, 200);
}

fn an_open_connection_is_refused_too(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let id = host.create(guest.interface(), &[]);
    let mut connection = Connection::open(&guest).expect("connects");
    let read = request("GET", INSTANCE_ID, &[]);
    assert_eq!(connection.ask(&read).expect("an answer").status, 200);
    assert_eq!(connection.ask(&read).expect("an answer").status, 200);
    host.set(&id, &["--http-tokens", "required"]);
    assert_eq!(connection.ask(&read).expect("an answer").status, 401);
    assert!(connection.is_closed().expect("an orderly end"));
    let stats = host.stats(&id);
    assert_eq!((stats.requests(), stats.no_token_rejected()), (2, 1));
}

fn a_disabled_endpoint_refuses_everything(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let id = host.create(guest.interface(), &[]);
    let token = guest.token();
    host.set(&id, &["--http-endpoint", "disabled"]);
    let put = request("PUT", "/latest/api/token", &[(TTL, "60")]);
    let answers = [guest.get(INSTANCE_ID, None), guest.get(INSTANCE_ID, Some(&token)), guest.exchange(&put)];
    assert_eq!(answers.map(|answer| answer.status), [403, 403, 403]);
    assert_eq!(host.stats(&id).kernel("refused-endpoint-disabled"), 3);
    host.set(&id, &["--http-endpoint", "enabled"]);
    assert_eq!(guest.get(INSTANCE_ID, Some(&token)).status, 200);
    assert_eq!(guest.get(INSTANCE_ID, None).status, 200);
}

#[test]
fn an_option_left_out_keeps_its_value() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let id = host.create(guest.interface(), &["--metadata-options", "HttpTokens=required,HttpPutResponseHopLimit=3"]);
    host.set(&id, &["--instance-metadata-tags", "enabled"]);
    let expected = json!({
        "HttpTokens": "required", "HttpPutResponseHopLimit": 3, "HttpEndpoint": "enabled",
        "HttpProtocolIpv6": "disabled", "InstanceMetadataTags": "enabled",
    });
    assert_shown(&host.ask(&["options", "show", &id]), &expected);
    host.set(&id, &["--http-put-response-hop-limit", "64"]);
    host.set(&id, &["--http-tokens", "optional"]);
    let expected = json!({
        "HttpTokens": "optional", "HttpPutResponseHopLimit": 64, "HttpEndpoint": "enabled",
        "HttpProtocolIpv6": "disabled", "InstanceMetadataTags": "enabled",
    });
    assert_shown(&host.ask(&["options", "show", &id]), &expected);
}

fn all_instances_change_at_once(family: Family) {
    let host = Host::start().over(family);
    let guests = [Guest::on_veth(ADDRESS).over(family), Guest::on_veth(ADDRESS).over(family)];
    for guest in &guests {
        let _ = host.create(guest.interface(), &[]);
    }
    host.ask(&["options", "set", "--all", "--http-tokens", "required"]);
    assert_eq!(guests.each_ref().map(|guest| guest.get(INSTANCE_ID, None).status), [401, 401]);
    host.ask(&["options", "set", "--all", "--http-tokens", "optional"]);
    assert_eq!(guests.each_ref().map(|guest| guest.get(INSTANCE_ID, None).status), [200, 200]);
}

fn one_instance_changes_alone(family: Family) {
    let host = Host::start().over(family);
    let (first, second) = (Guest::on_veth(ADDRESS).over(family), Guest::on_veth(ADDRESS).over(family));
    let id = host.create(first.interface(), &[]);
    let _ = host.create(second.interface(), &[]);
    host.set(&id, &["--http-tokens", "required"]);
    assert_eq!((first.get(INSTANCE_ID, None).status, second.get(INSTANCE_ID, None).status), (401, 200));
}

fn tags_appear_and_go_with_their_option(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let id = host.create(guest.interface(), &["--tag", "Name=web", "--tag", "Team=a=b"]);
    let path = "/latest/meta-data/tags/instance/";
    assert_eq!(guest.get(path, None).status, 404);
    host.set(&id, &["--instance-metadata-tags", "enabled"]);
    assert_eq!(guest.get(path, None).text(), "Name\nTeam");
    assert_eq!(guest.get(&format!("{path}Team"), None).text(), "a=b");
    host.set(&id, &["--instance-metadata-tags", "disabled"]);
    assert_eq!(guest.get(path, None).status, 404);
}

fn options_are_applied_when_the_call_returns_and_after_a_restart(family: Family) {
    let mut host = Host::start().over(family);
    let guests = [Guest::on_veth(ADDRESS).over(family), Guest::on_veth(ADDRESS).over(family)];
    let [first, second] = guests.each_ref().map(Guest::interface);
    let id = host.create(first, &["--interface", second]);
    for (round, tokens) in ["required", "optional", "required"].into_iter().enumerate() {
        let set = host.ask(&["options", "set", &id, "--http-tokens", tokens]);
        assert_eq!(set[0]["metadata_options"]["State"], "applied");
        assert_eq!(set[0]["metadata_options"]["HttpTokens"], tokens);
        if round > 0 {
            host.kill();
            host.launch();
        }
        let shown = host.ask(&["options", "show", &id]);
        assert_eq!((&shown["State"], &shown["HttpTokens"]), (&"applied".into(), &tokens.into()));
        let status = if tokens == "required" { 401 } else { 200 };
        for guest in &guests {
            assert_eq!(guest.get("/latest/meta-data/", None).status, status, "round {round}");
        }
    }
}
