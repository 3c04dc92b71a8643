//! What isn't HTTP/1.0 or 1.1 to the letter.

use super::{INSTANCE_ID, Row};
use crate::http::{TOKEN, TTL};

pub(super) fn rows(token: &str) -> Vec<Row> {
    let mut rows: Vec<_> = request_lines().iter().map(|line| row(line, &format!("{line}\r\n\r\n"))).collect();
    rows.extend(fields(token).iter().map(|fields| row(fields, &format!("GET {INSTANCE_ID} HTTP/1.1\r\n{fields}\r\n"))));
    rows.push(row("bare line feeds", &format!("GET / HTTP/1.1\n{TOKEN}: {token}\n\n")));
    rows.push(row("a bare line feed at the end", "GET / HTTP/1.1\r\nHost: x\r\n\n"));
    rows.push(row("a bare carriage return at the end", "GET / HTTP/1.1\r\nHost: x\r\n\r\r\n"));
    rows.push(row("TLS", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}"));
    rows.push(row("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    rows
}

fn row(name: &str, bytes: &str) -> Row {
    Row::other(&format!("malformed: {name:?}"), bytes, [400, 400])
}

fn request_lines() -> [&'static str; 21] {
    [
        "GET /latest/meta-data/",
        "GET / HTTP/2.0",
        "GET / HTTP/1.2",
        "GET / HTTP/0.9",
        "GET / HTTP/1.10",
        "GET / http/1.1",
        "GET / HTTP/1.1 ",
        "GET /  HTTP/1.1",
        "GET  / HTTP/1.1",
        " GET / HTTP/1.1",
        "\tGET / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET HTTP/1.1",
        "/ HTTP/1.1",
        "GET: / HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET /\u{e4} HTTP/1.1",
        "GET /\0 HTTP/1.1",
        "GET /\u{7f} HTTP/1.1",
        "PUT /latest/api/token HTTP/1.1,HTTP/1.1",
    ]
}

fn fields(token: &str) -> Vec<String> {
    vec![
        format!("Host: x\r\n {TOKEN}: {token}\r\n"),
        format!("{TOKEN}:\r\n {token}\r\n"),
        format!("{TOKEN}: {}\r\n {}\r\n", &token[..30], &token[30..]),
        format!("{TOKEN}: {token}\r\n\t\r\n"),
        format!(" {TOKEN}: {token}\r\n"),
        format!("{TOKEN} : {token}\r\n"),
        format!("{TOKEN}\t: {token}\r\n"),
        format!(": {token}\r\n"),
        format!("{TOKEN}\r\n"),
        format!("{TOKEN} {token}\r\n"),
        format!("{TOKEN}\0: {token}\r\n"),
        format!("{TOKEN}: {token}\0\r\n"),
        format!("{TOKEN}: {token}\r{TTL}: 60\r\n"),
        format!("{TOKEN}: {token}\n{TTL}: 60\r\n"),
        format!("(comment): {token}\r\n"),
        "X: \u{7f}\r\n".to_owned(),
        "X: \u{1b}[2J\r\n".to_owned(),
    ]
}
