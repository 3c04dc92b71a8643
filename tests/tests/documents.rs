//! Instance documents: given at create, changed while the instance runs, applied to many; and what guests read of them.

use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::names;
use serde_json::{Value, json};

const ADDRESS: &str = "10.0.0.1";
/// In the binary, as a guest of `cargo xtask vm-test` has no such file.
const EVERYTHING: &str = include_str!("../../docs/examples/everything.json");

/// What a guest reads at a path below `/latest/meta-data/`; none where nothing is.
fn read(guest: &Guest, path: &str) -> Option<String> {
    let answer = guest.get(&format!("/latest/meta-data/{path}"), None);
    assert!(matches!(answer.status, 200 | 404), "{path}: {}", answer.head);
    (answer.status == 200).then(|| answer.text())
}

/// Reads everything that the listings name, as a client that crawls; the paths of the leaves, a line each.
fn crawl(guest: &Guest, directory: &str) -> String {
    let listing = guest.get(directory, None);
    assert_eq!(listing.status, 200, "{directory}");
    let below = |name: &str| {
        let path = format!("{directory}{name}");
        match guest.get(&path, None) {
            _ if name.ends_with('/') => crawl(guest, &path),
            answer if answer.status == 301 && name.contains('=') => crawl(guest, &format!("{path}/")),
            answer => {
                assert_eq!(answer.status, 200, "{path}");
                path + "\n"
            }
        }
    };
    listing.text().lines().map(below).collect()
}

#[test]
fn whatever_is_listed_is_there() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let everything = names::file("everything.json", EVERYTHING.as_bytes(), 0o600);
    let everything = everything.to_str().expect("UTF-8");
    let id = host
        .create(guest.interface(), &["--document", everything, "--metadata-options", "InstanceMetadataTags=enabled"]);
    let directories = ["/latest/meta-data/", "/latest/dynamic/", "/2016-09-02/meta-data/"];
    let found: String = directories.iter().map(|directory| crawl(&guest, directory)).collect();
    assert_eq!(found, include_str!("documents/everything.txt"), "the paths of what everything.json describes");
    assert_eq!(guest.get("/2016-09-02/meta-data/tags/", None).status, 404);
    assert_eq!(guest.get("/latest/user-data", None).text(), "#cloud-config\n");
    assert_eq!(read(&guest, "public-keys/").as_deref(), Some("0=my-key\n1=other"));
    let shown = host.ctl(&["metadata", "get", &id]);
    assert!(shown.success() && !shown.stdout.contains("secret/key+1") && !shown.stdout.contains("cloud-config"));
    assert_eq!(host.ask(&["metadata", "get", &id, "placement/group-name"]), "web group");
}

#[test]
fn a_document_changes_while_the_instance_runs() {
    let mut host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let id = host.create(guest.interface(), &[]);
    let file = names::file(
        "document",
        json!({ "instance-type": "m5.large", "user-data": { "text": "one" } }).to_string().as_bytes(),
        0o600,
    );
    let file = file.to_str().expect("UTF-8");
    host.ask(&["instance", "update", &id, "--document", file]);
    host.ask(&["metadata", "set", &id, "placement/group-name", "web group"]);
    let check = |guest: &Guest| {
        assert_eq!(read(guest, "instance-type").as_deref(), Some("m5.large"));
        assert_eq!(read(guest, "placement/group-name").as_deref(), Some("web group"));
        assert_eq!(guest.get("/latest/user-data", None).text(), "one");
    };
    check(&guest);
    host.kill();
    host.launch();
    check(&guest);
    host.ask(&["metadata", "unset", &id, "placement/group-name"]);
    host.ask(&["metadata", "unset", &id, "user-data"]);
    assert_eq!(read(&guest, "placement/group-name"), None);
    assert_eq!(guest.get("/latest/user-data", None).status, 404);
    let bad = host.ctl(&["metadata", "set", &id, "placement/zone", "x"]);
    assert_eq!(bad.code, Some(2), "{}", bad.stderr);
    assert!(bad.stderr.contains("document, at placement/zone: unknown field"), "{}", bad.stderr);
}

/// The numbers of the last change that was begun, and of the last that was done.
#[derive(Default)]
struct Changes {
    begun: AtomicU64,
    done: AtomicU64,
}

/// Reads values that change together, as long as they change; how often.
fn read_while_they_change(guest: &Guest, changes: &Changes) -> u64 {
    let number = |path: &str| read(guest, path).expect("always there").parse::<u64>().expect("a number");
    for round in 0..ROUNDS_MAX {
        let least = changes.done.load(Ordering::SeqCst);
        let (first, second) = (number("placement/group-name"), number("placement/partition-number"));
        let lines = read(guest, "metrics/vhostmd").expect("always there");
        let third = lines.lines().next().expect("a line").parse().expect("a number");
        assert_eq!(lines, lines_of(third), "a value of two changes");
        let listing = read(guest, "tags/instance/").expect("always there");
        let listed: u64 = listing.parse().expect("one tag alone");
        let seen = [least, first, second, third, listed, changes.begun.load(Ordering::SeqCst)];
        assert!(seen.is_sorted(), "a value is older than what was seen before it: {seen:?}");
        match read(guest, &format!("tags/instance/{listed}")) {
            Some(value) => assert_eq!(value, listing, "a tag that was listed"),
            None => assert!(changes.begun.load(Ordering::SeqCst) > listed, "tag {listed} is listed and absent"),
        }
        if least == CHANGES {
            return round;
        }
    }
    panic!("the changes don't end")
}

/// A value of many lines, all the same.
fn lines_of(number: u64) -> String {
    vec![number.to_string(); 2000].join("\n")
}

/// How often the values change.
const CHANGES: u64 = 40;
/// Rounds of one reader, should the changes not end.
const ROUNDS_MAX: u64 = 20_000;

#[test]
fn readers_see_a_change_whole_or_not_at_all() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let document = |number: u64| {
        let mut tags = json!({ number.to_string(): number.to_string() });
        if let Some(former) = number.checked_sub(1) {
            tags[former.to_string()] = Value::Null;
        }
        let text = json!({
            "placement": { "group-name": number.to_string(), "partition-number": number },
            "metrics": { "vhostmd": lines_of(number) },
            "tags": tags,
        });
        names::file("document", text.to_string().as_bytes(), 0o600)
    };
    let first = document(0);
    let first = ["--document", first.to_str().expect("UTF-8"), "--metadata-options", "InstanceMetadataTags=enabled"];
    let id = host.create(guest.interface(), &first);
    let changes = Changes::default();
    let rounds: Vec<u64> = thread::scope(|scope| {
        let readers: Vec<_> = (0..4).map(|_| scope.spawn(|| read_while_they_change(&guest, &changes))).collect();
        for number in 1..=CHANGES {
            let file = document(number);
            changes.begun.store(number, Ordering::SeqCst);
            host.ask(&["instance", "update", &id, "--document", file.to_str().expect("UTF-8")]);
            changes.done.store(number, Ordering::SeqCst);
        }
        readers.into_iter().map(|reader| reader.join().expect("no reader saw a wrong answer")).collect()
    });
    assert!(rounds.iter().all(|rounds| *rounds > 1), "nobody read while the values changed: {rounds:?}");
}

#[test]
fn an_event_appears_and_disappears_when_it_is_due() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let id = host.create(guest.interface(), &[]);
    assert_eq!(read(&guest, "spot/instance-action"), None);
    host.ask(&["event", "spot-interruption", &id, "--in", "3s", "--action", "stop"]);
    let notice = read(&guest, "spot/instance-action").expect("told at once");
    let notice: Value = serde_json::from_str(&notice).expect("JSON");
    assert_eq!(notice["action"], "stop");
    imds_tests::wait::until("the notice to go", || read(&guest, "spot/instance-action"), Option::is_none);
    assert!(!read(&guest, "").expect("a listing").contains("spot"));
    host.ask(&["event", "lifecycle", &id, "Terminated", "--in", "1s"]);
    let state = || read(&guest, "autoscaling/target-lifecycle-state");
    imds_tests::wait::until("the state to come", state, |state| state.as_deref() == Some("Terminated"));
    host.ask(&["event", "maintenance", &id, "--in", "1h"]);
    assert!(read(&guest, "events/maintenance/scheduled").expect("there").contains("\"State\" : \"active\""));
    host.ask(&["event", "clear", &id]);
    assert_eq!(read(&guest, "events/maintenance/scheduled").as_deref(), Some("[]"));
    assert!(read(&guest, "events/maintenance/history").expect("there").contains("\"State\" : \"canceled\""));
}

#[test]
fn an_event_outlives_a_description_that_is_applied_again() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let apply = |document: Value| {
        let instance = json!({ "instance-id": "i-0000000a", "interfaces": [guest.interface()], "document": document });
        let file = names::file("instances", json!({ "instances": [instance] }).to_string().as_bytes(), 0o600);
        host.ask(&["apply", "-f", file.to_str().expect("UTF-8")])[0]["outcome"].clone()
    };
    assert_eq!(apply(json!({})), "created");
    host.ask(&["event", "spot-interruption", "i-0000000a", "--in", "1m"]);
    assert_eq!(apply(json!({})), "unchanged");
    assert!(read(&guest, "spot/instance-action").is_some(), "the notice is still there");
    assert_eq!(apply(json!({ "spot": {} })), "updated");
    assert_eq!(read(&guest, "spot/instance-action"), None);
    for after in ["0s", "0ms"] {
        let never = host.ctl(&["event", "spot-interruption", "i-0000000a", "--in", after]);
        assert_eq!(never.code, Some(2), "{}", never.stderr);
        assert!(never.stderr.contains("give a second or more"), "{}", never.stderr);
    }
    host.ask(&["event", "maintenance", "i-0000000a", "--in", "0s", "--code", "instance-stop"]);
    let scheduled = read(&guest, "events/maintenance/scheduled").expect("there");
    assert!(scheduled.contains("\"instance-stop\"") && !scheduled.contains("NotAfter"), "{scheduled}");
    host.ask(&["metadata", "set", "i-0000000a", "events/maintenance/0/state", "completed"]);
    assert_eq!(read(&guest, "events/maintenance/scheduled").as_deref(), Some("[]"));
}

#[test]
fn what_is_shown_can_be_set() {
    let host = Host::start();
    let (guest, second) = (Guest::on_veth(ADDRESS), Guest::on_veth("10.0.1.1"));
    let id = host.create(guest.interface(), &["--interface", second.interface()]);
    host.ask(&["metadata", "set", &id, "network/interfaces/1/subnet-id", "subnet-1"]);
    let mac = host.ask(&["metadata", "get", &id, "network/interfaces/1/mac"]);
    let subnet = format!("network/interfaces/macs/{}/subnet-id", mac.as_str().expect("text"));
    assert_eq!(read(&guest, &subnet).as_deref(), Some("subnet-1"));
    let derived = host.ctl(&["metadata", "unset", &id, "network/interfaces/1/mac"]);
    assert!(derived.code == Some(2) && derived.stderr.contains("derived and not set"), "{}", derived.stderr);
    // What clients find a list's item by says the same as the item.
    let other = "02:00:00:00:00:99";
    host.ask(&["metadata", "set", &id, "mac", other]);
    let differs = host.ctl(&["metadata", "set", &id, "network/interfaces/0/mac", "02:00:00:00:00:98"]);
    assert!(differs.code == Some(2) && differs.stderr.contains("mac says 02:00:00:00:00:99"), "{}", differs.stderr);
    assert_eq!(read(&guest, "mac").as_deref(), Some(other));
    assert!(read(&guest, &format!("network/interfaces/macs/{other}/owner-id")).is_some());
    host.ask(&["metadata", "set", &id, "block-device-mapping/ebs1", "sdb"]);
    assert_eq!(read(&guest, "block-device-mapping").as_deref(), Some("ami\nebs1\nroot"));
}

#[test]
fn user_data_is_what_was_given_byte_by_byte() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let id = host.create(guest.interface(), &[]);
    for data in [&b"#cloud-config\n"[..], b"\x1f\x8b\0\xff\n\n"] {
        let file = File::open(names::file("user-data", data, 0o600)).expect("just written");
        let set = host.imdsctl().args(["metadata", "set", &id, "user-data/text", "-"]).stdin(file).output();
        let set = set.expect("imdsctl runs");
        assert!(set.status.success(), "{}", String::from_utf8_lossy(&set.stderr));
        assert_eq!(guest.get("/latest/user-data", None).body, data);
    }
    let file = json!({ "user-data": { "text": "SECRET".repeat(3000) } }).to_string();
    let file = names::file("document", file.as_bytes(), 0o600);
    let large = host.ctl(&["instance", "update", &id, "--document", file.to_str().expect("UTF-8")]);
    assert_eq!(large.code, Some(2), "{}", large.stderr);
    assert!(
        large.stderr.contains("18000 bytes, at most 16384") && !large.stderr.contains("SECRET"),
        "{}",
        large.stderr
    );
}

#[test]
fn a_described_instance_is_attached_as_described() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let apply = |attach: Option<&str>| {
        let mut instance = json!({ "instance-id": "i-0000000a", "interfaces": [guest.interface()] });
        if let Some(attach) = attach {
            instance["attach"] = attach.into();
        }
        let file = json!({ "instances": [instance] }).to_string();
        let file = names::file("instances", file.as_bytes(), 0o600);
        let applied = host.ask(&["apply", "-f", file.to_str().expect("UTF-8")])[0].clone();
        let view = host.ask(&["instance", "show", "i-0000000a"]);
        [&applied["outcome"], &applied["changed"], &view["interfaces"][0]["attachment"]].map(Value::clone)
    };
    let generic = "tc+xdp-generic";
    assert_eq!(apply(Some(generic)), [json!("created"), json!([]), json!(generic)]);
    assert_eq!(apply(None), [json!("unchanged"), json!([]), json!(generic)]);
    assert_eq!(apply(Some("tc")), [json!("updated"), json!(["attach"]), json!("tc")]);
    assert_eq!(guest.get("/latest/meta-data/instance-id", None).text(), "i-0000000a");
}

#[test]
fn many_instances_are_brought_to_a_described_state() {
    let host = Host::start();
    let (one, two) = (Guest::on_veth(ADDRESS), Guest::on_veth(ADDRESS));
    let describe = |zone: &str| {
        let instance = |id: &str, guest: &Guest, zone: &str| json!({ "instance-id": id, "interfaces": [guest.interface()], "document": { "placement": { "availability-zone": zone } } });
        let all =
            json!({ "instances": [instance("i-0000000a", &one, "eu-west-1a"), instance("i-0000000b", &two, zone)] });
        names::file("instances", all.to_string().as_bytes(), 0o600)
    };
    let apply = |zone: &str, more: &[&str]| -> Vec<String> {
        let file = describe(zone);
        let applied = host.ask(&[&["apply", "-f", file.to_str().expect("UTF-8")], more].concat());
        let outcomes = applied.as_array().expect("a list").iter();
        outcomes.map(|applied| applied["outcome"].as_str().expect("text").to_owned()).collect()
    };
    assert_eq!(apply("eu-west-1b", &["--dry-run"]), ["created", "created"]);
    assert_eq!(host.ask(&["instance", "list"]), json!([]));
    assert_eq!(apply("eu-west-1b", &[]), ["created", "created"]);
    assert_eq!(apply("eu-west-1c", &[]), ["unchanged", "updated"]);
    assert_eq!(apply("eu-west-1c", &[]), ["unchanged", "unchanged"]);
    assert_eq!(read(&two, "placement/availability-zone").as_deref(), Some("eu-west-1c"));
    let file = describe("moon");
    let bad = host.ctl(&["apply", "-f", file.to_str().expect("UTF-8")]);
    assert_eq!(bad.code, Some(2), "{}", bad.stderr);
    let words =
        "instance i-0000000b: document, at placement/availability-zone: availability zone \"moon\" is malformed";
    assert!(bad.stderr.contains(words), "{}", bad.stderr);
}
