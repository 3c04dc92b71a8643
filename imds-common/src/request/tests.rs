use proptest::prelude::*;

use super::*;

fn scan(head: &[u8]) -> Scan {
    let mut scan = Scan::new();
    for &byte in head {
        scan.step(byte);
    }
    scan
}

fn parsed(head: &str) -> (Scan, Parsed) {
    let scan = scan(head.as_bytes());
    assert!(scan.is_complete() && !scan.is_malformed(), "{head:?}");
    let parsed = request(&scan, head.as_bytes());
    (scan, parsed)
}

#[test]
fn methods_are_told_apart_by_their_exact_bytes() {
    for (text, method) in [
        ("GET", Method::Get),
        ("HEAD", Method::Head),
        ("PUT", Method::Put),
        ("OPTIONS", Method::Options),
        ("POST", Method::Other),
        ("get", Method::Other),
        ("GE", Method::Other),
        ("GETS", Method::Other),
        ("HEA", Method::Other),
        ("PUTT", Method::Other),
        ("OPTION", Method::Other),
        ("!", Method::Other),
    ] {
        let (_, Parsed { request, .. }) = parsed(&format!("{text} / HTTP/1.1\r\n\r\n"));
        assert_eq!(request.method, method, "{text}");
    }
}

#[test]
fn only_the_exact_bytes_are_the_token_path() {
    for (target, expected) in [
        ("/latest/api/token", Target::Token),
        ("/latest/api/token/", Target::Tree),
        ("/latest/api/token?x", Target::Tree),
        ("/latest/api/toke", Target::Tree),
        ("/latest/api//token", Target::Tree),
        ("//latest/api/token", Target::Tree),
        ("/latest/api/%74oken", Target::Tree),
        ("/Latest/api/token", Target::Tree),
        ("/2021-03-23/api/token", Target::Tree),
        ("http://169.254.169.254/latest/api/token", Target::Tree),
        ("*", Target::Tree),
        ("/", Target::Tree),
    ] {
        let head = format!("PUT {target} HTTP/1.1\r\n\r\n");
        let (scan, Parsed { request, .. }) = parsed(&head);
        assert_eq!(request.target, expected, "{target}");
        assert_eq!(&head[scan.target()], target);
    }
}

#[test]
fn the_head_ends_at_its_empty_line() {
    for head in ["GET / HTTP/1.1\r\n\r\n", "\r\n\r\nGET / HTTP/1.0\r\nA: b\r\n\r\n"] {
        for rest in ["", "x", "\r\n", "PUT / HTTP/1.1\r\nX-Forwarded-For: a\r\n\r\n"] {
            let whole = format!("{head}{rest}");
            let scan = scan(whole.as_bytes());
            assert!(scan.is_complete() && !scan.is_malformed());
            assert_eq!(scan.head_length() as usize, head.len());
            assert!(!scan.facts().forwarded, "what follows the head is not of it");
            assert_eq!(scan.facts().method, Method::Get);
        }
        for cut in 0..head.len() {
            let scan = scan(&head.as_bytes()[..cut]);
            assert!(!scan.is_complete() && !scan.is_malformed(), "{cut}");
            assert_eq!(scan.head_length() as usize, cut);
        }
    }
}

#[test]
fn what_is_not_http_is_malformed() {
    for head in [
        " GET / HTTP/1.1\r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/1.1 \r\n\r\n",
        "GET / HTTP/1.2\r\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
        "GET / http/1.1\r\n\r\n",
        "GET / HTTP/1.11\r\n\r\n",
        "GET / HTTP/1.1\n\n",
        "GET / HTTP/1.1\r\nA: b\n\r\n",
        "GET / HTTP/1.1\rA: b\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
        "GET / HTTP/1.1\r\n A: b\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\r\n\tc\r\n\r\n",
        "GET / HTTP/1.1\r\nA : b\r\n\r\n",
        "GET / HTTP/1.1\r\n: b\r\n\r\n",
        "GET / HTTP/1.1\r\nA\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\0\r\n\r\n",
        "GET / HTTP/1.1\r\nA: \x7f\r\n\r\n",
        "GET /\t HTTP/1.1\r\n\r\n",
        "GET /\u{e9} HTTP/1.1\r\n\r\n",
        "GET /\x7f HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nX-aws-ec2-metadata-token: a\0\r\n\r\n",
        "GET / HTTP/1.1\r\nX-aws-ec2-metadata-token : a\r\n\r\n",
        "GET / HTTP/1.1\r\nX-aws-ec2-metadata-token\r\n\r\n",
        "GET / HTTP/1.1\r\nX-aws-ec2-metadata-token: a\n\r\n",
        "GET / HTTP/1.1\r\nConnection: close\0\r\n\r\n",
        "G\u{e9}T / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\n\rX",
        "\rGET / HTTP/1.1\r\n\r\n",
        "\nGET / HTTP/1.1\r\n\r\n",
    ] {
        let scan = scan(head.as_bytes());
        assert!(scan.is_malformed() && !scan.is_complete(), "{head:?}");
        assert!(scan.facts().malformed);
    }
}

/// What the automaton makes of a head, complete or not.
fn made_of(head: &[u8]) -> (bool, bool, Request, bool, bool) {
    let scan = scan(head);
    (scan.is_complete(), scan.is_malformed(), scan.facts(), scan.has_body(), scan.wants_close())
}

/// Each byte of each word counts: with any other byte in its place, but for the case of a field's name, the head is
/// not the same to anybody.
#[test]
fn no_other_byte_does_for_one_of_a_word() {
    for (before, word, after, any_case) in [
        ("", "GET", " / HTTP/1.1\r\n\r\n", false),
        ("", "HEAD", " / HTTP/1.1\r\n\r\n", false),
        ("", "PUT", " / HTTP/1.1\r\n\r\n", false),
        ("", "OPTIONS", " / HTTP/1.1\r\n\r\n", false),
        ("PUT ", "/latest/api/token", " HTTP/1.1\r\n\r\n", false),
        ("PUT / ", "HTTP/1.0\r\n\r\n", "", false),
        ("PUT / HTTP/1.1\r\n", "X-aws-ec2-metadata-token:", "\r\n\r\n", true),
        ("PUT / HTTP/1.1\r\n", "X-aws-ec2-metadata-token-ttl-seconds:", "1\r\n\r\n", true),
        ("PUT / HTTP/1.1\r\n", "X-Forwarded-For:", "\r\n\r\n", true),
        ("PUT / HTTP/1.1\r\n", "Content-Length:", "\r\n\r\n", true),
        ("PUT / HTTP/1.1\r\n", "Transfer-Encoding:", "\r\n\r\n", true),
        ("PUT / HTTP/1.1\r\n", "Expect:", "\r\n\r\n", true),
        ("PUT / HTTP/1.1\r\n", "Upgrade:", "\r\n\r\n", true),
        ("PUT / HTTP/1.1\r\n", "Connection:", "close\r\n\r\n", true),
        ("PUT / HTTP/1.1\r\nConnection:", "close", "\r\n\r\n", true),
    ] {
        let head = format!("{before}{word}{after}").into_bytes();
        let expected = made_of(&head);
        assert!(expected.0 && !expected.1, "{word}");
        for position in before.len()..before.len() + word.len() {
            for byte in 0..=u8::MAX {
                let mut other = head.clone();
                other[position] = byte;
                let same = byte == head[position] || any_case && byte.eq_ignore_ascii_case(&head[position]);
                assert_eq!(made_of(&other) == expected, same, "{word} with {byte:#x} at {position}");
            }
        }
    }
}

#[test]
fn a_target_is_any_visible_bytes() {
    for byte in 0x21..=0x7eu8 {
        for target in [vec![byte], vec![b'/', byte], vec![byte, byte]] {
            let head = [b"GET ", &target[..], b" HTTP/1.1\r\n\r\n"].concat();
            let scan = scan(&head);
            assert!(scan.is_complete() && !scan.is_malformed(), "{byte:#x}");
            assert_eq!(head[scan.target()], target);
        }
    }
}

#[test]
fn a_head_has_16_kib() {
    assert_eq!(HEAD_MAX, 16_384);
    assert_eq!(KERNEL_HEAD_MAX, 1_024);
}

#[test]
fn malformed_stays_malformed() {
    let scan = scan(b"GET / HTTP/1.1\n\r\n\r\nGET / HTTP/1.1\r\n\r\n");
    assert!(scan.is_malformed() && !scan.is_complete());
}

#[test]
fn values_may_hold_any_visible_byte_and_more() {
    for value in ["", "a", "a b\tc", "\u{e9}", "\"{}\\", "a:b", ","] {
        parsed(&format!("GET / HTTP/1.1\r\nUser-Agent: {value}\r\n\r\n"));
        parsed(&format!("GET / HTTP/1.1\r\nUser-Agent:{value}\r\n\r\n"));
        parsed(&format!("GET / HTTP/1.1\r\nConnection: {value}\r\n\r\n"));
        parsed(&format!("GET / HTTP/1.1\r\nConnection: close {value}\r\n\r\n"));
        parsed(&format!("GET / HTTP/1.1\r\nConnection: close{value}\r\n\r\n"));
    }
}

#[test]
fn the_tokens_value_is_found_wherever_it_stands() {
    for name in ["X-aws-ec2-metadata-token", "x-AWS-ec2-METADATA-TOKEN"] {
        for before in ["", " ", "  ", "\t "] {
            for after in ["", " ", "\t"] {
                let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{name}:{before}VALUE=={after}\r\nA: b\r\n\r\n");
                let (scan, Parsed { request, token }) = parsed(&head);
                assert_eq!(request.token, TokenHeader::One);
                assert_eq!(scan.facts().token, TokenHeader::One, "for the kernel, too");
                let token = token.expect("there is one");
                assert_eq!(&head[token.clone()], "VALUE==");
                assert_eq!(scan.token_span(), (u32::try_from(token.start).expect("short"), 7));
            }
        }
    }
    let (_, Parsed { request, token }) = parsed("GET / HTTP/1.1\r\nX-aws-ec2-metadata-token:  \r\n\r\n");
    assert_eq!(request.token, TokenHeader::One);
    assert_eq!(token.map(|range| range.len()), Some(0));
    for other in ["X-aws-ec2-metadata-toke", "X-aws-ec2-metadata-token-", "X-aws-ec2-metadata-tokens", "aws"] {
        let (_, Parsed { request, token }) = parsed(&format!("GET / HTTP/1.1\r\n{other}: a\r\n\r\n"));
        assert_eq!((request.token, token), (TokenHeader::Absent, None), "{other}");
    }
}

#[test]
fn a_token_with_white_space_inside_is_never_a_token() {
    let (_, Parsed { token, .. }) = parsed("GET / HTTP/1.1\r\nX-aws-ec2-metadata-token: AA BB\tCC\r\n\r\n");
    let head = "GET / HTTP/1.1\r\nX-aws-ec2-metadata-token: AA BB\tCC\r\n\r\n";
    assert!(head[token.expect("there is one")].contains([' ', '\t']), "the decoder sees the space and refuses");
}

#[test]
fn several_token_headers_are_one_if_they_agree() {
    let name = "X-aws-ec2-metadata-token";
    for (values, expected) in [
        (&["a", "a"][..], Some("a")),
        (&["a", "a", "a"], Some("a")),
        (&["abc", " abc "], Some("abc")),
        (&["", ""], Some("")),
        (&["a", "b"], None),
        (&["a", "ab"], None),
        (&["ab", "a"], None),
        (&["a", ""], None),
        (&["", "a"], None),
        (&["a", "a", "b"], None),
        (&["a", "b", "a"], None),
    ] {
        let fields: String = values.iter().map(|value| format!("{name}: {value}\r\nA: b\r\n")).collect();
        let head = format!("GET / HTTP/1.1\r\n{fields}\r\n");
        let (scan, Parsed { request, token }) = parsed(&head);
        assert_eq!(scan.facts().token, TokenHeader::Several, "{values:?}");
        assert_eq!(token.map(|range| &head[range]), expected, "{values:?}");
        assert_eq!(request.malformed, expected.is_none(), "{values:?}");
        if expected.is_some() {
            assert_eq!(request.token, TokenHeader::One);
        }
    }
}

#[test]
fn a_ttl_is_an_integer_of_1_to_21600() {
    for (value, expected) in [
        ("1", TtlHeader::Seconds(1)),
        ("21600", TtlHeader::Seconds(21_600)),
        (" 60 ", TtlHeader::Seconds(60)),
        ("060", TtlHeader::Seconds(60)),
        ("0", TtlHeader::Invalid),
        ("21601", TtlHeader::Invalid),
        ("65537", TtlHeader::Invalid),
        ("4294967297", TtlHeader::Invalid),
        ("99999999999999999999", TtlHeader::Invalid),
        ("-1", TtlHeader::Invalid),
        ("+1", TtlHeader::Invalid),
        ("1e3", TtlHeader::Invalid),
        ("1.0", TtlHeader::Invalid),
        ("6 0", TtlHeader::Invalid),
        ("x", TtlHeader::Invalid),
        ("", TtlHeader::Invalid),
    ] {
        let name = "X-aws-ec2-metadata-token-TTL-seconds";
        let (scan, Parsed { request, .. }) = parsed(&format!("PUT / HTTP/1.1\r\n{name}: {value}\r\n\r\n"));
        assert_eq!(request.ttl, expected, "{value:?}");
        assert_eq!(scan.facts().ttl, TtlHeader::Unread);
        assert_eq!(request.token, TokenHeader::Absent, "its name is another one");
        let (_, Parsed { request, .. }) =
            parsed(&format!("PUT / HTTP/1.1\r\n{name}: {value}\r\n{name}: {value}\r\n\r\n"));
        assert_eq!(request.ttl, TtlHeader::Invalid, "twice {value:?}");
    }
    let (_, Parsed { request, .. }) = parsed("PUT / HTTP/1.1\r\n\r\n");
    assert_eq!(request.ttl, TtlHeader::Missing);
}

#[test]
fn fields_are_seen_by_name_in_any_case_and_with_any_value() {
    for value in ["", " ", "10.0.0.1"] {
        for name in ["X-Forwarded-For", "x-forwarded-for", "X-FORWARDED-FOR"] {
            let (_, Parsed { request, .. }) = parsed(&format!("GET / HTTP/1.1\r\n{name}:{value}\r\n\r\n"));
            assert!(request.forwarded, "{name}");
        }
        for name in ["Content-Length", "transfer-encoding", "EXPECT", "Upgrade"] {
            let (scan, _) = parsed(&format!("GET / HTTP/1.1\r\n{name}:{value}\r\n\r\n"));
            assert!(scan.has_body(), "{name}");
        }
    }
    for name in ["X-Forwarded-Fo", "X-Forwarded-Fors", "Forwarded", "Content-Lengt", "Content-Lengths", "Expec", "E"] {
        let (scan, Parsed { request, .. }) = parsed(&format!("GET / HTTP/1.1\r\n{name}: x\r\n\r\n"));
        assert!(!request.forwarded && !scan.has_body(), "{name}");
    }
}

#[test]
fn close_is_an_element_of_the_connection_field() {
    for (value, expected) in [
        ("close", true),
        ("Close", true),
        (" close ", true),
        ("close\t", true),
        ("close  ", true),
        ("keep-alive, close", true),
        ("close,keep-alive", true),
        ("close , keep-alive", true),
        (", ,close", true),
        ("keep-alive", false),
        ("", false),
        ("closed", false),
        ("clos", false),
        ("close x", false),
        ("x close", false),
        ("disclose", false),
    ] {
        let (scan, _) = parsed(&format!("GET / HTTP/1.1\r\nConnection: {value}\r\n\r\n"));
        assert_eq!(scan.wants_close(), expected, "{value:?}");
    }
    let (scan, _) = parsed("GET / HTTP/1.0\r\n\r\n");
    assert!(scan.wants_close(), "HTTP/1.0 closes");
    let (scan, _) = parsed("GET / HTTP/1.1\r\nX: close\r\n\r\n");
    assert!(!scan.wants_close());
}

proptest! {
    /// The kernel scans one segment, the daemon what comes bit by bit: the automaton has no memory of cuts.
    #[test]
    fn a_scan_is_the_same_however_it_is_cut(head in arbitrary_head(), cut in 0..2048usize) {
        let cut = cut.min(head.len());
        let whole = scan(&head);
        let mut cut_scan = scan(&head[..cut]);
        for &byte in &head[cut..] {
            cut_scan.step(byte);
        }
        prop_assert_eq!(format!("{whole:?}"), format!("{cut_scan:?}"));
    }

    /// What is complete is never malformed, and spans stay inside the head.
    #[test]
    fn spans_stay_inside_the_head(head in arbitrary_head()) {
        let scan = scan(&head);
        prop_assert!(!(scan.is_complete() && scan.is_malformed()));
        if scan.is_complete() {
            prop_assert!(scan.head_length() as usize <= head.len());
            prop_assert!(head[..scan.head_length() as usize].ends_with(b"\r\n\r\n"));
            let Parsed { request, token } = request(&scan, &head[..scan.head_length() as usize]);
            prop_assert!(scan.target().end < scan.head_length() as usize);
            prop_assert!(token.is_none_or(|token| token.end < scan.head_length() as usize));
            prop_assert_eq!(request.method == Method::Get, head.trim_ascii_start().starts_with(b"GET "));
        }
    }
}

/// Bytes that look like requests often enough to reach deep states.
fn arbitrary_head() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        &b"GET "[..],
        b"PUT ",
        b"/latest/api/token",
        b"/",
        b" HTTP/1.1\r\n",
        b" HTTP/1.0\r\n",
        b"X-aws-ec2-metadata-token: abc\r\n",
        b"X-aws-ec2-metadata-token:\r\n",
        b"X-aws-ec2-metadata-token-ttl-seconds: 21600\r\n",
        b"X-Forwarded-For: a\r\n",
        b"Connection: close\r\n",
        b"Content-Length: 3\r\n",
        b"\r\n",
        b" ",
        b"\n",
        b"x",
    ]);
    let pieces = proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat());
    let ordinary = (any::<bool>(), 0..4usize).prop_map(|(put, tokens)| {
        let mut head = if put { b"PUT /latest/api/token".to_vec() } else { b"GET /latest/meta-data/".to_vec() };
        head.extend_from_slice(b" HTTP/1.1\r\n");
        for _ in 0..tokens {
            head.extend_from_slice(b"X-aws-ec2-metadata-token: abc\r\n");
        }
        head.extend_from_slice(b"\r\n");
        head
    });
    prop_oneof![pieces, ordinary, proptest::collection::vec(any::<u8>(), 0..200)]
}
