//! Every committed input holds.

use imds_fuzz::{corpus, flow, head, token};

/// Plays a target's inputs.
fn play(target: &str, check: fn(&[u8])) {
    let inputs = corpus::of(target);
    assert!(inputs.len() >= 10, "only {} inputs", inputs.len());
    for (name, input) in inputs {
        println!("{name}");
        check(&input);
    }
}

#[test]
fn heads() {
    play("head", head::check);
}

#[test]
fn tokens() {
    play("token", token::check);
}

#[test]
fn flows() {
    play("flow", flow::check);
}
