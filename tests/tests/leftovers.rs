//! What a daemon makes on the host, and that nothing of it is left after `imdsd detach`.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use imds_tests::guest::{Bridge, Guest};
use imds_tests::host::Host;
use imds_tests::process;

const ADDRESS: &str = "10.0.0.1";

/// Everything that a daemon with this run directory may have made: found by the one name that `ip netns` lists for it.
#[derive(Debug, PartialEq, Eq, Default)]
struct Made {
    namespaces: BTreeSet<String>,
    links: BTreeSet<String>,
    pins: BTreeSet<String>,
}

fn names_in(directory: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// What of the daemon `digits` there is now.
fn made(digits: &str) -> Made {
    let with = |directory| names_in(directory).into_iter().filter(|name| name.contains(digits)).collect();
    Made { namespaces: with("/run/netns"), links: with("/sys/class/net"), pins: with("/sys/fs/bpf") }
}

/// The digits that the daemon's names have in common: `detach` prints the names that it removes.
fn digits(removed: &str) -> String {
    let line = removed.lines().find_map(|line| line.strip_prefix("namespace imds-"));
    line.unwrap_or_else(|| panic!("no namespace in: {removed}")).to_owned()
}

#[test]
fn nothing_is_left_after_detach() {
    let mut host = Host::start();
    let bridge = Bridge::new();
    let guests = [Guest::on_veth(ADDRESS), Guest::on_bridge(&bridge, ADDRESS)];
    for guest in &guests {
        let _ = host.create(guest.interface(), &[]);
        assert_eq!(guest.get("/latest/meta-data/", None).status, 200);
    }
    assert!(host.terminate().success());
    // Enforcement stays: what was made is still there.
    let before: BTreeSet<_> = names_in("/sys/fs/bpf");
    let detached = host.detach();
    assert!(detached.success(), "{}", detached.stderr);
    let digits = digits(&detached.stdout);
    assert!(before.iter().any(|name| name.contains(&digits)), "{before:?}");
    assert_eq!(made(&digits), Made::default());
    for guest in &guests {
        let name = guest.interface();
        assert!(detached.stdout.contains(name), "{name} is not named: {}", detached.stdout);
        let shown = process::run(Command::new("tc").args(["filter", "show", "dev", name, "ingress"]));
        assert_eq!(shown.stdout, "", "a filter is left on {name}");
        let shown = process::run(Command::new("tc").args(["qdisc", "show", "dev", name]));
        assert!(!shown.stdout.contains("clsact"), "a qdisc is left on {name}: {}", shown.stdout);
    }
    assert!(!host.run_dir().exists(), "the run directory is left");
    let again = host.detach();
    assert!(again.success() && again.stdout.is_empty(), "{}{}", again.stdout, again.stderr);
}

#[test]
fn nothing_is_left_of_a_daemon_that_was_killed() {
    let mut host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let _ = host.create(guest.interface(), &[]);
    host.kill();
    drop(guest);
    let detached = host.detach();
    assert!(detached.success(), "{}", detached.stderr);
    assert_eq!(made(&digits(&detached.stdout)), Made::default());
}

#[test]
fn a_config_can_want_everything_removed_at_the_end() {
    let mut host = Host::with_config("detach-on-exit = true\n");
    let guest = Guest::on_veth(ADDRESS);
    let _ = host.create(guest.interface(), &[]);
    assert!(host.terminate().success());
    let detached = host.detach();
    assert!(detached.success() && detached.stdout.is_empty(), "{}", detached.stdout);
}

#[test]
fn daemons_live_side_by_side() {
    let hosts = [Host::start(), Host::start()];
    let guests = [Guest::on_veth(ADDRESS), Guest::on_veth(ADDRESS)];
    let ids = [0, 1].map(|number| hosts[number].create(guests[number].interface(), &[]));
    let read = |number: usize| guests[number].get("/latest/meta-data/instance-id", None).text();
    assert_eq!([read(0), read(1)], ids);
    let [mut first, second] = hosts;
    first.kill();
    assert!(first.detach().success());
    assert_eq!(read(1), ids[1]);
    drop(second);
}

#[test]
fn a_daemon_starts_anew_after_detach() {
    let mut host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let id = host.create(guest.interface(), &["--metadata-options", "HttpTokens=required"]);
    let token = guest.token();
    host.kill();
    assert!(host.detach().success());
    host.launch();
    assert_eq!(guest.get("/latest/meta-data/", None).status, 401, "options outlive a detach");
    assert_eq!(guest.get("/latest/meta-data/instance-id", Some(&guest.token())).text(), id);
    assert_eq!(guest.get("/latest/meta-data/", Some(&token)).status, 401, "its keys are gone");
}
