//! What may be shown of a request's head: method, path and User-Agent, cut and spelled out. Never a token: not the
//! header's value, which isn't looked at, and nothing that has a token's form elsewhere.

use std::fmt::Write as _;

use imds_common::request::Scan;

/// Characters of a path that are shown.
const PATH_MAX: usize = 256;
/// Characters of a User-Agent that are shown.
const AGENT_MAX: usize = 128;
/// Methods that are shown; another word may be the middle of something else.
const METHODS: [&str; 9] = ["GET", "HEAD", "PUT", "OPTIONS", "POST", "DELETE", "PATCH", "TRACE", "CONNECT"];
/// A run of so many characters of a token's alphabet isn't shown, wherever it stands: a token has 54, a UUID 36.
const TOKEN_LIKE: usize = 40;
/// What is shown instead.
const HIDDEN: &str = "[hidden]";

/// What is shown of a head. All is printable ASCII.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The method.
    pub method: Option<String>,
    /// The target as it was sent.
    pub path: Option<String>,
    /// The User-Agent.
    pub user_agent: Option<String>,
}

impl Head {
    /// Reads what there is of a head; bytes that don't begin one show nothing.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let start = bytes.iter().position(|byte| !b"\r\n".contains(byte)).unwrap_or(bytes.len());
        let first = bytes[start..].split(|&byte| byte == b' ').next().unwrap_or_default();
        let Some(method) = METHODS.into_iter().find(|method| method.as_bytes() == first) else {
            return Self::default();
        };
        let mut scan = Scan::new();
        let mut scanned = 0;
        for &byte in bytes {
            if scan.is_complete() || scan.is_malformed() {
                break;
            }
            scan.step(byte);
            scanned += 1;
        }
        let (head, target) = (&bytes[..scanned], scan.target());
        // Only one that is whole.
        let path = if head.get(target.end) == Some(&b' ') { head.get(target) } else { None };
        Self {
            method: Some(method.to_owned()),
            path: path.map(|path| shown(path, PATH_MAX)),
            user_agent: values(head, b"user-agent:").next().map(|agent| shown(agent, AGENT_MAX)),
        }
    }
}

/// The values of a field in whole lines; `name` is in lower case and ends with its colon.
pub fn values<'a>(head: &'a [u8], name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    head.split_inclusive(|&byte| byte == b'\n').filter_map(|line| {
        let line = line.strip_suffix(b"\n")?;
        let (found, value) = line.split_at_checked(name.len())?;
        found.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}

/// Bytes as printable ASCII: others are spelled out, what looks like a token is hidden, what is too long is cut.
fn shown(bytes: &[u8], most: usize) -> String {
    let is_token_like = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_+=".contains(byte);
    let mut text = String::new();
    for run in bytes.chunk_by(|a, b| is_token_like(a) == is_token_like(b)) {
        if run.len() >= TOKEN_LIKE && is_token_like(&run[0]) {
            text.push_str(HIDDEN);
            continue;
        }
        for &byte in run {
            if byte == b' ' || byte.is_ascii_graphic() {
                text.push(char::from(byte));
            } else {
                // A String takes everything.
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    if text.len() > most {
        text.truncate(most);
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use imds_common::token::{self, Key};
    use proptest::prelude::*;

    fn read(head: &str) -> (Option<String>, Option<String>, Option<String>) {
        let Head { method, path, user_agent } = Head::read(head.as_bytes());
        (method, path, user_agent)
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn a_token() -> String {
        let text = token::mint(&Key { number: 1, k0: 2, k1: 3, ..Key::EMPTY }, 4, 5, [6; 12]);
        String::from_utf8(text.to_vec()).expect("base64")
    }

    #[test]
    fn a_head_shows_method_path_and_agent() {
        let agent = "User-Agent: curl/8\r\n";
        for (head, expected) in [
            (format!("GET /a?b=c HTTP/1.1\r\nHost: x\r\n{agent}\r\n"), (some("GET"), some("/a?b=c"), some("curl/8"))),
            (format!("\r\nPOST / HTTP/1.1\r\n{agent}"), (some("POST"), some("/"), some("curl/8"))),
            ("GET /a HTTP/1.1\r\nuser-agent:  b \r\n".to_owned(), (some("GET"), some("/a"), some("b"))),
            // Cut off in the middle of a field, of the target, of the method.
            ("GET /a HTTP/1.1\r\nUser-Agent: cur".to_owned(), (some("GET"), some("/a"), None)),
            ("GET /lat".to_owned(), (some("GET"), None, None)),
            ("GE".to_owned(), (None, None, None)),
            (String::new(), (None, None, None)),
            // Malformed behind the target.
            ("GET /a HTTP/9\r\nUser-Agent: b\r\n\r\n".to_owned(), (some("GET"), some("/a"), None)),
            // The middle of something.
            (format!("abc HTTP/1.1\r\n{agent}\r\n"), (None, None, None)),
        ] {
            assert_eq!(read(&head), expected, "{head:?}");
        }
    }

    #[test]
    fn what_steers_a_terminal_is_spelled_out_and_what_is_long_is_cut() {
        let head = format!("GET /{} HTTP/1.1\r\nUser-Agent: a\x1b[2J\u{e4}\r\n\r\n", "a/".repeat(300));
        let (_, path, _) = read(&head);
        assert_eq!(path.expect("shown").len(), PATH_MAX + 3);
        assert_eq!(shown(b"a\x1b[2J\xe4", 99), "a\\x1b[2J\\xe4");
    }

    #[test]
    fn a_token_is_shown_nowhere() {
        let token = a_token();
        for head in [
            format!("GET /a HTTP/1.1\r\nX-aws-ec2-metadata-token: {token}\r\nUser-Agent: b\r\n\r\n"),
            format!("GET /{token} HTTP/1.1\r\nUser-Agent: b {token}\r\n\r\n"),
            format!("GET /?token={token} HTTP/1.1\r\n\r\n"),
            format!("{token} /a HTTP/1.1\r\n\r\n"),
            format!("{}\r\n\r\n", &token[20..]),
        ] {
            let seen = format!("{:?}", Head::read(head.as_bytes()));
            for part in token.as_bytes().windows(8) {
                assert!(!seen.contains(std::str::from_utf8(part).expect("ASCII")), "{seen}");
            }
        }
    }

    proptest! {
        #[test]
        fn anything_is_read_and_all_that_is_shown_is_printable(bytes: Vec<u8>) {
            for bytes in [bytes.clone(), [b"GET ", &bytes[..]].concat(), [b"GET / HTTP/1.1\r\nUser-Agent: ", &bytes[..]].concat()] {
                let Head { method, path, user_agent } = Head::read(&bytes);
                for text in [method, path, user_agent].into_iter().flatten() {
                    prop_assert!(text.chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{text:?}");
                }
            }
        }
    }
}
