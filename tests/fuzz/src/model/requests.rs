//! What clients send.

use imds_common::token::{self, Key};

/// The keys that are good here.
pub const KEYS: [Key; 2] = [Key::EMPTY, Key { number: 1, k0: 5, k1: 6, made_ms: 0 }];
/// The token generation of the one instance.
pub const GENERATION: u64 = 9;
/// Now, as tokens see it.
pub const NOW_MS: u64 = 1_000;
/// When the good token expires: on no host that runs these tests before them.
const EXPIRY_MS: u64 = 1 << 50;

/// A token that is good for an age.
#[must_use]
pub fn good_token() -> String {
    String::from_utf8(token::mint(&KEYS[1], GENERATION, EXPIRY_MS, [7; 12]).to_vec()).expect("base64")
}

/// Targets of reads that are served: their answers are shorter and longer than a segment.
pub const TARGETS: [&str; 2] = ["/latest/", "/~"];

/// A read that is always served.
#[must_use]
pub fn served(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nX-aws-ec2-metadata-token: {}\r\n\r\n", good_token())
}

/// Whole requests of every kind, the more usual ones first: a read without a token, one with a bad one, a PUT for a token,
/// and then all others.
#[must_use]
pub fn requests() -> Vec<String> {
    let good = format!("X-aws-ec2-metadata-token: {}\r\n", good_token());
    let bad = "X-aws-ec2-metadata-token: AAAA\r\n";
    let get = "GET /latest/ HTTP/1.1\r\n";
    let put = "PUT /latest/api/token HTTP/1.1\r\n";
    let ttl = "X-aws-ec2-metadata-token-ttl-seconds: 60\r\n";
    vec![
        format!("{get}\r\n"),
        format!("{get}{bad}\r\n"),
        format!("{put}{ttl}\r\n"),
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
    ]
}
