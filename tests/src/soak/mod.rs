//! The soak: clients of many kinds against a daemon whose operator never rests. No answer may be wrong, and nothing may
//! grow: memory, sockets, files, programs in the kernel.
//!
//! A cycle is a while of load during which options flip and instances come and go; then the clients pause, what the
//! daemon holds is measured beside what it held after the first cycle, and every second time the daemon is killed.

mod clients;
mod footprint;
mod operator;

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use self::clients::{Crowd, Kind};
use self::footprint::Footprint;
use self::operator::Operator;
use crate::guest::{Bridge, Guest};
use crate::host::Host;
use crate::{reaper, wait};

/// The address of every guest: they are told apart all the same.
const ADDRESS: &str = "10.0.0.1";
/// Cycles in a soak, unless they would be longer than [`CYCLE_MAX`].
const CYCLES: u32 = 4;
/// The longest cycle: so often at least the daemon is looked at.
const CYCLE_MAX: Duration = Duration::from_secs(60);
/// Sockets in the service's namespace that nobody minds when all clients pause: those that listen, and some that end.
const SOCKETS_AT_REST: usize = 16;

/// Soaks for at least so long, and says how each cycle went.
pub fn run(duration: Duration) {
    let mut host = Host::start();
    let bridge = Bridge::new();
    let [required, optional, churned] =
        [Guest::on_veth(ADDRESS), Guest::on_bridge(&bridge, ADDRESS), Guest::on_bridge(&bridge, ADDRESS)];
    let ids = [
        host.create(required.interface(), &["--metadata-options", "HttpTokens=required"]),
        host.create(optional.interface(), &["--tag", "Name=soak"]),
    ];
    let crowd = Crowd::default();
    let mut operator = Operator::new(&optional, &ids[1], &churned);
    let cycle = (duration / CYCLES).min(CYCLE_MAX);
    let deadline = Instant::now() + duration;
    thread::scope(|scope| {
        // Ends the clients when it goes, also where something below panics.
        let _end = crowd.end_on_drop();
        let (crowd, ids, required, optional) = (&crowd, &ids, &required, &optional);
        for kind in Kind::ALL {
            scope.spawn(move || crowd.play(kind, required, &ids[0], true));
            scope.spawn(move || crowd.play(kind, optional, &ids[1], false));
        }
        let mut first = None;
        for number in 1.. {
            let until = Instant::now() + cycle;
            while Instant::now() < until {
                operator.act(&host);
            }
            let now = at_rest(&host, crowd);
            println!("cycle {number}: {crowd}; {operator}; {now}");
            let first = &*first.get_or_insert_with(|| now.clone());
            now.assert_no_more_than(first);
            if Instant::now() >= deadline && number > 1 {
                break;
            }
            if number % 2 == 0 {
                host.kill();
                host.launch();
            }
            crowd.resume();
        }
    });
    operator.leave(&host);
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

/// What the daemon holds when all clients pause.
fn at_rest(host: &Host, crowd: &Crowd) -> Footprint {
    crowd.pause();
    let namespace = host.service_namespace();
    let few = |sockets: &BTreeMap<String, usize>| sockets.values().sum::<usize>() <= SOCKETS_AT_REST;
    wait::until("connections to end", || namespace.live_sockets(), few);
    Footprint::of(host)
}
