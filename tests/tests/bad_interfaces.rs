//! Interfaces that can't carry an instance: each refused by name, with a way out, and nothing half done.

use std::thread;
use std::time::Duration;

use imds_tests::guest::{Bridge, Guest, Link};
use imds_tests::host::Host;
use imds_tests::{names, wait};

const ADDRESS: &str = "10.0.0.1";

/// Tries to create an instance: refused with `code`, by words that name the interface and `words`; the list of
/// instances stays as it is.
#[track_caller]
fn assert_refused(host: &Host, arguments: &[&str], code: i32, words: &[&str]) {
    let before = host.ask(&["instance", "list"]);
    let refused = host.ctl(&[&["instance", "create"], arguments].concat());
    assert_eq!(refused.code, Some(code), "{arguments:?}: {}{}", refused.stdout, refused.stderr);
    for word in words {
        assert!(refused.stderr.contains(word), "{arguments:?}: {word} is not in: {}", refused.stderr);
    }
    assert_eq!(host.ask(&["instance", "list"]), before, "{arguments:?}");
}

#[test]
fn of_a_kind_that_carries_no_guest() {
    let host = Host::start();
    let bridge = Bridge::new();
    let peer = names::link();
    let veth = Link::add(&["type", "veth", "peer", "name", &peer]);
    let way_out = "give the host-side veth or tap";
    assert_refused(&host, &["--interface", "lo"], 5, &["\"lo\"", "loopback", way_out]);
    assert_refused(&host, &["--interface", bridge.name()], 5, &[bridge.name(), "a bridge", way_out]);
    assert_refused(&host, &["--interface", veth.name()], 5, &[veth.name(), "other end is on this host", way_out]);
    assert_refused(&host, &["--interface", &peer], 5, &[&peer, "other end is on this host", way_out]);
    for kind in ["macvtap", "macvlan"] {
        let made = Link::try_add(&["link", veth.name(), "type", kind, "mode", "bridge"]);
        match made {
            Ok(link) => assert_refused(&host, &["--interface", link.name()], 5, &[link.name(), "macvtap", way_out]),
            Err(error) => println!("this kernel makes no {kind}, so it isn't tried: {error}"),
        }
    }
    let tun = names::link();
    imds_tests::process::ip(["tuntap", "add", "dev", &tun, "mode", "tun"]);
    let tun = Link::adopt(tun);
    assert_refused(&host, &["--interface", tun.name()], 5, &[tun.name(), "not an Ethernet interface", way_out]);
}

#[test]
fn that_are_not_there() {
    let host = Host::start();
    let missing = names::link();
    assert_refused(&host, &["--interface", &missing], 5, &[&missing, "does not exist", "ip link"]);
    let guest = Guest::on_veth(ADDRESS);
    let name = guest.interface().to_owned();
    drop(guest);
    assert_refused(&host, &["--interface", &name], 5, &[&name, "does not exist"]);
    assert_refused(&host, &["--interface", "a/b"], 2, &["a/b"]);
    assert_refused(&host, &["--interface", ""], 2, &["interface"]);
    assert_refused(&host, &[], 2, &["--interface"]);
}

#[test]
fn that_are_taken() {
    let host = Host::start();
    let (first, second) = (Guest::on_veth(ADDRESS), Guest::on_veth(ADDRESS));
    let id = host.create(first.interface(), &[]);
    let name = first.interface();
    assert_refused(&host, &["--interface", name], 4, &[name, &id, "delete that first"]);
    assert_refused(&host, &["--interface", second.interface(), "--interface", name], 4, &[name, &id]);
    assert_refused(&host, &["--interface", second.interface(), "--interface", second.interface()], 2, &["twice"]);
    // Nothing of what was refused is left: the second one is free, and passes what nobody owns.
    let id = host.create(second.interface(), &[]);
    assert_eq!(second.get("/latest/meta-data/instance-id", None).text(), id);
}

/// Two daemons on one interface would be two judges: the later one would open what the first one requires.
#[test]
fn that_belong_to_another_daemon() {
    let (first, second) = (Host::start(), Host::start());
    let guest = Guest::on_veth(ADDRESS);
    let id = first.create(guest.interface(), &["--metadata-options", "HttpTokens=required"]);
    let words = [guest.interface(), "another imdsd", "imdsd detach"];
    assert_refused(&second, &["--interface", guest.interface()], 5, &words);
    assert_eq!(guest.get("/latest/meta-data/instance-id", None).status, 401);
    // The daemons' own service links, and those of other tests' daemons.
    let links = std::fs::read_dir("/sys/class/net").expect("sysfs is there").flatten();
    let own: Vec<_> = links.filter_map(|link| link.file_name().into_string().ok()).collect();
    let own: Vec<_> = own.iter().filter(|name| name.starts_with("imds")).collect();
    assert!(own.len() >= 2, "{own:?}");
    for link in own {
        assert_refused(&second, &["--interface", link], 5, &[link]);
    }
    let token = guest.token();
    assert_eq!(guest.get("/latest/meta-data/instance-id", Some(&token)).text(), id, "the first one serves on");
}

#[test]
fn one_of_several_spoils_the_whole_instance() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let missing = names::link();
    assert_refused(&host, &["--interface", guest.interface(), "--interface", &missing], 5, &[&missing]);
    let before = host.host_counter("dropped-unowned");
    let probe = guest.curl(&["--max-time", "1"], "/latest/meta-data/");
    assert_eq!(probe.status, 0);
    assert_eq!(host.host_counter("dropped-unowned"), before, "the program was never attached");
}

/// Whatever an interface does while it is taken, an instance has it or there is no trace of the instance.
#[test]
fn that_vanish_while_they_are_taken() {
    const ROUNDS: u32 = 40;
    /// So far apart the rounds' deletions come.
    const STEP: Duration = Duration::from_millis(1);
    let host = Host::start();
    let keeper = Guest::on_veth(ADDRESS);
    let kept = host.create(keeper.interface(), &[]);
    let (mut created, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        let guest = Guest::on_veth(ADDRESS);
        let name = guest.interface().to_owned();
        let outcome = thread::scope(|scope| {
            let create = scope.spawn(|| host.ctl(&["--output", "json", "instance", "create", "--interface", &name]));
            thread::sleep(STEP * round);
            drop(guest);
            create.join().expect("imdsctl ends")
        });
        let list = host.ask(&["instance", "list"]);
        let others: Vec<_> =
            list.as_array().into_iter().flatten().filter(|other| other["instance_id"] != *kept).collect();
        if outcome.success() {
            created += 1;
            let [instance] = others[..] else { panic!("{list}") };
            let id = instance["instance_id"].as_str().expect("an id");
            let status = || host.ask(&["instance", "show", id])["interfaces"][0]["status"].clone();
            wait::until("the interface to be missed", status, |status| status == "absent");
            host.delete(id);
        } else {
            refused += 1;
            assert_eq!(outcome.code, Some(5), "{outcome:?}");
            assert!(outcome.stderr.contains(&name), "{outcome:?}");
            assert!(others.is_empty(), "{list}");
        }
    }
    println!("{created} were created, {refused} refused");
    assert_eq!(keeper.get("/latest/meta-data/instance-id", None).text(), kept);
    let again = Guest::on_veth(ADDRESS);
    let id = host.create(again.interface(), &[]);
    assert_eq!(again.get("/latest/meta-data/instance-id", None).text(), id);
}
