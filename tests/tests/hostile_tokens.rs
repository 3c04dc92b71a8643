//! Tokens that are almost good ones, before the kernel programs and before the daemon.

use std::time::Duration;

use imds_tests::family::Family;
use imds_tests::http::{TOKEN, request};
use imds_tests::over_both_families;
use imds_tests::verdicts::{Arena, Case, Hops, INSTANCE_ID, Mode, Row};
use imds_tests::wait;

over_both_families!(
    a_good_one,
    every_bit_changed,
    every_bit_of_its_characters_changed,
    every_other_spelling,
    one_that_has_expired,
    the_kernel_programs_and_the_daemon_both_judge
);

/// The digits of a token's spelling, by value (behaviour.md section 2: base64 with the URL alphabet).
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Characters of a token before its padding: 320 bits and four that are spare.
const LENGTH: usize = 54;

/// A read with that in the token header.
fn read(token: &[u8]) -> Vec<u8> {
    const MARK: &str = "?";
    let request = request("GET", INSTANCE_ID, &[(TOKEN, MARK)]);
    let at = request.iter().rposition(|&byte| byte == MARK.as_bytes()[0]).expect("it stands there");
    [&request[..at], token, &request[at + 1..]].concat()
}

/// In one segment, which the kernel programs judge, and in two, which the daemon does.
fn both_ways(mode: Mode, row: &Row) -> [Case; 2] {
    [Case::cut(row, mode, &[]), Case::cut(row, mode, &[row.bytes().len() / 2])]
}

/// Plays reads with each of `tokens`, by name, in both modes.
fn play(arena: &mut Arena, tokens: &[(String, Vec<u8>)], status: impl Fn(&[u8]) -> u16) {
    for mode in [Mode::Optional, Mode::Required] {
        let rows = tokens.iter().map(|(name, token)| {
            let status = status(token);
            let statuses = [status; 2];
            if status == 400 { Row::other(name, read(token), statuses) } else { Row::read(name, read(token), statuses) }
        });
        let cases: Vec<_> = rows.flat_map(|row| both_ways(mode, &row)).collect();
        arena.play(mode, &cases);
    }
}

fn refused(_: &[u8]) -> u16 {
    401
}

/// Whether a header's value can't hold it.
fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

fn a_good_one(family: Family) {
    let mut arena = Arena::new(family);
    let token = arena.token(60);
    play(&mut arena, &[("a good one".to_owned(), token.into_bytes())], |_| 200);
}

fn every_bit_changed(family: Family) {
    let mut arena = Arena::new(family);
    let token = arena.token(21_600).into_bytes();
    let changed = |at: usize, bit: u32| {
        let value = DIGITS.iter().position(|&digit| digit == token[at]).expect("a digit");
        let mut changed = token.clone();
        changed[at] = DIGITS[value ^ 1 << bit];
        (format!("bit {bit} of digit {at}"), changed)
    };
    let tokens: Vec<_> = (0..LENGTH).flat_map(|at| (0..6).map(move |bit| (at, bit))).collect();
    assert_eq!(tokens.len(), 320 + 4);
    let tokens: Vec<_> = tokens.into_iter().map(|(at, bit)| changed(at, bit)).collect();
    play(&mut arena, &tokens, refused);
}

fn every_bit_of_its_characters_changed(family: Family) {
    let mut arena = Arena::new(family);
    let token = arena.token(21_600).into_bytes();
    let mut tokens = Vec::new();
    for at in 0..token.len() {
        for bit in 0..8 {
            let mut changed = token.clone();
            changed[at] ^= 1 << bit;
            tokens.push((format!("bit {bit} of character {at}"), changed));
        }
    }
    play(&mut arena, &tokens, |token| if token.iter().copied().any(is_control) { 400 } else { 401 });
}

fn every_other_spelling(family: Family) {
    let mut arena = Arena::new(family);
    // One that has both digits which the other alphabet of base64 spells otherwise.
    let with_both = |token: &String| token.contains('-') && token.contains('_');
    let token = wait::until("a token with - and _", || arena.token(21_600), with_both);
    let bare = token.trim_end_matches('=');
    assert_eq!(bare.len(), LENGTH);
    let last = DIGITS.iter().position(|&digit| digit == bare.as_bytes()[LENGTH - 1]).expect("a digit");
    assert_eq!(last & 0xf, 0, "the spare bits of the canonical spelling");
    let spare = (1..16).map(|spare| format!("{}{}==", &bare[..LENGTH - 1], char::from(DIGITS[last | spare])));
    let cut = (1..token.len()).map(|end| token[..end].to_owned());
    let later = (1..token.len()).map(|start| token[start..].to_owned());
    let torn = (1..token.len()).flat_map(|at| {
        let (before, after) = token.split_at(at);
        [" ", "\t", "=", ",", "A"].map(|between| format!("{before}{between}{after}"))
    });
    let others = [
        token.replace('-', "+").replace('_', "/"),
        token.replace('-', "+"),
        token.replace('_', "/"),
        bare.to_owned(),
        format!("{bare}="),
        format!("{bare}==="),
        format!("{bare}A="),
        format!("{bare}=A"),
        format!("{bare}AA"),
        format!("{bare}%3D%3D"),
        format!("=={bare}"),
        token.to_ascii_lowercase(),
        token.to_ascii_uppercase(),
        token.chars().rev().collect(),
        format!("\"{token}\""),
        format!("<{token}>"),
        format!("Bearer {token}"),
        format!("{token}{token}"),
        format!("{token},{token}"),
        format!("{token}, x"),
        format!("{token};"),
        format!("{token}\u{e4}"),
        format!("A{token}"),
        format!("{token}A"),
        "A".repeat(token.len()),
        "=".repeat(token.len()),
        "\u{e4}".repeat(token.len() / 2),
        token.repeat(10),
    ];
    let tokens = spare.chain(cut).chain(later).chain(torn).chain(others);
    let tokens: Vec<_> = tokens.map(|token| (token.clone(), token.into_bytes())).collect();
    play(&mut arena, &tokens, refused);
}

fn one_that_has_expired(family: Family) {
    let mut arena = Arena::new(family);
    arena.enter(Mode::Required);
    let token = arena.token(1).into_bytes();
    let row = |statuses| Row::read("a token of one second", read(&token), statuses);
    // The clock of its life: no earlier than the wait's beginning, so it is over at its end.
    let expired = Duration::from_millis(1_100);
    std::thread::sleep(expired);
    for mode in [Mode::Optional, Mode::Required] {
        let row = row([401; 2]);
        let cuts = (1..row.bytes().len()).map(|cut| Case::cut(&row, mode, &[cut]));
        let cases: Vec<_> = cuts.chain([Case::cut(&row, mode, &[])]).collect();
        assert!(cases.iter().any(|case| case.hops == Hops::Normal), "the kernel judges the last one");
        arena.play(mode, &cases);
    }
    let stats = arena.host.stats(&arena.id);
    assert!(stats.kernel("refused-token-invalid") > 0 && stats.daemon("refused-token-invalid") > 0);
}

fn the_kernel_programs_and_the_daemon_both_judge(family: Family) {
    let mut arena = Arena::new(family);
    let token = "A".repeat(56).into_bytes();
    play(&mut arena, &[("nobody's".to_owned(), token)], refused);
    let stats = arena.host.stats(&arena.id);
    assert_eq!((stats.kernel("refused-token-invalid"), stats.daemon("refused-token-invalid")), (2, 2));
}
