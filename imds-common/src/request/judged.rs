//! What the kernel makes of one segment.

use super::Scan;
use crate::options::OptionsWord;
use crate::verdict::{self, Refusal, TokenHeader, Verdict};

/// What the kernel makes of a segment that stands at a request's beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The refusal it is sure of.
    pub refusal: Option<Refusal>,
    /// Whether the segment is exactly one whole read.
    pub is_read: bool,
    /// Whether the daemon is sure to answer it and to go on to the next request.
    pub goes_on: bool,
}

impl Judged {
    /// Judges a segment with `length` bytes of payload. `scan` has seen them all, `None` if they are too many to be
    /// read here; `verify` is asked, about the token at a start and length, only where the verdict depends on it.
    #[inline(always)]
    #[must_use]
    pub fn new(word: OptionsWord, scan: Option<&Scan>, length: u32, verify: impl FnOnce((u32, u32)) -> bool) -> Self {
        let Some(scan) = scan else { return Self::unread(word) };
        if !scan.is_complete() {
            return Self::unread(word);
        }
        let request = scan.facts();
        // Where there are several, their span means nothing.
        let decides = request.asks_for_token() && matches!(request.token, TokenHeader::One);
        let token_valid = decides && word.endpoint_enabled() && verify(scan.token_span());
        let verdict = verdict::judge(word, &request, token_valid);
        let is_read = request.is_read() && !scan.has_body() && scan.head_length() == length;
        let is_served = matches!(verdict, Verdict::Serve { .. }) && !matches!(request.token, TokenHeader::Several);
        Self {
            refusal: Self::without_page(word, verdict::kernel_refusal(verdict, &request)),
            is_read,
            goes_on: is_read && is_served && !scan.wants_close(),
        }
    }

    /// With the endpoint disabled everything is refused, whatever of it can be read.
    #[inline(always)]
    const fn unread(word: OptionsWord) -> Self {
        let refusal = if word.endpoint_enabled() { None } else { Some(Refusal::EndpointDisabled) };
        Self { refusal: Self::without_page(word, refusal), is_read: false, goes_on: false }
    }

    /// No refusal that has a page, which the kernel hasn't: the daemon refuses the same.
    #[inline(always)]
    const fn without_page(word: OptionsWord, refusal: Option<Refusal>) -> Option<Refusal> {
        match refusal {
            Some(refusal) if word.has_error_pages() && refusal.has_page() => None,
            refusal => refusal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{HttpTokens, MetadataOptions, Switch};

    const GET: &str = "GET /latest/meta-data/ HTTP/1.1\r\n";
    const TOKEN: &str = "X-aws-ec2-metadata-token: abc\r\n";

    fn word(http_tokens: HttpTokens, http_endpoint: Switch) -> OptionsWord {
        OptionsWord::new(&MetadataOptions { http_tokens, http_endpoint, ..MetadataOptions::default() }, false)
    }

    fn optional() -> OptionsWord {
        word(HttpTokens::Optional, Switch::Enabled)
    }

    fn required() -> OptionsWord {
        word(HttpTokens::Required, Switch::Enabled)
    }

    /// Judges `payload`, whose token is good if it is `abc`.
    fn judged(word: OptionsWord, payload: &str) -> Judged {
        let mut scan = Scan::new();
        payload.bytes().for_each(|byte| scan.step(byte));
        let length = u32::try_from(payload.len()).expect("short");
        Judged::new(word, Some(&scan), length, |(start, length)| {
            &payload[start as usize..(start + length) as usize] == "abc"
        })
    }

    const SERVED: Judged = Judged { refusal: None, is_read: true, goes_on: true };
    const LEFT: Judged = Judged { refusal: None, is_read: false, goes_on: false };
    const LAST: Judged = Judged { refusal: None, is_read: true, goes_on: false };

    const fn refused(refusal: Refusal, is_read: bool) -> Judged {
        Judged { refusal: Some(refusal), is_read, goes_on: false }
    }

    /// Payload → judged in `optional`, in `required`.
    #[test]
    fn the_table_of_segments() {
        let missing = refused(Refusal::TokenMissing, true);
        let invalid = refused(Refusal::TokenInvalid, true);
        let forwarded = refused(Refusal::Forwarded, false);
        let bad = "X-aws-ec2-metadata-token: abd\r\n";
        let put = "PUT /latest/api/token HTTP/1.1\r\nX-aws-ec2-metadata-token-ttl-seconds: 60\r\n";
        for (payload, in_optional, in_required) in [
            (format!("{GET}\r\n"), SERVED, missing),
            (format!("\r\n{GET}\r\n"), SERVED, missing),
            ("HEAD / HTTP/1.1\r\n\r\n".to_owned(), SERVED, missing),
            (format!("{GET}{TOKEN}\r\n"), SERVED, SERVED),
            (format!("{GET}{bad}\r\n"), invalid, invalid),
            (format!("{GET}{TOKEN}{TOKEN}\r\n"), LAST, LAST),
            (format!("{GET}{TOKEN}{bad}\r\n"), LAST, LAST),
            (format!("{GET}{TOKEN}X-Forwarded-For: a\r\n\r\n"), LAST, LAST),
            (format!("{GET}X-Forwarded-For: a\r\n\r\n"), SERVED, missing),
            (format!("{GET}{TOKEN}Connection: close\r\n\r\n"), LAST, LAST),
            (format!("GET / HTTP/1.0\r\n{TOKEN}\r\n"), LAST, LAST),
            (format!("{GET}{TOKEN}Content-Length: 0\r\n\r\n"), LEFT, LEFT),
            (format!("{GET}{TOKEN}\r\nx"), LEFT, LEFT),
            (format!("{GET}\r\n{GET}\r\n"), LEFT, refused(Refusal::TokenMissing, false)),
            (format!("{GET}Expect: 100-continue\r\n\r\n"), LEFT, refused(Refusal::TokenMissing, false)),
            (format!("{GET}{TOKEN}"), LEFT, LEFT),
            (format!("{GET}\r"), LEFT, LEFT),
            (format!("{GET} \r\n\r\n"), LEFT, LEFT),
            (format!("{put}\r\n"), LEFT, LEFT),
            (format!("{put}X-Forwarded-For: a\r\n\r\n"), forwarded, forwarded),
            ("GET /latest/api/token HTTP/1.1\r\n\r\n".to_owned(), LEFT, LEFT),
            ("POST / HTTP/1.1\r\n\r\n".to_owned(), LEFT, LEFT),
        ] {
            assert_eq!(judged(optional(), &payload), in_optional, "{payload:?} in optional");
            assert_eq!(judged(required(), &payload), in_required, "{payload:?} in required");
            let disabled = judged(word(HttpTokens::Optional, Switch::Disabled), &payload);
            assert_eq!((disabled.refusal, disabled.goes_on), (Some(Refusal::EndpointDisabled), false), "{payload:?}");
            for (http_tokens, http_endpoint, expected) in [
                (HttpTokens::Optional, Switch::Enabled, in_optional),
                (HttpTokens::Required, Switch::Enabled, in_required),
                (HttpTokens::Optional, Switch::Disabled, disabled),
            ] {
                let pages = judged(word(http_tokens, http_endpoint).with_error_pages(true), &payload);
                let refusal = expected.refusal.filter(|refusal| !refusal.has_page());
                assert_eq!(pages, Judged { refusal, ..expected }, "{payload:?} with pages");
            }
        }
    }

    #[test]
    fn what_is_too_long_is_refused_only_where_everything_is() {
        let judge = |word| Judged::new(word, None, 4_096, |_| panic!("there is no token"));
        assert_eq!(judge(required()), LEFT);
        let disabled = word(HttpTokens::Required, Switch::Disabled);
        assert_eq!(judge(disabled), refused(Refusal::EndpointDisabled, false));
        assert_eq!(judge(OptionsWord::CLOSED), refused(Refusal::EndpointDisabled, false));
        assert_eq!(judge(disabled.with_error_pages(true)), refused(Refusal::EndpointDisabled, false));
    }

    #[test]
    fn a_token_that_decides_nothing_is_not_verified() {
        let payload = format!("{GET}{TOKEN}\r\n");
        let mut scan = Scan::new();
        payload.bytes().for_each(|byte| scan.step(byte));
        let disabled = word(HttpTokens::Required, Switch::Disabled);
        let judged = Judged::new(disabled, Some(&scan), 1, |_| panic!("the endpoint is disabled"));
        assert_eq!(judged.refusal, Some(Refusal::EndpointDisabled));
    }
}
