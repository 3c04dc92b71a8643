mod tokens;

use imds_common::options::{HttpTokens, MetadataOptions, Switch};

use super::*;
use crate::metadata::bearer::ByBearer;
use crate::metadata::live::{Deliveries, Edition, Live, Page};
use crate::metadata::sample;
use crate::service::connection::Ending;
use crate::service::sample::{DATE, GENERATION, Guest, KEY, remaining_ms, talk, token_for, token_of};

const OPTIONAL: MetadataOptionsOf = || MetadataOptions::default();
const REQUIRED: MetadataOptionsOf =
    || MetadataOptions { http_tokens: HttpTokens::Required, ..MetadataOptions::default() };
const DISABLED: MetadataOptionsOf =
    || MetadataOptions { http_endpoint: Switch::Disabled, ..MetadataOptions::default() };
type MetadataOptionsOf = fn() -> MetadataOptions;

/// A request's head from its lines.
fn head(lines: &str) -> String {
    format!("{}\r\n\r\n", lines.replace('\n', "\r\n"))
}

/// An answer without a body.
fn bodyless(status: &str) -> String {
    let status = status.replace('\n', "\r\n");
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: 0\r\nDate: {DATE}\r\nServer: EC2ws\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n"
    )
}

/// The answer of a leaf of text, on a connection that lives on.
fn text(token_ttl: Option<u64>, body: &str) -> String {
    let ttl = token_ttl.map(|ttl| format!("X-Aws-Ec2-Metadata-Token-Ttl-Seconds: {ttl}\r\n")).unwrap_or_default();
    format!(
        "HTTP/1.1 200 OK\r\n{ttl}Content-Type: text/plain\r\nAccept-Ranges: none\r\nLast-Modified: Sun, 22 Nov 2026 09:08:07 GMT\r\n\
         Content-Length: {}\r\nDate: {DATE}\r\nServer: EC2ws\r\n\r\n{body}",
        body.len()
    )
}

/// Asserts what each request gets, and what it counts besides [`Counter::Requests`].
async fn check(options: &[MetadataOptionsOf], rows: &[(String, String, &[Counter])]) {
    for options in options.iter().map(|options| options()) {
        let guest = Guest::new(&options);
        for (request, expected, counters) in rows {
            let (ending, answer) = talk(&guest, &[request.as_bytes()]).await;
            assert_eq!(answer, *expected, "{options:?} {request}");
            assert_eq!(ending, Ending::Close);
            assert_eq!(guest.counted(), [counters, &[Counter::Requests][..]].concat(), "{options:?} {request}");
        }
    }
}

#[tokio::test]
async fn a_disabled_endpoint_forbids_everything() {
    let token = token_for(60_000);
    let requests = [
        head("GET / HTTP/1.1"),
        head(&format!("GET /latest/meta-data/mac HTTP/1.1\nX-aws-ec2-metadata-token: {token}")),
        head("PUT /latest/api/token HTTP/1.1\nX-aws-ec2-metadata-token-ttl-seconds: 60"),
        head("OPTIONS /latest/api/token HTTP/1.1"),
        head("POST / HTTP/1.1"),
        "\u{1}".to_owned(),
        format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(request::HEAD_MAX)),
    ];
    let rows = requests.map(|request| (request, bodyless("403 Forbidden"), &[Counter::RefusedEndpointDisabled][..]));
    check(&[DISABLED], &rows).await;
}

#[tokio::test]
async fn what_is_not_http_is_a_bad_request() {
    let token = token_for(60_000);
    let two = |first: &str, second: &str| {
        head(&format!("GET / HTTP/1.1\nX-aws-ec2-metadata-token: {first}\nX-Aws-Ec2-Metadata-Token: {second}"))
    };
    let requests = [
        head("GET / HTTP/2.0"),
        head("GET /"),
        "GET / HTTP/1.1\n\n".to_owned(),
        head("GET / HTTP/1.1\nA: b\n c"),
        head("GET / HTTP/1.1\nA : b"),
        head("GET /\u{e4} HTTP/1.1"),
        "\u{16}\u{3}\u{1}".to_owned(),
        two(&token, "other"),
        two("", &token),
    ];
    let rows = requests.map(|request| (request, bodyless("400 Bad Request"), &[Counter::RefusedMalformed][..]));
    check(&[OPTIONAL, REQUIRED], &rows).await;
}

#[tokio::test]
async fn a_head_too_large_is_refused() {
    let request = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(request::HEAD_MAX));
    let answer = bodyless("431 Request Header Fields Too Large");
    check(&[OPTIONAL, REQUIRED], &[(request, answer, &[Counter::RefusedHeadTooLarge])]).await;
}

#[tokio::test]
async fn a_put_elsewhere_is_forbidden() {
    let paths = [
        "/",
        "/latest/meta-data/mac",
        "/latest/api/token/",
        "//latest/api/token",
        "/latest//api/token",
        "/latest/api/token?a",
        "/latest/api/%74oken",
        "/LATEST/api/token",
        "/2021-03-23/api/token",
        "http://169.254.169.254/latest/api/token",
    ];
    let rows = paths.map(|path| {
        let request = head(&format!("PUT {path} HTTP/1.1\nX-aws-ec2-metadata-token-ttl-seconds: 60"));
        (request, bodyless("403 Forbidden"), &[Counter::RefusedPutElsewhere][..])
    });
    check(&[OPTIONAL, REQUIRED], &rows).await;
}

#[tokio::test]
async fn the_tree_is_for_reading() {
    let rows = ["POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "get"].map(|method| {
        let request = head(&format!("{method} /latest/meta-data/ HTTP/1.1"));
        (request, bodyless("405 Not Allowed\nAllow: GET, HEAD"), &[Counter::RefusedTreeMethod][..])
    });
    check(&[OPTIONAL, REQUIRED], &rows).await;
}

#[tokio::test]
async fn the_tree_answers_200_301_and_404() {
    let not_found = |ttl: &str| {
        format!(
            "HTTP/1.1 404 Not Found\r\n{ttl}Content-Length: 0\r\nDate: {DATE}\r\nServer: EC2ws\r\nContent-Type: text/plain\r\n\r\n"
        )
    };
    let moved = |ttl: &str, host: &str| {
        format!(
            "HTTP/1.1 301 Moved Permanently\r\n{ttl}Location: http://{host}/latest/meta-data/placement/\r\nContent-Length: 0\r\n\
             Date: {DATE}\r\nServer: EC2ws\r\n\r\n"
        )
    };
    let token = format!("X-aws-ec2-metadata-token: {}", token_for(60_000));
    let ttl = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds: 60\r\n";
    let rows: [(String, String, &[Counter]); 7] = [
        (head("GET /none HTTP/1.1"), not_found(""), &[]),
        (head(&format!("GET /none HTTP/1.1\n{token}")), not_found(ttl), &[]),
        (head("GET /latest//meta-data/placement HTTP/1.1"), moved("", "169.254.169.254"), &[]),
        (head("GET /latest/meta-data/placement?x HTTP/1.1\nHost: [fd00:ec2::254]"), moved("", "[fd00:ec2::254]"), &[]),
        (head(&format!("GET http://a:1/latest/meta-data/placement HTTP/1.1\n{token}")), moved(ttl, "a:1"), &[]),
        (head("GET /latest HTTP/1.1"), text(None, "dynamic\nmeta-data\nuser-data"), &[Counter::NoToken]),
        (
            head(&format!("GET /latest/meta-data/placement/ HTTP/1.1\n{token}")),
            text(Some(60), "availability-zone\nregion"),
            &[],
        ),
    ];
    check(&[OPTIONAL], &rows).await;
}

#[tokio::test]
async fn a_head_request_gets_the_head_alone() {
    let guest = Guest::new(&OPTIONAL());
    for path in ["/", "/latest/meta-data/mac", "/latest/user-data", "/latest/meta-data/placement", "/none"] {
        let (_, get) = talk(&guest, &[head(&format!("GET {path} HTTP/1.1")).as_bytes()]).await;
        let (_, alone) = talk(&guest, &[head(&format!("HEAD {path} HTTP/1.1")).as_bytes()]).await;
        let end = get.find("\r\n\r\n").expect("an empty line") + 4;
        assert_eq!(alone, get[..end], "{path}");
    }
}

#[tokio::test]
async fn user_data_comes_as_it_is() {
    let guest = Guest::new(&OPTIONAL());
    let (_, answer) = talk(&guest, &[head("GET /latest/user-data HTTP/1.1").as_bytes()]).await;
    assert!(answer.contains("Content-Type: application/octet-stream\r\nAccept-Ranges: bytes\r\n"), "{answer}");
    assert!(answer.contains("Content-Length: 6\r\n") && answer.ends_with("\r\n\r\n\0data\u{fffd}"), "{answer}");
}

#[tokio::test]
async fn a_role_gives_what_stands_there_now_by_the_way_it_is_asked() {
    let live = |text: &str| Live::new(Edition::lasting(Page::new(text, 0)));
    let deliveries = Deliveries { without_token: live("one"), with_token: live("two") };
    let credentials = ByBearer { role: Some(deliveries.clone()), instance: None };
    let tree = Tree::render(&sample::instance(), None, false, false, credentials);
    let guest = Guest::new(&OPTIONAL()).with_tree(tree);
    let path = "GET /latest/meta-data/iam/security-credentials/app HTTP/1.1";
    let with_token = head(&format!("{path}\nX-aws-ec2-metadata-token: {}", token_for(60_000)));
    let without = head(path);
    for (request, body) in [(&without, "one"), (&with_token, "two"), (&without.replace("GET", "HEAD"), "")] {
        let (_, answer) = talk(&guest, &[request.as_bytes()]).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("Content-Length: 3\r\n"), "{answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{answer}");
    }
    deliveries.with_token.replace(Edition::ending(Page::new("over", 0), 1, Page::new("failure", 0)));
    let (_, answer) = talk(&guest, &[with_token.as_bytes()]).await;
    assert!(answer.ends_with("\r\n\r\nfailure"), "{answer}");
    let (_, answer) = talk(&guest, &[without.as_bytes()]).await;
    assert!(answer.ends_with("\r\n\r\none"), "{answer}");
}

#[tokio::test]
async fn user_data_that_is_gone_is_not_found_and_that_cannot_be_read_is_for_later() {
    let request = head("GET /latest/user-data HTTP/1.1");
    let (_, answer) = talk(&Guest::new(&OPTIONAL()).with_user_data(Ok(None)), &[request.as_bytes()]).await;
    assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
    let (_, answer) = talk(&Guest::new(&OPTIONAL()).with_user_data(Err(())), &[request.as_bytes()]).await;
    assert_eq!(answer, bodyless("503 Service Unavailable\nRetry-After: 1"));
}

#[tokio::test]
async fn a_part_of_user_data_is_given_and_one_that_is_not_there_refused() {
    let guest = Guest::new(&OPTIONAL()).with_user_data(Ok(Some(b"0123456789".to_vec())));
    let answer = async |method, range: &str| {
        let request = head(&format!("{method} /latest/user-data HTTP/1.1\nRange: bytes={range}"));
        talk(&guest, &[request.as_bytes()]).await.1
    };
    let given = |status: &str, range: &str, length: usize, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\nAccept-Ranges: bytes\r\n\
             Last-Modified: Sun, 22 Nov 2026 09:08:07 GMT\r\n{range}Content-Length: {length}\r\nDate: {DATE}\r\n\
             Server: EC2ws\r\n\r\n{body}"
        )
    };
    for (range, sent, body) in [("2-4", "2-4", "234"), ("7-99", "7-9", "789"), ("-2", "8-9", "89")] {
        let field = format!("Content-Range: bytes {sent}/10\r\n");
        assert_eq!(answer("GET", range).await, given("206 Partial Content", &field, body.len(), body));
        assert_eq!(guest.counted(), [Counter::NoToken, Counter::Requests], "{range}");
    }
    assert_eq!(answer("GET", "0-1,3-4").await, given("200 OK", "", 10, "0123456789"));
    assert_eq!(answer("HEAD", "2-4").await, given("200 OK", "", 10, ""), "a range is a GET's alone");
    guest.counted();
    let outside = "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */10\r\nContent-Length: 0\r\n";
    let expected = format!("{outside}Date: {DATE}\r\nServer: EC2ws\r\nContent-Type: text/plain\r\n\r\n");
    assert_eq!(answer("GET", "10-").await, expected);
    assert_eq!(guest.counted(), [Counter::Requests]);
}

/// An answer with EC2's older page.
fn page(status: &str, more: &str, close: &str) -> String {
    let title = status.replacen(' ', " - ", 1);
    let page = format!(
        "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n\
         <!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\"\n\
         \t\"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">\n\
         <html xmlns=\"http://www.w3.org/1999/xhtml\" xml:lang=\"en\" lang=\"en\">\n <head>\n  <title>{title}</title>\n \
         </head>\n <body>\n  <h1>{title}</h1>\n </body>\n</html>\n"
    );
    let length = page.len();
    format!(
        "HTTP/1.1 {status}\r\n{more}Content-Type: text/html\r\nContent-Length: {length}\r\nDate: {DATE}\r\nServer: EC2ws\r\n{close}\r\n{page}"
    )
}

#[tokio::test]
async fn with_pages_the_errors_that_had_one_have_one() {
    let close = "Connection: close\r\n";
    let rows = [
        (OPTIONAL(), head("GET /none HTTP/1.1"), page("404 Not Found", "", "")),
        (OPTIONAL(), head("GET / HTTP/2.0"), page("400 Bad Request", "", close)),
        (REQUIRED(), head("GET / HTTP/1.1"), page("401 Unauthorized", "", close)),
        (
            OPTIONAL(),
            head("GET /latest/user-data HTTP/1.1"),
            page("503 Service Unavailable", "Retry-After: 1\r\n", close),
        ),
        (DISABLED(), head("GET / HTTP/1.1"), bodyless("403 Forbidden")),
        (OPTIONAL(), head("POST / HTTP/1.1"), bodyless("405 Not Allowed\nAllow: GET, HEAD")),
        (OPTIONAL(), head("GET /latest/api/token HTTP/1.1"), bodyless("405 Not Allowed\nAllow: OPTIONS, PUT")),
    ];
    for (options, request, expected) in rows {
        let guest = Guest::new(&options).with_user_data(Err(()));
        guest.set_options(OptionsWord::new(&options, false).with_error_pages(true));
        let (_, answer) = talk(&guest, &[request.as_bytes()]).await;
        assert_eq!(answer, expected, "{request}");
        let (_, alone) = talk(&guest, &[request.replacen("GET", "HEAD", 1).as_bytes()]).await;
        if request.starts_with("GET") {
            assert_eq!(alone, expected[..expected.find("\r\n\r\n").expect("an empty line") + 4], "{request}");
        }
        guest.set_options(OptionsWord::new(&options, true).with_error_pages(true));
        let (_, silent) = talk(&guest, &[request.as_bytes()]).await;
        let answered = ["HTTP/1.1 404", "HTTP/1.1 503"].iter().any(|status| expected.starts_with(status));
        assert_eq!(silent.is_empty(), !answered, "{request}");
    }
    let guest = Guest::new(&OPTIONAL());
    guest.set_options(OptionsWord::new(&OPTIONAL(), false).with_error_pages(true));
    guest.exhaust();
    let (_, answer) = talk(&guest, &[head("GET / HTTP/1.1").as_bytes()]).await;
    assert_eq!(answer, page("503 Service Unavailable", "Retry-After: 1\r\n", close));
}

#[tokio::test]
async fn what_is_over_budget_is_unavailable_whatever_it_is() {
    let token = token_for(60_000);
    for options in [OPTIONAL(), REQUIRED()] {
        let guest = Guest::new(&options);
        guest.exhaust();
        let unavailable = bodyless("503 Service Unavailable\nRetry-After: 1");
        for request in [
            head("GET /latest/meta-data/mac HTTP/1.1"),
            head("HEAD /latest/meta-data/mac HTTP/1.1"),
            head(&format!("POST /latest/meta-data/mac HTTP/1.1\nX-aws-ec2-metadata-token: {token}")),
            head("PUT /latest/api/token HTTP/1.1\nX-aws-ec2-metadata-token-ttl-seconds: 60"),
            head("GET / HTTP/2.0"),
            head("GET / HTTP/1.1").repeat(2),
        ] {
            let (ending, answer) = talk(&guest, &[request.as_bytes()]).await;
            assert_eq!((ending, answer), (Ending::Close, unavailable.clone()), "{request}");
            assert_eq!(guest.counted(), [Counter::RefusedTooManyRequests, Counter::Requests], "{request}");
        }
    }
    let guest = Guest::new(&DISABLED());
    guest.exhaust();
    let (_, answer) = talk(&guest, &[head("GET / HTTP/1.1").as_bytes()]).await;
    assert_eq!(answer, bodyless("403 Forbidden"), "a disabled endpoint is that to everybody");
}

#[tokio::test]
async fn a_silent_refusal_resets() {
    let guest = Guest::new(&REQUIRED());
    guest.set_options(OptionsWord::new(&REQUIRED(), true));
    let (ending, answer) = talk(&guest, &[head("GET / HTTP/1.1").as_bytes()]).await;
    assert_eq!((ending, answer.as_str()), (Ending::Reset, ""));
    assert_eq!(guest.counted(), [Counter::RefusedTokenMissing]);
}
