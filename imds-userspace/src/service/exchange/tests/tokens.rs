//! Tokens: how one is asked for, what one is good for, and how long.

use super::*;

#[tokio::test]
async fn the_token_path_has_its_own_rules() {
    let put = |fields: &str| head(&format!("PUT /latest/api/token HTTP/1.1{fields}"));
    let ttl = |value: &str| put(&format!("\nX-aws-ec2-metadata-token-ttl-seconds: {value}"));
    let method = |method: &str| head(&format!("{method} /latest/api/token HTTP/1.1"));
    let mut rows = vec![
        (
            put("\nX-aws-ec2-metadata-token-ttl-seconds: 60\nx-forwarded-for: 10.0.0.2"),
            bodyless("403 Forbidden"),
            &[Counter::RefusedForwarded][..],
        ),
        (method("OPTIONS"), bodyless("200 OK\nAllow: OPTIONS, PUT"), &[]),
        (put(""), bodyless("400 Bad Request"), &[Counter::RefusedTtlInvalid]),
    ];
    for value in ["", "0", "21601", "-1", "abc", "1.5", "99999999999999999999"] {
        rows.push((ttl(value), bodyless("400 Bad Request"), &[Counter::RefusedTtlInvalid]));
    }
    for name in ["GET", "HEAD", "POST", "DELETE", "PATCH", "put"] {
        let answer = bodyless("405 Not Allowed\nAllow: OPTIONS, PUT");
        rows.push((method(name), answer, &[Counter::RefusedTokenPathMethod]));
    }
    check(&[OPTIONAL, REQUIRED], &rows).await;
}

#[tokio::test]
async fn a_put_gets_a_token() {
    for (options, ttl) in [(OPTIONAL(), 1), (OPTIONAL(), 21_600), (REQUIRED(), 60)] {
        let guest = Guest::new(&options);
        let put = head(&format!("PUT /latest/api/token HTTP/1.1\nX-aws-ec2-metadata-token-ttl-seconds: {ttl}"));
        let (_, answer) = talk(&guest, &[put.as_bytes()]).await;
        let (shown, token) = answer.split_at(answer.len() - TOKEN_TEXT_LENGTH);
        assert_eq!(
            shown,
            format!(
                "HTTP/1.1 200 OK\r\nX-Aws-Ec2-Metadata-Token-Ttl-Seconds: {ttl}\r\nContent-Length: 56\r\nDate: {DATE}\r\n\
                 Server: EC2ws\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n"
            )
        );
        let remaining = remaining_ms(token).expect("good");
        assert!(remaining <= ttl * 1_000 && remaining > ttl * 1_000 - 1_000, "{remaining}");
        assert_eq!(guest.counted(), [Counter::TokensIssued, Counter::Requests]);
        let (_, another) = talk(&guest, &[put.as_bytes()]).await;
        assert_ne!(answer, another, "tokens are random");
    }
}

#[tokio::test]
async fn a_token_is_good_or_unauthorized_in_both_modes() {
    let with = |token: &str| head(&format!("GET /latest/meta-data/mac HTTP/1.1\nX-aws-ec2-metadata-token: {token}"));
    let now_ms = clock::boottime_ms();
    let good = token_for(1_000_000);
    let (mac, refused) = ("02:00:00:00:00:01", bodyless("401 Unauthorized"));
    let mut rows: Vec<(String, String, &[Counter])> = vec![
        (with(&good), text(Some(1_000), mac), &[]),
        (with(&format!("{good}\nX-aws-ec2-metadata-token: {good}")), text(Some(1_000), mac), &[]),
        (with(&token_for(1_001_500)), text(Some(1_002), mac), &[]),
        (with(&format!("{good}\nX-Forwarded-For: a")), bodyless("403 Forbidden"), &[Counter::RefusedForwarded]),
    ];
    for bad in [
        "",
        "garbage",
        &good[1..],
        &format!("{good}="),
        &good.to_ascii_lowercase(),
        &token_of(&KEY, GENERATION + 1, now_ms + 60_000),
        &token_of(&Key { k0: 9, ..KEY }, GENERATION, now_ms + 60_000),
        &token_of(&KEY, GENERATION, now_ms),
    ] {
        rows.push((with(bad), refused.clone(), &[Counter::RefusedTokenInvalid]));
    }
    check(&[OPTIONAL, REQUIRED], &rows).await;
}

#[tokio::test]
async fn without_a_token_the_mode_decides() {
    let requests = [
        "GET /latest/meta-data/mac HTTP/1.1",
        "GET /latest/meta-data/mac HTTP/1.1\nX-Forwarded-For: a",
        "GET /latest/meta-data/mac HTTP/1.1\nX-aws-ec2-metadata-token-ttl-seconds: 60",
        "GET /latest/meta-data/mac?x HTTP/1.1\nHost: a\nAccept: application/json",
        "GET http://a/latest//meta-data/mac/ HTTP/1.1",
    ]
    .map(head);
    let served = requests.clone().map(|request| (request, text(None, "02:00:00:00:00:01"), &[Counter::NoToken][..]));
    check(&[OPTIONAL], &served).await;
    let refused = requests.map(|request| (request, bodyless("401 Unauthorized"), &[Counter::RefusedTokenMissing][..]));
    check(&[REQUIRED], &refused).await;
    let unknown = ["/none", "/", "/latest/api/none"].map(|path| {
        (head(&format!("GET {path} HTTP/1.1")), bodyless("401 Unauthorized"), &[Counter::RefusedTokenMissing][..])
    });
    check(&[REQUIRED], &unknown).await;
}

#[tokio::test]
async fn every_answer_to_a_good_token_tells_how_long_it_lives() {
    let token = token_for(60_000);
    let readable = || Guest::new(&OPTIONAL());
    let without = || readable().with_user_data(Ok(None));
    let unreadable = || readable().with_user_data(Err(()));
    let exhausted = || {
        let guest = readable();
        guest.exhaust();
        guest
    };
    let data = "/latest/user-data";
    let rows: [(&dyn Fn() -> Guest, &str, &str, &str); 8] = [
        (&readable, data, "", "200 OK"),
        (&readable, data, "\nRange: bytes=0-1", "206 Partial Content"),
        (&readable, data, "\nRange: bytes=99-", "416 Range Not Satisfiable"),
        (&readable, "/latest/meta-data/placement", "", "301 Moved Permanently"),
        (&readable, "/none", "", "404 Not Found"),
        (&without, data, "", "404 Not Found"),
        (&unreadable, data, "", "503 Service Unavailable"),
        (&exhausted, data, "", "503 Service Unavailable"),
    ];
    for (guest, path, fields, status) in rows {
        for (method, pages) in [("GET", false), ("HEAD", false), ("GET", true)] {
            // A range is for a GET.
            if method == "HEAD" && !fields.is_empty() {
                continue;
            }
            let guest = guest();
            guest.set_options(OptionsWord::new(&OPTIONAL(), false).with_error_pages(pages));
            let request = |token: &str| head(&format!("{method} {path} HTTP/1.1{fields}{token}"));
            let (_, told) = talk(&guest, &[request(&format!("\nX-aws-ec2-metadata-token: {token}")).as_bytes()]).await;
            let line = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds: 60\r\n";
            assert!(told.starts_with(&format!("HTTP/1.1 {status}\r\n{line}")), "{told}");
            let (_, untold) = talk(&guest, &[request("").as_bytes()]).await;
            assert_eq!(told.replace(line, ""), untold, "but for that, the same");
        }
    }
}

#[tokio::test]
async fn no_refusal_of_a_token_that_is_not_looked_at_tells_how_long_it_lives() {
    let token = format!("X-aws-ec2-metadata-token: {}", token_for(60_000));
    for (options, request, status) in [
        (OPTIONAL(), format!("GET / HTTP/1.1\n{token}\nX-Forwarded-For: a"), "403 Forbidden"),
        (OPTIONAL(), format!("POST / HTTP/1.1\n{token}"), "405 Not Allowed\nAllow: GET, HEAD"),
        (OPTIONAL(), format!("GET / HTTP/2.0\n{token}"), "400 Bad Request"),
        (DISABLED(), format!("GET / HTTP/1.1\n{token}"), "403 Forbidden"),
    ] {
        let (_, answer) = talk(&Guest::new(&options), &[head(&request).as_bytes()]).await;
        assert_eq!(answer, bodyless(status), "{request}");
    }
}
