//! The bytes of answers, in the order of captured ones (behaviour.md sections 1 and 2).

use std::io::Write as _;
use std::ops::Range;

use imds_common::answer::{Bodyless, DATE_LENGTH, DATE_NAME, SERVER};
use imds_common::token::TOKEN_TEXT_LENGTH;

use super::error_page;
use crate::metadata::target::Target;
use crate::metadata::tree::Listing;

/// The name of the field that tells how long a token lives, in seconds. Clients need it.
const TTL_NAME: &str = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds";

/// The status of what isn't there.
pub(super) const NOT_FOUND: &str = "404 Not Found";

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text: everything but user data, JSON among it.
    Text,
    /// Bytes of any kind.
    UserData,
}

impl Kind {
    const fn fields(self) -> &'static [u8] {
        match self {
            Self::Text => b"Content-Type: text/plain\r\nAccept-Ranges: none\r\n",
            Self::UserData => b"Content-Type: application/octet-stream\r\nAccept-Ranges: bytes\r\n",
        }
    }
}

/// Writes answers' heads into a buffer that is used again.
pub(super) struct Writer<'a> {
    /// Where the answer goes.
    pub(super) out: &'a mut Vec<u8>,
    /// The date of the answer.
    pub(super) date: [u8; DATE_LENGTH],
    /// Whether the connection ends after it.
    pub(super) close: bool,
    /// How long the request's token still lives, in seconds, if it came with one.
    pub(super) ttl_seconds: Option<u64>,
}

impl Writer<'_> {
    fn put(&mut self, parts: &[&[u8]]) {
        parts.iter().for_each(|part| self.out.extend_from_slice(part));
    }

    fn status(&mut self, status: &str) {
        self.put(&[b"HTTP/1.1 ", status.as_bytes(), b"\r\n"]);
        if let Some(seconds) = self.ttl_seconds {
            self.ttl(seconds);
        }
    }

    fn ttl(&mut self, seconds: u64) {
        write!(self.out, "{TTL_NAME}: {seconds}\r\n").expect("a Vec takes every write");
    }

    fn date_and_server(&mut self) {
        let date = self.date;
        self.put(&[DATE_NAME.as_bytes(), &date, b"\r\nServer: ", SERVER.as_bytes(), b"\r\n"]);
        if self.close {
            self.put(&[b"Connection: close\r\n"]);
        }
    }

    /// An answer without a body that has no other form.
    pub(super) fn bodyless(mut self, answer: Bodyless) {
        let date = self.date;
        let Bodyless { status, more, after, .. } = answer;
        self.status(status);
        self.put(&[more.as_bytes(), b"Content-Length: 0\r\n", DATE_NAME.as_bytes(), &date, b"\r\n", after.as_bytes()]);
    }

    /// A refusal, which ends the connection, with a page or without a body; without the page for a HEAD.
    pub(super) fn refusal(mut self, answer: Bodyless, with_page: bool, head_only: bool) {
        // The other form says so by itself.
        self.close = true;
        if with_page {
            self.error_page(answer.status, answer.more, head_only);
        } else {
            self.bodyless(answer);
        }
    }

    /// The head of a text or of user data; its body follows unless the request was a HEAD.
    pub(super) fn content(mut self, kind: Kind, length: usize, modified: &[u8; DATE_LENGTH]) {
        self.head_of("200 OK", kind, length, modified, "");
    }

    /// The head of these of so many bytes.
    pub(super) fn part(mut self, kind: Kind, part: &Range<usize>, of: usize, modified: &[u8; DATE_LENGTH]) {
        let range = format!("Content-Range: bytes {}-{}/{of}\r\n", part.start, part.end.saturating_sub(1));
        self.head_of("206 Partial Content", kind, part.len(), modified, &range);
    }

    /// What was asked for is none of so many bytes.
    pub(super) fn outside(mut self, of: usize) {
        self.status("416 Range Not Satisfiable");
        write!(self.out, "Content-Range: bytes */{of}\r\n").expect("a Vec takes every write");
        self.empty();
    }

    /// A directory's names, and their head; without them for a HEAD.
    pub(super) fn listing(mut self, listing: &Listing<'_>, modified: &[u8; DATE_LENGTH], head_only: bool) {
        self.head_of("200 OK", Kind::Text, listing.length(), modified, "");
        if !head_only {
            listing.write(self.out);
        }
    }

    fn head_of(&mut self, status: &str, kind: Kind, length: usize, modified: &[u8; DATE_LENGTH], more: &str) {
        self.status(status);
        self.put(&[kind.fields(), b"Last-Modified: ", modified, b"\r\n", more.as_bytes()]);
        self.length(length);
        self.date_and_server();
        self.put(&[b"\r\n"]);
    }

    fn length(&mut self, length: usize) {
        write!(self.out, "Content-Length: {length}\r\n").expect("a Vec takes every write");
    }

    /// An answer that has a page in place of no body; without the page for a HEAD.
    pub(super) fn error_page(mut self, status: &str, more: &str, head_only: bool) {
        let page = error_page::page(status);
        self.status(status);
        self.put(&[more.as_bytes(), b"Content-Type: text/html\r\n"]);
        self.length(page.len());
        self.date_and_server();
        self.put(&[b"\r\n"]);
        if !head_only {
            self.put(&[page.as_bytes()]);
        }
    }

    /// A directory that wants its slash.
    pub(super) fn redirect(mut self, authority: &[u8], directory: Target<'_>) {
        self.status("301 Moved Permanently");
        self.put(&[b"Location: http://", authority]);
        directory.names().for_each(|name| self.put(&[b"/", name]));
        self.put(&[b"/\r\nContent-Length: 0\r\n"]);
        self.date_and_server();
        self.put(&[b"\r\n"]);
    }

    /// Nothing stands there.
    pub(super) fn not_found(mut self) {
        self.status(NOT_FOUND);
        self.empty();
    }

    /// The rest of a head without a body.
    fn empty(&mut self) {
        self.put(&[b"Content-Length: 0\r\n"]);
        self.date_and_server();
        self.put(&[b"Content-Type: text/plain\r\n\r\n"]);
    }

    /// A new token that lives so many seconds.
    pub(super) fn token(mut self, ttl_seconds: u16, token: &[u8; TOKEN_TEXT_LENGTH]) {
        self.status("200 OK");
        self.ttl(ttl_seconds.into());
        self.length(TOKEN_TEXT_LENGTH);
        self.date_and_server();
        self.put(&[b"Content-Type: text/plain\r\n\r\n", token]);
    }
}
