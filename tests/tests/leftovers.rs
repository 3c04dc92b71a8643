//! What a daemon makes on the host, and that nothing of it is left after `imdsd detach`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use imds_tests::guest::{Bridge, Guest};
use imds_tests::host::Host;
use imds_tests::process;
use imds_tests::provider::Provider;

const ADDRESS: &str = "10.0.0.1";

fn names_in(directory: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// What there is under the digits that a daemon's names have in common, seen without imdsd.
fn seen(digits: &str) -> Vec<String> {
    let in_directory = |directory: &str| -> Vec<_> {
        let names = names_in(directory).into_iter().filter(|name| name.contains(digits));
        names.map(|name| format!("{directory}/{name}")).collect()
    };
    ["/run/netns", "/sys/class/net", "/sys/fs/bpf"].into_iter().flat_map(in_directory).collect()
}

/// What tc shows of an interface.
fn tc(arguments: &[&str]) -> String {
    process::run(Command::new("tc").args(arguments)).stdout
}

/// The digits that the daemon's names have in common.
fn digits(things: &[String]) -> String {
    let line = things.iter().find_map(|line| line.strip_prefix("namespace imds-"));
    line.unwrap_or_else(|| panic!("no namespace in: {things:?}")).to_owned()
}

#[test]
fn nothing_is_left_after_detach() {
    let mut host = Host::start();
    let bridge = Bridge::new();
    let guests = [Guest::on_veth(ADDRESS), Guest::on_bridge(&bridge, ADDRESS), Guest::on_veth(ADDRESS)];
    let ids = guests.each_ref().map(|guest| {
        let id = host.create(guest.interface(), &[]);
        assert_eq!(guest.get("/latest/meta-data/", None).status, 200);
        id
    });
    // The last one's interface is closed.
    host.delete(&ids[2]);
    let running = host.leftovers();
    assert!(host.terminate().success());
    // Enforcement stays: what was made is still there.
    let before = host.leftovers();
    assert_eq!(running, before);
    let digits = digits(&before);
    let mut expected: Vec<_> = guests.iter().map(|guest| format!("program on {}", guest.interface())).collect();
    expected.push(format!("pins /sys/fs/bpf/imds-{digits}"));
    expected.push(format!("link imds{digits}"));
    expected.push(format!("namespace imds-{digits}"));
    // A kernel without tcx has a qdisc on each interface as well.
    let listed = before.iter().filter(|line| !line.starts_with("clsact qdisc on "));
    assert_eq!(listed.collect::<BTreeSet<_>>(), expected.iter().collect());
    // What it says is what there is.
    let places = ["/run/netns/imds-", "/sys/class/net/imds", "/sys/fs/bpf/imds-"];
    assert_eq!(seen(&digits), places.map(|place| format!("{place}{digits}")));

    let detached = host.detach();
    assert!(detached.success(), "{}", detached.stderr);
    assert_eq!(detached.stdout.lines().collect::<Vec<_>>(), before, "it says what it removes");
    assert_eq!(seen(&digits), Vec::<String>::new());
    assert_eq!(host.leftovers(), Vec::<String>::new());
    for guest in &guests {
        let name = guest.interface();
        assert_eq!(tc(&["filter", "show", "dev", name, "ingress"]), "", "a filter is left on {name}");
        assert!(!tc(&["qdisc", "show", "dev", name]).contains("clsact"), "a qdisc is left on {name}");
    }
    for guest in [&guests[0], &guests[2]] {
        assert!(Provider::at(guest).is_reached(guest), "a program is left on {}", guest.interface());
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
    let digits = digits(&host.leftovers());
    assert!(host.detach().success());
    assert_eq!((seen(&digits), host.leftovers()), (Vec::new(), Vec::new()));
}

#[test]
fn half_of_it_is_found_and_removed_as_well() {
    let mut host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let _ = host.create(guest.interface(), &[]);
    host.kill();
    let all = host.leftovers();
    let digits = digits(&all);
    let pins = host.pins().expect("pins");
    process::ip(["link", "delete", &format!("imds{digits}")]);
    // Pinned links tell of their interfaces as well; a clsact filter is known to the map alone.
    let links = fs::read_dir(layout(&pins).join("links")).expect("a directory").count();
    let lost = if links > 0 { "IMDS_INTERFACES" } else { "IMDS_DATES" };
    fs::remove_file(layout(&pins).join(lost)).expect("removed");
    let half = host.leftovers();
    assert!(half.len() < all.len() && half.contains(&format!("namespace imds-{digits}")), "{half:?}");
    assert!(host.detach().success());
    assert_eq!((seen(&digits), host.leftovers()), (Vec::new(), Vec::new()));
    assert!(Provider::at(&guest).is_reached(&guest), "a program is left");
}

/// What `detach` can't remove it names: here somebody holds the program on an interface by a pin of their own.
#[test]
fn what_is_left_all_the_same_is_named() {
    let mut host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let _ = host.create(guest.interface(), &[]);
    host.kill();
    let pins = host.pins().expect("pins");
    let aside = pins.with_file_name(format!("{}held", imds_tests::names::prefix()));
    fs::rename(layout(&pins).join("imds_ingress"), &aside).expect("renamed");
    let failed = host.detach();
    fs::remove_file(&aside).expect("removed");
    assert_eq!(failed.code, Some(1), "{}", failed.stdout);
    for word in ["still there", "program "] {
        assert!(failed.stderr.contains(word), "{word} is not in {}", failed.stderr);
    }
    assert!(host.detach().success(), "it can be tried again");
}

/// The one layout there is.
fn layout(pins: &Path) -> PathBuf {
    let mut layouts = fs::read_dir(pins).expect("pins").flatten();
    layouts.next().expect("a layout").path()
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
