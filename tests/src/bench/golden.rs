//! How long the programs take on each golden packet.

use super::round::{Extent, median, word};
use crate::bpf::{Hook, PASSED, Program};
use crate::golden::{FILES, Script, Stage};

/// Nanoseconds of a refusal, the reset of the daemon's half included.
const AIM: f64 = 3_000.0;
/// Times that a case is played in a round.
const RUNS: usize = 500;

/// Prints the row.
pub(super) fn measure(extent: &Extent) {
    let runs = if extent.quick { 3 } else { extent.rounds * RUNS };
    let stage = Stage::new();
    let empty = Program::returning(Hook::Tc, PASSED);
    let frame = [2; 60];
    let alone = median((0..runs).map(|_| f64::from(empty.run(&frame, 1).nanoseconds)).collect());
    println!(
        "golden: the programs' time on each golden packet, less an empty program's {alone:.0} ns, each time alone"
    );
    let mut refusals = Vec::new();
    for file in FILES {
        println!("  {}", file.0);
        for case in Script::read(file).cases {
            let more = median(stage.time(&case, runs).into_iter().map(f64::from).collect()) - alone;
            println!("    {more:>6.0} ns  {}", case.name);
            if case.is_refusal() {
                refusals.push(more);
            }
        }
    }
    let most = refusals.iter().copied().fold(f64::NAN, f64::max);
    println!("  refusals: at most {most:.0} ns, aim at most {AIM:.0}: {}", word(most <= AIM));
}
