//! Pages that are replaced while the tree that shows them stays: readers see the old one or the new, without a lock.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use imds_common::answer::DATE_LENGTH;

use super::date::http_date;

/// A text, and when it was made.
pub struct Page {
    body: Box<[u8]>,
    modified: [u8; DATE_LENGTH],
}

impl fmt::Debug for Page {
    /// Shows the size alone: the text holds credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("bytes", &self.body.len()).finish_non_exhaustive()
    }
}

impl Page {
    /// A text that was made at `modified`, in seconds since 1970.
    #[must_use]
    pub fn new(body: impl Into<Vec<u8>>, modified: u64) -> Self {
        Self { body: body.into().into(), modified: http_date(modified) }
    }

    /// The text.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// When it was made, as HTTP writes it.
    #[must_use]
    pub const fn modified(&self) -> &[u8; DATE_LENGTH] {
        &self.modified
    }
}

/// What stands at a place for now: a page, and another one from a time on.
#[derive(Debug)]
pub struct Edition {
    page: Arc<Page>,
    end: Option<(u64, Arc<Page>)>,
}

impl Edition {
    /// A page without an end.
    #[must_use]
    pub fn lasting(page: Page) -> Self {
        Self { page: Arc::new(page), end: None }
    }

    /// A page until `end`, in seconds since 1970, and `afterwards` from that second on, whoever is late with the next
    /// edition.
    #[must_use]
    pub fn ending(page: Page, end: u64, afterwards: Page) -> Self {
        Self { page: Arc::new(page), end: Some((end, Arc::new(afterwards))) }
    }

    fn page(&self, now: u64) -> &Arc<Page> {
        match &self.end {
            Some((end, afterwards)) if now >= *end => afterwards,
            _ => &self.page,
        }
    }
}

/// A place whose editions follow one another.
#[derive(Debug)]
pub struct Live(ArcSwap<Edition>);

impl Live {
    /// A place with its first edition.
    #[must_use]
    pub fn new(edition: Edition) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(edition)))
    }

    /// Replaces the edition.
    pub fn replace(&self, edition: Edition) {
        self.0.store(Arc::new(edition));
    }

    /// What stands there at a time, in seconds since 1970.
    #[must_use]
    pub fn page(&self, now: u64) -> Arc<Page> {
        Arc::clone(self.0.load().page(now))
    }

    /// When the edition ends, if it hasn't by now and ever does.
    #[must_use]
    pub fn end(&self, now: u64) -> Option<u64> {
        self.0.load().end.as_ref().map(|(end, _)| *end).filter(|end| now < *end)
    }
}

/// A role's documents by how they are asked for: EC2's role delivery 1.0, a read without a token, and 2.0, one with a
/// token.
#[derive(Clone, Debug)]
pub struct Deliveries {
    /// 1.0
    pub without_token: Arc<Live>,
    /// 2.0
    pub with_token: Arc<Live>,
}

impl Deliveries {
    /// The same for both.
    #[must_use]
    pub fn same(live: &Arc<Live>) -> Self {
        Self { without_token: Arc::clone(live), with_token: Arc::clone(live) }
    }

    /// What a read gets at a time, in seconds since 1970.
    #[must_use]
    pub fn page(&self, now: u64, with_token: bool) -> Arc<Page> {
        if with_token { &self.with_token } else { &self.without_token }.page(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(page: &str) -> Page {
        Page::new(page, 0)
    }

    #[test]
    fn an_edition_ends_in_the_very_second() {
        let live = Live::new(Edition::ending(text("good"), 10, text("over")));
        assert_eq!((live.page(9).body(), live.end(9)), (&b"good"[..], Some(10)));
        assert_eq!((live.page(10).body(), live.end(10)), (&b"over"[..], None));
        live.replace(Edition::lasting(text("next")));
        assert_eq!((live.page(u64::MAX).body(), live.end(0)), (&b"next"[..], None));
    }

    #[test]
    fn a_read_gets_what_is_delivered_its_way() {
        let live = |page| Live::new(Edition::lasting(text(page)));
        let two = Deliveries { without_token: live("1.0"), with_token: live("2.0") };
        assert_eq!((two.page(0, false).body(), two.page(0, true).body()), (&b"1.0"[..], &b"2.0"[..]));
        let one = Deliveries::same(&live("both"));
        assert_eq!((one.page(0, false).body(), one.page(0, true).body()), (&b"both"[..], &b"both"[..]));
    }

    #[test]
    fn debugging_shows_no_body() {
        let shown = format!("{:?}", Live::new(Edition::ending(text("secret"), 10, text("secret"))));
        assert!(!shown.contains("secret") && !shown.contains("115"), "{shown}");
    }
}
