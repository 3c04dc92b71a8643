//! A daemon that is told to end: what is in hand is answered, what is idle is closed, and it ends within its limit.

use std::io::ErrorKind;
use std::thread;

use imds_tests::family::Family;
use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::http::{Connection, request};
use imds_tests::{names, over_both_families, wait};

over_both_families!(
    requests_in_hand_are_answered_and_idle_connections_closed,
    an_answer_that_is_being_read_comes_whole,
    those_that_never_finish_are_cut_off
);

const ADDRESS: &str = "10.0.0.1";
const INSTANCE_ID: &str = "/latest/meta-data/instance-id";
const USER_DATA: &str = "/latest/user-data";
/// More than buffers on both sides hold of an answer each.
const REQUESTS: usize = 400;

/// The service listens no longer.
fn wait_for_the_drain(guest: &Guest) {
    wait::until("the drain", || guest.connect().is_err(), |&refused| refused);
}

fn requests_in_hand_are_answered_and_idle_connections_closed(family: Family) {
    let mut host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let id = host.create(guest.interface(), &[]);
    let read = request("GET", INSTANCE_ID, &[]);
    let open = || Connection::open(&guest).expect("connects");
    let (mut idle, mut silent, mut begun, mut second) = (open(), open(), open(), open());
    assert_eq!(idle.ask(&read).expect("an answer").text(), id);
    begun.send(&read[..20]).expect("sent");
    assert_eq!(second.ask(&read).expect("an answer").text(), id);
    second.send(&read[..20]).expect("sent");
    let ended = thread::scope(|scope| {
        let daemon = scope.spawn(|| host.terminate());
        wait_for_the_drain(&guest);
        assert!(idle.is_closed().expect("an orderly end"), "an idle one was answered");
        // One that has said nothing yet the service has never seen.
        let reset = silent.ask(&read).expect_err("nobody listens any more");
        assert_eq!(reset.kind(), ErrorKind::ConnectionReset, "{reset}");
        for (name, connection) in [("begun", &mut begun), ("a second one begun", &mut second)] {
            connection.send(&read[20..]).unwrap_or_else(|error| panic!("{name}: {error}"));
            let answer = connection.receive(false).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!((answer.status, answer.text()), (200, id.clone()), "{name}");
            assert_eq!(answer.header("Connection"), Some("close"), "{name}: {}", answer.head);
            assert!(connection.is_closed().unwrap_or_else(|error| panic!("{name}: {error}")), "{name} stays open");
        }
        daemon.join().expect("it ends")
    });
    assert!(ended.success(), "{ended}");
    host.launch();
    assert_eq!(guest.get(INSTANCE_ID, None).text(), id);
}

fn an_answer_that_is_being_read_comes_whole(family: Family) {
    let bytes = vec![b'x'; 16 * 1024];
    let file = names::file("user-data", &bytes, 0o600);
    let mut host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let _ = host.create(guest.interface(), &["--user-data-file", file.to_str().expect("a name in UTF-8")]);
    let mut reader = Connection::open(&guest).expect("connects");
    reader.send(&request("GET", USER_DATA, &[]).repeat(REQUESTS)).expect("sent");
    let answers = thread::scope(|scope| {
        let daemon = scope.spawn(|| host.terminate());
        wait_for_the_drain(&guest);
        let mut answers = 0;
        let end = loop {
            match reader.receive(false) {
                Ok(answer) => assert!(answer.status == 200 && answer.body == bytes, "{}", answer.head),
                Err(error) => break error,
            }
            answers += 1;
        };
        assert_eq!(end.kind(), ErrorKind::UnexpectedEof, "{end}");
        assert!(daemon.join().expect("it ends").success());
        answers
    });
    assert!(0 < answers && answers < REQUESTS, "{answers}");
}

fn those_that_never_finish_are_cut_off(family: Family) {
    let mut host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let _ = host.create(guest.interface(), &[]);
    let mut begun = Connection::open(&guest).expect("connects");
    begun.send(b"GET /latest").expect("sent");
    // It waits no longer for it than it says: the time-out of this is far above.
    assert!(host.terminate().success());
    assert!(host.log().contains("cut off at the end of the drain"), "{}", host.log());
    let cut = begun.receive(false).expect_err("no answer to half a request");
    assert!(matches!(cut.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{cut}");
}
