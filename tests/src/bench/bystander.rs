//! What a packet costs that isn't for the service.

use super::fleet::{Fleet, Fleets};
use super::round::{Extent, word};
use super::stack::Daemon;
use crate::bpf::{Hook, PASSED, Program};

/// Nanoseconds above an empty program.
const AIM: f64 = 25.0;

/// Frames of other traffic, each 60 bytes, the least that Ethernet carries: a name, an Ethernet type, and what follows.
const FRAMES: [(&str, [u8; 2], &[u8]); 3] = [
    ("IPv4", [0x08, 0x00], &[0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 198, 18, 0, 1]),
    ("IPv6", [0x86, 0xdd], &[0x60, 0, 0, 0, 0, 6, 59, 64, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xfd]),
    ("ARP", [0x08, 0x06], &[0, 1, 8, 0, 6, 4, 0, 1]),
];

/// What a packet may cost on a host of many slots, against one of a host of one.
const SCALE_AIM: f64 = 1.1;

/// Prints the row.
pub(super) fn measure(extent: &Extent) {
    let daemon = Daemon::start();
    let ours = Program::pinned(Hook::Tc, &daemon.namespace.pin("imds_ingress"));
    let empty = Program::returning(Hook::Tc, PASSED);
    println!("bystander: the program's time on a packet that isn't for the service, and an empty tc program's");
    for (name, frame) in frames() {
        let time = |program: &Program| time(name, || program.time(&frame, runs(extent)));
        let times = extent.alternate(|| time(&ours), || time(&empty)).compare(|&time| time);
        let more = times.ours - times.theirs;
        println!(
            "  {name}: {:.0} ns, empty {:.0} ns: {more:.0} ns more, aim at most {AIM:.0}: {}",
            times.ours,
            times.theirs,
            word(more <= AIM)
        );
    }
}

/// Prints the row of many slots.
pub(super) fn measure_scale(extent: &Extent, Fleets { many, one }: &mut Fleets) {
    println!("bystander-scale: the same on an interface of {} that have slots, and on the only one", many.count);
    let program = |fleet: &Fleet| Program::pinned(Hook::Tc, &fleet.host.service_namespace().pin("imds_ingress"));
    let (of_many, of_one) = (program(many), program(one));
    let ifindex = |fleet: &Fleet| fleet.network.ifindex_of(fleet.guest.interface());
    let (in_many, in_one) = (ifindex(many), ifindex(one));
    for (name, frame) in frames() {
        let time = |fleet: &Fleet, program: &Program, ifindex| {
            time(name, || fleet.network.inside(|| program.time_at(&frame, runs(extent), ifindex)))
        };
        let times = extent.alternate(|| time(many, &of_many, in_many), || time(one, &of_one, in_one));
        let times = times.compare(|&time| time);
        println!("  {name}: {:.0} ns and {:.0} ns; {}", times.ours, times.theirs, times.beside_at_most(SCALE_AIM));
    }
}

const fn runs(extent: &Extent) -> u32 {
    if extent.quick { 1_000 } else { 1_000_000 }
}

fn frames() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    FRAMES.into_iter().map(|(name, kind, rest)| {
        let mut frame = vec![2; 12];
        frame.extend_from_slice(&kind);
        frame.extend_from_slice(rest);
        frame.resize(60, 0);
        (name, frame)
    })
}

/// A run's time in nanoseconds, of a program that lets the packet pass.
fn time(name: &str, run: impl FnOnce() -> (i32, u32)) -> f64 {
    let (result, nanoseconds) = run();
    assert_eq!(result, PASSED, "{name} doesn't pass");
    f64::from(nanoseconds)
}
