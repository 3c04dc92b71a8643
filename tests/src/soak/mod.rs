//! The soak: clients of many kinds against a daemon whose operator never rests. No answer may be wrong, and nothing may
//! grow: memory, sockets, files, entries of maps, programs in the kernel.
//!
//! A cycle is a while of load during which options flip, a document changes, instances and their interfaces come and go and, every second
//! time, the daemon is killed; then the clients pause, and what the daemon holds is measured beside what it held after
//! the first cycle.

mod clients;
mod document;
mod footprint;
mod operator;

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use self::clients::{Crowd, Instance, Kind};
use self::document::{Document, Signatures};
use self::footprint::Footprint;
use self::operator::Operator;
use crate::guest::{Bridge, Guest};
use crate::host::Host;
use crate::http::{Connection, TOKEN, request};
use crate::{reaper, wait};

/// The address of every guest: they are told apart all the same.
const ADDRESS: &str = "10.0.0.1";
/// Cycles in a soak, unless they would be longer than [`CYCLE_MAX`].
const CYCLES: u32 = 4;
/// The longest cycle: so often at least the daemon is looked at.
const CYCLE_MAX: Duration = Duration::from_secs(60);
/// Connections that a guest can have at the end, of the 128 that it may have at all: some of those that a killed daemon
/// had are given up by and by.
const FREE_CONNECTIONS: usize = 64;
/// Sockets in the service's namespace that nobody minds when all clients pause: those that listen, and some that end.
const SOCKETS_AT_REST: usize = 16;

/// Soaks for at least so long, and says how each cycle went.
pub fn run(duration: Duration) {
    let mut host = Host::start();
    let bridge = Bridge::new();
    let (required, optional) = (Guest::on_veth(ADDRESS), Guest::on_bridge(&bridge, ADDRESS));
    let documents = [Document::new(), Document::new()];
    let [of_required, of_optional] = documents.each_ref().map(|document| ["--document", document.file()]);
    let ids = [
        host.create(required.interface(), &[&of_required[..], &["--metadata-options", "HttpTokens=required"]].concat()),
        host.create(optional.interface(), &[&of_optional[..], &["--tag", "Name=soak"]].concat()),
    ];
    let signatures = Signatures::of(&host);
    let instance = |guest, index: usize, required| Instance {
        guest,
        id: &ids[index],
        required,
        document: &documents[index],
        signatures: &signatures,
    };
    let instances = [instance(&required, 0, true), instance(&optional, 1, false)];
    let crowd = Crowd::default();
    let mut operator = Operator::new(&instances[1], &bridge);
    let cycle = (duration / CYCLES).min(CYCLE_MAX);
    let deadline = Instant::now() + duration;
    thread::scope(|scope| {
        // Ends the clients when it goes, also where something below panics.
        let _end = crowd.end_on_drop();
        let crowd = &crowd;
        for instance in &instances {
            for kind in Kind::ALL {
                scope.spawn(move || crowd.play(kind, instance));
            }
        }
        let mut first = None;
        for number in 1.. {
            let begin = Instant::now();
            let mut lives_on = number % 2 == 1;
            while begin.elapsed() < cycle {
                operator.act(&host);
                if !lives_on && begin.elapsed() > cycle / 2 {
                    // Under load: whoever is connected loses the connection, and gets nothing that it mustn't have.
                    host.kill();
                    host.launch();
                    lives_on = true;
                }
            }
            let now = at_rest(&host, crowd);
            println!("cycle {number}: {crowd}; {operator}; {now}");
            let first = &*first.get_or_insert_with(|| now.clone());
            now.assert_no_more_than(first);
            if Instant::now() >= deadline && number > 1 {
                break;
            }
            crowd.resume();
        }
    });
    operator.leave(&host);
    for (guest, id) in [(&required, &ids[0]), (&optional, &ids[1])] {
        assert_connections_are_free(guest, id);
    }
    crowd.assert_everybody_was_there();
    host.kill();
    assert!(host.detach().success(), "imdsd detach");
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

/// The soak as a program of its own, which leaves nothing behind.
pub fn run_alone(duration: Duration) {
    run(duration);
    reaper::finish();
}

/// Asserts that the kernel's table of a guest's connections holds few of those that were.
#[track_caller]
fn assert_connections_are_free(guest: &Guest, id: &str) {
    let token = guest.token();
    let read = request("GET", "/latest/meta-data/instance-id", &[(TOKEN, &token)]);
    // All of them are open until the last one has answered.
    let mut connections: Vec<_> =
        (0..FREE_CONNECTIONS).map(|_| Connection::open(guest).expect("a connection")).collect();
    for connection in &mut connections {
        assert_eq!(connection.ask(&read).expect("an answer").text(), id);
    }
}

/// What the daemon holds when all clients pause.
fn at_rest(host: &Host, crowd: &Crowd) -> Footprint {
    crowd.pause();
    let namespace = host.service_namespace();
    let few = |sockets: &BTreeMap<String, usize>| sockets.values().sum::<usize>() <= SOCKETS_AT_REST;
    wait::until("connections to end", || namespace.live_sockets(), few);
    Footprint::of(host)
}
