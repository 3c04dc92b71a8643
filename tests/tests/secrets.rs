//! Where credentials are, and that they are nowhere else.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use imds_tests::credentials::{self, SECRET_ACCESS_KEY, SESSION_TOKEN, file_role, process_role};
use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::{names, wait};
use serde_json::{Value, json};

const ADDRESS: &str = "10.0.0.1";

/// Roles that give credentials, and such as hold secrets but fail in every way.
fn config() -> String {
    let file = |name: &str, content: &[u8], mode| file_role(name, &names::file("role.json", content, mode));
    let whole = credentials::document("");
    let printing = credentials::printing(".process", "1 hour");
    let noise = format!("echo {SECRET_ACCESS_KEY} {SESSION_TOKEN} >&2");
    [
        "[log]\nlevel = \"trace\"\n".to_owned(),
        file("file", whole.as_bytes(), 0o600),
        process_role("process", &format!("{noise}; {printing}")),
        process_role("failing", &format!("{noise}; {printing}; exit 1")),
        process_role("nonsense", &format!("echo {SECRET_ACCESS_KEY} {SESSION_TOKEN}")),
        process_role("endless", &format!("while echo {SECRET_ACCESS_KEY} {SESSION_TOKEN}; do :; done")),
        file("odd", credentials::document("\n").as_bytes(), 0o600),
        file("timeless", whole.replace("2099-01-01T00:00:00Z", SECRET_ACCESS_KEY).as_bytes(), 0o600),
        file("half", &whole.as_bytes()[5..], 0o600),
        file("open", whole.as_bytes(), 0o644),
    ]
    .concat()
}

const FAILING: [&str; 7] = ["failing", "nonsense", "endless", "odd", "timeless", "half", "open"];

#[test]
fn credentials_stand_in_files_of_0600_and_nowhere_else() {
    let own = names::file("own.json", credentials::document(".own").as_bytes(), 0o600);
    let own = own.to_str().expect("UTF-8");
    let mut host = Host::with_config(&config());
    let guests = [Guest::on_veth(ADDRESS), Guest::on_veth(ADDRESS), Guest::on_veth(ADDRESS)];
    let mut said = Vec::new();
    for (guest, role) in guests.iter().zip([&["file"][..], &["process"], &["own", "--credentials-file", own]]) {
        let create = ["instance", "create", "--interface", guest.interface(), "--iam-role"];
        let created = host.ctl(&[&create, role].concat());
        assert!(created.success(), "{}", created.stderr);
        said.extend([created.stdout, created.stderr]);
        let read = guest.get(&credentials::path(role[0]), Some(&guest.token()));
        assert!(read.text().contains(SECRET_ACCESS_KEY), "{}", read.text());
    }
    let failures = |log: &String| FAILING.iter().all(|role| log.contains(&format!("role=\"{role}\" error=")));
    wait::until("each failure in the log", || host.log(), failures);

    let list = host.ask(&["instance", "list"]);
    let ids = list.as_array().into_iter().flatten().filter_map(|view| view["instance_id"].as_str().map(str::to_owned));
    let ids: Vec<String> = ids.collect();
    assert_eq!(ids.len(), guests.len(), "{list}");
    for id in &ids {
        for command in [&["instance", "list"][..], &["stats", id], &["instance", "show", id], &["options", "show", id]]
        {
            for format in ["table", "json"] {
                said.push(host.ctl(&[&["--output", format], command].concat()).stdout);
            }
        }
    }
    assert!(host.terminate().success());
    said.push(host.log());
    let store = fs::read(host.state_dir().join("imdsd.redb")).expect("the store");
    let store = String::from_utf8_lossy(&store).into_owned();
    assert!(ids.iter().all(|id| store.contains(id)), "not the store's bytes");
    said.push(store);
    for text in &said {
        for secret in [SECRET_ACCESS_KEY, SESSION_TOKEN] {
            assert!(!text.contains(secret), "{secret} stands in: {text}");
        }
    }

    let vault = host.state_dir().join("credentials");
    let files: Vec<_> = fs::read_dir(&vault).expect("there").map(|entry| entry.expect("there").path()).collect();
    assert_eq!(files, [vault.join(format!("{}.json", ids_of_own(&list)))]);
    assert!(fs::read_to_string(&files[0]).expect("text").contains(SECRET_ACCESS_KEY));
    let mode = |path: &Path| fs::metadata(path).expect("there").mode() & 0o7777;
    assert_eq!((mode(&vault), mode(&files[0])), (0o700, 0o600));

    host.launch();
    let read = guests[2].get(&credentials::path("own"), None).text();
    assert!(read.contains(&format!("{SECRET_ACCESS_KEY}.own")), "{read}");
    ids.iter().for_each(|id| host.delete(id));
    assert_eq!(fs::read_dir(&vault).expect("there").count(), 0);
}

#[test]
fn no_change_of_a_document_tells_a_secret() {
    let mut host = Host::with_config("[log]\nlevel = \"trace\"\n");
    let guest = Guest::on_veth(ADDRESS);
    let created = host.ask(&["instance", "create", "--interface", guest.interface()]);
    let id = created["instance_id"].as_str().expect("an id");
    let whole: Value = serde_json::from_str(&credentials::document("")).expect("JSON");
    let document = |credentials: &Value| json!({ "iam": { "role": "own", "credentials": credentials }, "identity-credentials": { "credentials": credentials } });
    let mut timeless = whole.clone();
    timeless["Expiration"] = SECRET_ACCESS_KEY.into();
    let unknown = json!({ SECRET_ACCESS_KEY: SESSION_TOKEN });
    let text = json!(SECRET_ACCESS_KEY);
    let file = |content: Value| names::file("changed.json", content.to_string().as_bytes(), 0o600);
    let mut said = Vec::new();
    let mut say = |words: &[&str], good: bool| {
        let done = host.ctl(words);
        assert_eq!(done.success(), good, "{words:?}: {}", done.stderr);
        said.extend([done.stdout, done.stderr]);
    };
    for (credentials, good) in [(&timeless, false), (&unknown, false), (&text, false), (&whole, true)] {
        for path in ["iam/credentials", "iam//credentials", "//identity-credentials//credentials"] {
            say(&["metadata", "set", id, path, &credentials.to_string()], false);
        }
        let changed = file(document(credentials));
        let changed = changed.to_str().expect("UTF-8");
        say(&["instance", "update", id, "--document", changed], good);
        say(&["instance", "update", id, "--replace", "--document", changed], good);
        let described =
            json!({ "instance-id": id, "interfaces": [guest.interface()], "document": document(credentials) });
        let described = file(json!({ "instances": [described] }));
        say(&["apply", "-f", described.to_str().expect("UTF-8")], good);
    }
    say(&["event", "rebalance", id], true);
    say(&["metadata", "get", id], true);
    assert!(host.terminate().success());
    said.push(host.log());
    said.push(String::from_utf8_lossy(&fs::read(host.state_dir().join("imdsd.redb")).expect("the store")).into_owned());
    for text in &said {
        for secret in [SECRET_ACCESS_KEY, SESSION_TOKEN] {
            assert!(!text.contains(secret), "{secret} stands in: {text}");
        }
    }
    host.launch();
    for path in
        [&*credentials::path("own"), "/latest/meta-data/identity-credentials/ec2/security-credentials/ec2-instance"]
    {
        let read = guest.get(path, Some(&guest.token())).text();
        assert!(read.contains(SECRET_ACCESS_KEY), "{read}");
    }
}

/// The id of the instance that has its own credentials.
fn ids_of_own(list: &Value) -> &str {
    let mut views = list.as_array().into_iter().flatten();
    let own = views.find(|view| view["iam_role"] == "own").expect("listed");
    own["instance_id"].as_str().expect("an id")
}
