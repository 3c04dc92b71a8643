//! curl, wget and boto3, as they are.

use imds_tests::credentials::{self, FIND_BY_BOTO3, ROLE};
use imds_tests::family::Family;
use imds_tests::guest::{Bridge, Guest};
use imds_tests::host::Host;
use imds_tests::http::{TOKEN, TTL};
use imds_tests::namespace::Namespace;
use imds_tests::over_both_families;
use imds_tests::process::Output;
use imds_tests::situation::Situation::{Disabled, FarRequired, Optional, Required, TooFarOptional, TooFarRequired};
use imds_tests::situation::{REGION, Scene, USER_DATA};

over_both_families!(curl_reads_with_a_token_and_without, curl_follows_a_redirect_and_keeps_its_connection, curl, wget);

const ADDRESS: &str = "10.0.0.1";
const INSTANCE_ID: &str = "/latest/meta-data/instance-id";

fn curl_reads_with_a_token_and_without(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
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

fn curl_follows_a_redirect_and_keeps_its_connection(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let _ = host.create(guest.interface(), &["--availability-zone", "eu-central-1b"]);
    let followed = guest.curl(&["--location"], "/latest/meta-data/placement");
    assert_eq!((followed.status, followed.body.as_str()), (200, "availability-zone\nregion"));
    let urls =
        ["region", "availability-zone"].map(|name| format!("{}/latest/meta-data/placement/{name}", family.url()));
    let arguments = ["--silent", "--globoff", "--noproxy", "*", "--max-time", "5", "--write-out", " %{num_connects};"];
    let both = guest.run("curl", &[&arguments[..], &[&urls[0], &urls[1]]].concat());
    assert_eq!(both.stdout, "eu-central-1 1;eu-central-1b 0;");
}

/// A client of the command line: its arguments, and how it ends when it is answered 401, when 403, and when not at all.
struct Tool {
    name: &'static str,
    common: &'static [&'static str],
    put: &'static [&'static str],
    codes: [i32; 3],
}

const CURL: Tool = Tool {
    name: "curl",
    common: &["--silent", "--globoff", "--fail", "--noproxy", "*", "--max-time", "2"],
    put: &["--request", "PUT"],
    codes: [22, 22, 28],
};
const WGET: Tool = Tool {
    name: "wget",
    common: &["--quiet", "--no-proxy", "--tries=1", "--timeout=2", "--output-document=-"],
    put: &["--method=PUT"],
    // 6: a 401, which wget takes for a matter of passwords.
    codes: [6, 8, 4],
};

impl Tool {
    fn read(&self, guest: &Namespace, header: Option<&str>, path: &str) -> Output {
        let header: Vec<_> = header.into_iter().flat_map(|header| ["--header", header]).collect();
        guest.run(self.name, &[self.common, &header, &[&format!("{}{path}", guest.family.url())]].concat())
    }

    fn token(&self, guest: &Namespace) -> Output {
        let ttl = format!("{TTL}: 21600");
        guest.run(
            self.name,
            &[self.common, self.put, &["--header", &ttl, &format!("{}/latest/api/token", guest.family.url())]].concat(),
        )
    }

    /// How each of an instance's values is read: none if all are there as they should be, else how the client ends.
    fn values(&self, scene: &Scene, guest: &Namespace, header: Option<&str>) -> Option<i32> {
        let role = credentials::path(ROLE);
        let mut ends: Vec<_> = [
            (INSTANCE_ID, scene.id.as_str()),
            ("/latest/meta-data/placement/region", REGION),
            (&credentials::path(""), ROLE),
            (&role, credentials::SECRET_ACCESS_KEY),
            ("/latest/user-data", USER_DATA),
        ]
        .into_iter()
        .map(|(path, value)| {
            let read = self.read(guest, header, path);
            let found = if path == role { read.stdout.contains(value) } else { read.stdout == value };
            assert_eq!(found, read.success(), "{path}: {read:?}");
            read.code
        })
        .collect();
        ends.dedup();
        assert_eq!(ends.len(), 1, "{ends:?}");
        ends[0].filter(|&code| code != 0)
    }

    fn check(&self, family: Family) {
        let scene = Scene::new(family);
        let (unauthorized, forbidden, lost) = self.codes.map(Some).into();
        let near = format!("{TOKEN}: {}", scene.enter(Optional).token());
        for (situation, token, with, without) in [
            (Optional, Some(0), None, None),
            (Required, Some(0), None, unauthorized),
            (Disabled, forbidden, forbidden, forbidden),
            // A token from elsewhere is good here, too.
            (TooFarOptional, lost, None, None),
            (TooFarRequired, lost, None, unauthorized),
            (FarRequired, Some(0), None, unauthorized),
        ] {
            let guest = scene.enter(situation);
            let asked = self.token(guest);
            assert_eq!(asked.code, token, "{situation:?}: {asked:?}");
            let own = format!("{TOKEN}: {}", asked.stdout);
            let header = if asked.success() { &own } else { &near };
            assert_eq!(self.values(&scene, guest, Some(header)), with, "{situation:?}");
            assert_eq!(self.values(&scene, guest, None), without, "{situation:?}");
        }
    }
}

fn curl(family: Family) {
    CURL.check(family);
}

fn wget(family: Family) {
    WGET.check(family);
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
