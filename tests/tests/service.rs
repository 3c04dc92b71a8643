//! Answers byte by byte, over real connections, in both modes.

use imds_tests::credentials::{self, ROLE};
use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::http::{Answer, Connection, TOKEN, TTL, request};
use imds_tests::names;

const ADDRESS: &str = "10.0.0.1";
const INSTANCE_ID: &str = "/latest/meta-data/instance-id";
const TOKEN_PATH: &str = "/latest/api/token";
const FORWARDED: (&str, &str) = ("X-Forwarded-For", "10.0.0.9");

/// A request, and its status while tokens are optional and while they are required.
type Row = (&'static str, Vec<u8>, u16, u16);

fn rows(token: &str) -> Vec<Row> {
    let good = (TOKEN, token);
    let mut altered = token.to_owned();
    altered.replace_range(20..21, if &token[20..21] == "A" { "B" } else { "A" });
    let other_spelling = token.replace("==", "");
    let put = |headers: &[(&str, &str)]| request("PUT", TOKEN_PATH, headers);
    let get = |headers: &[(&str, &str)]| request("GET", INSTANCE_ID, headers);
    vec![
        ("a read", get(&[]), 200, 401),
        ("a read of the root", request("GET", "/", &[]), 200, 401),
        ("a HEAD", request("HEAD", INSTANCE_ID, &[]), 200, 401),
        ("a read with a token", get(&[good]), 200, 200),
        ("a HEAD with a token", request("HEAD", INSTANCE_ID, &[good]), 200, 200),
        ("a token in a header of another case", get(&[("x-AWS-ec2-METADATA-token", token)]), 200, 200),
        ("one token twice", get(&[good, good]), 200, 200),
        ("two tokens", get(&[good, (TOKEN, "x")]), 400, 400),
        ("an empty token", get(&[(TOKEN, "")]), 401, 401),
        ("no token at all", get(&[(TOKEN, "nonsense")]), 401, 401),
        ("an altered token", get(&[(TOKEN, &altered)]), 401, 401),
        ("a token without padding", get(&[(TOKEN, &other_spelling)]), 401, 401),
        ("a token and a proxy", get(&[good, FORWARDED]), 403, 403),
        ("a proxy", get(&[FORWARDED]), 200, 401),
        ("the header of a PUT on a read", get(&[(TTL, "60")]), 200, 401),
        ("what isn't there", request("GET", "/latest/meta-data/nothing", &[]), 404, 401),
        ("what isn't there, with a token", request("GET", "/latest/meta-data/nothing", &[good]), 404, 404),
        ("a directory without its slash", request("GET", "/latest/meta-data/placement", &[good]), 301, 301),
        ("another version", request("GET", "/2021-03-23/meta-data/instance-id", &[good]), 200, 200),
        ("no version", request("GET", "/2021-03-24/meta-data/instance-id", &[good]), 404, 404),
        ("two slashes", request("GET", "/latest//meta-data/instance-id", &[good]), 200, 200),
        ("a leaf with a slash", request("GET", "/latest/meta-data/instance-id/", &[good]), 200, 200),
        ("HTTP/1.0", b"GET /latest/meta-data/ HTTP/1.0\r\n\r\n".to_vec(), 200, 401),
        ("a token asked for", put(&[(TTL, "21600")]), 200, 200),
        ("a token for a second", put(&[(TTL, "1")]), 200, 200),
        ("a token for ever", put(&[(TTL, "21601")]), 400, 400),
        ("a token for no time", put(&[(TTL, "0")]), 400, 400),
        ("a token for a word", put(&[(TTL, "long")]), 400, 400),
        ("a token for a negative time", put(&[(TTL, "-1")]), 400, 400),
        ("a token for no length", put(&[]), 400, 400),
        ("a token through a proxy", put(&[(TTL, "60"), FORWARDED]), 403, 403),
        ("a PUT with a slash too many", request("PUT", "/latest/api/token/", &[(TTL, "60")]), 403, 403),
        ("a PUT under another version", request("PUT", "/2021-03-23/api/token", &[(TTL, "60")]), 403, 403),
        ("a PUT elsewhere", request("PUT", INSTANCE_ID, &[(TTL, "60")]), 403, 403),
        ("a read of the token path", request("GET", TOKEN_PATH, &[]), 405, 405),
        ("a POST to the token path", request("POST", TOKEN_PATH, &[(TTL, "60")]), 405, 405),
        ("what the token path takes", request("OPTIONS", TOKEN_PATH, &[]), 200, 200),
        ("a POST", request("POST", INSTANCE_ID, &[]), 405, 405),
        ("a DELETE with a token", request("DELETE", INSTANCE_ID, &[good]), 405, 405),
        ("HTTP/0.9", b"GET /latest/meta-data/\r\n\r\n".to_vec(), 400, 400),
        ("HTTP/2.0", b"GET / HTTP/2.0\r\n\r\n".to_vec(), 400, 400),
        ("bare line feeds", b"GET / HTTP/1.1\nHost: x\n\n".to_vec(), 400, 400),
        ("a folded header", b"GET / HTTP/1.1\r\nHost: x\r\n y\r\n\r\n".to_vec(), 400, 400),
        ("a space before a colon", format!("GET / HTTP/1.1\r\n{TOKEN} : {token}\r\n\r\n").into_bytes(), 400, 400),
    ]
}

/// What every answer has.
fn assert_well_formed(name: &str, answer: &Answer) {
    let head = &answer.head;
    assert!(head.starts_with("HTTP/1.1 "), "{name}: {head}");
    assert_eq!(answer.header("Server"), Some("EC2ws"), "{name}: {head}");
    let date = answer.header("Date").unwrap_or_else(|| panic!("{name}: no date: {head}"));
    assert!(date.len() == 29 && date.ends_with(" GMT"), "{name}: {date}");
    assert!(answer.header("Content-Type").is_some() || answer.status == 301, "{name}: {head}");
    let refused = answer.status >= 400 && answer.status != 404;
    if refused {
        assert_eq!(answer.header("Content-Length"), Some("0"), "{name}: {head}");
        assert_eq!(answer.header("Connection"), Some("close"), "{name}: {head}");
    }
    let allow = match answer.status {
        405 => answer.header("Allow"),
        _ => return,
    };
    assert!(matches!(allow, Some("OPTIONS, PUT" | "GET, HEAD")), "{name}: {head}");
    assert!(head.starts_with("HTTP/1.1 405 Not Allowed\r\n"), "{name}: {head}");
}

#[test]
fn the_verdict_table_in_both_modes() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let id = host.create(guest.interface(), &[]);
    let token = guest.token();
    for required in [false, true] {
        host.set(&id, &["--http-tokens", if required { "required" } else { "optional" }]);
        for (name, request, when_optional, when_required) in rows(&token) {
            let answer = guest.exchange(&request);
            let expected = if required { when_required } else { when_optional };
            assert_eq!(answer.status, expected, "{name}, required: {required}: {}", answer.head);
            assert_well_formed(name, &answer);
            if request.starts_with(b"HEAD") {
                assert!(answer.body.is_empty() && answer.header("Content-Length").is_some(), "{name}");
            }
        }
    }
}

#[test]
fn cut_in_two_every_request_is_judged_alike() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let id = host.create(guest.interface(), &[]);
    let token = guest.token();
    for required in [false, true] {
        host.set(&id, &["--http-tokens", if required { "required" } else { "optional" }]);
        for (name, request, when_optional, when_required) in rows(&token) {
            let expected = if required { when_required } else { when_optional };
            let (first, second) = request.split_at(request.len() - 3);
            let mut connection = Connection::open(&guest).expect("connects");
            connection.send(first).expect("sent");
            // What is malformed may be answered before it is whole, and what comes then be reset.
            let _ = connection.send(second);
            let answer = connection.receive(request.starts_with(b"HEAD"));
            let answer = answer.unwrap_or_else(|error| panic!("{name}, required: {required}: {error}"));
            assert_eq!(answer.status, expected, "{name}, required: {required}: {}", answer.head);
            assert_well_formed(name, &answer);
        }
    }
}

#[test]
fn the_kernels_answers_are_the_daemons_but_for_the_date() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
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

#[test]
fn a_token_expires() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
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
