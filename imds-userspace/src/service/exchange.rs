//! One request and its answer.

use std::ops::Deref;
use std::sync::Arc;

use imds_common::answer::{TOKEN_PATH_OPTIONS, UNAVAILABLE};
use imds_common::counters::Counter;
use imds_common::options::OptionsWord;
use imds_common::request::{self, Parsed};
use imds_common::token::{self, Key, TOKEN_TEXT_LENGTH};
use imds_common::verdict::{self, Method, Refusal, Verdict};

use super::authority;
use super::inbox::{Inbox, Progress};
use super::range::{self, Asked};
use super::response::{Kind, NOT_FOUND, Writer};
use super::tenant::Tenant;
use super::trouble::Trouble;
use crate::clock;
use crate::metadata::date;
use crate::metadata::live::Page;
use crate::metadata::tree::{Lookup, Tree};
use crate::registry::directory::KeyRing;

/// That the store gives no user data.
static STORE: Trouble = Trouble::new();
/// That the kernel gives no random bytes.
static RANDOM: Trouble = Trouble::new();

/// What becomes of a connection after a request.
pub(super) enum Outcome<'t> {
    /// An answer: its head stands in the buffer, its body here.
    Answer {
        /// The body, none where the head's buffer holds it.
        body: Body<'t>,
        /// What becomes of the connection after it.
        then: Then,
    },
    /// No answer; the connection is reset.
    Reset,
}

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// It waits for the next request.
    Keep,
    /// It ends: the request was understood and is all that was to come.
    Close,
    /// It ends once the client has ended its side: more may be on its way, which nobody wants.
    Linger,
}

/// What is sent behind a head.
pub(super) enum Body<'t> {
    /// Nothing.
    Empty,
    /// A text of the tree.
    Text(&'t [u8]),
    /// User data.
    UserData(Vec<u8>),
    /// Credentials as they were when they were looked up.
    Credentials(Arc<Page>),
}

impl Deref for Body<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Empty => &[],
            Self::Text(text) => text,
            Self::UserData(data) => data,
            Self::Credentials(page) => page.body(),
        }
    }
}

/// Judges the request at the front of `inbox`, counts it, and writes its answer's head into `out`.
///
/// The options are read here, when the head is whole: what was changed before counts.
pub(super) async fn answer<'t>(
    tenant: &impl Tenant,
    keys: &KeyRing,
    tree: &'t Tree,
    (inbox, progress): (&Inbox, Progress),
    ending: bool,
    out: &mut Vec<u8>,
) -> Outcome<'t> {
    let (scan, head) = inbox.head();
    let now_ns = clock::boottime_ns();
    let now_ms = now_ns / clock::MILLISECOND_NS;
    let options = tenant.options();
    let mut judged = judge(options, tenant.token_generation(), keys, (inbox, progress), now_ms);
    // Before any other answer, but for the endpoint: one that is disabled is so to everybody.
    if !tenant.admits_request(now_ns) && options.endpoint_enabled() {
        judged.verdict = Verdict::Refuse(Refusal::TooManyRequests);
    }
    let now = date::unix_seconds();
    let close = !matches!(judged.verdict, Verdict::Serve { .. }) || scan.wants_close() || scan.has_body() || ending;
    let ttl_seconds = judged.remaining_ms.map(|remaining| remaining.div_ceil(1_000));
    let writer = Writer { out, date: date::cached_http_date(now), close, ttl_seconds };
    let head_only = judged.method == Method::Head;
    let mut body = Body::Empty;
    match judged.verdict {
        Verdict::Refuse(refusal) => {
            tenant.refuse(refusal, head);
            if options.refuses_silently() {
                return Outcome::Reset;
            }
            writer.refusal(refusal.answer(), options.has_error_pages() && refusal.has_page(), head_only);
        }
        Verdict::TokenPathOptions => writer.bodyless(TOKEN_PATH_OPTIONS),
        Verdict::Mint { ttl_seconds } => {
            let Some(token) = mint(keys, tenant.token_generation(), now_ms, ttl_seconds) else {
                return Outcome::Reset;
            };
            tenant.count(Counter::TokensIssued);
            writer.token(ttl_seconds, &token);
        }
        Verdict::Serve { with_token } => {
            let target = head.get(scan.target()).unwrap_or_default();
            let served = match tree.lookup(target, now) {
                Lookup::Text(text) => {
                    writer.content(Kind::Text, text.len(), tree.modified());
                    body = Body::Text(text);
                    true
                }
                Lookup::Directory(listing) => {
                    writer.listing(&listing, tree.modified(), head_only);
                    true
                }
                Lookup::Credentials(deliveries) => {
                    let page = deliveries.page(now, with_token);
                    writer.content(Kind::Text, page.body().len(), page.modified());
                    body = Body::Credentials(page);
                    true
                }
                Lookup::UserData => match tenant.user_data().await {
                    Ok(Some(mut data)) => {
                        if STORE.is_over() {
                            tracing::info!("user data is read again");
                        }
                        let (length, modified) = (data.len(), tree.modified());
                        let asked = if head_only { Asked::Whole } else { range::asked(head, length, modified) };
                        let served = asked != Asked::Outside;
                        match asked {
                            Asked::Whole => writer.content(Kind::UserData, length, modified),
                            Asked::Part(part) => {
                                writer.part(Kind::UserData, &part, length, modified);
                                data.truncate(part.end);
                                data.drain(..part.start);
                            }
                            Asked::Outside => {
                                writer.outside(length);
                                data.clear();
                            }
                        }
                        body = Body::UserData(data);
                        served
                    }
                    // It was taken away just now.
                    Ok(None) => {
                        not_found(writer, options, head_only);
                        false
                    }
                    Err(error) => {
                        if STORE.happens(now_ms) {
                            tracing::error!(%error, "user data not read; told once a minute at most");
                        }
                        writer.refusal(UNAVAILABLE, options.has_error_pages(), head_only);
                        return finish(tenant, body, true, Then::Linger);
                    }
                },
                Lookup::Redirect(directory) => {
                    writer.redirect(authority::of(scan, head), directory);
                    false
                }
                Lookup::NotFound => {
                    not_found(writer, options, head_only);
                    false
                }
            };
            if served && !with_token {
                tenant.count(Counter::NoToken);
            }
        }
    }
    let then = match judged.verdict {
        _ if !close => Then::Keep,
        Verdict::Refuse(_) => Then::Linger,
        _ if scan.has_body() => Then::Linger,
        _ => Then::Close,
    };
    finish(tenant, body, head_only, then)
}

fn finish<'t>(tenant: &impl Tenant, body: Body<'t>, head_only: bool, then: Then) -> Outcome<'t> {
    tenant.count(Counter::Requests);
    Outcome::Answer { body: if head_only { Body::Empty } else { body }, then }
}

fn not_found(writer: Writer<'_>, options: OptionsWord, head_only: bool) {
    if options.has_error_pages() {
        writer.error_page(NOT_FOUND, "", head_only);
    } else {
        writer.not_found();
    }
}

struct Judged {
    verdict: Verdict,
    method: Method,
    /// How long the request's token still lives, in milliseconds: every answer to one that is good says so.
    remaining_ms: Option<u64>,
}

/// The common verdict, over a head that may have been cut off at its largest size.
fn judge(
    options: OptionsWord,
    token_generation: u64,
    keys: &KeyRing,
    (inbox, progress): (&Inbox, Progress),
    now_ms: u64,
) -> Judged {
    let (scan, head) = inbox.head();
    let Parsed { request, token } = match progress {
        Progress::Complete => request::request(scan, head),
        _ => Parsed { request: scan.facts(), token: None },
    };
    let presented = token.filter(|_| request.asks_for_token()).and_then(|span| head.get(span));
    // A disabled endpoint looks at no token, in the kernel neither.
    let presented = presented.filter(|_| options.endpoint_enabled());
    let remaining_ms = presented.and_then(|text| token::verify(text, &keys.keys, token_generation, now_ms));
    let verdict = match (progress, verdict::judge(options, &request, remaining_ms.is_some())) {
        (Progress::Complete, verdict) => verdict,
        (_, disabled @ Verdict::Refuse(Refusal::EndpointDisabled)) => disabled,
        (Progress::TooLarge, _) => Verdict::Refuse(Refusal::HeadTooLarge),
        (Progress::Malformed | Progress::Incomplete, _) => Verdict::Refuse(Refusal::Malformed),
    };
    Judged { verdict, method: request.method, remaining_ms }
}

/// A new token, or `None` if the host has no random bytes.
fn mint(keys: &KeyRing, token_generation: u64, now_ms: u64, ttl_seconds: u16) -> Option<[u8; TOKEN_TEXT_LENGTH]> {
    let key = keys.keys.get(usize::try_from(Key::index_of(keys.current)).ok()?)?;
    let mut nonce = [0; 12];
    if let Err(error) = getrandom::fill(&mut nonce) {
        if RANDOM.happens(now_ms) {
            tracing::error!(%error, "no token is issued, for want of random bytes; told once a minute at most");
        }
        return None;
    }
    if RANDOM.is_over() {
        tracing::info!("tokens are issued again");
    }
    let expiry_ms = now_ms.saturating_add(u64::from(ttl_seconds) * 1_000);
    Some(token::mint(key, token_generation, expiry_ms, nonce))
}

#[cfg(test)]
mod tests;
