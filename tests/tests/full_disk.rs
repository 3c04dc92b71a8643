//! A disk without room for what is to be stored: a clear error, nothing half done, and what was there is served on.

use std::fs;
use std::thread;
use std::time::Duration;

use imds_tests::credentials::{self, ROLE};
use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::names;
use imds_tests::small_disk::SmallDisk;
use imds_tests::wait;
use serde_json::Value;

const ADDRESS: &str = "10.0.0.1";
const INSTANCE_ID: &str = "/latest/meta-data/instance-id";
/// Room for the store as it is at first, and not for much more.
const DISK: usize = 8 << 20;
/// `imdsctl`'s exit code for what the daemon can't do.
const FAILED: i32 = 1;

/// What the kernel says.
const FULL: &str = "No space left";
/// From one try to open a store that failed to the next.
const PAUSE: Duration = Duration::from_millis(1_100);
const USER_DATA: &str = "#!/bin/sh";

/// A host whose disk is full, with an instance that it served before.
struct Stage {
    host: Host,
    // Behind the host, which has files on it.
    disk: SmallDisk,
    guest: Guest,
    other: Guest,
    id: String,
    token: String,
    before: Value,
}

impl Stage {
    fn new() -> Self {
        let mut host = Host::prepare();
        let disk = SmallDisk::new(&host.state_dir(), DISK);
        host.launch();
        let (guest, other) = (Guest::on_veth(ADDRESS), Guest::on_veth(ADDRESS));
        let data = names::file("user-data", USER_DATA.as_bytes(), 0o600);
        let data = ["--user-data-file", data.to_str().expect("a name in UTF-8")];
        let id = host
            .create(guest.interface(), &[&["--tag", "Name=web", "--instance-type", "m7i.large"][..], &data].concat());
        let token = guest.token();
        let before = host.ask(&["instance", "list"]);
        disk.fill();
        Self { host, disk, guest, other, id, token, before }
    }

    /// Runs `imdsctl`, which must fail: clearly, and without a trace.
    #[track_caller]
    fn assert_fails(&self, arguments: &[&str], reason: &str) {
        let failed = self.host.ctl(arguments);
        assert_eq!(failed.code, Some(FAILED), "{arguments:?}: {}{}", failed.stdout, failed.stderr);
        let state_dir = self.host.state_dir().display().to_string();
        for word in [reason, &state_dir] {
            assert!(failed.stderr.contains(word), "{arguments:?}: {word} is not in: {}", failed.stderr);
        }
        self.assert_as_before();
    }

    #[track_caller]
    fn assert_as_before(&self) {
        assert_eq!(self.host.ask(&["instance", "list"]), self.before);
        let kept = fs::read_dir(self.host.state_dir().join("credentials")).expect("a directory").count();
        assert_eq!(kept, 0, "something is left of credentials");
        assert_eq!(self.guest.get(INSTANCE_ID, None).text(), self.id);
        let kind = self.guest.get("/latest/meta-data/instance-type", Some(&self.token));
        assert_eq!((kind.status, kind.text().as_str()), (200, "m7i.large"));
        // What failed is opened again at most once a second.
        let data = wait::until("user data", || self.guest.get("/latest/user-data", None), |data| data.status != 503);
        assert_eq!((data.status, data.text().as_str()), (200, USER_DATA));
    }

    /// Makes room: all is as before and everything can be done, by the daemon that is there and by the next one.
    #[track_caller]
    fn assert_recovers(mut self) {
        self.disk.make_room();
        thread::sleep(PAUSE);
        self.host.ask(&["metadata", "set", &self.id, "placement/group-name", "room"]);
        assert_eq!(self.guest.get("/latest/meta-data/placement/group-name", None).text(), "room");
        self.host.ask(&["metadata", "unset", &self.id, "placement/group-name"]);
        self.assert_as_before();
        self.host.kill();
        self.host.launch();
        self.assert_as_before();
        let file = credentials::file();
        let role = ["--iam-role", ROLE, "--credentials-file", file.to_str().expect("a name in UTF-8")];
        let second = self.host.create(self.other.interface(), &role);
        assert_eq!(self.other.get(INSTANCE_ID, None).text(), second);
        self.host.set(&self.id, &["--http-tokens", "required"]);
        assert_eq!(self.guest.get(INSTANCE_ID, None).status, 401);
        self.host.delete(&self.id);
    }
}

#[test]
fn no_instance_is_created() {
    let stage = Stage::new();
    let data = names::file("user-data", &[b'x'; 16 * 1024], 0o600);
    let create = ["instance", "create", "--interface", stage.other.interface()];
    stage.assert_fails(&[&create[..], &["--user-data-file", data.to_str().expect("a name in UTF-8")]].concat(), FULL);
    let unserved = stage.other.curl(&["--max-time", "1"], INSTANCE_ID);
    assert_eq!((unserved.status, unserved.body.as_str()), (0, ""));
    stage.assert_recovers();
}

#[test]
fn no_credentials_are_kept() {
    let stage = Stage::new();
    let file = credentials::file();
    let role = ["--iam-role", ROLE, "--credentials-file", file.to_str().expect("a name in UTF-8")];
    stage.assert_fails(&[&["instance", "create", "--interface", stage.other.interface()][..], &role].concat(), FULL);
    stage.assert_recovers();
}

#[test]
fn no_options_change() {
    let stage = Stage::new();
    stage.assert_fails(&["options", "set", &stage.id, "--http-tokens", "required"], FULL);
    stage.assert_fails(&["options", "set", "--all", "--http-endpoint", "disabled"], FULL);
    stage.assert_recovers();
}

#[test]
fn no_document_changes() {
    let stage = Stage::new();
    let document = names::file("document.json", br#"{"instance-type": "t3.large", "user-data": {"text": "x"}}"#, 0o600);
    let document = document.to_str().expect("a name in UTF-8");
    stage.assert_fails(&["instance", "update", &stage.id, "--document", document], FULL);
    stage.assert_fails(&["metadata", "set", &stage.id, "instance-type", "t3.large"], FULL);
    stage.assert_recovers();
}

#[test]
fn no_instance_is_deleted() {
    let stage = Stage::new();
    stage.assert_fails(&["instance", "delete", &stage.id], FULL);
    stage.assert_recovers();
}
