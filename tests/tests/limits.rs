//! What one instance may have at once, and that another doesn't notice.

use std::io::ErrorKind;
use std::time::Duration;

use imds_tests::family::Family;
use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::http::{Connection, TOKEN, request};
use imds_tests::in_each_attachment;

in_each_attachment!(
    families:
    one_connection_too_many_is_refused_and_counted,
    interfaces_of_an_instance_share_its_connections,
    refused_connections_take_no_room,
    a_head_has_a_largest_size,
    connections_that_say_nothing_end,
    refusals_are_silent_where_the_config_says_so
);

const ADDRESS: &str = "10.0.0.1";
const INSTANCE_ID: &str = "/latest/meta-data/instance-id";
/// Connections that an instance may have (design.md).
const CONNECTIONS: usize = 128;

fn one_connection_too_many_is_refused_and_counted(family: Family) {
    let host = Host::start().over(family);
    let (guest, other) = (Guest::on_veth(ADDRESS).over(family), Guest::on_veth(ADDRESS).over(family));
    let id = host.create(guest.interface(), &[]);
    let other_id = host.create(other.interface(), &[]);
    let mut open: Vec<_> = (0..CONNECTIONS).map(|_| Connection::open(&guest).expect("connects")).collect();
    let refused = guest.curl(&["--max-time", "1"], INSTANCE_ID);
    assert!(refused.status == 503 || refused.code == Some(28), "{refused:?}");
    let stats = host.stats(&id);
    assert!(stats.kernel("dropped-flows") + stats.daemon("refused-too-many-connections") > 0);
    assert_eq!(other.get(INSTANCE_ID, None).text(), other_id, "another instance isn't concerned");
    let last = open.last_mut().expect("there are some");
    assert_eq!(last.ask(&request("GET", INSTANCE_ID, &[])).expect("an answer").text(), id);
    drop(open);
    imds_tests::wait::until("room", || guest.curl(&["--max-time", "1"], INSTANCE_ID).status, |&status| status == 200);
}

fn interfaces_of_an_instance_share_its_connections(family: Family) {
    let host = Host::start().over(family);
    let (one, two) = (Guest::on_veth(ADDRESS).over(family), Guest::on_veth(ADDRESS).over(family));
    let id = host.create(one.interface(), &["--interface", two.interface()]);
    let begun = |guest: &Guest| {
        let mut connection = Connection::open(guest).expect("connects");
        // The daemon accepts a connection once it has bytes.
        connection.send(b"GET ").expect("sent");
        connection
    };
    let mut open: Vec<_> = (0..CONNECTIONS).map(|number| begun(if number % 2 == 0 { &one } else { &two })).collect();
    let status = |guest: &Guest| guest.get(INSTANCE_ID, None).status;
    imds_tests::wait::until("the last one", || status(&one), |&status| status == 503);
    assert_eq!(status(&two), 503, "neither interface has a flow too many");
    let stats = host.stats(&id);
    assert!(stats.daemon("refused-too-many-connections") >= 2);
    assert_eq!(stats.kernel("dropped-flows"), 0);
    open.truncate(CONNECTIONS / 2);
    imds_tests::wait::until("room", || status(&two), |&status| status == 200);
}

fn refused_connections_take_no_room(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let id = host.create(guest.interface(), &["--metadata-options", "HttpTokens=required"]);
    let token = guest.token();
    for _ in 0..3 * CONNECTIONS {
        assert_eq!(guest.get(INSTANCE_ID, None).status, 401);
    }
    assert_eq!(guest.get(INSTANCE_ID, Some(&token)).text(), id);
    assert_eq!(host.stats(&id).daemon("refused-too-many-connections"), 0);
}

fn a_head_has_a_largest_size(family: Family) {
    const HEAD_MAX: usize = 16 * 1024;
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let id = host.create(guest.interface(), &[]);
    let bare = request("GET", INSTANCE_ID, &[("X", "")]).len();
    let of_size = |size: usize| request("GET", INSTANCE_ID, &[("X", &"x".repeat(size - bare))]);
    assert_eq!(guest.exchange(&of_size(HEAD_MAX)).status, 200);
    let answer = guest.exchange(&of_size(HEAD_MAX + 1));
    assert_eq!((answer.status, answer.header("Server")), (431, Some("EC2ws")));
    assert_eq!(host.stats(&id).daemon("refused-head-too-large"), 1);
    host.set(&id, &["--http-tokens", "required"]);
    let token = guest.token();
    let long = request("GET", INSTANCE_ID, &[("X", &"x".repeat(3_000)), (TOKEN, &token)]);
    assert_eq!(guest.exchange(&long).status, 200, "a token behind much else is found");
    let long = request("GET", INSTANCE_ID, &[("X", &"x".repeat(3_000))]);
    assert_eq!(guest.exchange(&long).status, 401);
}

fn connections_that_say_nothing_end(family: Family) {
    let host = Host::with_config("[service]\nhead-timeout = 1\nidle-timeout = 1\n").over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let _ = host.create(guest.interface(), &[]);
    let mut silent = Connection::open(&guest).expect("connects");
    let mut begun = Connection::open(&guest).expect("connects");
    begun.send(b"GET /latest").expect("sent");
    let mut idle = Connection::open(&guest).expect("connects");
    assert_eq!(idle.ask(&request("GET", INSTANCE_ID, &[])).expect("an answer").status, 200);
    for (name, connection) in [("silent", &mut silent), ("begun", &mut begun), ("idle", &mut idle)] {
        let ended = connection.receive(false).expect_err("no answer to no request");
        assert!(matches!(ended.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{name}: {ended}");
    }
}

fn refusals_are_silent_where_the_config_says_so(family: Family) {
    let host = Host::with_config("on-refuse = \"drop\"\n").over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let id = host.create(guest.interface(), &["--metadata-options", "HttpTokens=required"]);
    let mut connection = Connection::open(&guest).expect("connects");
    connection.stream().set_read_timeout(Some(Duration::from_secs(1))).expect("a time-out");
    let silence = connection.ask(&request("GET", INSTANCE_ID, &[])).expect_err("no answer");
    assert!(matches!(silence.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{silence}");
    let stats = host.stats(&id);
    assert!(stats.kernel("dropped-silently") > 0 && stats.requests() == 0);
    assert_eq!(guest.get(INSTANCE_ID, Some(&guest.token())).text(), id);
}
