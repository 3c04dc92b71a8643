//! Real clients, as they are.

use imds_tests::credentials::{self, FIND_BY_BOTO3, ROLE};
use imds_tests::guest::{Bridge, Guest};
use imds_tests::host::Host;

const ADDRESS: &str = "10.0.0.1";
const INSTANCE_ID: &str = "/latest/meta-data/instance-id";

#[test]
fn curl_reads_with_a_token_and_without() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let id = host.create(guest.interface(), &[]);
    let token = guest.curl_token();
    assert_eq!((token.code, token.status, token.body.len()), (Some(0), 200, 56));
    assert_eq!(guest.curl_with(&token.body, INSTANCE_ID).body, id);
    assert_eq!(guest.curl(&[], INSTANCE_ID).body, id);
    host.set(&id, &["--http-tokens", "required"]);
    let refused = guest.curl(&[], INSTANCE_ID);
    assert_eq!((refused.code, refused.status, refused.body.as_str()), (Some(0), 401, ""));
    assert_eq!(guest.curl_with(&token.body, INSTANCE_ID).body, id);
}

#[test]
fn curl_follows_a_redirect_and_keeps_its_connection() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let _ = host.create(guest.interface(), &["--availability-zone", "eu-central-1b"]);
    let followed = guest.curl(&["--location"], "/latest/meta-data/placement");
    assert_eq!((followed.status, followed.body.as_str()), (200, "availability-zone\nregion"));
    let urls = ["region", "availability-zone"]
        .map(|name| format!("{}/latest/meta-data/placement/{name}", imds_tests::client::URL));
    let arguments = ["--silent", "--noproxy", "*", "--max-time", "5", "--write-out", " %{num_connects};"];
    let both = guest.run("curl", &[&arguments[..], &[&urls[0], &urls[1]]].concat());
    assert_eq!(both.stdout, "eu-central-1 1;eu-central-1b 0;");
}

#[test]
fn wget_reads_where_it_is_installed() {
    if let Err(error) = std::process::Command::new("wget").arg("--version").output() {
        println!("wget isn't tried: {error}");
        return;
    }
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let id = host.create(guest.interface(), &[]);
    let read = ["--quiet", "--no-proxy", "--tries=1", "--timeout=5", "--output-document=-"];
    let url = format!("{}{INSTANCE_ID}", imds_tests::client::URL);
    assert_eq!(guest.run("wget", &[&read[..], &[&url]].concat()).stdout, id);
    host.set(&id, &["--http-tokens", "required"]);
    // 6: a 401, which wget takes for a matter of passwords.
    assert_eq!(guest.run("wget", &[&read[..], &[&url]].concat()).code, Some(6));
}

#[test]
fn boto3_finds_region_and_credentials_in_both_modes() {
    let host = Host::start();
    let bridge = Bridge::new();
    let guests = [Guest::on_veth(ADDRESS), Guest::on_bridge(&bridge, ADDRESS)];
    let file = credentials::file();
    let role = ["--iam-role", ROLE, "--credentials-file", file.to_str().expect("a name in UTF-8")];
    for guest in &guests {
        let zone = ["--availability-zone", "ap-southeast-2c"];
        let id = host.create(guest.interface(), &[&role[..], &zone].concat());
        for mode in ["optional", "required"] {
            host.set(&id, &["--http-tokens", mode]);
            let found = guest.python(FIND_BY_BOTO3);
            assert_eq!(found.stdout, credentials::found_by_boto3("ap-southeast-2"), "{mode}: {}", found.stderr);
        }
        let stats = host.stats(&id);
        assert_eq!((stats.no_token(), stats.no_token_rejected()), (0, 0), "boto3 always asks for a token first");
    }
}

#[test]
fn boto3_falls_back_to_reads_without_a_token_at_a_limit_that_is_too_small() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let file = credentials::file();
    let file = file.to_str().expect("a name in UTF-8");
    let role = ["--iam-role", ROLE, "--credentials-file", file, "--availability-zone", "us-west-2a"];
    let id = host.create(guest.interface(), &role);
    let behind = guest.client_behind();
    let found = behind.python(FIND_BY_BOTO3);
    assert_eq!(found.stdout, credentials::found_by_boto3("us-west-2"), "{}", found.stderr);
    assert!(host.stats(&id).no_token() > 0);
    host.set(&id, &["--http-tokens", "required"]);
    let lost = behind.python(FIND_BY_BOTO3);
    assert!(!lost.stdout.contains(credentials::ACCESS_KEY_ID), "{}", lost.stdout);
    host.set(&id, &["--http-put-response-hop-limit", "2"]);
    let found = behind.python(FIND_BY_BOTO3);
    assert_eq!(found.stdout, credentials::found_by_boto3("us-west-2"), "{}", found.stderr);
}
