//! What a request is answered with: design.md's verdict table, in its order.

use crate::counters::Counter;
use crate::options::OptionsWord;
use crate::token::{TTL_MAX_SECONDS, TTL_MIN_SECONDS};

/// A request's method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `PUT`
    Put,
    /// `OPTIONS`
    Options,
    /// Any other token.
    Other,
}

/// What a request's target names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Exactly `/latest/api/token`, in raw bytes.
    Token,
    /// Anything else.
    Tree,
}

/// How often the token header stands in a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenHeader {
    /// Not at all: a request of version 1.
    Absent,
    /// Once, or several times with one value.
    One,
    /// Several times; not yet compared.
    Several,
}

/// The header that gives a new token's TTL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TtlHeader {
    /// Not there.
    Missing,
    /// There, its value not read: enough for all but a PUT on the token path.
    Unread,
    /// Not an integer of 1 to 21,600, or there twice.
    Invalid,
    /// In seconds, 1 to 21,600.
    Seconds(u16),
}

impl TtlHeader {
    /// A TTL in seconds, invalid outside 1 to 21,600.
    #[must_use]
    pub fn from_seconds(seconds: u32) -> Self {
        match u16::try_from(seconds) {
            Ok(seconds) if (TTL_MIN_SECONDS..=TTL_MAX_SECONDS).contains(&seconds) => Self::Seconds(seconds),
            _ => Self::Invalid,
        }
    }
}

/// What the verdict asks of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Not understandable as HTTP/1.0 or 1.1, or with two different token headers.
    pub malformed: bool,
    /// The method.
    pub method: Method,
    /// What the target names.
    pub target: Target,
    /// Whether `X-Forwarded-For` is there.
    pub forwarded: bool,
    /// The token header.
    pub token: TokenHeader,
    /// The TTL header.
    pub ttl: TtlHeader,
}

impl Request {
    /// Whether the verdict depends on the token in the header: only then need it be verified.
    #[inline(always)]
    #[must_use]
    pub const fn asks_for_token(&self) -> bool {
        !self.malformed
            && matches!(self.method, Method::Get | Method::Head)
            && matches!(self.target, Target::Tree)
            && !self.forwarded
            && !matches!(self.token, TokenHeader::Absent)
    }

    /// Whether it reads the tree: a GET or HEAD, well formed, of anything but the token path.
    #[inline(always)]
    #[must_use]
    pub const fn is_read(&self) -> bool {
        !self.malformed && matches!(self.method, Method::Get | Method::Head) && matches!(self.target, Target::Tree)
    }
}

/// Why a request is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `HttpEndpoint` is `disabled`.
    EndpointDisabled,
    /// Not understandable as HTTP, or two different token headers.
    Malformed,
    /// A PUT for a token, or a request with a token, that went through a proxy.
    Forwarded,
    /// A PUT for a token without a TTL of 1 to 21,600 seconds.
    TtlInvalid,
    /// A method other than PUT and OPTIONS on the token path.
    TokenPathMethod,
    /// A PUT on any other path.
    PutElsewhere,
    /// A method other than GET and HEAD on the tree.
    TreeMethod,
    /// No token where `HttpTokens` is `required`.
    TokenMissing,
    /// A token that is not this instance's, altered, empty or expired.
    TokenInvalid,
    /// The head is longer than [`crate::request::HEAD_MAX`].
    HeadTooLarge,
    /// The instance has as many connections as it may.
    TooManyConnections,
    /// The instance sends more requests a second than it may.
    TooManyRequests,
}

impl Refusal {
    /// Every refusal.
    pub const ALL: [Self; 12] = [
        Self::EndpointDisabled,
        Self::Malformed,
        Self::Forwarded,
        Self::TtlInvalid,
        Self::TokenPathMethod,
        Self::PutElsewhere,
        Self::TreeMethod,
        Self::TokenMissing,
        Self::TokenInvalid,
        Self::HeadTooLarge,
        Self::TooManyConnections,
        Self::TooManyRequests,
    ];

    /// What counts it.
    #[inline(always)]
    #[must_use]
    pub const fn counter(self) -> Counter {
        match self {
            Self::EndpointDisabled => Counter::RefusedEndpointDisabled,
            Self::Malformed => Counter::RefusedMalformed,
            Self::Forwarded => Counter::RefusedForwarded,
            Self::TtlInvalid => Counter::RefusedTtlInvalid,
            Self::TokenPathMethod => Counter::RefusedTokenPathMethod,
            Self::PutElsewhere => Counter::RefusedPutElsewhere,
            Self::TreeMethod => Counter::RefusedTreeMethod,
            Self::TokenMissing => Counter::RefusedTokenMissing,
            Self::TokenInvalid => Counter::RefusedTokenInvalid,
            Self::HeadTooLarge => Counter::RefusedHeadTooLarge,
            Self::TooManyConnections => Counter::RefusedTooManyConnections,
            Self::TooManyRequests => Counter::RefusedTooManyRequests,
        }
    }
}

/// What a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The tree: 200, 301 or 404.
    Serve {
        /// Whether it came with a valid token.
        with_token: bool,
    },
    /// A new token that lives so many seconds.
    Mint {
        /// 1 to 21,600.
        ttl_seconds: u16,
    },
    /// What the token path allows: 200, `Allow: OPTIONS, PUT`.
    TokenPathOptions,
    /// Not served.
    Refuse(Refusal),
}

/// Judges a request whose head is whole. `token_valid` is asked only where [`Request::asks_for_token`].
#[inline(always)]
#[must_use]
pub fn judge(word: OptionsWord, request: &Request, token_valid: bool) -> Verdict {
    if !word.is_owned() || !word.endpoint_enabled() {
        return Verdict::Refuse(Refusal::EndpointDisabled);
    }
    if request.malformed {
        return Verdict::Refuse(Refusal::Malformed);
    }
    match (request.target, request.method) {
        (Target::Token, Method::Put) => judge_mint(request),
        (Target::Token, Method::Options) => Verdict::TokenPathOptions,
        (Target::Token, _) => Verdict::Refuse(Refusal::TokenPathMethod),
        (Target::Tree, Method::Put) => Verdict::Refuse(Refusal::PutElsewhere),
        (Target::Tree, Method::Get | Method::Head) => judge_read(word, request, token_valid),
        (Target::Tree, _) => Verdict::Refuse(Refusal::TreeMethod),
    }
}

#[inline(always)]
fn judge_mint(request: &Request) -> Verdict {
    if request.forwarded {
        return Verdict::Refuse(Refusal::Forwarded);
    }
    match request.ttl {
        TtlHeader::Seconds(ttl_seconds) => Verdict::Mint { ttl_seconds },
        TtlHeader::Missing | TtlHeader::Unread | TtlHeader::Invalid => Verdict::Refuse(Refusal::TtlInvalid),
    }
}

#[inline(always)]
fn judge_read(word: OptionsWord, request: &Request, token_valid: bool) -> Verdict {
    if matches!(request.token, TokenHeader::Absent) {
        if word.tokens_required() {
            return Verdict::Refuse(Refusal::TokenMissing);
        }
        return Verdict::Serve { with_token: false };
    }
    if request.forwarded {
        Verdict::Refuse(Refusal::Forwarded)
    } else if token_valid {
        Verdict::Serve { with_token: true }
    } else {
        Verdict::Refuse(Refusal::TokenInvalid)
    }
}

/// The refusal that the kernel itself answers, if it is sure: the endpoint is disabled; a read without the token it
/// needs or with a bad one; a PUT for a token that went through a proxy. Everything else goes to the daemon.
///
/// The caller has seen the whole head, at a request's known beginning; `verdict` is what [`judge`] said of it.
#[inline(always)]
#[must_use]
pub const fn kernel_refusal(verdict: Verdict, request: &Request) -> Option<Refusal> {
    let Verdict::Refuse(refusal) = verdict else { return None };
    let sure = match refusal {
        Refusal::EndpointDisabled => true,
        // The daemon compares several, and they may be malformed.
        Refusal::TokenMissing | Refusal::TokenInvalid => !matches!(request.token, TokenHeader::Several),
        Refusal::Forwarded => matches!(request.method, Method::Put) && !matches!(request.token, TokenHeader::Several),
        _ => false,
    };
    if sure { Some(refusal) } else { None }
}

#[cfg(test)]
mod tests;
