//! The bytes of answers on real packets: which lines a head has, in which order, and what its body is.

use imds_tests::family::Family;
use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::http::{Answer, TOKEN, TTL, request};
use imds_tests::over_both_families;

over_both_families!(heads_have_ec2s_lines_in_ec2s_order, with_pages_the_kernel_leaves_those_to_the_daemon);

const ADDRESS: &str = "10.0.0.1";
const ID: &str = "/latest/meta-data/instance-id";
const TOKEN_PATH: &str = "/latest/api/token";

/// The names of a head's lines, in their order, behind its status line.
fn shape(answer: &Answer) -> String {
    let mut lines = answer.head.trim_end().lines();
    let status = lines.next().unwrap_or_default().trim_start_matches("HTTP/1.1 ").to_owned();
    lines.fold(status, |shape, line| shape + " | " + line.split(':').next().unwrap_or_default())
}

fn heads_have_ec2s_lines_in_ec2s_order(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let id = host.create(guest.interface(), &[]);
    let token = guest.token();
    let good = (TOKEN, token.as_str());
    let remaining = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds";
    let text = "Content-Type | Accept-Ranges | Last-Modified | Content-Length | Date | Server";
    let refused = "Content-Length | Date | Server | Connection | Content-Type";
    let rows = [
        (request("GET", ID, &[]), format!("200 OK | {text}")),
        (request("GET", ID, &[("Connection", "close")]), format!("200 OK | {text} | Connection")),
        (request("HEAD", ID, &[]), format!("200 OK | {text}")),
        (request("GET", "/", &[]), format!("200 OK | {text}")),
        (request("GET", "/latest/meta-data/", &[good]), format!("200 OK | {remaining} | {text}")),
        (
            request("GET", "/latest/meta-data/placement", &[good]),
            format!("301 Moved Permanently | {remaining} | Location | Content-Length | Date | Server"),
        ),
        (
            request("GET", "/none", &[good]),
            format!("404 Not Found | {remaining} | Content-Length | Date | Server | Content-Type"),
        ),
        (
            request("PUT", TOKEN_PATH, &[(TTL, "60")]),
            format!("200 OK | {remaining} | Content-Length | Date | Server | Connection | Content-Type"),
        ),
        (request("OPTIONS", TOKEN_PATH, &[]), format!("200 OK | Allow | {refused}")),
        (request("GET", TOKEN_PATH, &[]), format!("405 Not Allowed | Allow | {refused}")),
        (request("POST", ID, &[]), format!("405 Not Allowed | Allow | {refused}")),
        (request("PUT", ID, &[(TTL, "60")]), format!("403 Forbidden | {refused}")),
        (request("PUT", TOKEN_PATH, &[]), format!("400 Bad Request | {refused}")),
        (request("GET", ID, &[(TOKEN, "x")]), format!("401 Unauthorized | {refused}")),
    ];
    for (request, expected) in &rows {
        let answer = guest.exchange(request);
        assert_eq!(shape(&answer), *expected, "{}", String::from_utf8_lossy(request));
        if answer.status >= 300 {
            assert_eq!((answer.header("Content-Length"), answer.body.len()), (Some("0"), 0), "{}", answer.head);
        }
    }
    host.set(&id, &["--http-endpoint", "disabled"]);
    for (request, _) in &rows {
        assert_eq!(shape(&guest.exchange(request)), format!("403 Forbidden | {refused}"));
    }
}

fn with_pages_the_kernel_leaves_those_to_the_daemon(family: Family) {
    let host = Host::with_config("error-bodies = \"xhtml\"\n").over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let id = host.create(guest.interface(), &["--metadata-options", "HttpTokens=required"]);
    let token = guest.token();
    let rows = [
        (request("GET", ID, &[]), "401 - Unauthorized", Some(343)),
        (request("GET", ID, &[(TOKEN, "x")]), "401 - Unauthorized", Some(343)),
        (request("GET", "/none", &[(TOKEN, &token)]), "404 - Not Found", None),
        (request("PUT", TOKEN_PATH, &[]), "400 - Bad Request", None),
    ];
    for (request, title, length) in rows {
        let answer = guest.exchange(&request);
        assert_eq!(answer.status.to_string(), title[..3], "{}", answer.head);
        assert_eq!(answer.header("Content-Type"), Some("text/html"), "{}", answer.head);
        assert!(answer.text().contains(&format!("<h1>{title}</h1>")), "{}", answer.text());
        assert!(length.is_none_or(|length| answer.body.len() == length), "{}", answer.body.len());
    }
    for (request, status) in [
        (request("PUT", TOKEN_PATH, &[(TTL, "60"), ("X-Forwarded-For", "a")]), 403),
        (request("PUT", ID, &[(TTL, "60")]), 403),
        (request("POST", ID, &[]), 405),
    ] {
        let answer = guest.exchange(&request);
        assert_eq!((answer.status, answer.body.len()), (status, 0), "{}", answer.head);
        assert_eq!(answer.header("Content-Type"), Some("text/plain"), "{}", answer.head);
    }
    let stats = host.stats(&id);
    assert_eq!((stats.kernel("refused-token-missing"), stats.daemon("refused-token-missing")), (0, 1));
    assert_eq!((stats.no_token_rejected(), stats.kernel("refused-forwarded")), (1, 1));
    host.set(&id, &["--http-endpoint", "disabled"]);
    let disabled = guest.get(ID, Some(&token));
    assert!(disabled.status == 403 && disabled.body.is_empty(), "{}", disabled.head);
    assert_eq!(host.stats(&id).kernel("refused-endpoint-disabled"), 1);
}
