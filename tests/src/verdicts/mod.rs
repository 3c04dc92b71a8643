//! Requests, and what design.md's verdict table answers them in each mode: the table that tests run through whatever a
//! client's TCP may do to them.

mod arena;
mod long;
mod malformed;
mod pipelines;
mod puts;
mod reads;

pub use arena::{Arena, Case, play_rows};

use crate::http::{Answer, request};
use crate::script::Script;

/// A page that every instance has: its id.
pub const INSTANCE_ID: &str = "/latest/meta-data/instance-id";
/// Where tokens come from.
pub const TOKEN_PATH: &str = "/latest/api/token";
const FORWARDED: (&str, &str) = ("X-Forwarded-For", "10.0.0.9");
/// As much of a request as one segment carries, in bytes.
const SEGMENT: usize = 1_200;
/// The kernel programs read heads of so many bytes at most (design.md: whatever is too long is the daemon's).
const KERNEL_HEAD_MAX: usize = 1_024;

/// How an instance's options stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `HttpTokens` is `optional`.
    Optional,
    /// `HttpTokens` is `required`.
    Required,
    /// `HttpEndpoint` is `disabled`.
    Disabled,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Optional, Self::Required, Self::Disabled];

    /// The arguments of `imdsctl options set` that lead to it.
    #[must_use]
    pub const fn options(self) -> &'static [&'static str] {
        match self {
            Self::Optional => &["--http-endpoint", "enabled", "--http-tokens", "optional"],
            Self::Required => &["--http-endpoint", "enabled", "--http-tokens", "required"],
            Self::Disabled => &["--http-endpoint", "disabled"],
        }
    }
}

/// How far answers travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hops {
    /// As far as any packet.
    Normal,
    /// As far as `HttpPutResponseHopLimit` says.
    Limited,
    /// Either, by the order in which an answer and a further segment of the client's met on their way.
    Either,
}

/// One request of a row.
#[derive(Clone, Debug)]
struct Part {
    bytes: Vec<u8>,
    /// Whether it is a GET or HEAD of the tree, without a body: what isn't limited while it is in one segment.
    is_read: bool,
}

/// Requests on one connection, and what comes of them.
#[derive(Clone, Debug)]
pub struct Row {
    /// What is special.
    pub name: String,
    parts: Vec<Part>,
    optional: Vec<u16>,
    required: Vec<u16>,
}

impl Row {
    fn new(name: &str, bytes: impl Into<Vec<u8>>, is_read: bool, [optional, required]: [u16; 2]) -> Self {
        let parts = vec![Part { bytes: bytes.into(), is_read }];
        Self { name: name.to_owned(), parts, optional: vec![optional], required: vec![required] }
    }

    /// A row of one GET or HEAD of the tree, well formed and without a body.
    #[must_use]
    pub fn read(name: &str, bytes: impl Into<Vec<u8>>, statuses: [u16; 2]) -> Self {
        Self::new(name, bytes, true, statuses)
    }

    /// A row of one request of any other kind, with what follows it.
    #[must_use]
    pub fn other(name: &str, bytes: impl Into<Vec<u8>>, statuses: [u16; 2]) -> Self {
        Self::new(name, bytes, false, statuses)
    }

    /// All that the client sends.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.parts.iter().flat_map(|part| part.bytes.iter().copied()).collect()
    }

    /// Where it must be cut at least: each segment takes [`SEGMENT`] bytes.
    #[must_use]
    pub fn least_cuts(&self) -> Vec<usize> {
        let length: usize = self.parts.iter().map(|part| part.bytes.len()).sum();
        (SEGMENT..length).step_by(SEGMENT).collect()
    }

    /// The statuses of the answers.
    #[must_use]
    pub fn statuses(&self, mode: Mode) -> &[u16] {
        match mode {
            Mode::Optional => &self.optional,
            Mode::Required => &self.required,
            Mode::Disabled => &[403],
        }
    }

    /// Of each answer in a mode, whether it is to a HEAD.
    #[must_use]
    pub fn bodyless(&self, mode: Mode) -> Vec<bool> {
        let of_parts = self.parts.iter().map(|part| part.bytes.starts_with(b"HEAD "));
        of_parts.take(self.statuses(mode).len()).collect()
    }

    /// How far the answers travel if the client's segments, in order, end at each of `cuts` and at the end.
    #[must_use]
    pub fn hops(&self, mode: Mode, cuts: &[usize]) -> Hops {
        let (mut end, mut ends) = (0, Vec::new());
        for part in &self.parts {
            end += part.bytes.len();
            ends.push(end);
        }
        let segments = [cuts, &[end]].concat();
        // The segments that are exactly one whole read each, before any that isn't.
        let reads =
            self.parts.iter().zip(ends.iter().zip(&segments)).take_while(|(part, (end, segment))| {
                part.is_read && part.bytes.len() <= KERNEL_HEAD_MAX && end == segment
            });
        match reads.count() {
            0 => Hops::Limited,
            // The kernel answers the first segment.
            _ if mode == Mode::Disabled => Hops::Normal,
            count if count == segments.len() => Hops::Normal,
            _ => Hops::Either,
        }
    }

    /// Its requests, each in segments of its own, as a connection to be played.
    #[must_use]
    pub fn script(&self, mode: Mode, cuts: &[usize]) -> Script {
        Script::cut(&self.bytes(), cuts, &self.bodyless(mode))
    }
}

/// Every row. `token` is a good one.
#[must_use]
pub fn rows(token: &str) -> Vec<Row> {
    [reads::rows(token), puts::rows(token), malformed::rows(token), pipelines::rows(token), long::rows(token)].concat()
}

/// What every answer has.
///
/// # Panics
///
/// If it hasn't.
pub fn assert_well_formed(name: &str, answer: &Answer) {
    let head = &answer.head;
    assert!(head.starts_with("HTTP/1.1 "), "{name}: {head}");
    assert_eq!(answer.header("Server"), Some("EC2ws"), "{name}: {head}");
    let date = answer.header("Date").unwrap_or_else(|| panic!("{name}: no date: {head}"));
    assert!(date.len() == 29 && date.ends_with(" GMT"), "{name}: {date}");
    assert!(answer.header("Content-Type").is_some() || answer.status == 301, "{name}: {head}");
    assert!(answer.header("Content-Length").is_some(), "{name}: {head}");
    let refused = answer.status >= 400 && answer.status != 404;
    if refused {
        assert_eq!(answer.header("Content-Length"), Some("0"), "{name}: {head}");
        assert_eq!(answer.header("Connection"), Some("close"), "{name}: {head}");
    }
    let allow = match answer.status {
        405 => answer.header("Allow"),
        _ => return,
    };
    assert!(matches!(allow, Some("OPTIONS, PUT" | "GET, HEAD")), "{name}: {head}");
    assert!(head.starts_with("HTTP/1.1 405 Not Allowed\r\n"), "{name}: {head}");
}

/// A read of the instance's id with headers.
fn get(headers: &[(&str, &str)]) -> Vec<u8> {
    request("GET", INSTANCE_ID, headers)
}

/// A PUT to the token path with headers.
fn put(headers: &[(&str, &str)]) -> Vec<u8> {
    request("PUT", TOKEN_PATH, headers)
}
