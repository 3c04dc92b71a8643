//! Instances that are deleted, and those that come after them on the same interface.

use std::time::Duration;

use imds_tests::family::Family;
use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::http::{Connection, TOKEN, request};
use imds_tests::over_both_families;
use imds_tests::wait;

over_both_families!(
    no_token_and_no_connection_reaches_the_next_instance,
    the_same_id_is_another_instance,
    a_token_is_good_on_every_interface_of_its_instance_and_dies_with_it,
    no_token_reaches_the_next_instance_after_a_restart_either,
    a_deleted_instances_interface_is_closed,
    an_interface_passes_on_to_another_instance_without_a_gap_for_the_old_one,
    an_interface_that_vanished_is_no_way_to_its_instance
);

const ADDRESS: &str = "10.0.0.1";
const INSTANCE_ID: &str = "/latest/meta-data/instance-id";
const FIRST: &str = "i-0000000000000000a";
const SECOND: &str = "i-0000000000000000b";

/// So long an answer is waited for that must not come.
const SILENCE: Duration = Duration::from_secs(2);

/// Asks on a connection whose instance is gone: whatever becomes of it, no answer comes.
fn assert_dead(mut connection: Connection, request: &[u8]) {
    connection.stream().set_read_timeout(Some(SILENCE)).expect("a time-out");
    if let Ok(answer) = connection.ask(request) {
        panic!("a connection met the next instance: {answer:?}");
    }
}

fn no_token_and_no_connection_reaches_the_next_instance(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    host.create(guest.interface(), &["--instance-id", FIRST]);
    let token = guest.token();
    let (with, without) = (request("GET", INSTANCE_ID, &[(TOKEN, &token)]), request("GET", INSTANCE_ID, &[]));
    let mut used = Connection::open(&guest).expect("connects");
    assert_eq!(used.ask(&with).expect("an answer").text(), FIRST);
    let unused = Connection::open(&guest).expect("connects");
    let mut begun = Connection::open(&guest).expect("connects");
    begun.send(&without[..10]).expect("sent");

    host.delete(FIRST);
    host.create(guest.interface(), &["--instance-id", SECOND]);

    assert_eq!(guest.get(INSTANCE_ID, Some(&token)).status, 401);
    assert_eq!(host.stats(SECOND).kernel("refused-token-invalid"), 1);
    assert_dead(used, &with);
    assert_dead(unused, &without);
    assert_dead(begun, &without[10..]);
    assert_eq!(guest.get(INSTANCE_ID, None).text(), SECOND);
    assert_eq!(guest.get(INSTANCE_ID, Some(&guest.token())).text(), SECOND);
}

fn the_same_id_is_another_instance(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    host.create(guest.interface(), &["--instance-id", FIRST]);
    let token = guest.token();
    assert_eq!(guest.get(INSTANCE_ID, None).status, 200);
    host.delete(FIRST);
    host.create(guest.interface(), &["--instance-id", FIRST]);
    assert_eq!(guest.get(INSTANCE_ID, Some(&token)).status, 401);
    let stats = host.stats(FIRST);
    assert_eq!((stats.no_token(), stats.tokens_issued()), (0, 0), "counters begin anew");
}

fn a_token_is_good_on_every_interface_of_its_instance_and_dies_with_it(family: Family) {
    let host = Host::start().over(family);
    let guests = [Guest::on_veth(ADDRESS).over(family), Guest::on_veth(ADDRESS).over(family)];
    let [one, two] = &guests;
    let options = ["--instance-id", FIRST, "--metadata-options", "HttpTokens=required"];
    host.create(one.interface(), &[&["--interface", two.interface()], &options[..]].concat());
    let other = Guest::on_veth(ADDRESS).over(family);
    host.create(other.interface(), &["--instance-id", SECOND]);
    let tokens = [one.token(), two.token()];
    for token in &tokens {
        for guest in &guests {
            let answer = guest.get(INSTANCE_ID, Some(token));
            assert_eq!((answer.status, answer.text()), (200, FIRST.to_owned()));
            // In parts, so that the daemon judges it.
            let read = request("GET", INSTANCE_ID, &[(TOKEN, token)]);
            let mut connection = Connection::open(guest).expect("connects");
            connection.send(&read[..20]).expect("sent");
            assert_eq!(connection.ask(&read[20..]).expect("an answer").status, 200);
        }
        assert_eq!(other.get(INSTANCE_ID, Some(token)).status, 401, "another instance's");
    }
    assert_eq!(one.get(INSTANCE_ID, Some(&other.token())).status, 401, "another instance's");
    host.delete(FIRST);
    host.create(two.interface(), &[&["--interface", one.interface()], &options[..]].concat());
    for token in &tokens {
        assert_eq!(guests.each_ref().map(|guest| guest.get(INSTANCE_ID, Some(token)).status), [401, 401]);
    }
}

fn no_token_reaches_the_next_instance_after_a_restart_either(family: Family) {
    let mut host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    host.create(guest.interface(), &["--instance-id", FIRST]);
    let token = guest.token();
    host.delete(FIRST);
    host.kill();
    host.launch();
    host.create(guest.interface(), &["--instance-id", FIRST]);
    assert_eq!(guest.get(INSTANCE_ID, Some(&token)).status, 401);
}

fn a_deleted_instances_interface_is_closed(family: Family) {
    let mut host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    host.create(guest.interface(), &["--instance-id", FIRST]);
    let read = request("GET", INSTANCE_ID, &[]);
    let mut open = Connection::open(&guest).expect("connects");
    assert_eq!(open.ask(&read).expect("an answer").status, 200);
    host.delete(FIRST);
    assert_dead(open, &read);
    for restarted in [false, true] {
        let before = host.host_counter("dropped-unowned");
        let probe = guest.curl(&["--max-time", "1"], INSTANCE_ID);
        assert_eq!((probe.code, probe.connected), (Some(28), false), "restarted: {restarted}");
        assert!(host.host_counter("dropped-unowned") > before);
        host.kill();
        host.launch();
    }
    let shown = host.ctl(&["instance", "show", FIRST]);
    assert_eq!(shown.code, Some(3), "{}", shown.stderr);
}

fn an_interface_passes_on_to_another_instance_without_a_gap_for_the_old_one(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    host.create(guest.interface(), &["--instance-id", FIRST, "--metadata-options", "HttpTokens=required"]);
    for round in 0..5 {
        let (old, new) = if round % 2 == 0 { (FIRST, SECOND) } else { (SECOND, FIRST) };
        let token = guest.token();
        host.delete(old);
        host.create(guest.interface(), &["--instance-id", new, "--metadata-options", "HttpTokens=required"]);
        assert_eq!(guest.get(INSTANCE_ID, Some(&token)).status, 401, "round {round}");
        assert_eq!(guest.get(INSTANCE_ID, None).status, 401, "round {round}");
        assert_eq!(guest.get(INSTANCE_ID, Some(&guest.token())).text(), new, "round {round}");
    }
}

fn an_interface_that_vanished_is_no_way_to_its_instance(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    host.create(guest.interface(), &["--instance-id", FIRST]);
    let name = guest.interface().to_owned();
    drop(guest);
    let status = || host.ask(&["instance", "show", FIRST])["interfaces"][0]["status"].clone();
    wait::until("the interface to be missed", status, |status| status == "absent");
    host.set(FIRST, &["--http-tokens", "required"]);
    let taken = host.ctl(&["instance", "create", "--interface", &name]);
    assert_eq!(taken.code, Some(4), "its name is still the instance's: {}", taken.stderr);
    host.delete(FIRST);
    let other = Guest::on_veth_named(&name, ADDRESS).over(family);
    host.create(other.interface(), &["--instance-id", SECOND]);
    assert_eq!(other.get(INSTANCE_ID, None).text(), SECOND);
}
