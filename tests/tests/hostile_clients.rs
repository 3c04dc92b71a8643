//! Clients that hold connections and do nothing good with them, and a good client beside them.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::thread::sleep;
use std::time::{Duration, Instant};

use imds_tests::family::Family;
use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::http::{Connection, TOKEN, TTL, request};
use imds_tests::names;
use imds_tests::over_both_families;
use imds_tests::packet::Segment;
use imds_tests::script::Script;
use imds_tests::tap::{PATIENCE, Tap};
use imds_tests::tap_connection::TapConnection;
use imds_tests::verdicts::{INSTANCE_ID, TOKEN_PATH};
use imds_tests::volley::Volley;
use imds_tests::wait;

over_both_families!(some_never_read, some_never_acknowledge, some_drip, what_follows_the_last_answer_does_not_take_it);

const ADDRESS: &str = "10.0.0.1";
const USER_DATA: &str = "/latest/user-data";
/// Bad clients at once.
const CLIENTS: u16 = 60;
/// Times that the good one asks meanwhile.
const ROUNDS: u32 = 5;

/// A file with as much user data as an instance may have.
fn user_data() -> String {
    let file = names::file("user-data", &vec![b'x'; 16 * 1024], 0o600);
    file.to_str().expect("a name in UTF-8").to_owned()
}

/// Serves the good client `ROUNDS` times, each on a connection of its own, and tells how long that took at most.
fn serve(guest: &Guest, token: &str, id: &str) {
    let mut longest = Duration::ZERO;
    for _ in 0..ROUNDS {
        let since = Instant::now();
        assert_eq!(guest.get(INSTANCE_ID, Some(token)).text(), id);
        longest = longest.max(since.elapsed());
    }
    println!("a good client beside {CLIENTS} bad ones is served in {longest:?} at most");
}

/// Connections of a guest's that neither side has closed.
fn established(guest: &Guest) -> usize {
    // ESTABLISHED (include/net/tcp_states.h) to port 80 of the service's address, in words of the machine's.
    let (file, pattern) = match guest.family {
        Family::Ipv4 => ("/proc/net/tcp", " FEA9FEA9:0050 01 "),
        Family::Ipv6 => ("/proc/net/tcp6", " C20E00FD000000000000000054020000:0050 01 "),
    };
    guest.run("cat", &[file]).stdout.lines().filter(|line| line.contains(pattern)).count()
}

fn some_never_read(family: Family) {
    /// What each asks for is more than buffers on both sides hold.
    const REQUESTS: usize = 400;
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let id = host.create(guest.interface(), &["--user-data-file", &user_data()]);
    let token = guest.token();
    let requests = request("GET", USER_DATA, &[(TOKEN, &token)]).repeat(REQUESTS);
    let open = || {
        let mut connection = Connection::open(&guest).expect("connects");
        connection.send(&requests).expect("sent");
        connection
    };
    let clients: Vec<_> = (0..CLIENTS).map(|_| open()).collect();
    serve(&guest, &token, &id);
    assert!(established(&guest) >= clients.len(), "the bad ones were there all the time");
    // In the end the service gives them up.
    let answered = || host.stats(&id).requests();
    wait::until("connections to end", || established(&guest), |&left| left == 0);
    assert!(answered() < u64::from(CLIENTS) * REQUESTS as u64);
    serve(&guest, &token, &id);
}

fn some_never_acknowledge(family: Family) {
    const FIRST_PORT: u16 = 40_000;
    let (host, mut tap) = (Host::start().over(family), Tap::new().over(family));
    let id = host.create(tap.interface(), &["--user-data-file", &user_data()]);
    for port in FIRST_PORT..FIRST_PORT + CLIENTS {
        let mut connection = TapConnection::open(&mut tap, [10, 0, 0, 1], port);
        connection.send(&request("GET", USER_DATA, &[]));
    }
    let mut volley = Volley::new(tap, [10, 0, 0, 2]);
    let read = Script::whole(&request("GET", INSTANCE_ID, &[]), &[false]);
    for _ in 0..ROUNDS {
        let since = Instant::now();
        let talks = volley.fire(std::slice::from_ref(&read));
        assert_eq!(talks[0].answers.first().map(|answer| answer.text()), Some(id.clone()), "{talks:?}");
        println!("a good client beside {CLIENTS} bad ones is served in {:?}", since.elapsed());
    }
    // Whoever is told the same again is still there.
    let (mut tap, mut silent) = (volley.into_tap(), (FIRST_PORT..FIRST_PORT + CLIENTS).collect::<BTreeSet<_>>());
    while !silent.is_empty() {
        let frame = tap.receive(PATIENCE).unwrap_or_else(|| panic!("nothing more comes to {silent:?}"));
        if let Some(segment) = Segment::of_service(&frame) {
            assert!(!segment.rst && !segment.fin, "{segment:?}");
            if !segment.payload.is_empty() {
                silent.remove(&segment.port);
            }
        }
    }
}

fn some_drip(family: Family) {
    const BEAT: Duration = Duration::from_secs(1);
    let host = Host::with_config("[service]\nhead-timeout = 4\n").over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let id = host.create(guest.interface(), &["--metadata-options", "HttpTokens=required"]);
    let token = guest.token();
    let drops = request("GET", INSTANCE_ID, &[(TOKEN, &token)]);
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| Connection::open(&guest).expect("connects")).collect();
    for connection in &clients {
        connection.stream().set_nonblocking(true).expect("a socket");
    }
    let mut drops = drops.iter();
    for beat in 0..2 {
        let drop = *drops.next().expect("a long request");
        for connection in &mut clients {
            connection.send(&[drop]).expect("sent");
        }
        serve(&guest, &token, &id);
        for connection in &clients {
            let peeked = connection.stream().peek(&mut [0]).map_err(|error| error.kind());
            assert_eq!(peeked, Err(ErrorKind::WouldBlock), "still open at beat {beat}, and not answered");
        }
        sleep(BEAT);
    }
    // However long they go on, their time is that of one request.
    let deadline = Instant::now() + wait::LIMIT;
    while !clients.is_empty() {
        assert!(Instant::now() < deadline, "{} still drip", clients.len());
        let drop = *drops.next().expect("a long request");
        clients.retain_mut(|connection| {
            let mut buffer = [0];
            let ended = match connection.stream().peek(&mut buffer) {
                Ok(0) => true,
                Ok(_) => panic!("answered"),
                Err(error) => error.kind() != ErrorKind::WouldBlock,
            };
            !ended && connection.send(&[drop]).is_ok()
        });
        sleep(BEAT);
    }
    serve(&guest, &token, &id);
}

/// The daemon doesn't wait for those who have their last answer.
fn what_follows_the_last_answer_does_not_take_it(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let id = host.create(guest.interface(), &[]);
    let last_requests =
        [request("PUT", TOKEN_PATH, &[(TTL, "60")]), request("GET", INSTANCE_ID, &[("Connection", "close")])];
    for last in last_requests {
        for _ in 0..20 {
            let mut connection = Connection::open(&guest).expect("connects");
            connection.send(&last).expect("sent");
            // Its answer is there, and the service has ended its side.
            assert_ne!(connection.stream().peek(&mut [0; 1]).expect("an answer"), 0);
            connection.send(&request("GET", INSTANCE_ID, &[])).expect("sent on");
            sleep(Duration::from_millis(10));
            assert_eq!(connection.receive(false).expect("an answer").status, 200);
            assert!(connection.is_closed().expect("an end, not a reset"));
        }
    }
    assert!(host.stats(&id).kernel("dropped-reply-late") >= 40);
}
