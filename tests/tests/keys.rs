//! Rotation of the keys that sign tokens.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use imds_tests::family::Family;
use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::http::{Connection, TOKEN, request};
use imds_tests::over_both_families;

over_both_families!(
    a_token_survives_one_rotation_and_dies_at_the_second,
    no_new_token_is_refused_while_keys_are_rotated
);

const ADDRESS: &str = "10.0.0.1";
const INSTANCE_ID: &str = "/latest/meta-data/instance-id";
/// Rotations under load, and how long each is left to.
const ROTATIONS: u64 = 20;
const REST: Duration = Duration::from_millis(50);

/// What the kernel says of a token: the head comes in one segment.
fn by_kernel(guest: &Guest, token: &str) -> u16 {
    guest.get(INSTANCE_ID, Some(token)).status
}

/// What the daemon says of a token: a head in two segments is not the kernel's to judge.
fn by_daemon(guest: &Guest, token: &str) -> u16 {
    let read = request("GET", INSTANCE_ID, &[(TOKEN, token)]);
    let mut connection = Connection::open(guest).expect("connects");
    connection.send(&read[..30]).expect("sent");
    thread::sleep(Duration::from_millis(20));
    connection.ask(&read[30..]).expect("an answer").status
}

#[track_caller]
fn assert_judged(guest: &Guest, token: &str, status: u16) {
    assert_eq!((by_kernel(guest, token), by_daemon(guest, token)), (status, status));
}

fn a_token_survives_one_rotation_and_dies_at_the_second(family: Family) {
    let mut host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let _ = host.create(guest.interface(), &["--metadata-options", "HttpTokens=required"]);
    let first = guest.token();
    let rotated = host.ask(&["keys", "rotate"]);
    assert_eq!((&rotated["key"], &rotated["previous"], &rotated["ended"]), (&2.into(), &1.into(), &().into()));
    let second = guest.token();
    for token in [&first, &second] {
        assert_judged(&guest, token, 200);
    }
    // Only by force, for six hours, over a restart too.
    for restarted in [false, true] {
        let refused = host.ctl(&["keys", "rotate"]);
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(4), ""), "restarted: {restarted}");
        let next = rotated["next_rotation"].as_str().expect("a time");
        let hour = next.split(':').next().expect("an hour");
        for word in ["key 1", "--force", hour] {
            assert!(refused.stderr.contains(word), "{word} is not in {}", refused.stderr);
        }
        assert_judged(&guest, &first, 200);
        host.kill();
        host.launch();
    }
    let forced = host.ctl(&["keys", "rotate", "--force"]);
    assert!(forced.success(), "{}", forced.stderr);
    assert!(forced.stdout.contains("tokens of key 1 are ended"), "{}", forced.stdout);
    let third = guest.token();
    for (token, status) in [(&first, 401), (&second, 200), (&third, 200)] {
        assert_judged(&guest, token, status);
    }
    host.kill();
    host.launch();
    for (token, status) in [(&first, 401), (&second, 200), (&third, 200), (&guest.token(), 200)] {
        assert_judged(&guest, token, status);
    }
}

fn no_new_token_is_refused_while_keys_are_rotated(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let _ = host.create(guest.interface(), &["--metadata-options", "HttpTokens=required"]);
    let (begun, ended) = (AtomicU64::new(0), AtomicBool::new(false));
    let reads: u64 = thread::scope(|scope| {
        let client = || {
            let mut reads = 0;
            while !ended.load(Ordering::SeqCst) {
                let before = begun.load(Ordering::SeqCst);
                let token = guest.token();
                let status = guest.get(INSTANCE_ID, Some(&token)).status;
                // Between two rotations that began meanwhile it may be of any key.
                if begun.load(Ordering::SeqCst) - before < 2 {
                    assert_eq!(status, 200);
                    reads += 1;
                }
            }
            reads
        };
        let clients = [scope.spawn(client), scope.spawn(client)];
        for _ in 0..ROTATIONS {
            begun.fetch_add(1, Ordering::SeqCst);
            host.ask(&["keys", "rotate", "--force"]);
            thread::sleep(REST);
        }
        ended.store(true, Ordering::SeqCst);
        clients.into_iter().map(|client| client.join().expect("no good token was refused")).sum()
    });
    assert!(reads > ROTATIONS, "{reads} reads are no load");
}
