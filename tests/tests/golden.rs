//! Golden packets: what the loaded programs make of a frame, to the byte. See [`golden`] for how they are written.

use std::env;
use std::fs;

use imds_tests::golden::{self, Script, Stage};

/// Tells to write what is found instead of comparing it.
const ACCEPT: &str = "IMDS_GOLDEN_ACCEPT";

#[test]
fn every_packet_gets_its_verdict_and_its_bytes() {
    let accept = env::var_os(ACCEPT).is_some();
    let stage = Stage::new();
    let mut wrong = Vec::new();
    let mut steps = 0;
    for file in golden::FILES {
        let script = Script::read(file);
        let played: Vec<_> = script.cases.iter().map(|case| stage.play(case)).collect();
        let found: Vec<_> = played.iter().flat_map(|played| played.found.clone()).collect();
        steps += found.len();
        wrong.extend(played.into_iter().flat_map(|played| played.wrong));
        if accept {
            let path = golden::path_of(file.0);
            fs::write(&path, script.with(&found)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
    println!("{steps} packets");
    assert!(steps >= 100, "only {steps} packets were there to be looked at");
    assert!(wrong.is_empty() || accept, "{} are otherwise:\n{}", wrong.len(), wrong.join("\n"));
}
