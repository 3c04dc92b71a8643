use proptest::prelude::*;

use super::*;
use crate::options::{HttpTokens, MetadataOptions, Switch};

fn word(http_tokens: HttpTokens, http_endpoint: Switch) -> OptionsWord {
    OptionsWord::new(&MetadataOptions { http_tokens, http_endpoint, ..MetadataOptions::default() }, false)
}

fn optional() -> OptionsWord {
    word(HttpTokens::Optional, Switch::Enabled)
}

fn required() -> OptionsWord {
    word(HttpTokens::Required, Switch::Enabled)
}

const GET: Request = Request {
    malformed: false,
    method: Method::Get,
    target: Target::Tree,
    forwarded: false,
    token: TokenHeader::Absent,
    ttl: TtlHeader::Missing,
};

const PUT: Request = Request { method: Method::Put, target: Target::Token, ttl: TtlHeader::Seconds(60), ..GET };

/// Request, valid token → verdict in `optional`, in `required`, and what the kernel refuses in `required`.
#[test]
fn the_table_of_the_verdicts() {
    use Refusal::{
        Forwarded, Malformed, PutElsewhere, TokenInvalid, TokenMissing, TokenPathMethod, TreeMethod, TtlInvalid,
    };
    use Verdict::{Mint, Refuse, Serve, TokenPathOptions};
    let with_token = Request { token: TokenHeader::One, ..GET };
    let rows = [
        (GET, false, Serve { with_token: false }, Refuse(TokenMissing), Some(TokenMissing)),
        (
            Request { forwarded: true, ..GET },
            false,
            Serve { with_token: false },
            Refuse(TokenMissing),
            Some(TokenMissing),
        ),
        (
            Request { ttl: TtlHeader::Unread, ..GET },
            false,
            Serve { with_token: false },
            Refuse(TokenMissing),
            Some(TokenMissing),
        ),
        (with_token, true, Serve { with_token: true }, Serve { with_token: true }, None),
        (with_token, false, Refuse(TokenInvalid), Refuse(TokenInvalid), Some(TokenInvalid)),
        (Request { forwarded: true, ..with_token }, true, Refuse(Forwarded), Refuse(Forwarded), None),
        (PUT, false, Mint { ttl_seconds: 60 }, Mint { ttl_seconds: 60 }, None),
        (Request { token: TokenHeader::One, ..PUT }, false, Mint { ttl_seconds: 60 }, Mint { ttl_seconds: 60 }, None),
        (Request { forwarded: true, ..PUT }, false, Refuse(Forwarded), Refuse(Forwarded), Some(Forwarded)),
        (
            Request { forwarded: true, ttl: TtlHeader::Missing, ..PUT },
            false,
            Refuse(Forwarded),
            Refuse(Forwarded),
            Some(Forwarded),
        ),
        (Request { ttl: TtlHeader::Missing, ..PUT }, false, Refuse(TtlInvalid), Refuse(TtlInvalid), None),
        (Request { ttl: TtlHeader::Invalid, ..PUT }, false, Refuse(TtlInvalid), Refuse(TtlInvalid), None),
        (Request { ttl: TtlHeader::Unread, ..PUT }, false, Refuse(TtlInvalid), Refuse(TtlInvalid), None),
        (Request { method: Method::Options, ..PUT }, false, TokenPathOptions, TokenPathOptions, None),
        (Request { method: Method::Get, ..PUT }, true, Refuse(TokenPathMethod), Refuse(TokenPathMethod), None),
        (Request { method: Method::Head, ..PUT }, true, Refuse(TokenPathMethod), Refuse(TokenPathMethod), None),
        (Request { method: Method::Other, ..PUT }, true, Refuse(TokenPathMethod), Refuse(TokenPathMethod), None),
        (Request { target: Target::Tree, ..PUT }, true, Refuse(PutElsewhere), Refuse(PutElsewhere), None),
        (
            Request { target: Target::Tree, forwarded: true, ..PUT },
            true,
            Refuse(PutElsewhere),
            Refuse(PutElsewhere),
            None,
        ),
        (Request { method: Method::Options, ..GET }, true, Refuse(TreeMethod), Refuse(TreeMethod), None),
        (Request { method: Method::Other, ..GET }, true, Refuse(TreeMethod), Refuse(TreeMethod), None),
        (Request { malformed: true, ..GET }, true, Refuse(Malformed), Refuse(Malformed), None),
        (Request { malformed: true, ..PUT }, true, Refuse(Malformed), Refuse(Malformed), None),
    ];
    for (request, valid, in_optional, in_required, kernel) in rows {
        for method in [request.method, if request.method == Method::Get { Method::Head } else { request.method }] {
            let request = Request { method, ..request };
            assert_eq!(judge(optional(), &request, valid), in_optional, "{request:?}");
            assert_eq!(judge(required(), &request, valid), in_required, "{request:?}");
            assert_eq!(kernel_refusal(required(), &request, valid), kernel, "{request:?}");
            for tokens in [HttpTokens::Optional, HttpTokens::Required] {
                let disabled = word(tokens, Switch::Disabled);
                assert_eq!(judge(disabled, &request, valid), Refuse(Refusal::EndpointDisabled));
                assert_eq!(kernel_refusal(disabled, &request, valid), Some(Refusal::EndpointDisabled));
            }
            assert_eq!(judge(OptionsWord::CLOSED, &request, valid), Refuse(Refusal::EndpointDisabled));
        }
    }
}

#[test]
fn a_word_without_an_owner_refuses_even_if_its_endpoint_looks_enabled() {
    let unowned = OptionsWord::from_bits(optional().bits() & !1);
    assert!(unowned.endpoint_enabled());
    assert_eq!(judge(unowned, &GET, true), Verdict::Refuse(Refusal::EndpointDisabled));
}

#[test]
fn the_kernel_leaves_several_token_headers_to_the_daemon() {
    let several = Request { token: TokenHeader::Several, ..GET };
    assert_eq!(kernel_refusal(required(), &several, false), None);
    assert_eq!(kernel_refusal(optional(), &several, false), None);
    let disabled = word(HttpTokens::Required, Switch::Disabled);
    assert_eq!(kernel_refusal(disabled, &several, false), Some(Refusal::EndpointDisabled));
}

#[test]
fn a_token_is_asked_for_only_where_it_decides() {
    let with_token = Request { token: TokenHeader::One, ..GET };
    assert!(with_token.asks_for_token());
    assert!(Request { method: Method::Head, ..with_token }.asks_for_token());
    assert!(Request { token: TokenHeader::Several, ..GET }.asks_for_token());
    assert!(!GET.asks_for_token());
    for other in [
        Request { malformed: true, ..with_token },
        Request { method: Method::Put, ..with_token },
        Request { method: Method::Other, ..with_token },
        Request { target: Target::Token, ..with_token },
        Request { forwarded: true, ..with_token },
    ] {
        assert!(!other.asks_for_token(), "{other:?}");
    }
}

#[test]
fn a_read_is_a_get_or_head_of_the_tree() {
    assert!(GET.is_read());
    assert!(Request { method: Method::Head, ..GET }.is_read());
    for other in [
        Request { malformed: true, ..GET },
        Request { method: Method::Put, ..GET },
        Request { method: Method::Options, ..GET },
        Request { method: Method::Other, ..GET },
        Request { target: Target::Token, ..GET },
    ] {
        assert!(!other.is_read(), "{other:?}");
    }
}

#[test]
fn a_ttl_keeps_its_bounds() {
    assert_eq!(TtlHeader::from_seconds(0), TtlHeader::Invalid);
    assert_eq!(TtlHeader::from_seconds(1), TtlHeader::Seconds(1));
    assert_eq!(TtlHeader::from_seconds(21_600), TtlHeader::Seconds(21_600));
    assert_eq!(TtlHeader::from_seconds(21_601), TtlHeader::Invalid);
    assert_eq!(TtlHeader::from_seconds(65_537), TtlHeader::Invalid);
}

fn requests() -> impl Strategy<Value = Request> {
    let method = prop::sample::select(vec![Method::Get, Method::Head, Method::Put, Method::Options, Method::Other]);
    let target = prop::sample::select(vec![Target::Token, Target::Tree]);
    let token = prop::sample::select(vec![TokenHeader::Absent, TokenHeader::One, TokenHeader::Several]);
    let ttl = (0..30_000u32).prop_map(TtlHeader::from_seconds);
    (any::<bool>(), method, target, any::<bool>(), token, ttl).prop_map(
        |(malformed, method, target, forwarded, token, ttl)| Request {
            malformed,
            method,
            target,
            forwarded,
            token,
            ttl,
        },
    )
}

proptest! {
    /// Invariant 1: in `required` nothing is served without a valid token.
    #[test]
    fn required_serves_only_with_a_valid_token(request in requests(), valid: bool, bits: u64) {
        let word = OptionsWord::from_bits(bits);
        if let Verdict::Serve { with_token } = judge(word, &request, valid) {
            prop_assert_eq!(with_token, valid && request.asks_for_token());
            prop_assert!(with_token || !word.tokens_required());
            prop_assert!(word.is_owned() && word.endpoint_enabled());
        }
    }

    /// Pages are the daemon's alone.
    #[test]
    fn the_kernel_refuses_nothing_that_has_a_page(request in requests(), valid: bool, bits: u64) {
        let word = OptionsWord::from_bits(bits);
        if word.has_error_pages() {
            prop_assert_eq!(kernel_refusal(word, &request, valid), None);
        }
    }

    /// What the kernel refuses, the daemon refuses with the same answer.
    #[test]
    fn the_kernel_is_never_stricter(request in requests(), valid: bool, bits: u64) {
        let word = OptionsWord::from_bits(bits);
        if let Some(refusal) = kernel_refusal(word, &request, valid) {
            prop_assert_eq!(judge(word, &request, valid), Verdict::Refuse(refusal));
        }
    }
}
