//! A daemon that dies, and the one after it.

use std::io::ErrorKind;
use std::time::Duration;

use imds_tests::family::Family;
use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::http::{Connection, request};
use imds_tests::over_both_families;
use imds_tests::wait;

over_both_families!(
    a_token_outlives_the_daemon,
    nothing_opens_while_no_daemon_runs,
    instances_options_and_counters_survive,
    an_open_connection_gets_no_answer_of_the_next_daemon,
    an_interface_that_comes_back_is_closed_until_it_is_taken_again,
    an_interface_that_comes_back_takes_the_tokens_of_one_that_stayed
);

const ADDRESS: &str = "10.0.0.1";
const INSTANCE_ID: &str = "/latest/meta-data/instance-id";

fn a_token_outlives_the_daemon(family: Family) {
    let mut host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let id = host.create(guest.interface(), &["--metadata-options", "HttpTokens=required"]);
    let token = guest.token();
    for round in 0..2 {
        host.kill();
        host.launch();
        let answer = guest.get(INSTANCE_ID, Some(&token));
        assert_eq!((answer.status, answer.text()), (200, id.clone()), "round {round}");
        assert_eq!(guest.get(INSTANCE_ID, None).status, 401);
    }
    assert!(host.terminate().success(), "{}", host.log());
    host.launch();
    assert_eq!(guest.get(INSTANCE_ID, Some(&token)).status, 200);
    assert_eq!(guest.get(INSTANCE_ID, Some(&guest.token())).status, 200);
}

fn nothing_opens_while_no_daemon_runs(family: Family) {
    let mut host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let _ = host.create(guest.interface(), &["--metadata-options", "HttpTokens=required"]);
    let mut connection = Connection::open(&guest).expect("connects");
    host.kill();
    // The kernel of a dead daemon resets its connections, or still refuses on its own: it never serves.
    let read = request("GET", INSTANCE_ID, &[]);
    if let Ok(answer) = connection.ask(&read) {
        assert_eq!(answer.status, 401);
    }
    let refused = Connection::open(&guest).expect_err("nobody listens");
    assert!(matches!(refused.kind(), ErrorKind::ConnectionRefused | ErrorKind::TimedOut), "{refused}");
}

fn instances_options_and_counters_survive(family: Family) {
    let mut host = Host::start().over(family);
    let (guest, second) = (Guest::on_veth(ADDRESS).over(family), Guest::on_veth(ADDRESS).over(family));
    let id = host.create(guest.interface(), &["--tag", "Name=web", "--instance-type", "m7i.large"]);
    let _ = host.create(second.interface(), &[]);
    assert_eq!(guest.get(INSTANCE_ID, None).status, 200);
    host.set(&id, &["--http-tokens", "required", "--http-put-response-hop-limit", "7"]);
    assert_eq!(guest.get(INSTANCE_ID, None).status, 401);
    let _ = guest.token();
    let (list, before) = (host.ask(&["instance", "list"]), host.stats(&id));
    assert_eq!((before.no_token(), before.no_token_rejected(), before.tokens_issued()), (1, 1, 1));

    for end in [Host::kill, |host: &mut Host| assert!(host.terminate().success())] {
        end(&mut host);
        host.launch();
        assert_eq!(host.ask(&["instance", "list"]), list);
        let after = host.stats(&id);
        assert_eq!(after.requests(), before.requests());
        assert_eq!((after.no_token(), after.no_token_rejected(), after.tokens_issued()), (1, 1, 1));
        assert_eq!(after.kernel("refused-token-missing"), before.kernel("refused-token-missing"));
    }
    assert_eq!(guest.get("/latest/meta-data/instance-type", Some(&guest.token())).text(), "m7i.large");
}

fn an_open_connection_gets_no_answer_of_the_next_daemon(family: Family) {
    let mut host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let _ = host.create(guest.interface(), &[]);
    let mut connection = Connection::open(&guest).expect("connects");
    let read = request("GET", INSTANCE_ID, &[]);
    assert_eq!(connection.ask(&read).expect("an answer").status, 200);
    host.kill();
    host.launch();
    connection.stream().set_read_timeout(Some(Duration::from_secs(3))).expect("a time-out");
    let broken = connection.ask(&read).expect_err("the connection died with the daemon");
    assert_ne!(broken.kind(), ErrorKind::TimedOut, "{broken}");
}

fn an_interface_that_comes_back_is_closed_until_it_is_taken_again(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let id = host.create(guest.interface(), &["--metadata-options", "HttpTokens=required"]);
    let token = guest.token();
    let name = guest.interface().to_owned();
    drop(guest);
    let status = || host.ask(&["instance", "show", &id])["interfaces"][0]["status"].clone();
    wait::until("the interface to be missed", status, |status| status == "absent");

    let again = Guest::on_veth_named(&name, ADDRESS).over(family);
    wait::until("the interface to be taken again", status, |status| status == "enforced");
    assert_eq!(again.get(INSTANCE_ID, None).status, 401);
    assert_eq!(again.get(INSTANCE_ID, Some(&again.token())).text(), id);
    assert_eq!(again.get(INSTANCE_ID, Some(&token)).status, 401, "it was the only one");
}

fn an_interface_that_comes_back_takes_the_tokens_of_one_that_stayed(family: Family) {
    let mut host = Host::start().over(family);
    let (guest, other) = (Guest::on_veth(ADDRESS).over(family), Guest::on_veth(ADDRESS).over(family));
    let options = ["--interface", other.interface(), "--metadata-options", "HttpTokens=required"];
    let id = host.create(guest.interface(), &options);
    let tokens = [guest.token(), other.token()];
    let name = guest.interface().to_owned();
    drop(guest);
    let wait_until = |host: &Host, wanted: &str| {
        let status = || host.ask(&["instance", "show", &id])["interfaces"][0]["status"].clone();
        wait::until(wanted, status, |status| status == wanted);
    };
    wait_until(&host, "absent");
    let again = Guest::on_veth_named(&name, ADDRESS).over(family);
    wait_until(&host, "enforced");
    for restarted in [false, true] {
        for token in &tokens {
            for guest in [&again, &other] {
                let answer = guest.get(INSTANCE_ID, Some(token));
                assert_eq!((answer.status, answer.text()), (200, id.clone()), "restarted: {restarted}");
            }
        }
        host.kill();
        host.launch();
    }
}
