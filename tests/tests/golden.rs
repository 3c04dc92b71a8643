//! Golden packets: what the loaded programs make of a frame, to the byte. See [`golden`] for how they are written.

use std::collections::BTreeSet;
use std::env;
use std::fs;

use imds_tests::attachment::Attachment;
use imds_tests::golden::{self, Script, Stage};
use imds_tests::in_each_attachment;

in_each_attachment!(every_packet_gets_its_verdict_and_its_bytes);

/// What tc alone can drop: it has the places and the connections, and resets the daemon's half of one that was used.
const LATE: [&str; 4] =
    ["dropped-after-refusal", "dropped-flows", "dropped-places", "dropped-silently refused-token-missing"];

/// What XDP drops of the requests that are refused in silence: the first ones of their connections.
const EARLY: [&str; 4] = [
    "dropped-silently refused-endpoint-disabled",
    "dropped-silently refused-forwarded",
    "dropped-silently refused-token-invalid",
    "dropped-silently refused-token-missing",
];

/// Tells to write what is found instead of comparing it.
const ACCEPT: &str = "IMDS_GOLDEN_ACCEPT";

fn every_packet_gets_its_verdict_and_its_bytes() {
    let accept = env::var_os(ACCEPT).is_some();
    let stage = Stage::new();
    let mut wrong = Vec::new();
    let mut steps = 0;
    let mut dropped = Vec::new();
    for file in golden::FILES {
        let script = Script::read(file);
        let played: Vec<_> = script.cases.iter().map(|case| stage.play(case)).collect();
        let found: Vec<_> = played.iter().flat_map(|played| played.found.clone()).collect();
        steps += found.len();
        for mut one in played {
            wrong.append(&mut one.wrong);
            dropped.append(&mut one.dropped);
        }
        if accept {
            let path = golden::path_of(file.0);
            fs::write(&path, script.with(&found)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
    println!("{steps} packets");
    assert!(steps >= 100, "only {steps} packets were there to be looked at");
    assert!(wrong.is_empty() || accept, "{} are otherwise:\n{}", wrong.len(), wrong.join("\n"));
    let (early, late): (Vec<_>, Vec<_>) = dropped.into_iter().partition(|(_, early)| *early);
    let counters = |dropped: Vec<(String, bool)>| dropped.into_iter().map(|(counter, _)| counter).collect();
    let (early, late): (BTreeSet<_>, BTreeSet<_>) = (counters(early), counters(late));
    if Attachment::current().and_then(Attachment::early).is_some() {
        let left: Vec<_> = late.iter().filter(|counter| !counter.contains("dropped-reply-")).collect();
        assert_eq!(left, LATE, "tc drops what XDP could have dropped");
        assert!(EARLY.iter().all(|counters| early.contains(*counters)), "XDP drops {early:?} alone");
        assert!(early.len() >= 10, "XDP drops {early:?} alone");
    }
}
