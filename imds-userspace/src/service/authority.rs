//! Whom a client thinks that it talks to: the host in the `Location` of a redirect.

use imds_common::request::Scan;

use crate::events::head;
use crate::metadata::target::Target;

/// What a redirect names where the client names nobody sane.
const DEFAULT: &[u8] = b"169.254.169.254";

/// The longest authority that is given back, in bytes: a DNS name and a port.
const LENGTH_MAX: usize = 261;

/// The authority that a whole head names: an absolute target's before the `Host` header's, as RFC 9112 has it.
pub(super) fn of<'a>(scan: &Scan, head: &'a [u8]) -> &'a [u8] {
    let target = head.get(scan.target()).and_then(Target::new);
    let named = target.and_then(|target| target.authority).or_else(|| host(head));
    named.filter(|authority| is_sane(authority)).unwrap_or(DEFAULT)
}

/// The value of the one `Host` header. The automaton has passed the head, so its lines end in CRLF and none is folded.
fn host(head: &[u8]) -> Option<&[u8]> {
    let mut values = head::values(head, b"host:");
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// Whether it is a host with or without a port, and nothing else.
fn is_sane(authority: &[u8]) -> bool {
    if authority.len() > LENGTH_MAX {
        return false;
    }
    let (host, rest) = if authority.first() == Some(&b'[') {
        let Some(end) = authority.iter().position(|&byte| byte == b']') else {
            return false;
        };
        let (bracketed, rest) = authority.split_at(end + 1);
        let inside = &bracketed[1..end];
        (inside.iter().all(|&byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')).then_some(inside), rest)
    } else {
        let end = authority.iter().position(|&byte| byte == b':').unwrap_or(authority.len());
        let (name, rest) = authority.split_at(end);
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        (name.iter().all(plain).then_some(name), rest)
    };
    let port_is_sane = match rest.split_first() {
        None => true,
        Some((b':', port)) => (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit),
        Some(_) => false,
    };
    port_is_sane && host.is_some_and(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(head: &str) -> String {
        let mut scan = Scan::new();
        head.bytes().for_each(|byte| scan.step(byte));
        assert!(scan.is_complete(), "{head}");
        String::from_utf8_lossy(of(&scan, head.as_bytes())).into_owned()
    }

    #[test]
    fn the_host_header_names_it() {
        for (value, expected) in [
            ("169.254.169.254", "169.254.169.254"),
            (" \t imds.local:8080 \t", "imds.local:8080"),
            ("[fd00:ec2::254]", "[fd00:ec2::254]"),
            ("[fd00:ec2::254]:80", "[fd00:ec2::254]:80"),
            ("my_host-1", "my_host-1"),
        ] {
            assert_eq!(named(&format!("GET /a HTTP/1.1\r\nA: b\r\nhOsT:{value}\r\nC: d\r\n\r\n")), expected);
        }
    }

    #[test]
    fn an_absolute_target_comes_first() {
        assert_eq!(named("GET http://a.example:1/x HTTP/1.1\r\nHost: b\r\n\r\n"), "a.example:1");
        assert_eq!(named("GET http://u@a/x HTTP/1.1\r\nHost: b\r\n\r\n"), "169.254.169.254");
    }

    #[test]
    fn nobody_sane_is_the_service() {
        let long = "a".repeat(262);
        for value in [
            "", "a b", "a/b", "u@a", "a:", "a:123456", "a:8x", "a:80:80", "[::1", "[]", "[x]", "[::1]80", ":80",
            "a\u{e4}", &long,
        ] {
            assert_eq!(named(&format!("GET /a HTTP/1.1\r\nHost: {value}\r\n\r\n")), "169.254.169.254", "{value}");
        }
        assert_eq!(named("GET /a HTTP/1.1\r\n\r\n"), "169.254.169.254");
        assert_eq!(named("GET /a HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), "169.254.169.254");
        assert_eq!(named("GET /a HTTP/1.1\r\nX-Host: a\r\n\r\n"), "169.254.169.254");
    }
}
