//! What one path answers with, as ready bytes.

use std::fmt;
use std::io::Write as _;
use std::ops::Deref;
use std::sync::Arc;

use super::date::http_date;
use super::live::Deliveries;

/// A rendered answer: the fields of its head that never change, and its body.
pub struct Page {
    fields: Box<[u8]>,
    body: Box<[u8]>,
}

impl fmt::Debug for Page {
    /// Shows the size alone: bodies hold credentials and user data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("bytes", &self.body.len()).finish_non_exhaustive()
    }
}

impl Page {
    /// Text: everything but user data, JSON among it. `modified` is in seconds since 1970, if it is known.
    pub(crate) fn text(body: impl Into<Vec<u8>>, modified: Option<u64>) -> Self {
        Self::new("Content-Type: text/plain\r\nAccept-Ranges: none\r\n", body.into(), modified)
    }

    /// User data: bytes of any kind.
    pub(super) fn user_data(body: &[u8], modified: Option<u64>) -> Self {
        Self::new("Content-Type: application/octet-stream\r\nAccept-Ranges: bytes\r\n", body.to_vec(), modified)
    }

    fn new(kind: &str, body: Vec<u8>, modified: Option<u64>) -> Self {
        let mut fields = kind.as_bytes().to_vec();
        if let Some(seconds) = modified {
            fields.extend_from_slice(b"Last-Modified: ");
            fields.extend_from_slice(&http_date(seconds));
            fields.extend_from_slice(b"\r\n");
        }
        write!(fields, "Content-Length: {}\r\n", body.len()).expect("a Vec takes every write");
        Self { fields: fields.into(), body: body.into() }
    }

    /// The lines of the head that describe the body, each with its CRLF.
    #[must_use]
    pub fn fields(&self) -> &[u8] {
        &self.fields
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

/// A leaf of the tree.
#[derive(Debug)]
pub enum Leaf {
    /// A page as long as the tree.
    Lasting(Page),
    /// A role's credentials, which are replaced while the tree stays.
    Role(Deliveries),
}

impl Leaf {
    /// What it answers a read with at a time, in seconds since 1970.
    #[must_use]
    pub fn page(&self, now: u64, with_token: bool) -> Shown<'_> {
        match self {
            Self::Lasting(page) => Shown::Lasting(page),
            Self::Role(deliveries) => Shown::Live(deliveries.page(now, with_token)),
        }
    }
}

/// A page as it was when it was looked up.
#[derive(Debug)]
pub enum Shown<'t> {
    /// One of the tree.
    Lasting(&'t Page),
    /// One that may have been replaced since.
    Live(Arc<Page>),
}

impl Deref for Shown<'_> {
    type Target = Page;

    fn deref(&self) -> &Page {
        match self {
            Self::Lasting(page) => page,
            Self::Live(page) => page,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(page: &Page) -> &str {
        std::str::from_utf8(page.fields()).expect("ASCII")
    }

    #[test]
    fn the_fields_are_those_of_captured_answers() {
        assert_eq!(
            fields(&Page::text("abc", Some(0))),
            "Content-Type: text/plain\r\nAccept-Ranges: none\r\nLast-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 3\r\n"
        );
        assert_eq!(
            fields(&Page::user_data(b"\0\xff", None)),
            "Content-Type: application/octet-stream\r\nAccept-Ranges: bytes\r\nContent-Length: 2\r\n"
        );
    }

    #[test]
    fn debugging_shows_no_body() {
        let shown = format!("{:?}", Leaf::Lasting(Page::text("secret", None)));
        assert!(!shown.contains("secret") && !shown.contains("115"), "{shown}");
    }
}
