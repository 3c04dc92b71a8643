//! Heads of 1 to 64 KiB.

use super::{INSTANCE_ID, Row, TOKEN_PATH};
use crate::http::{TOKEN, TTL, request};

const KIB: usize = 1_024;

pub(super) fn rows(token: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for size in [KIB - 1, KIB, KIB + 1, 2 * KIB, 4 * KIB, 8 * KIB, 16 * KIB - 1, 16 * KIB] {
        rows.push(Row::read(&format!("{size} bytes"), padded("GET", INSTANCE_ID, &[], size), [200, 401]));
        let good = padded("GET", INSTANCE_ID, &[(TOKEN, token)], size);
        rows.push(Row::read(&format!("{size} bytes with a token"), good, [200, 200]));
        let mint = padded("PUT", TOKEN_PATH, &[(TTL, "60")], size);
        rows.push(Row::other(&format!("a PUT of {size} bytes"), mint, [200, 200]));
    }
    for size in [16 * KIB + 1, 32 * KIB, 64 * KIB] {
        let good = padded("GET", INSTANCE_ID, &[(TOKEN, token)], size);
        rows.push(Row::read(&format!("{size} bytes with a token"), good, [431, 431]));
        let mint = padded("PUT", TOKEN_PATH, &[(TTL, "60")], size);
        rows.push(Row::other(&format!("a PUT of {size} bytes"), mint, [431, 431]));
    }
    let target = format!("/{}", "x".repeat(5 * KIB));
    rows.push(Row::read("a long path", request("GET", &target, &[(TOKEN, token)]), [404, 404]));
    let headers: Vec<_> = (0..500).map(|_| ("X", "x")).chain([(TOKEN, token)]).collect();
    rows.push(Row::read("five hundred headers", request("GET", INSTANCE_ID, &headers), [200, 200]));
    let method = "X".repeat(3 * KIB);
    rows.push(Row::other("a long method", request(&method, INSTANCE_ID, &[]), [405, 405]));
    rows
}

/// A request of so many bytes, the given headers behind what fills it up.
fn padded(method: &str, path: &str, headers: &[(&str, &str)], size: usize) -> Vec<u8> {
    let of = |filling: &str| request(method, path, &[&[("X", filling)], headers].concat());
    let bytes = of(&"x".repeat(size - of("").len()));
    assert_eq!(bytes.len(), size);
    bytes
}
