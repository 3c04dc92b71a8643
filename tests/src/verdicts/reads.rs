//! Requests that read, or look as if they did.

use super::{FORWARDED, INSTANCE_ID, Row, TOKEN_PATH, get};
use crate::http::{TOKEN, TTL, request};

pub(super) fn rows(token: &str) -> Vec<Row> {
    [headers(token), paths(token), methods(token), bodies(token)].concat()
}

fn headers(token: &str) -> Vec<Row> {
    let good = (TOKEN, token);
    let mut altered = token.to_owned();
    altered.replace_range(20..21, if &token[20..21] == "A" { "B" } else { "A" });
    let other_spelling = token.replace("==", "");
    let spaced = format!(" \t {token} \t ");
    let torn = format!("{} {}", &token[..30], &token[30..]);
    let listed = format!("{token}, {token}");
    vec![
        Row::read("a read", get(&[]), [200, 401]),
        Row::read("a read with a token", get(&[good]), [200, 200]),
        Row::read("a token in a header of another case", get(&[("x-AWS-ec2-METADATA-token", token)]), [200, 200]),
        Row::read("a token among blanks", get(&[(TOKEN, &spaced)]), [200, 200]),
        Row::read("one token twice", get(&[good, good]), [200, 200]),
        Row::read("one token twice, once in another case", get(&[good, ("x-aws-ec2-metadata-TOKEN", token)]), [200; 2]),
        Row::read("two tokens", get(&[good, (TOKEN, "x")]), [400, 400]),
        Row::read("two tokens, the good one last", get(&[(TOKEN, "x"), good]), [400, 400]),
        Row::read("a token and an empty one", get(&[good, (TOKEN, "")]), [400, 400]),
        Row::read("an empty token", get(&[(TOKEN, "")]), [401, 401]),
        Row::read("a blank token", get(&[(TOKEN, " \t ")]), [401, 401]),
        Row::read("no token at all", get(&[(TOKEN, "nonsense")]), [401, 401]),
        Row::read("an altered token", get(&[(TOKEN, &altered)]), [401, 401]),
        Row::read("a token without padding", get(&[(TOKEN, &other_spelling)]), [401, 401]),
        Row::read("a torn token", get(&[(TOKEN, &torn)]), [401, 401]),
        Row::read("a list of tokens", get(&[(TOKEN, &listed)]), [401, 401]),
        Row::read("a token in a header of almost that name", get(&[("X-aws-ec2-metadata-tokens", token)]), [200, 401]),
        Row::read("a token in the header of a PUT", get(&[(TTL, token)]), [200, 401]),
        Row::read("a token and a proxy", get(&[good, FORWARDED]), [403, 403]),
        Row::read("a token and an empty proxy", get(&[good, ("x-forwarded-FOR", "")]), [403, 403]),
        Row::read("a proxy", get(&[FORWARDED]), [200, 401]),
        Row::read("the header of a PUT on a read", get(&[(TTL, "60")]), [200, 401]),
        Row::read("a bad header of a PUT on a read", get(&[good, (TTL, "never"), (TTL, "")]), [200, 200]),
        Row::read("an empty header", get(&[("X", ""), good]), [200, 200]),
        Row::read(
            "a header of other bytes",
            [&get(&[good])[..get(&[good]).len() - 2], b"X: \xff\x80\r\n\r\n"].concat(),
            [200; 2],
        ),
        Row::read("no Host", format!("GET {INSTANCE_ID} HTTP/1.1\r\n\r\n"), [200, 401]),
        Row::read("two Hosts", get(&[good, ("Host", "elsewhere")]), [200, 200]),
        Row::read("HTTP/1.0", "GET /latest/meta-data/ HTTP/1.0\r\n\r\n", [200, 401]),
        Row::read("HTTP/1.0, to be kept", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", [200, 401]),
        Row::read("HTTP/1.0 with a token", format!("GET / HTTP/1.0\r\n{TOKEN}:{token}\r\n\r\n"), [200, 200]),
        Row::read("empty lines first", [&b"\r\n\r\n"[..], &get(&[])].concat(), [200, 401]),
        Row::read("the last one", get(&[good, ("Connection", "close")]), [200, 200]),
    ]
}

fn paths(token: &str) -> Vec<Row> {
    let good = [(TOKEN, token)];
    let at = |path: &str| request("GET", path, &[]);
    let with = |path: &str| request("GET", path, &good);
    let mut rows = vec![
        Row::read("the root", at("/"), [200, 401]),
        Row::read("what isn't there", at("/latest/meta-data/nothing"), [404, 401]),
        Row::read("what isn't there, with a token", with("/latest/meta-data/nothing"), [404, 404]),
        Row::read("a directory without its slash", with("/latest/meta-data/placement"), [301, 301]),
        Row::read("a directory without its slash or a token", at("/latest/meta-data/placement"), [301, 401]),
        Row::read("another version", with("/2021-03-23/meta-data/instance-id"), [200, 200]),
        Row::read("no version", with("/2021-03-24/meta-data/instance-id"), [404, 404]),
        Row::read("two slashes", with("/latest//meta-data/instance-id"), [200, 200]),
        Row::read("two slashes first", at("//latest/meta-data/instance-id"), [200, 401]),
        Row::read("a leaf with a slash", with("/latest/meta-data/instance-id/"), [200, 200]),
        Row::read("a query", at("/latest/meta-data/instance-id?a=/../b"), [200, 401]),
        Row::read("an encoded name", at("/latest/meta-data/instance%2did"), [200, 401]),
        Row::read("encoded names with a token", with("/l%61test/%6Deta-data/instance%2Did"), [200, 200]),
        Row::read("an absolute URI", at("http://169.254.169.254/latest/meta-data/instance-id"), [200, 401]),
        Row::read("an absolute URI with a token", with("HTTP://elsewhere:81/latest/meta-data/instance-id"), [200, 200]),
        Row::read("an absolute URI of another scheme", with("https://169.254.169.254/"), [404, 404]),
        Row::read("an asterisk", with("*"), [404, 404]),
        Row::read("no slash", with("latest/meta-data/instance-id"), [404, 404]),
        Row::read("an authority", with("169.254.169.254:80"), [404, 404]),
    ];
    for path in [
        "/latest/../latest/meta-data/instance-id",
        "/latest/./meta-data/instance-id",
        "/../latest/meta-data/instance-id",
        "/latest/meta-data/../meta-data/instance-id",
        "/latest/meta-data/instance%252did",
        "/latest/meta-data/instance%2",
        "/latest/%2e%2e/latest/meta-data/instance-id",
        "/latest%2fmeta-data%2finstance-id",
        "/latest/meta-data/instance-id%00",
        "/latest/meta-data/instance-id#fragment",
        "/latest/meta-data\\instance-id",
        "/LATEST/META-DATA/INSTANCE-ID",
        // What is almost the token path is of the tree, where nothing stands there.
        "/latest/api/token/",
        "/latest/api/token?",
        "//latest/api/token",
        "/latest/api/%74oken",
        "/latest/api/../api/token",
        "/latest/api",
    ] {
        rows.push(Row::read(&format!("{path} with a token"), with(path), [404, 404]));
        rows.push(Row::read(path, at(path), [404, 401]));
    }
    rows
}

fn methods(token: &str) -> Vec<Row> {
    let good = [(TOKEN, token)];
    let mut rows = vec![
        Row::read("a HEAD", request("HEAD", INSTANCE_ID, &[]), [200, 401]),
        Row::read("a HEAD with a token", request("HEAD", INSTANCE_ID, &good), [200, 200]),
        Row::read("a HEAD of nothing", request("HEAD", "/latest/nothing", &good), [404, 404]),
        Row::other("a read of the token path", request("GET", TOKEN_PATH, &[]), [405, 405]),
        Row::other("a HEAD of the token path", request("HEAD", TOKEN_PATH, &good), [405, 405]),
        Row::other("what the tree takes", request("OPTIONS", INSTANCE_ID, &good), [405, 405]),
        Row::other("what the service takes", request("OPTIONS", "*", &[]), [405, 405]),
    ];
    for method in ["POST", "DELETE", "PATCH", "CONNECT", "TRACE", "get", "Get", "GETT", "GE", "put", "PUTT", "PU", "!"]
    {
        rows.push(Row::other(&format!("{method} with a token"), request(method, INSTANCE_ID, &good), [405, 405]));
        rows.push(Row::other(
            &format!("{method} of the token path"),
            request(method, TOKEN_PATH, &[(TTL, "60")]),
            [405; 2],
        ));
    }
    rows
}

/// A body isn't read: what follows such a head is never a request.
fn bodies(token: &str) -> Vec<Row> {
    let with_body = |headers: &[(&str, &str)], body: &[u8]| [&get(headers), body].concat();
    let good = (TOKEN, token);
    let hidden = get(&[good]);
    let chunked = ("Transfer-Encoding", "chunked");
    vec![
        Row::other("a body", with_body(&[good, ("Content-Length", "5")], b"hello"), [200, 200]),
        Row::other("a body without a token", with_body(&[("content-LENGTH", "5")], b"hello"), [200, 401]),
        Row::other("an empty body", with_body(&[good, ("Content-Length", "0")], b""), [200, 200]),
        Row::other("a body of no length", with_body(&[good, ("Content-Length", "-1")], b""), [200, 200]),
        Row::other("a request as a body", with_body(&[("Content-Length", "0")], &hidden), [200, 401]),
        Row::other("chunks", with_body(&[good, chunked], b"5\r\nhello\r\n0\r\n\r\n"), [200, 200]),
        Row::other("chunks without a token", with_body(&[chunked], b"0\r\n\r\n"), [200, 401]),
        Row::other(
            "a request behind chunks",
            with_body(&[chunked], &[&b"0\r\n\r\n"[..], &hidden].concat()),
            [200, 401],
        ),
        Row::other("both", with_body(&[good, chunked, ("Content-Length", "3")], &hidden), [200, 200]),
        Row::other("an expectation", get(&[good, ("Expect", "100-continue")]), [200, 200]),
        Row::other("an expectation without a token", get(&[("EXPECT", "100-continue")]), [200, 401]),
        Row::other("an upgrade", get(&[good, ("Upgrade", "h2c"), ("Connection", "upgrade")]), [200, 200]),
    ]
}
