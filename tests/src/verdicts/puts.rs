//! Requests for a token, or such as look like one.

use super::{FORWARDED, INSTANCE_ID, Row, TOKEN_PATH, put};
use crate::http::{TOKEN, TTL, request};

pub(super) fn rows(token: &str) -> Vec<Row> {
    [lives(), headers(token), elsewhere()].concat()
}

fn lives() -> Vec<Row> {
    let granted = ["1", "60", "21600", "060", "0000000000000000000060", " \t60 "];
    let refused = [
        "0",
        "21601",
        "-1",
        "-0",
        "+60",
        "1e3",
        "60.0",
        "0x3c",
        "60s",
        "6 0",
        "60,60",
        "",
        " ",
        "\u{0661}",
        "4294967297",
        "65597",
        "18446744073709551617",
        "99999999999999999999999",
    ];
    let row = |status| move |life: &&str| Row::other(&format!("a life of {life:?}"), put(&[(TTL, life)]), [status; 2]);
    let mut rows: Vec<_> = granted.iter().map(row(200)).chain(refused.iter().map(row(400))).collect();
    rows.push(Row::other("a token for no given time", put(&[]), [400, 400]));
    rows.push(Row::other("a life twice", put(&[(TTL, "60"), (TTL, "60")]), [400, 400]));
    rows.push(Row::other("two lives", put(&[(TTL, "60"), (TTL, "61")]), [400, 400]));
    rows.push(Row::other("a life and an empty one", put(&[(TTL, "60"), (TTL, "")]), [400, 400]));
    rows
}

fn headers(token: &str) -> Vec<Row> {
    let life = (TTL, "60");
    let with_body = |headers: &[(&str, &str)], body: &[u8]| [&put(headers), body].concat();
    vec![
        Row::other(
            "a life in a header of another case",
            put(&[("x-AWS-ec2-METADATA-token-TTL-seconds", "60")]),
            [200; 2],
        ),
        Row::other(
            "a life in a header of almost that name",
            put(&[("X-aws-ec2-metadata-token-ttl-second", "60")]),
            [400; 2],
        ),
        Row::other("a PUT with a token", put(&[life, (TOKEN, token)]), [200, 200]),
        Row::other("a PUT with a bad token", put(&[life, (TOKEN, "nonsense")]), [200, 200]),
        Row::other("a PUT with two tokens", put(&[life, (TOKEN, "a"), (TOKEN, "b")]), [400, 400]),
        Row::other("a token through a proxy", put(&[life, FORWARDED]), [403, 403]),
        Row::other("a token through an empty proxy", put(&[life, ("x-forwarded-for", "")]), [403, 403]),
        Row::other("a token through two proxies", put(&[FORWARDED, life, FORWARDED]), [403, 403]),
        Row::other("a PUT without a life through a proxy", put(&[FORWARDED]), [403, 403]),
        Row::other("a token by HTTP/1.0", format!("PUT {TOKEN_PATH} HTTP/1.0\r\n{TTL}:60\r\n\r\n"), [200, 200]),
        Row::other("a PUT with an empty body", put(&[life, ("Content-Length", "0")]), [200, 200]),
        Row::other("a PUT with a body", with_body(&[life, ("Content-Length", "5")], b"hello"), [200, 200]),
        Row::other("a PUT in chunks", with_body(&[life, ("Transfer-Encoding", "chunked")], b"0\r\n\r\n"), [200, 200]),
        Row::other("a PUT with an expectation", put(&[life, ("Expect", "100-continue")]), [200, 200]),
        Row::other("empty lines before a PUT", [&b"\r\n\r\n\r\n"[..], &put(&[life])].concat(), [200, 200]),
        Row::other("what the token path takes", request("OPTIONS", TOKEN_PATH, &[]), [200, 200]),
        Row::other("what the token path takes from a proxy", request("OPTIONS", TOKEN_PATH, &[FORWARDED]), [200, 200]),
    ]
}

/// Whatever isn't the token path to the byte.
fn elsewhere() -> Vec<Row> {
    let row = |path: &&str| Row::other(&format!("a PUT to {path}"), request("PUT", path, &[(TTL, "60")]), [403, 403]);
    let paths = [
        "/",
        INSTANCE_ID,
        "/latest/api/token/",
        "/latest/api/token?",
        "/latest/api/token#",
        "/latest/api/tokens",
        "/latest/api/toke",
        "/2021-03-23/api/token",
        "/Latest/api/token",
        "/latest/api/TOKEN",
        "//latest/api/token",
        "/latest//api/token",
        "/latest/api//token",
        "/./latest/api/token",
        "/latest/../latest/api/token",
        "/latest/meta-data/../api/token",
        "/latest/api/%74oken",
        "/%6catest/api/token",
        "/latest%2fapi%2ftoken",
        "/latest/api/token%00",
        "/latest/api/token;a",
        "http://169.254.169.254/latest/api/token",
        "http:/latest/api/token",
        "latest/api/token",
        "*",
    ];
    paths.iter().map(row).collect()
}
