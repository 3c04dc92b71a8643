//! One request and its answer.

use imds_common::answer::TOKEN_PATH_OPTIONS;
use imds_common::counters::Counter;
use imds_common::options::OptionsWord;
use imds_common::request::{self, Parsed};
use imds_common::token::{self, Key, TOKEN_TEXT_LENGTH};
use imds_common::verdict::{self, Method, Refusal, Verdict};

use super::authority;
use super::inbox::{Inbox, Progress};
use super::response::Writer;
use super::tenant::Tenant;
use crate::clock;
use crate::metadata::date;
use crate::metadata::page::Shown;
use crate::metadata::tree::{Lookup, Tree};
use crate::registry::directory::KeyRing;

/// What becomes of a connection after a request.
#[derive(Debug)]
pub(super) enum Outcome<'t> {
    /// An answer: its head stands in the buffer, its body here.
    Answer {
        /// The page whose body follows the head; none where there is no body, or the head's buffer holds it.
        page: Option<Shown<'t>>,
        /// Whether the connection ends after it.
        close: bool,
    },
    /// No answer; the connection is reset.
    Reset,
}

/// Judges the request at the front of `inbox`, counts it, and writes its answer's head into `out`.
///
/// The options are read here, when the head is whole: what was changed before counts.
pub(super) fn answer<'t>(
    tenant: &impl Tenant,
    keys: &KeyRing,
    tree: &'t Tree,
    (inbox, progress): (&Inbox, Progress),
    ending: bool,
    out: &mut Vec<u8>,
) -> Outcome<'t> {
    let (scan, head) = inbox.head();
    let now_ms = clock::boottime_ms();
    let options = tenant.options();
    let judged = judge(options, tenant.token_generation(), keys, (inbox, progress), now_ms);
    let now = date::unix_seconds();
    let close = !matches!(judged.verdict, Verdict::Serve { .. }) || scan.wants_close() || scan.has_body() || ending;
    let ttl_seconds = judged.remaining_ms.map(|remaining| remaining.div_ceil(1_000));
    let writer = Writer { out, date: date::cached_http_date(now), close, ttl_seconds };
    let page = match judged.verdict {
        Verdict::Refuse(refusal) => {
            tenant.refuse(refusal, head);
            if options.refuses_silently() {
                return Outcome::Reset;
            }
            writer.bodyless(refusal.answer());
            None
        }
        Verdict::TokenPathOptions => {
            writer.bodyless(TOKEN_PATH_OPTIONS);
            None
        }
        Verdict::Mint { ttl_seconds } => {
            let Some(token) = mint(keys, tenant.token_generation(), now_ms, ttl_seconds) else {
                return Outcome::Reset;
            };
            tenant.count(Counter::TokensIssued);
            writer.token(ttl_seconds, &token);
            None
        }
        Verdict::Serve { with_token } => {
            let target = head.get(scan.target()).unwrap_or_default();
            match tree.lookup(target) {
                Lookup::Leaf(leaf) => Some(serve(tenant, with_token, writer, leaf.page(now, with_token))),
                Lookup::Directory(listing) => Some(serve(tenant, with_token, writer, Shown::Lasting(listing))),
                Lookup::Redirect { version, path } => {
                    writer.redirect(authority::of(scan, head), version, path);
                    None
                }
                Lookup::NotFound => {
                    writer.not_found();
                    None
                }
            }
        }
    };
    tenant.count(Counter::Requests);
    let page = page.filter(|_| judged.method != Method::Head);
    Outcome::Answer { page, close }
}

fn serve<'t>(tenant: &impl Tenant, with_token: bool, writer: Writer<'_>, page: Shown<'t>) -> Shown<'t> {
    if !with_token {
        tenant.count(Counter::NoToken);
    }
    writer.page(&page);
    page
}

struct Judged {
    verdict: Verdict,
    method: Method,
    /// How long the request's token still lives, in milliseconds.
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
        tracing::error!(%error, "no token is issued: the kernel gives no random bytes");
        return None;
    }
    let expiry_ms = now_ms.saturating_add(u64::from(ttl_seconds) * 1_000);
    Some(token::mint(key, token_generation, expiry_ms, nonce))
}

#[cfg(test)]
mod tests;
