//! Several requests at once.

use super::{INSTANCE_ID, Part, Row, get, put};
use crate::http::{TOKEN, TTL, request};

pub(super) fn rows(token: &str) -> Vec<Row> {
    let plain = || Part { bytes: get(&[]), is_read: true };
    let good = || Part { bytes: get(&[(TOKEN, token)]), is_read: true };
    let bad = || Part { bytes: get(&[(TOKEN, "nonsense")]), is_read: true };
    let last = || Part { bytes: get(&[(TOKEN, token), ("Connection", "x, CLOSE")]), is_read: true };
    let head = || Part { bytes: request("HEAD", INSTANCE_ID, &[(TOKEN, token)]), is_read: true };
    let mint = || Part { bytes: put(&[(TTL, "60")]), is_read: false };
    let bad_mint = || Part { bytes: put(&[(TTL, "0")]), is_read: false };
    let post = || Part { bytes: request("POST", INSTANCE_ID, &[(TOKEN, token)]), is_read: false };
    let row = |name: &str, parts: Vec<Part>, optional: &[u16], required: &[u16]| Row {
        name: name.to_owned(),
        parts,
        optional: optional.to_vec(),
        required: required.to_vec(),
    };
    vec![
        row("PUT and GET", vec![mint(), plain()], &[200], &[200]),
        row("PUT and GET with a token", vec![mint(), good()], &[200], &[200]),
        row("PUT without a life and GET", vec![bad_mint(), good()], &[400], &[400]),
        row("GET and PUT", vec![plain(), mint()], &[200, 200], &[401]),
        row("GET with a token and PUT", vec![good(), mint()], &[200, 200], &[200, 200]),
        row("GET, PUT and GET", vec![good(), mint(), good()], &[200, 200], &[200, 200]),
        row("GET with a token and GET without", vec![good(), plain()], &[200, 200], &[200, 401]),
        row("GET without a token and GET with one", vec![plain(), good()], &[200, 200], &[401]),
        row("GET with a token and GET with a bad one", vec![good(), bad()], &[200, 401], &[200, 401]),
        row("a last GET and one more", vec![last(), good()], &[200], &[200]),
        row("GET, POST and GET", vec![good(), post(), good()], &[200, 405], &[200, 405]),
        row("HEAD and GET", vec![head(), good()], &[200, 200], &[200, 200]),
        row(
            "four with a token and one without",
            vec![good(), head(), good(), head(), plain()],
            &[200; 5],
            &[200, 200, 200, 200, 401],
        ),
    ]
}
