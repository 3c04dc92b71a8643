//! A request's target, cut into the parts that find a page.

/// The parts of a target, as they were sent: what is encoded is decoded where a name is looked for ([`spells`]), and
/// nowhere else.
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

/// Whether a piece of a path spells a name, its characters as they are or percent-encoded: some clients encode what
/// they needn't, as cloud-init does the `+` of a tag's key. Nothing leads elsewhere by being decoded: an encoded dot is
/// one of the name, and what is encoded badly, or twice, or is a slash, is no name's.
pub fn spells(piece: &[u8], name: &[u8]) -> bool {
    let mut rest = piece;
    for &byte in name {
        let (spelled, behind) = match rest {
            [b'%', high, low, behind @ ..] => (encoded(*high, *low), behind),
            [b'%', ..] | [] => return false,
            [plain, behind @ ..] => (Some(*plain), behind),
        };
        if spelled != Some(byte) {
            return false;
        }
        rest = behind;
    }
    rest.is_empty()
}

/// The byte of two hexadecimal digits, if a name may hold it.
fn encoded(high: u8, low: u8) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?).filter(|&byte| byte != b'/')
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
    fn a_name_is_spelled_as_it_is_or_encoded() {
        for (piece, name) in [
            ("a+b", "a+b"),
            ("a%2Bb", "a+b"),
            ("a%2bb", "a+b"),
            ("%61%2b%62", "a+b"),
            ("app%3Dweb", "app=web"),
            ("%25", "%"),
            ("%2541", "%41"),
            ("", ""),
        ] {
            assert!(spells(piece.as_bytes(), name.as_bytes()), "{piece}");
        }
        for (piece, name) in [
            ("%", "%"),
            ("a%", "a%"),
            ("%2", "%2"),
            ("%zz", "%zz"),
            ("%2z", "%2z"),
            ("%+1", "\u{1}"),
            ("% 1", "\u{1}"),
            ("%00", ""),
            ("a%00", "a"),
            ("%2541", "A"),
            ("a%2fb", "a/b"),
            ("a", "ab"),
            ("ab", "a"),
            ("%61b", "a"),
            ("a+b", "a b"),
            ("A", "a"),
            ("%%61", "a"),
        ] {
            assert!(!spells(piece.as_bytes(), name.as_bytes()), "{piece}");
        }
    }

    #[test]
    fn repeated_slashes_are_one() {
        let target = Target::new(b"//latest///a/b//").expect("a path");
        assert_eq!(target.names().collect::<Vec<_>>(), [&b"latest"[..], b"a", b"b"]);
    }
}
