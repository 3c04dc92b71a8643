//! What a packet costs that isn't for the service.

use super::round::Extent;
use super::stack::Daemon;
use crate::bpf::{PASSED, Program};

/// Nanoseconds above an empty program.
const AIM: f64 = 25.0;

/// Frames of other traffic, each 60 bytes, the least that Ethernet carries: a name, an Ethernet type, and what follows.
const FRAMES: [(&str, [u8; 2], &[u8]); 3] = [
    ("IPv4", [0x08, 0x00], &[0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 198, 18, 0, 1]),
    ("IPv6", [0x86, 0xdd], &[0x60, 0, 0, 0, 0, 6, 59, 64, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xfd]),
    ("ARP", [0x08, 0x06], &[0, 1, 8, 0, 6, 4, 0, 1]),
];

/// Prints the row.
pub(super) fn measure(extent: &Extent) {
    let runs = if extent.quick { 1_000 } else { 1_000_000 };
    let daemon = Daemon::start();
    let ours = Program::pinned(&daemon.namespace.pin("imds_ingress"));
    let empty = Program::returning(PASSED);
    println!("bystander: the program's time on a packet that isn't for the service, and an empty tc program's");
    for (name, kind, rest) in FRAMES {
        let mut frame = vec![2; 12];
        frame.extend_from_slice(&kind);
        frame.extend_from_slice(rest);
        frame.resize(60, 0);
        let time = |program: &Program| {
            let (result, nanoseconds) = program.time(&frame, runs);
            assert_eq!(result, PASSED, "{name} doesn't pass");
            f64::from(nanoseconds)
        };
        let times = extent.alternate(|| time(&ours), || time(&empty)).compare(|&time| time);
        let more = times.ours - times.theirs;
        let word = if more <= AIM { "reached" } else { "missed" };
        println!(
            "  {name}: {:.0} ns, empty {:.0} ns: {more:.0} ns more, aim at most {AIM:.0}: {word}",
            times.ours, times.theirs
        );
    }
}
