//! The target of the request grammar: one segment at a request's beginning, as the kernel and as the daemon see it.

use imds_common::options::{HttpTokens, MetadataOptions, OptionsWord, Switch};
use imds_common::request::{self, Judged, KERNEL_HEAD_MAX, Scan};
use imds_common::token::{self, Key, TOKEN_TEXT_LENGTH};
use imds_common::verdict::{Refusal, Request, Verdict};

use crate::model::daemon::judge;
use crate::model::requests::{GENERATION, KEYS, NOW_MS, good_token};

/// Options that a verdict depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// `HttpTokens` is `required`.
    Required,
    /// `HttpTokens` is `optional`.
    Optional,
    /// `HttpEndpoint` is `disabled`.
    Disabled,
}

/// All of them.
pub const WORDS: [Word; 3] = [Word::Required, Word::Optional, Word::Disabled];

impl Word {
    /// The word that the kernel reads.
    #[must_use]
    pub fn word(self) -> OptionsWord {
        let tokens = if self == Self::Required { HttpTokens::Required } else { HttpTokens::Optional };
        let endpoint = if self == Self::Disabled { Switch::Disabled } else { Switch::Enabled };
        let options = MetadataOptions { http_tokens: tokens, http_endpoint: endpoint, ..MetadataOptions::default() };
        OptionsWord::new(&options, false)
    }
}

/// Holds the kernel's rule against the daemon's, with each of the options.
///
/// # Panics
///
/// Where something doesn't hold.
pub fn check(payload: &[u8]) {
    for word in WORDS {
        let judged = kernel(word.word(), payload);
        let daemon = daemon(word.word(), payload);
        agree(word, payload, &judged, daemon.as_ref());
        if let Some(daemon) = &daemon {
            sound(word, payload, daemon);
        }
    }
}

/// What the kernel makes of the payload: `imds-ebpf/src/request.rs`, which reads it by chunks and zeros after its end.
#[must_use]
pub fn kernel(word: OptionsWord, payload: &[u8]) -> Judged {
    /// As in `imds-ebpf/src/maps.rs`.
    const CHUNK: usize = 32;
    let readable = (1..=KERNEL_HEAD_MAX).contains(&payload.len());
    let scan = readable.then(|| {
        let mut scan = Scan::new();
        let mut padded = payload.to_vec();
        padded.resize(payload.len().next_multiple_of(CHUNK), 0);
        padded.iter().for_each(|&byte| scan.step(byte));
        scan
    });
    let length = u32::try_from(payload.len()).expect("a segment");
    Judged::new(word, scan.as_ref(), length, |(start, length)| {
        let span = start as usize..start as usize + length as usize;
        payload.get(span).and_then(|text| text.try_into().ok()).is_some_and(is_good)
    })
}

/// The kernel's way to verify a token.
pub(crate) fn is_good(text: &[u8; TOKEN_TEXT_LENGTH]) -> bool {
    let mut presented = token::Presented::EMPTY;
    presented.read(text);
    let key = KEYS[Key::index_of(presented.key_number()) as usize];
    presented.verify(&key, GENERATION, NOW_MS).is_some()
}

/// What the daemon makes of a stream's first head.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Its verdict.
    pub verdict: Verdict,
    /// How many bytes the head has.
    length: usize,
    /// What it asks for.
    request: Request,
    /// Whether the connection ends with the answer.
    closes: bool,
}

/// The daemon's verdict on what a stream begins with: none as long as it waits for more. `imds-userspace`'s
/// `service/exchange.rs`.
fn daemon(word: OptionsWord, stream: &[u8]) -> Option<Answered> {
    let mut scan = Scan::new();
    let length = stream.iter().position(|&byte| {
        scan.step(byte);
        scan.is_complete() || scan.is_malformed()
    })? + 1;
    let head = &stream[..length];
    let (verdict, _) = judge(word, &scan, head);
    let request = if scan.is_complete() { request::request(&scan, head).request } else { scan.facts() };
    let closes = !matches!(verdict, Verdict::Serve { .. }) || scan.wants_close() || scan.has_body();
    Some(Answered { verdict, length, request, closes })
}

/// The kernel refuses nothing that the daemon would serve, and takes nothing for a read that the daemon takes for
/// anything else.
fn agree(word: Word, payload: &[u8], judged: &Judged, daemon: Option<&Answered>) {
    let text = payload.escape_ascii();
    match (judged.refusal, daemon) {
        (Some(Refusal::EndpointDisabled), _) => assert_eq!(word, Word::Disabled, "{text}"),
        (Some(refusal), Some(Answered { verdict: Verdict::Refuse(theirs), .. })) => {
            assert_eq!(refusal.answer(), theirs.answer(), "{text}");
        }
        (Some(refusal), _) => panic!("the kernel refuses for {refusal:?}, the daemon doesn't: {text}"),
        (None, _) => assert_ne!(word, Word::Disabled, "{text}"),
    }
    assert!(!judged.goes_on || judged.is_read && judged.refusal.is_none(), "{text}");
    if !judged.is_read {
        return;
    }
    let Some(daemon) = daemon else { panic!("the kernel takes it for whole, the daemon waits: {text}") };
    assert_eq!(daemon.length, payload.len(), "{text}");
    // Several tokens may make it malformed, which is no token either.
    let several = payload.windows(2).filter(|window| *window == b"\r\n").count() > 3;
    assert!(daemon.request.is_read() || several && daemon.request.malformed, "{text}");
    assert!(!judged.goes_on || !daemon.closes, "{text}");
}

/// What the daemon serves, by words of their own.
fn sound(word: Word, payload: &[u8], daemon: &Answered) {
    let text = payload.escape_ascii();
    let head = &payload[..daemon.length];
    let line = head.iter().position(|byte| !b"\r\n".contains(byte)).map_or(&head[..0], |start| &head[start..]);
    let has = |part: &[u8]| head.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part));
    match daemon.verdict {
        Verdict::Serve { with_token } => {
            assert_ne!(word, Word::Disabled, "{text}");
            assert!(with_token || word == Word::Optional, "{text}");
            assert!(line.starts_with(b"GET ") || line.starts_with(b"HEAD "), "{text}");
            assert_ne!(line.split(|&byte| byte == b' ').nth(1), Some(request::TOKEN_PATH), "{text}");
            assert!(!with_token || head.windows(TOKEN_TEXT_LENGTH).any(|part| part == good_token().as_bytes()));
            assert_eq!(with_token, has(b"\nx-aws-ec2-metadata-token:"), "{text}");
            assert!(!with_token || !has(b"\nx-forwarded-for:"), "{text}");
        }
        Verdict::Mint { ttl_seconds } => {
            assert_ne!(word, Word::Disabled, "{text}");
            assert!(line.starts_with(b"PUT /latest/api/token HTTP/1."), "{text}");
            assert!((1..=21_600).contains(&ttl_seconds), "{text}");
            assert!(has(b"\nx-aws-ec2-metadata-token-ttl-seconds:") && !has(b"\nx-forwarded-for:"), "{text}");
        }
        Verdict::TokenPathOptions => assert!(line.starts_with(b"OPTIONS /latest/api/token HTTP/1."), "{text}"),
        Verdict::Refuse(_) => {}
    }
}
