//! A daemon that is killed again and again under load: nothing opens, nothing is lost, nothing is left.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use imds_tests::family::Family;
use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::http::{Connection, TOKEN, request};
use imds_tests::numbered::Numbered;
use imds_tests::over_both_families;
use serde_json::Value;

over_both_families!(a_hundred_kills_under_load_open_nothing_and_lose_nothing);

const ADDRESS: &str = "10.0.0.1";
const INSTANCE_ID: &str = "/latest/meta-data/instance-id";
const KILLS: u64 = 100;
/// Every so many times the daemon is killed before it has started.
const EARLY: u64 = 3;
/// How long a client rests when nobody answered.
const REST: Duration = Duration::from_millis(2);

/// What came of a client's reads.
#[derive(Default)]
struct Tally {
    served: AtomicU64,
    refused: AtomicU64,
}

/// A client of the load: which guest's, with which token, and what it may see.
struct Client<'a> {
    guest: &'a Guest,
    id: &'a str,
    token: Option<&'a str>,
    required: bool,
    tally: Tally,
}

impl Client<'_> {
    /// Reads until it is `ended`: whatever the daemon does, an answer is the right one.
    fn read(&self, ended: &AtomicBool) {
        let headers: Vec<_> = self.token.map(|token| (TOKEN, token)).into_iter().collect();
        let read = request("GET", INSTANCE_ID, &headers);
        while !ended.load(Ordering::Relaxed) {
            // Two reads on each connection.
            let mut connection = Connection::open(self.guest);
            for _ in 0..2 {
                let Ok(Ok(answer)) = connection.as_mut().map(|connection| connection.ask(&read)) else {
                    thread::sleep(REST);
                    break;
                };
                match answer.status {
                    200 => {
                        assert!(self.token.is_some() || !self.required, "a read without a token succeeded");
                        assert_eq!(answer.text(), self.id);
                        self.tally.served.fetch_add(1, Ordering::Relaxed);
                    }
                    401 => {
                        assert!(self.token.is_none() && self.required, "a good token, or none needed, was refused");
                        self.tally.refused.fetch_add(1, Ordering::Relaxed);
                        break;
                    }
                    status => panic!("status {status}"),
                }
            }
        }
    }
}

/// Every number in a document, by its path.
fn numbers(path: &str, value: &Value, found: &mut BTreeMap<String, u64>) {
    match value {
        Value::Object(object) => object.iter().for_each(|(key, value)| numbers(&format!("{path}/{key}"), value, found)),
        Value::Array(array) => {
            array.iter().enumerate().for_each(|(key, value)| numbers(&format!("{path}/{key}"), value, found));
        }
        Value::Number(number) => {
            found.insert(path.to_owned(), number.as_u64().expect("a counter"));
        }
        _ => {}
    }
}

fn counters(host: &Host) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    numbers("", &host.ask(&["stats"]), &mut found);
    found
}

/// Kills the daemon, at its work or at its start, and starts it again: everything is as it was.
fn kill_again_and_again(host: &mut Host, clients: &[Client<'_>]) {
    let mut before = counters(host);
    let mut kills = 0;
    while kills < KILLS {
        host.kill();
        kills += 1;
        if kills % EARLY == 0 {
            host.spawn();
            // Each step of the start is met some time.
            thread::sleep(Duration::from_millis(kills * 3));
            host.kill();
            kills += 1;
        }
        host.launch();
        for Client { guest, id, token, .. } in clients.iter().filter(|client| client.token.is_some()) {
            let answer = guest.get(INSTANCE_ID, *token);
            assert_eq!((answer.status, answer.text().as_str()), (200, *id), "after {kills} kills");
        }
        let now = counters(host);
        for (name, count) in &before {
            assert!(now[name] >= *count, "{name} went back from {count} to {} after {kills} kills", now[name]);
        }
        before = now;
    }
}

fn a_hundred_kills_under_load_open_nothing_and_lose_nothing(family: Family) {
    let mut host = Host::start().over(family);
    let guests = [Guest::on_veth(ADDRESS).over(family), Guest::on_veth(ADDRESS).over(family)];
    let ids = ["required", "optional"].map(|tokens| {
        let guest = &guests[usize::from(tokens == "optional")];
        host.create(guest.interface(), &["--metadata-options", &format!("HttpTokens={tokens}")])
    });
    let tokens = guests.each_ref().map(|guest| guest.token());
    let client = |number: usize, token: bool| Client {
        guest: &guests[number],
        id: &ids[number],
        token: token.then_some(tokens[number].as_str()),
        required: number == 0,
        tally: Tally::default(),
    };
    let clients = [client(0, false), client(0, true), client(1, false), client(1, true)];
    let numbered = guests.each_ref().map(Numbered::from);
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        for client in &clients {
            scope.spawn(|| client.read(&ended));
        }
        // Ends with the clients' load, also where it panics.
        let _end = End(&ended);
        kill_again_and_again(&mut host, &clients);
    });
    for (number, client) in clients.iter().enumerate() {
        let (served, refused) =
            (client.tally.served.load(Ordering::Relaxed), client.tally.refused.load(Ordering::Relaxed));
        assert!(served + refused > KILLS, "client {number} was no load: {served} and {refused}");
    }
    for numbered in numbered {
        let (sent, received) = numbered.end();
        assert_eq!((received.count, received.gaps), (sent, Vec::new()), "packets of others are lost");
    }
    host.kill();
    assert!(host.detach().success());
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

/// Ends the load when it goes.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
