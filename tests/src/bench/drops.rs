//! What the service refuses whoever sends it: how many frames a second the kernel drops by tc alone, and by XDP before it.

use std::time::{Duration, Instant};

use super::bulk::WAYS;
use super::round::{Extent, Pairs, median};
use super::wire::{Kind, Sender, Wire};
use crate::bpf::{DROPPED, Hook, Program, XDP_DROPPED};
use crate::guest::ifindex_of;
use crate::host::Host;
use crate::tap::Tap;

/// What counts the frames that are sent: UDP to the service's port.
const COUNTER: &str = "dropped-protocol";
/// Frames between two looks at the time.
const BATCH: u32 = 256;
/// The programs that drop, by their pins.
const PROGRAMS: [(Hook, &str, i32); 3] = [
    (Hook::Tc, "imds_ingress", DROPPED),
    (Hook::Xdp, "imds_xdp", XDP_DROPPED),
    (Hook::Xdp, "imds_xdp_driver", XDP_DROPPED),
];

/// Prints the row.
pub(super) fn measure(extent: &Extent) {
    let host = Host::start();
    println!(
        "drops: frames a second that the kernel drops, by its counter, of one sender's at full speed, and by tc alone"
    );
    print_times(&host, *extent);
    for kind in Kind::ALL {
        let wire = Wire::new(kind);
        let id = host.create(wire.interface(), &[]);
        let mut sender = wire.sender();
        let mut rates: [Vec<f64>; WAYS.len()] = Default::default();
        for round in 0..extent.rounds {
            // Who comes when changes, so that nobody gains by it.
            let mut turns = [0, 1, 2];
            turns.rotate_left(round % WAYS.len());
            for way in turns {
                host.ask(&["interface", "attach", wire.interface(), WAYS[way]]);
                rates[way].push(rate(&host, &id, &mut sender, *extent));
            }
        }
        let by_tc = rates[0].clone();
        println!("  {}, tc: {:.0}/s", kind.as_str(), median(by_tc.clone()));
        for (way, rates) in WAYS.into_iter().zip(rates).skip(1) {
            let rate = Pairs(rates.into_iter().zip(by_tc.iter().copied()).collect()).compare(|&rate| rate);
            println!("  {}, {way}: {:.0}/s, tc {:.0}/s; {}", kind.as_str(), rate.ours, rate.theirs, rate.alone());
        }
    }
}

/// Drops a second while one sender does nothing but send.
fn rate(host: &Host, id: &str, sender: &mut Sender, extent: Extent) -> f64 {
    let length = if extent.quick { Duration::from_millis(100) } else { Duration::from_secs(extent.seconds().into()) };
    let dropped = || host.stats(id).kernel(COUNTER);
    let (before, start) = (dropped(), Instant::now());
    while start.elapsed() < length {
        (0..BATCH).for_each(|_| sender.send());
    }
    let seconds = start.elapsed().as_secs_f64();
    // A counter of a second or two is far from where doubles end.
    f64::from(u32::try_from(dropped() - before).expect("fewer")) / seconds
}

/// Prints the time that each program takes for one drop, by itself.
fn print_times(host: &Host, extent: Extent) {
    let runs = if extent.quick { 1_000 } else { 1_000_000 };
    let tap = Tap::new();
    let _ = host.create(tap.interface(), &[]);
    // Each program is loaded, and pinned, once it is asked for.
    for way in WAYS {
        host.ask(&["interface", "attach", tap.interface(), way]);
    }
    let ifindex = ifindex_of(tap.interface());
    let frame = super::wire::unwanted(&tap);
    let namespace = host.service_namespace();
    let times = PROGRAMS.map(|(hook, name, dropped)| {
        let program = Program::pinned(hook, &namespace.pin(name));
        let rounds = (0..extent.rounds).map(|_| {
            let (verdict, nanoseconds) = program.time_at(&frame, runs, ifindex);
            assert_eq!(verdict, dropped, "{name} lets it pass");
            f64::from(nanoseconds)
        });
        format!("{name} {:.0} ns", median(rounds.collect()))
    });
    println!("  a drop by the program itself: {}", times.join(", "));
}
