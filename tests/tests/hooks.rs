//! Somebody else lays hands on what imdsd attached: it is put right within seconds.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use imds_tests::family::Family;
use imds_tests::front::Front;
use imds_tests::guest::{Bridge, Guest, Link};
use imds_tests::host::Host;
use imds_tests::in_each_attachment;
use imds_tests::process;
use imds_tests::provider::Provider;
use imds_tests::wait;

in_each_attachment!(
    families: a_program_that_was_taken_off_is_attached_again,
    whoever_gets_the_index_of_an_interface_that_is_gone_is_let_be,
    a_port_that_leaves_its_bridge_is_served_on,
    a_program_that_came_before_ours_comes_after_it
);

const ADDRESS: &str = "10.0.0.1";
const INSTANCE_ID: &str = "/latest/meta-data/instance-id";

/// The pins of the daemon's links: a kernel without tcx has none.
fn links(host: &Host) -> Vec<PathBuf> {
    let layouts = fs::read_dir(host.pins().expect("pins")).expect("a directory").flatten();
    let links = layouts.flat_map(|layout| fs::read_dir(layout.path().join("links")).expect("a directory"));
    links.flatten().map(|entry| entry.path()).collect()
}

/// The index of a guest's interface, as text.
fn index_of(guest: &Guest) -> String {
    let path = format!("/sys/class/net/{}/ifindex", guest.interface());
    fs::read_to_string(path).expect("it is there").trim().to_owned()
}

/// Takes the daemon's program off an interface, as an operator by mistake.
fn take_off(host: &Host, guest: &Guest) {
    let index = index_of(guest);
    match links(host).into_iter().find(|link| link.ends_with(&index)) {
        Some(link) => fs::remove_file(link).expect("removed"),
        None => process::succeed(Command::new("tc").args(["qdisc", "delete", "dev", guest.interface(), "clsact"])),
    }
}

fn a_program_that_was_taken_off_is_attached_again(family: Family) {
    let host = Host::start().over(family);
    let guests = [Guest::on_veth(ADDRESS).over(family), Guest::on_veth(ADDRESS).over(family)];
    let id = host.create(guests[0].interface(), &["--metadata-options", "HttpTokens=required"]);
    let closed = host.create(guests[1].interface(), &[]);
    host.delete(&closed);
    let token = guests[0].token();
    for guest in &guests {
        let provider = Provider::at(guest);
        take_off(&host, guest);
        let says = format!("interface=\"{}\"", guest.interface());
        let told =
            |log: &String| log.lines().any(|line| line.contains("not attached any more") && line.contains(&says));
        wait::until("the log to tell", || host.log(), told);
        assert!(!provider.is_reached(guest), "it is closed again");
    }
    assert_eq!(guests[0].get(INSTANCE_ID, None).status, 401);
    assert_eq!(guests[0].get(INSTANCE_ID, Some(&token)).text(), id);
}

/// Waits until the daemon has looked at every interface: the program is back on one that it was taken off.
fn wait_for_a_round(host: &Host, guest: &Guest) {
    let mends = || host.log().matches("not attached any more").count();
    let before = mends();
    take_off(host, guest);
    wait::until("the program to be attached again", mends, |&mends| mends > before);
}

fn whoever_gets_the_index_of_an_interface_that_is_gone_is_let_be(family: Family) {
    let host = Host::start().over(family);
    let (owned, closed, stays) = (
        Guest::on_veth(ADDRESS).over(family),
        Guest::on_veth(ADDRESS).over(family),
        Guest::on_veth(ADDRESS).over(family),
    );
    let ids = [&owned, &closed, &stays].map(|guest| host.create(guest.interface(), &[]));
    host.delete(&ids[1]);
    let indices = [index_of(&owned), index_of(&closed)];
    drop((owned, closed));
    let status = || host.ask(&["instance", "show", &ids[0]])["interfaces"][0]["status"].clone();
    wait::until("the interface to be missed", status, |status| status == "absent");
    let strangers = indices.map(|index| Link::add(&["index", &index, "type", "bridge"]));
    wait_for_a_round(&host, &stays);
    let (log, leftovers) = (host.log(), host.leftovers().join("\n"));
    for stranger in &strangers {
        assert!(!log.contains(stranger.name()), "{log}");
        assert!(!leftovers.contains(stranger.name()), "{leftovers}");
    }
    assert_eq!(stays.get(INSTANCE_ID, None).text(), ids[2]);
}

fn a_port_that_leaves_its_bridge_is_served_on(family: Family) {
    let host = Host::start().over(family);
    let bridge = Bridge::new();
    let guest = Guest::on_bridge(&bridge, ADDRESS).over(family);
    let id = host.create(guest.interface(), &[]);
    let token = guest.token();
    for _ in 0..3 {
        process::ip(["link", "set", guest.interface(), "nomaster"]);
        for _ in 0..20 {
            assert_eq!(guest.get(INSTANCE_ID, Some(&token)).text(), id);
        }
        process::ip(["link", "set", guest.interface(), "master", bridge.name()]);
    }
    assert_eq!(host.stats(&id).kernel("dropped-unowned"), 0, "it was closed meanwhile");
}

fn a_program_that_came_before_ours_comes_after_it(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let provider = Provider::at(&guest);
    assert!(provider.is_reached(&guest), "nothing is in its way yet");
    let id = host.create(guest.interface(), &["--metadata-options", "HttpTokens=required"]);
    let token = guest.token();
    assert!(!provider.is_reached(&guest));
    let before = links(&host);
    let Some(_front) = Front::of(guest.interface()) else {
        println!("this kernel has no tcx (6.6 has): nothing can come before a filter of our priority this way");
        return;
    };
    // XDP keeps the guest from the provider whoever is first at tc; but only ours answers.
    let status = || guest.curl(&["--max-time", "1"], INSTANCE_ID).status;
    wait::until("the program to be first", status, |&status| status == 401);
    assert!(!provider.is_reached(&guest));
    assert_eq!(guest.get(INSTANCE_ID, Some(&token)).text(), id);
    assert_eq!(links(&host).len(), before.len(), "no link is left over");
    assert!(host.log().contains("going to the front"), "{}", host.log());
    let mut host = host;
    host.kill();
    assert!(!provider.is_reached(&guest), "it stays there without a daemon");
}
