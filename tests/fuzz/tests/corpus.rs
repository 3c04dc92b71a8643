//! Every committed input holds.

use imds_fuzz::{corpus, flow, head, token};

/// Plays a target's inputs.
fn play(target: &str, check: fn(&[u8])) {
    for (name, input) in corpus::of(target) {
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
