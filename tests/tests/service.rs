//! Answers byte by byte, over real connections, in both modes.

use imds_tests::credentials::{self, ROLE};
use imds_tests::family::Family;
use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::http::{Connection, TTL, request};
use imds_tests::names;
use imds_tests::over_both_families;
use imds_tests::verdicts::{INSTANCE_ID, Mode, TOKEN_PATH, assert_well_formed, rows};

over_both_families!(
    the_verdict_table_in_every_mode,
    cut_in_two_every_request_is_judged_alike,
    the_kernels_answers_are_the_daemons_but_for_the_date,
    a_token_expires
);

const ADDRESS: &str = "10.0.0.1";

/// Sends each row on a connection of its own, in two parts where `cut` tells where, and compares what comes.
fn compare_rows(family: Family, cut: impl Fn(usize) -> Option<usize>) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let id = host.create(guest.interface(), &[]);
    let rows = rows(&guest.token());
    for mode in Mode::ALL {
        host.set(&id, mode.options());
        for row in &rows {
            let (name, bytes) = (format!("{}, {mode:?}", row.name), row.bytes());
            let (first, second) = bytes.split_at(cut(bytes.len()).unwrap_or(bytes.len()));
            let mut connection = Connection::open(&guest).expect("connects");
            // What is malformed may be answered before it is whole, and what comes then be reset.
            let _ = connection.send(first).and_then(|()| connection.send(second));
            let answers = row.bodyless(mode).into_iter().map(|bodyless| connection.receive(bodyless));
            let answers: Vec<_> =
                answers.map(|answer| answer.unwrap_or_else(|error| panic!("{name}: {error}"))).collect();
            let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
            assert_eq!(statuses, row.statuses(mode), "{name}: {answers:?}");
            for answer in &answers {
                assert_well_formed(&name, answer);
            }
        }
    }
}

fn the_verdict_table_in_every_mode(family: Family) {
    compare_rows(family, |_| None);
}

fn cut_in_two_every_request_is_judged_alike(family: Family) {
    compare_rows(family, |length| Some(length - 3));
}

fn the_kernels_answers_are_the_daemons_but_for_the_date(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let id = host.create(guest.interface(), &["--metadata-options", "HttpTokens=required"]);
    let without_date = |head: &str| {
        head.split_inclusive("\r\n").filter(|line| !line.starts_with("Date: ")).collect::<Vec<_>>().concat()
    };
    let read = request("GET", INSTANCE_ID, &[]);
    let by_kernel = guest.exchange(&read);
    assert_eq!((host.stats(&id).kernel("refused-token-missing"), host.stats(&id).requests()), (1, 0));
    let mut connection = Connection::open(&guest).expect("connects");
    connection.send(&read[..20]).expect("sent");
    connection.send(&read[20..]).expect("sent");
    let by_daemon = connection.receive(false).expect("an answer");
    let stats = host.stats(&id);
    assert_eq!((stats.daemon("refused-token-missing"), stats.requests()), (1, 1), "this one the daemon refuses");
    assert_eq!(stats.no_token_rejected(), 2);
    assert_eq!(without_date(&by_kernel.head), without_date(&by_daemon.head));
    let expected = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nServer: EC2ws\r\nConnection: close\r\n\
                    Content-Type: text/plain\r\n\r\n";
    assert_eq!(without_date(&by_kernel.head), expected);
}

fn a_token_expires(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let _ = host.create(guest.interface(), &[]);
    let token = guest.exchange(&request("PUT", TOKEN_PATH, &[(TTL, "2")]));
    assert_eq!(token.header(TTL), Some("2"));
    let read = || guest.get(INSTANCE_ID, Some(&token.text())).status;
    assert_eq!(read(), 200);
    imds_tests::wait::until("the token to expire", read, |&status| status == 401);
}

#[test]
fn redirects_name_the_host_that_was_asked() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let _ = host.create(guest.interface(), &[]);
    let answer = guest.get("/latest/dynamic/instance-identity", None);
    let location = "http://169.254.169.254/latest/dynamic/instance-identity/";
    assert_eq!((answer.status, answer.header("Location")), (301, Some(location)));
}

#[test]
fn the_tree_is_the_instances() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let user_data: Vec<u8> = (0..16 * 1024).map(|i: u32| i.to_le_bytes()[0]).collect();
    let user_data_file = names::file("user-data", &user_data, 0o600);
    let credentials_file = credentials::file();
    let id = host.create(
        guest.interface(),
        &[
            "--instance-id=i-0123456789abcdef0",
            "--image-id=ami-0abcdef1234567890",
            "--instance-type=c7g.large",
            "--availability-zone=eu-west-1b",
            "--private-ip=172.31.5.6",
            "--account-id=123456789012",
            "--iam-role",
            ROLE,
            "--credentials-file",
            credentials_file.to_str().expect("a name in UTF-8"),
            "--user-data-file",
            user_data_file.to_str().expect("a name in UTF-8"),
        ],
    );
    assert_eq!(id, "i-0123456789abcdef0");
    let text = |path: &str| {
        let answer = guest.get(path, None);
        assert_eq!(answer.status, 200, "{path}");
        answer.text()
    };
    assert_eq!(text("/latest/"), "dynamic\nmeta-data\nuser-data");
    for (name, value) in [
        ("ami-id", "ami-0abcdef1234567890"),
        ("ami-launch-index", "0"),
        ("hostname", "ip-172-31-5-6.eu-west-1.compute.internal"),
        ("instance-id", "i-0123456789abcdef0"),
        ("instance-type", "c7g.large"),
        ("local-ipv4", "172.31.5.6"),
        ("placement/availability-zone", "eu-west-1b"),
        ("placement/region", "eu-west-1"),
        ("security-groups", "default"),
        ("iam/security-credentials/", ROLE),
    ] {
        assert_eq!(text(&format!("/latest/meta-data/{name}")), value, "{name}");
    }
    let answer = guest.get("/latest/user-data", None);
    assert_eq!(answer.body, user_data);
    assert_eq!(answer.header("Content-Type"), Some("application/octet-stream"));
    let json = |path: &str| -> serde_json::Value { serde_json::from_str(&text(path)).expect("JSON") };
    let document = json("/latest/dynamic/instance-identity/document");
    assert_eq!((&document["instanceId"], &document["region"]), (&id.as_str().into(), &"eu-west-1".into()));
    let role = json(&format!("/latest/meta-data/iam/security-credentials/{ROLE}"));
    assert_eq!(role["Code"], "Success");
    assert_eq!(role["SecretAccessKey"], credentials::SECRET_ACCESS_KEY);
    assert_eq!(role["Expiration"], "2099-01-01T00:00:00Z");
}

#[test]
fn what_an_instance_does_not_have_is_not_listed() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let _ = host.create(guest.interface(), &[]);
    assert_eq!(guest.get("/latest/", None).text(), "dynamic\nmeta-data");
    let listed = guest.get("/latest/meta-data/", None).text();
    assert!(!listed.contains("iam") && !listed.contains("tags"), "{listed}");
    for absent in ["/latest/user-data", "/latest/meta-data/iam/", "/latest/meta-data/tags/instance/"] {
        assert_eq!(guest.get(absent, None).status, 404, "{absent}");
    }
    // Clients that crawl give up when a listed name isn't there.
    for name in listed.lines() {
        assert_eq!(guest.get(&format!("/latest/meta-data/{name}"), None).status, 200, "{name}");
    }
}

#[test]
fn secrets_stay_out_of_logs_and_lists() {
    let host = Host::with_config("[log]\nlevel = \"trace\"\n");
    let guest = Guest::on_veth(ADDRESS);
    let user_data = names::file("user-data", b"a secret of the user", 0o600);
    let file = credentials::file();
    let secret_files = ["--user-data-file", user_data.to_str().expect("UTF-8"), "--credentials-file"];
    let id = host
        .create(guest.interface(), &[&secret_files[..], &[file.to_str().expect("UTF-8"), "--iam-role", ROLE]].concat());
    let token = guest.token();
    assert_eq!(guest.get(INSTANCE_ID, Some(&token)).status, 200);
    let role = guest.get(&format!("/latest/meta-data/iam/security-credentials/{ROLE}"), Some(&token));
    assert!(role.text().contains(credentials::SECRET_ACCESS_KEY));
    let shown = host.ask(&["instance", "show", &id]).to_string();
    let table = host.ctl(&["instance", "show", &id]).stdout;
    let log = host.log();
    assert!(log.contains(&id), "{log}");
    let secrets = [token.as_str(), credentials::SECRET_ACCESS_KEY, credentials::SESSION_TOKEN, "a secret of the user"];
    for secret in secrets {
        for text in [&log, &shown, &table] {
            assert!(!text.contains(secret), "{secret} stands in: {text}");
        }
    }
}
