//! Many clients at once.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use imds_tests::family::Family;
use imds_tests::guest::{Bridge, Guest};
use imds_tests::host::Host;
use imds_tests::http::{Connection, TOKEN, request};
use imds_tests::namespace::Namespace;
use imds_tests::over_both_families;

over_both_families!(sixteen_clients_while_options_flip, no_answer_crosses_between_instances_with_one_address);

const ADDRESS: &str = "10.0.0.1";
const INSTANCE_ID: &str = "/latest/meta-data/instance-id";
const CLIENTS: usize = 16;
const FLIPS: u64 = 40;
/// How long options stay as they are.
const REST: Duration = Duration::from_millis(60);

/// What the options are, as far as somebody outside can know: the number of the change, times three, and one of the
/// three below.
struct Mode(AtomicU64);

/// A change is under way: either answer is right.
const CHANGING: u64 = 0;
const OPTIONAL: u64 = 1;
const REQUIRED: u64 = 2;

impl Mode {
    /// A change has begun.
    fn begin(&self, change: u64) {
        self.0.store(change * 3 + CHANGING, Ordering::SeqCst);
    }

    /// The change is over.
    fn finish(&self, change: u64, now: u64) {
        self.0.store(change * 3 + now, Ordering::SeqCst);
    }

    /// The mode all the time while `act` ran, if it was one.
    fn during<T>(&self, act: impl FnOnce() -> T) -> (Option<u64>, T) {
        let before = self.0.load(Ordering::SeqCst);
        let result = act();
        let after = self.0.load(Ordering::SeqCst);
        ((before == after && before % 3 != CHANGING).then_some(before % 3), result)
    }
}

/// How a client of the load behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    /// A connection for each read without a token.
    Anew,
    /// A connection for as many reads without a token as it takes.
    Kept,
    /// Reads with a token, on one connection.
    Token,
}

/// What came of one client.
#[derive(Default, Debug)]
struct Tally {
    served: u64,
    refused: u64,
}

fn client(namespace: &Namespace, habit: Habit, mode: &Mode, ended: &AtomicBool, id: &str) -> io::Result<Tally> {
    let token = namespace.token();
    let read = match habit {
        Habit::Token => request("GET", INSTANCE_ID, &[(TOKEN, &token)]),
        Habit::Anew | Habit::Kept => request("GET", INSTANCE_ID, &[]),
    };
    let mut tally = Tally::default();
    let mut connection = None;
    while !ended.load(Ordering::Relaxed) {
        let mut kept = match connection.take() {
            Some(kept) => kept,
            None => Connection::open(namespace)?,
        };
        let (mode, answer) = mode.during(|| kept.ask(&read));
        let answer = answer?;
        match answer.status {
            200 => {
                assert_eq!(answer.text(), id);
                assert!(habit == Habit::Token || mode != Some(REQUIRED), "{habit:?}: served while required");
                tally.served += 1;
                connection = (habit != Habit::Anew).then_some(kept);
            }
            401 => {
                assert!(habit != Habit::Token, "a good token was refused");
                assert!(mode != Some(OPTIONAL), "{habit:?}: refused while optional");
                assert!(kept.is_closed()?, "a refusal ends its connection");
                tally.refused += 1;
            }
            status => panic!("{habit:?}: status {status}"),
        }
    }
    Ok(tally)
}

fn sixteen_clients_while_options_flip(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let id = host.create(guest.interface(), &[]);
    let (mode, ended) = (Mode(AtomicU64::new(OPTIONAL)), AtomicBool::new(false));
    let tallies = thread::scope(|scope| {
        let start = |number: usize| {
            let habit = [Habit::Anew, Habit::Kept, Habit::Anew, Habit::Token][number % 4];
            let (guest, mode, ended, id) = (&guest, &mode, &ended, &id);
            scope.spawn(move || (habit, client(guest, habit, mode, ended, id)))
        };
        let clients: Vec<_> = (0..CLIENTS).map(start).collect();
        for change in 1..=FLIPS {
            let (value, now) = if change % 2 == 1 { ("required", REQUIRED) } else { ("optional", OPTIONAL) };
            mode.begin(change);
            host.set(&id, &["--http-tokens", value]);
            mode.finish(change, now);
            thread::sleep(REST);
        }
        ended.store(true, Ordering::Relaxed);
        let results = clients.into_iter().map(|client| client.join().expect("no client saw a wrong answer"));
        results.collect::<Vec<_>>()
    });
    for (habit, tally) in tallies {
        let tally = tally.unwrap_or_else(|error| panic!("{habit:?}: a client had an error: {error}"));
        assert!(tally.served > 0, "{habit:?}: {tally:?}");
        assert!(habit == Habit::Token || tally.refused > 0, "{habit:?}: {tally:?}");
    }
    let stats = host.stats(&id);
    assert!(stats.no_token() > 0 && stats.no_token_rejected() > 0);
}

fn no_answer_crosses_between_instances_with_one_address(family: Family) {
    const DURATION: Duration = Duration::from_secs(4);
    let host = Host::start().over(family);
    let bridge = Bridge::new();
    let guests = [Guest::on_veth(ADDRESS).over(family), Guest::on_bridge(&bridge, ADDRESS).over(family)];
    let ids = guests.each_ref().map(|guest| host.create(guest.interface(), &[]));
    let end = Instant::now() + DURATION;
    let reads: Vec<u64> = thread::scope(|scope| {
        let one = |number: usize| {
            let (guest, id) = (&guests[number % 2], &ids[number % 2]);
            scope.spawn(move || {
                let token = guest.token();
                let mut reads = 0;
                while Instant::now() < end {
                    // Ports of both guests count up from one place: the same pairs of addresses and ports meet.
                    let mut connection = Connection::open(guest).expect("connects");
                    for _ in 0..number % 3 + 1 {
                        let answer = connection.ask(&request("GET", INSTANCE_ID, &[(TOKEN, &token)]));
                        let answer = answer.expect("an answer");
                        assert_eq!((answer.status, answer.text()), (200, id.clone()));
                        let answer = connection.ask(&request("GET", INSTANCE_ID, &[])).expect("an answer");
                        assert_eq!((answer.status, answer.text()), (200, id.clone()));
                        reads += 2;
                    }
                }
                reads
            })
        };
        let clients: Vec<_> = (0..CLIENTS).map(one).collect();
        clients.into_iter().map(|client| client.join().expect("no client saw a wrong answer")).collect()
    });
    for (number, id) in ids.iter().enumerate() {
        let expected: u64 = reads.iter().skip(number).step_by(2).sum();
        let stats = host.stats(id);
        assert!(expected > 100, "{expected} reads are no load");
        assert_eq!(stats.requests(), expected + stats.tokens_issued(), "each instance counted its own");
        assert_eq!(stats.no_token(), expected / 2);
    }
}
