//! The grammar of a request's head, as one automaton over its bytes.
//!
//! The table ([`grammar`]) is built by a `const fn`. A step is one load for the byte's class, one for the transition, and
//! additions: no branches, so a run of steps is one path to the kernel's verifier. The daemon judges by the same steps.
//!
//! Accepted: RFC 9112 request line and field lines with CRLF line ends, HTTP/1.0 and HTTP/1.1, empty lines before
//! the request line. Refused as malformed: bare CR or LF, a folded field line, white space before a colon, an empty
//! name or method, control bytes, bytes over 0x7e in the target.

mod grammar;
mod judged;

use core::ops::Range;

pub use judged::Judged;

use crate::verdict::{Method, Request, Target, TokenHeader, TtlHeader};

/// The one spelling of the token path (design.md, the verdict).
pub const TOKEN_PATH: &[u8] = b"/latest/api/token";

/// A longer head is answered 431. In bytes.
pub const HEAD_MAX: usize = 16 * 1024;

/// The kernel reads no more than this of a head and leaves longer ones to the daemon: real clients send 100 to 400
/// bytes, and what the kernel reads is time on the packet's path. In bytes, a power of two.
pub const KERNEL_HEAD_MAX: usize = 1024;

/// A scan of a head, byte by byte; bytes after the head's end change nothing.
///
/// Positions and lengths are in bytes from the first byte given.
#[derive(Clone, Copy, Debug)]
pub struct Scan {
    entry: u32,
    seen: u32,
    length: u32,
    target_start: u32,
    target_length: u32,
    token_headers: u32,
    token_start: u32,
    token_length: u32,
    ttl_headers: u32,
    ttl_start: u32,
    ttl_length: u32,
}

impl Default for Scan {
    fn default() -> Self {
        Self::new()
    }
}

impl Scan {
    /// A scan before the first byte.
    #[inline(always)]
    #[must_use]
    pub const fn new() -> Self {
        Self {
            entry: grammar::START,
            seen: 0,
            length: 0,
            target_start: 0,
            target_length: 0,
            token_headers: 0,
            token_start: 0,
            token_length: 0,
            ttl_headers: 0,
            ttl_start: 0,
            ttl_length: 0,
        }
    }

    /// Takes the next byte. Where a field comes once, its start is the position of its one first byte.
    #[inline(always)]
    pub fn step(&mut self, byte: u8) {
        let entry = grammar::next(self.entry, byte);
        let bit = |number: u32| entry >> number & 1;
        self.entry = entry;
        self.seen |= entry;
        self.target_start = self.target_start.wrapping_add(self.length * bit(grammar::TARGET_FIRST));
        self.target_length += bit(grammar::TARGET);
        self.token_headers += bit(grammar::TOKEN_COLON);
        self.token_start = self.token_start.wrapping_add(self.length * bit(grammar::TOKEN_FIRST));
        self.token_length += bit(grammar::TOKEN);
        self.ttl_headers += bit(grammar::TTL_COLON);
        self.ttl_start = self.ttl_start.wrapping_add(self.length * bit(grammar::TTL_FIRST));
        self.ttl_length += bit(grammar::TTL);
        self.length += bit(grammar::IN_HEAD);
    }

    #[inline(always)]
    const fn has(&self, number: u32) -> bool {
        self.seen >> number & 1 != 0
    }

    /// Whether the whole head was seen.
    #[inline(always)]
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.has(grammar::COMPLETE)
    }

    /// Whether no head can come of these bytes any more.
    #[inline(always)]
    #[must_use]
    pub const fn is_malformed(&self) -> bool {
        self.has(grammar::MALFORMED)
    }

    /// The head's length, its empty line included. Meaningful when complete.
    #[inline(always)]
    #[must_use]
    pub const fn head_length(&self) -> u32 {
        self.length
    }

    /// Whether a field announced a body or wants an interim answer.
    #[inline(always)]
    #[must_use]
    pub const fn has_body(&self) -> bool {
        self.has(grammar::BODY)
    }

    /// Whether the client wants the connection closed after the answer: it said so, or speaks HTTP/1.0.
    #[inline(always)]
    #[must_use]
    pub const fn wants_close(&self) -> bool {
        self.has(grammar::CLOSE) || self.has(grammar::HTTP_1_0)
    }

    /// Where the one token header's value stands: start and length. Meaningful when there is one such header.
    #[inline(always)]
    #[must_use]
    pub const fn token_span(&self) -> (u32, u32) {
        (self.token_start, self.token_length)
    }

    /// Where the request's target stands in the head.
    #[must_use]
    pub const fn target(&self) -> Range<usize> {
        span(self.target_start, self.target_length)
    }

    #[inline(always)]
    const fn method(&self) -> Method {
        if self.has(grammar::GET) {
            Method::Get
        } else if self.has(grammar::HEAD) {
            Method::Head
        } else if self.has(grammar::PUT) {
            Method::Put
        } else if self.has(grammar::OPTIONS) {
            Method::Options
        } else {
            Method::Other
        }
    }

    /// What the verdict asks of a request, as far as the automaton alone tells it. Several token headers and the
    /// value of a TTL header are read by [`request`].
    #[inline(always)]
    #[must_use]
    pub const fn facts(&self) -> Request {
        Request {
            malformed: self.is_malformed(),
            method: self.method(),
            target: if self.has(grammar::ON_TOKEN_PATH) { Target::Token } else { Target::Tree },
            forwarded: self.has(grammar::FORWARDED),
            token: match self.token_headers {
                0 => TokenHeader::Absent,
                1 => TokenHeader::One,
                _ => TokenHeader::Several,
            },
            ttl: if self.ttl_headers == 0 { TtlHeader::Missing } else { TtlHeader::Unread },
        }
    }
}

const fn span(start: u32, length: u32) -> Range<usize> {
    start as usize..start as usize + length as usize
}

/// What a whole head asks for, and where its token stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// What the verdict asks.
    pub request: Request,
    /// The token header's value, where there is one header or several with one value.
    pub token: Option<Range<usize>>,
}

/// Reads what [`Scan::facts`] leaves open: the TTL, and several token headers, which are one if their values are
/// the same and malformed if not. `head` is what `scan` has seen.
#[must_use]
pub fn request(scan: &Scan, head: &[u8]) -> Parsed {
    let mut request = scan.facts();
    match scan.ttl_headers {
        0 => {}
        1 => request.ttl = read_ttl(head.get(span(scan.ttl_start, scan.ttl_length)).unwrap_or_default()),
        _ => request.ttl = TtlHeader::Invalid,
    }
    let token = match request.token {
        TokenHeader::Absent => None,
        TokenHeader::One => Some(span(scan.token_start, scan.token_length)),
        TokenHeader::Several => {
            let same = same_token_values(head);
            match same {
                Some(_) => request.token = TokenHeader::One,
                None => request.malformed = true,
            }
            same
        }
    };
    Parsed { request, token }
}

/// A TTL of 1 to 21,600 seconds in plain digits (behaviour.md section 2).
fn read_ttl(value: &[u8]) -> TtlHeader {
    // More digits than the largest value has would need leading zeros, which are an integer's too.
    let mut seconds: u32 = 0;
    for &byte in value {
        if !byte.is_ascii_digit() {
            return TtlHeader::Invalid;
        }
        seconds = seconds.saturating_mul(10).saturating_add(u32::from(byte - b'0'));
    }
    TtlHeader::from_seconds(seconds)
}

/// The one value of all token headers of `head`, or `None` if two differ.
fn same_token_values(head: &[u8]) -> Option<Range<usize>> {
    let mut entry = grammar::START;
    let mut first: Option<Range<usize>> = None;
    let mut current: Option<Range<usize>> = None;
    for (position, &byte) in head.iter().enumerate() {
        entry = grammar::next(entry, byte);
        if entry >> grammar::TOKEN_COLON & 1 != 0 {
            first = merge(head, first, current.take())?;
            current = Some(position..position);
        } else if entry >> grammar::TOKEN_FIRST & 1 != 0 {
            current = Some(position..position + 1);
        } else if entry >> grammar::TOKEN & 1 != 0 {
            current = current.map(|range| range.start..position + 1);
        }
    }
    merge(head, first, current)?
}

/// The value kept so far after one more came: `None` outside if the two differ.
fn merge(head: &[u8], kept: Option<Range<usize>>, next: Option<Range<usize>>) -> Option<Option<Range<usize>>> {
    match (kept, next) {
        (Some(kept), Some(next)) if head.get(kept.clone()) != head.get(next.clone()) => None,
        (Some(kept), _) => Some(Some(kept)),
        (None, next) => Some(next),
    }
}

#[cfg(test)]
mod tests;
