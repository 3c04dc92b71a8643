//! Pins of another version of imdsd: it is refused to start beside them, and nothing is changed.

use std::fs;
use std::path::{Path, PathBuf};

use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::process::{self, Output};

const ADDRESS: &str = "10.0.0.1";
const INSTANCE_ID: &str = "/latest/meta-data/instance-id";

/// Every file and directory below `directory`.
fn tree(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(tree(&entry.path()));
        }
        found.push(entry.path());
    }
    found.sort();
    found
}

/// Everything that a start could have made or changed.
fn snapshot(host: &Host, pins: &Path) -> (Vec<String>, Vec<PathBuf>, Vec<PathBuf>) {
    (host.leftovers(), tree(pins), tree(host.directory()))
}

/// Starts a daemon that must refuse, by words that contain each of `words`, and change nothing.
#[track_caller]
fn assert_refused(host: &Host, pins: &Path, words: &[&str]) {
    let before = snapshot(host, pins);
    let Output { code, stdout, stderr } = process::run(&mut host.imdsd());
    assert_eq!(code, Some(1), "{stdout}{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{word} is not in: {stderr}");
    }
    assert_eq!(snapshot(host, pins), before);
}

/// The one layout there is.
fn layout(pins: &Path) -> PathBuf {
    let mut layouts = fs::read_dir(pins).expect("pins").flatten().map(|entry| entry.path());
    let layout = layouts.next().expect("a layout");
    assert_eq!(layouts.next(), None);
    layout
}

#[test]
fn of_an_older_and_of_a_newer_version_that_enforces() {
    let mut host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let id = host.create(guest.interface(), &["--metadata-options", "HttpTokens=required"]);
    let token = guest.token();
    let pins = host.pins().expect("pins");
    assert!(host.terminate().success());
    let ours = layout(&pins);
    let run_dir = host.run_dir().display().to_string();
    for version in ["v0", "v1000"] {
        let other = pins.join(version);
        fs::rename(&ours, &other).expect("renamed");
        let words = [other.to_str().expect("text"), "another version", "imdsd detach", &run_dir];
        assert_refused(&host, &pins, &words);
        assert!(guest.connect().is_err(), "nothing opened");
        fs::rename(&other, &ours).expect("renamed back");
    }
    // Beside ours it is refused as well.
    fs::create_dir(pins.join("v0")).expect("made");
    assert_refused(&host, &pins, &["v0", "another version"]);
    fs::remove_dir(pins.join("v0")).expect("removed");
    host.launch();
    assert_eq!(guest.get(INSTANCE_ID, Some(&token)).text(), id, "the same maps and keys");

    // The way out.
    host.kill();
    fs::rename(&ours, pins.join("v1000")).expect("renamed");
    let detached = host.detach();
    assert!(detached.success(), "{}", detached.stderr);
    assert!(detached.stdout.contains(guest.interface()), "{}", detached.stdout);
    assert_eq!(host.leftovers(), Vec::<String>::new());
    host.launch();
    assert_eq!(guest.get(INSTANCE_ID, None).status, 401);
    assert_eq!(guest.get(INSTANCE_ID, Some(&guest.token())).text(), id);
}

#[test]
fn before_anything_was_made() {
    let mut host = Host::start();
    let pins = host.pins().expect("pins");
    host.kill();
    assert!(host.detach().success());
    fs::remove_dir_all(host.state_dir()).expect("removed");
    fs::create_dir_all(pins.join("v0")).expect("made");
    assert_refused(&host, &pins, &["v0", "nothing was changed", "imdsd detach"]);
    assert!(!host.run_dir().exists() && !host.state_dir().exists());
    assert!(host.detach().success());
    assert!(!pins.exists());
}

#[test]
fn of_maps_of_another_shape() {
    let mut host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let _ = host.create(guest.interface(), &[]);
    let pins = host.pins().expect("pins");
    host.kill();
    let map = |name: &str| layout(&pins).join(name);
    let (keys, dates, aside) = (map("IMDS_KEYS"), map("IMDS_DATES"), map("aside"));
    let swap = || {
        for (from, to) in [(&keys, &aside), (&dates, &keys), (&aside, &dates)] {
            fs::rename(from, to).expect("renamed");
        }
    };
    swap();
    assert_refused(&host, &pins, &[keys.to_str().expect("text"), "imdsd detach", "bytes"]);
    assert!(guest.connect().is_err(), "nothing opened");
    swap();
    host.launch();
    assert_eq!(guest.get(INSTANCE_ID, None).status, 200);
}
