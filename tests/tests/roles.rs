//! Roles of the config: what a guest reads of them, while it changes, fails and expires.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use imds_tests::credentials::{self, ACCESS_KEY_ID, ROLE, SECRET_ACCESS_KEY, SESSION_TOKEN};
use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::http::{Connection, TOKEN, request};
use imds_tests::{names, process, wait};
use serde_json::Value;

const ADDRESS: &str = "10.0.0.1";
const FAILURE: &str = "AssumeRoleUnauthorizedAccess";

/// What a guest reads of a role.
#[track_caller]
fn read(guest: &Guest, name: &str, token: Option<&str>) -> Value {
    let answer = guest.get(&credentials::path(name), token);
    assert_eq!(answer.status, 200, "{}", answer.head);
    serde_json::from_str(&answer.text()).unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
}

/// Puts a file in the place of another one, which is never half there.
fn replace(path: &Path, content: &str) {
    let next = path.with_extension("next");
    names::write(&next, content.as_bytes(), 0o600);
    fs::rename(next, path).expect("replaced");
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// A time of EC2's documents, in seconds since 1970, as `date` knows it.
fn seconds(text: &str) -> u64 {
    let output = process::run(Command::new("date").args(["--date", text, "+%s"]));
    output.stdout.trim().parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The mark that all three values of a document have.
#[track_caller]
fn mark(document: &Value) -> String {
    assert_eq!(document["Code"], "Success", "{document}");
    let marks = [("AccessKeyId", ACCESS_KEY_ID), ("SecretAccessKey", SECRET_ACCESS_KEY), ("Token", SESSION_TOKEN)]
        .map(|(key, value)| document[key].as_str().and_then(|text| text.strip_prefix(value)).map(str::to_owned));
    let [Some(mark), ..] = &marks else { panic!("{document}") };
    assert!(marks.iter().all(|other| other.as_ref() == Some(mark)), "of two documents: {document}");
    mark.clone()
}

#[test]
fn a_guest_reads_credentials_that_are_replaced_while_it_reads() {
    const TIMES: usize = 5;
    let file = names::file("role.json", credentials::document(".0").as_bytes(), 0o600);
    let mut host = Host::with_config(&credentials::file_role(ROLE, &file));
    let guest = Guest::on_veth(ADDRESS);
    let id = host.create(guest.interface(), &["--iam-role", ROLE, "--metadata-options", "HttpTokens=required"]);
    let token = guest.token();
    let read_it = request("GET", &credentials::path(ROLE), &[(TOKEN, &token)]);
    let mut connection = Connection::open(&guest).expect("connects");
    for number in 0..TIMES {
        let wanted = format!(".{number}");
        let former = format!(".{}", number.saturating_sub(1));
        replace(&file, &credentials::document(&wanted));
        wait::until(
            "the new credentials",
            || {
                connection.send(&read_it).expect("sent");
                let answer = connection.receive(false).expect("an answer");
                mark(&serde_json::from_slice(&answer.body).expect("JSON"))
            },
            |seen| {
                assert!(*seen == wanted || *seen == former, "{seen} after {former}");
                *seen == wanted
            },
        );
    }
    let view = host.ask(&["instance", "show", &id]);
    assert_eq!(view["credentials_provider"], "file");
    assert_eq!(view["credentials_expiration"], "2099-01-01T00:00:00Z");
    let table = host.ctl(&["instance", "show", &id]).stdout;
    assert!(table.contains(&format!("{ROLE} (file), credentials expire 2099-01-01T00:00:00Z")), "{table}");
    // A daemon that is back serves them from its first answer on.
    host.kill();
    host.launch();
    assert_eq!(mark(&read(&guest, ROLE, Some(&token))), format!(".{}", TIMES - 1));
}

#[test]
fn a_file_that_is_bad_or_gone_changes_nothing_until_there_is_a_good_one() {
    let file = names::file("role.json", credentials::document(".0").as_bytes(), 0o600);
    let host = Host::with_config(&credentials::file_role(ROLE, &file));
    let guest = Guest::on_veth(ADDRESS);
    let _ = host.create(guest.interface(), &["--iam-role", ROLE]);
    let still_good_after = |words: &str| {
        wait::until("a line in the log", || host.log(), |log| log.contains(words));
        assert_eq!(mark(&read(&guest, ROLE, None)), ".0");
    };
    replace(&file, &format!("{{\"Token\":\"{SESSION_TOKEN}\""));
    still_good_after("not JSON");
    names::write(&file, credentials::document(".1").as_bytes(), 0o644);
    still_good_after("is open to others (mode 0644)");
    fs::remove_file(&file).expect("removed");
    still_good_after("No such file");
    replace(&file, &credentials::document(".2"));
    wait::until("the new credentials", || mark(&read(&guest, ROLE, None)), |mark| mark == ".2");
}

#[test]
fn a_file_that_comes_late_is_a_failure_until_then() {
    let file = names::directory().join("role.json");
    let host = Host::with_config(&credentials::file_role(ROLE, &file));
    let guest = Guest::on_veth(ADDRESS);
    let id = host.create(guest.interface(), &["--iam-role", ROLE]);
    assert_eq!(guest.get(&credentials::path(""), None).text(), ROLE);
    let failure = read(&guest, ROLE, None);
    assert_eq!(failure["Code"], FAILURE);
    assert_eq!(failure["Message"], format!("The role {ROLE} has no credentials now."));
    assert_eq!(failure.as_object().map(serde_json::Map::len), Some(3), "{failure}");
    assert!(host.ask(&["instance", "show", &id])["credentials_expiration"].is_null());
    replace(&file, &credentials::document(""));
    wait::until("the credentials", || read(&guest, ROLE, None), |document| document["Code"] == "Success");
}

#[test]
fn a_process_runs_as_another_user_and_its_credentials_are_never_served_expired() {
    let directory = names::directory();
    fs::set_permissions(&directory, std::os::unix::fs::PermissionsExt::from_mode(0o711)).expect("opened");
    let broken = directory.join("broken");
    let printing = credentials::printing("-$(id --user)-$(id --groups)", "4 seconds");
    let script = format!("[ -e {} ] && exit 1; {printing}", broken.display());
    let host = Host::with_config(&credentials::process_role(ROLE, &script));
    let guest = Guest::on_veth(ADDRESS);
    let id = host.create(guest.interface(), &["--iam-role", ROLE]);
    let read_in_time = || {
        let before = now();
        let document = read(&guest, ROLE, None);
        if document["Code"] == "Success" {
            let end = seconds(document["Expiration"].as_str().expect("a string"));
            assert!(end > before, "{end} is over at {before}");
        }
        document
    };
    // They may be over already on a slow machine, and new ones come.
    let is_good = |document: &Value| document["Code"] == "Success";
    let user = credentials::PROCESS_USER;
    assert_eq!(mark(&wait::until("credentials", read_in_time, is_good)), format!("-{user}-{user}"));
    assert_eq!(host.ask(&["instance", "show", &id])["credentials_provider"], "process");
    names::write(&broken, b"", 0o644);
    let failure = wait::until("the end", read_in_time, |document| !is_good(document));
    assert_eq!(failure["Code"], FAILURE);
    assert!(failure["Message"].as_str().is_some_and(|text| text.contains(" expired at ")), "{failure}");
    wait::until("a line in the log", || host.log(), |log| log.contains("/bin/sh failed (exit status: 1)"));
    fs::remove_file(&broken).expect("removed");
    wait::until("new credentials", read_in_time, is_good);
}

#[test]
fn reads_without_a_token_can_be_given_others_or_none() {
    let files = [".one", ".two"].map(|mark| names::file("role.json", credentials::document(mark).as_bytes(), 0o600));
    let table = |name: &str, delivery: &str, file: &PathBuf| {
        format!("{}delivery = \"{delivery}\"\n", credentials::file_role(name, file))
    };
    let config = [
        table("both", "any", &files[0]),
        table("each", "1.0", &files[0]),
        table("each", "2.0", &files[1]),
        table("tokens", "2.0", &files[1]),
    ];
    let host = Host::with_config(&config.concat());
    for (name, without, with) in
        [("both", Some(".one"), ".one"), ("each", Some(".one"), ".two"), ("tokens", None, ".two")]
    {
        let guest = Guest::on_veth(ADDRESS);
        let _ = host.create(guest.interface(), &["--iam-role", name]);
        assert_eq!(mark(&read(&guest, name, Some(&guest.token()))), with, "{name}");
        let found = read(&guest, name, None);
        match without {
            Some(expected) => assert_eq!(mark(&found), expected, "{name}"),
            None => assert!(found["Code"] == FAILURE && found["SecretAccessKey"].is_null(), "{name}: {found}"),
        }
    }
}

#[test]
fn a_role_that_is_not_in_the_config_is_refused_with_the_way_out() {
    let file = names::file("role.json", credentials::document("").as_bytes(), 0o600);
    let host = Host::with_config(&credentials::file_role("app", &file));
    let guest = Guest::on_veth(ADDRESS);
    let refused = host.ctl(&["instance", "create", "--interface", guest.interface(), "--iam-role", "web"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    for word in ["role \"web\"", "which has app", "--credentials-file", "[[roles]]"] {
        assert!(refused.stderr.contains(word), "{word} is not in: {}", refused.stderr);
    }
    assert_eq!(host.ask(&["instance", "list"]).as_array().map(Vec::len), Some(0));
}

#[test]
fn a_static_file_that_is_bad_keeps_the_daemon_from_starting_without_its_content() {
    let host = Host::prepare();
    let bad = names::file("bad.json", &credentials::document("").as_bytes()[5..], 0o600);
    let table = credentials::file_role(ROLE, &bad).replace("\"file\"", "\"static\"");
    names::write(&host.config(), table.as_bytes(), 0o600);
    let output = process::run(&mut host.imdsd());
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    for word in [ROLE, "bad.json", "not JSON", "mend it"] {
        assert!(output.stderr.contains(word), "{word} is not in: {}", output.stderr);
    }
    assert!(!output.stderr.contains(SECRET_ACCESS_KEY), "{}", output.stderr);
    assert_eq!(host.detach().stdout, "", "something was made");
}

/// Credentials that expire at a time that `date` knows.
fn ending(when: &str) -> (String, String) {
    let written = process::run(Command::new("date").args(["--utc", "--date", when, "+%Y-%m-%dT%H:%M:%SZ"]));
    let end = written.stdout.trim().to_owned();
    (credentials::document("").replace("2099-01-01T00:00:00Z", &end), end)
}

#[test]
fn credentials_that_are_over_are_refused_and_those_that_were_given_before_are_shown_no_more() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let (over, end) = ending("-1 hour");
    let refused_for = |arguments: &[&str]| {
        let refused = host.ctl(arguments);
        assert_eq!(refused.code, Some(2), "{arguments:?}: {}", refused.stderr);
        for words in [&*format!("expired at {end}"), "give ones that are still good"] {
            assert!(refused.stderr.contains(words), "{arguments:?}: {}", refused.stderr);
        }
    };
    let file = |content: &str| names::file("role.json", content.as_bytes(), 0o600).display().to_string();
    let create = ["instance", "create", "--interface", guest.interface(), "--iam-role", ROLE, "--credentials-file"];
    refused_for(&[&create[..], &[&file(&over)]].concat());
    assert_eq!(host.ask(&["instance", "list"]).as_array().map(Vec::len), Some(0));

    let (short, _) = ending("+3 seconds");
    let short_file = file(&short);
    let id = host.create(guest.interface(), &["--iam-role", ROLE, "--credentials-file", &short_file]);
    let shown = || host.ask(&["instance", "show", &id]);
    wait::until("the end", || shown()["credentials_expiration"].is_null(), |is_null| *is_null);
    assert_eq!(read(&guest, ROLE, None)["Code"], FAILURE);
    let table = host.ctl(&["instance", "show", &id]).stdout;
    assert!(table.contains(&format!("{ROLE} (static), no credentials")), "{table}");
    let described = |credentials: &str| {
        let credentials: Value = serde_json::from_str(credentials).expect("JSON");
        let document = serde_json::json!({ "iam": { "role": ROLE, "credentials": credentials } });
        let instance =
            serde_json::json!({ "instance-id": id, "interfaces": [guest.interface()], "document": document });
        file(&serde_json::json!({ "instances": [instance] }).to_string())
    };
    assert_eq!(host.ask(&["apply", "-f", &described(&short)])[0]["outcome"], "unchanged", "no error afterwards");
    refused_for(&["apply", "-f", &described(&over)]);
    host.ask(&["metadata", "set", &id, "tags/a", "b"]);
    assert_eq!(host.ask(&["apply", "-f", &described(&credentials::document(""))])[0]["outcome"], "updated");
    assert_eq!(shown()["credentials_expiration"], "2099-01-01T00:00:00Z");
    assert_eq!(mark(&read(&guest, ROLE, None)), "");
}

#[test]
fn a_static_file_whose_credentials_are_over_is_told_at_the_start() {
    let (over, end) = ending("-1 hour");
    let file = names::file("over.json", over.as_bytes(), 0o600);
    let host = Host::with_config(&credentials::file_role(ROLE, &file).replace("\"file\"", "\"static\""));
    let guest = Guest::on_veth(ADDRESS);
    let id = host.create(guest.interface(), &["--iam-role", ROLE]);
    let log = host.log();
    let line = log.lines().find(|line| line.contains("over.json")).unwrap_or_else(|| panic!("nothing is told: {log}"));
    assert!([" ERROR ", ROLE, &end, "no credentials"].iter().all(|word| line.contains(word)), "{line}");
    assert!(host.ask(&["instance", "show", &id])["credentials_expiration"].is_null());
    assert_eq!(read(&guest, ROLE, None)["Code"], FAILURE);
}
