//! A request's target, cut into the parts that find a page.

/// The parts of a target. Nothing is decoded: no name in the tree needs percent-encoding, and a second spelling of a
/// path would be a way around whoever compares the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// Whom an absolute-form target names.
    pub authority: Option<&'a [u8]>,
    /// The path without its query.
    pub path: &'a [u8],
}

const SCHEME: &[u8] = b"http://";

impl<'a> Target<'a> {
    /// Reads a target in origin form (`/path`) or in absolute form (`http://host/path`); there is no other here.
    #[must_use]
    pub fn new(raw: &'a [u8]) -> Option<Self> {
        if raw.first() == Some(&b'/') {
            return Some(Self { authority: None, path: without_query(raw) });
        }
        let (scheme, rest) = raw.split_at_checked(SCHEME.len())?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return None;
        }
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        Some(Self { authority: Some(authority), path: without_query(path) })
    }

    /// The path's names; repeated slashes are one, as some clients ask for `latest//meta-data`.
    pub fn names(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.path.split(|&byte| byte == b'/').filter(|name| !name.is_empty())
    }
}

fn without_query(path: &[u8]) -> &[u8] {
    path.split(|&byte| byte == b'?').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        for (raw, authority, path) in [
            ("/", None, "/"),
            ("/a/b", None, "/a/b"),
            ("/a?b/c?d", None, "/a"),
            ("//h/a", None, "//h/a"),
            ("http://h/a", Some("h"), "/a"),
            ("HTTP://h:80/a?b", Some("h:80"), "/a"),
            ("http://h", Some("h"), ""),
            ("http://h?a/b", Some("h"), ""),
            ("http:///a", Some(""), "/a"),
        ] {
            let expected = Target { authority: authority.map(str::as_bytes), path: path.as_bytes() };
            assert_eq!(Target::new(raw.as_bytes()), Some(expected), "{raw}");
        }
        for raw in ["https://h/a", "http:/", "*", "latest", ""] {
            assert_eq!(Target::new(raw.as_bytes()), None, "{raw}");
        }
    }

    #[test]
    fn repeated_slashes_are_one() {
        let target = Target::new(b"//latest///a/b//").expect("a path");
        assert_eq!(target.names().collect::<Vec<_>>(), [&b"latest"[..], b"a", b"b"]);
    }
}
