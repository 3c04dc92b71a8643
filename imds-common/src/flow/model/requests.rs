//! What clients send.

use proptest::prelude::*;

use crate::token::{self, Key};

pub(super) const KEYS: [Key; 2] = [Key::EMPTY, Key { number: 1, k0: 5, k1: 6, made_ms: 0 }];
pub(super) const GENERATION: u64 = 9;
pub(super) const NOW_MS: u64 = 1_000;

pub(super) fn good_token() -> String {
    String::from_utf8(token::mint(&KEYS[1], GENERATION, NOW_MS + 60_000, [7; 12]).to_vec()).expect("base64")
}

/// A read that is always served, its answer short or longer than a segment.
pub(super) fn served() -> impl Strategy<Value = String> {
    let target = prop::sample::select(vec!["/latest/", "/~"]);
    target.prop_map(|target| format!("GET {target} HTTP/1.1\r\nX-aws-ec2-metadata-token: {}\r\n\r\n", good_token()))
}

/// A whole request.
fn request() -> impl Strategy<Value = String> {
    let good = format!("X-aws-ec2-metadata-token: {}\r\n", good_token());
    let bad = "X-aws-ec2-metadata-token: AAAA\r\n";
    let get = "GET /latest/ HTTP/1.1\r\n";
    let put = "PUT /latest/api/token HTTP/1.1\r\n";
    let ttl = "X-aws-ec2-metadata-token-ttl-seconds: 60\r\n";
    prop_oneof![
        6 => served(),
        3 => Just(format!("{get}\r\n")),
        2 => Just(format!("{get}{bad}\r\n")),
        3 => Just(format!("{put}{ttl}\r\n")),
        1 => prop::sample::select(vec![
            format!("\r\n{get}\r\n"),
            format!("HEAD / HTTP/1.1\r\n{good}\r\n"),
            "HEAD / HTTP/1.1\r\n\r\n".to_owned(),
            format!("{get}{good}{good}\r\n"),
            format!("{get}{good}{bad}\r\n"),
            format!("{get}{good}X-Forwarded-For: a\r\n\r\n"),
            format!("{get}{good}Connection: close\r\n\r\n"),
            format!("GET / HTTP/1.0\r\n{good}\r\n"),
            format!("{get}{good}Content-Length: 4\r\n\r\nbody"),
            format!("{put}{ttl}X-Forwarded-For: a\r\n\r\n"),
            format!("{put}\r\n"),
            "GET /latest/api/token HTTP/1.1\r\n\r\n".to_owned(),
            "OPTIONS /latest/api/token HTTP/1.1\r\n\r\n".to_owned(),
            "POST / HTTP/1.1\r\n\r\n".to_owned(),
            "\u{1}".to_owned(),
            "GET / HTTP/1.1\n\n".to_owned(),
        ]),
    ]
}

/// What one write of a client's holds: a request, two, or a piece of one.
pub(super) fn content() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => request(),
        1 => (request(), request()).prop_map(|(first, second)| first + &second),
        1 => (request(), any::<prop::sample::Index>(), any::<bool>()).prop_map(|(request, cut, head)| {
            let (front, rest) = request.split_at(cut.index(request.len()));
            if head { front.to_owned() } else { rest.to_owned() }
        }),
    ]
}
