use super::*;

fn changes(json: &str) -> Result<Changes, OptionsError> {
    Changes::parse(&serde_json::from_str(json).expect("test JSON"))
}

fn applied(current: &str, json: &str) -> Result<MetadataOptions, OptionsError> {
    let current = changes(current).expect("valid").replace(&MetadataOptions::default());
    changes(json)?.apply(&current, std::iter::empty(), Scope::One)
}

#[test]
fn what_is_left_out_keeps_its_value() {
    let open = applied("{}", "{}").expect("nothing to refuse");
    assert_eq!(open, MetadataOptions::default());
    let current = r#"{"HttpTokens":"required","HttpPutResponseHopLimit":7,"InstanceMetadataTags":"enabled"}"#;
    let kept = applied(current, r#"{"HttpProtocolIpv6":"enabled"}"#).expect("valid");
    assert_eq!(kept.http_tokens, HttpTokens::Required);
    assert_eq!(kept.http_put_response_hop_limit.get(), 7);
    assert!(kept.instance_metadata_tags.is_enabled() && kept.http_protocol_ipv6.is_enabled());
}

#[test]
fn a_bad_value_is_refused_in_ec2s_words() {
    let cases = [
        (
            r#"{"HttpTokens":"on"}"#,
            "A value of 'on' is not valid for HttpTokens. Specify either 'optional' or 'required' and try again.",
        ),
        (
            r#"{"HttpEndpoint":""}"#,
            "A value of '' is not valid for HttpEndpoint. Specify either 'enabled' or 'disabled' and try again.",
        ),
        (
            r#"{"HttpProtocolIpv6":"Enabled"}"#,
            "A value of 'Enabled' is not valid for HttpProtocolIpv6. Specify either 'enabled' or 'disabled' and try again.",
        ),
        (
            r#"{"InstanceMetadataTags":"\u0007"}"#,
            "A value of '\\u{7}' is not valid for InstanceMetadataTags. Specify either 'enabled' or 'disabled' and try again.",
        ),
        (r#"{"HttpPutResponseHopLimit":0}"#, "HttpPutResponseHopLimit is 1 to 64, got 0"),
        (r#"{"HttpPutResponseHopLimit":65}"#, "HttpPutResponseHopLimit is 1 to 64, got 65"),
        (r#"{"HttpPutResponseHopLimit":257}"#, "HttpPutResponseHopLimit is 1 to 64, got 257"),
        (r#"{"HttpPutResponseHopLimit":-1}"#, "HttpPutResponseHopLimit is 1 to 64, got -1"),
    ];
    for (json, message) in cases {
        assert_eq!(changes(json).expect_err(json).to_string(), message);
    }
}

#[test]
fn options_that_need_the_endpoint_are_refused_without_it() {
    let off = r#"{"HttpEndpoint":"disabled"}"#;
    for (json, option) in [
        (r#"{"HttpTokens":"required"}"#, "HttpTokens"),
        (r#"{"HttpPutResponseHopLimit":2}"#, "HttpPutResponseHopLimit"),
        (r#"{"HttpProtocolIpv6":"disabled"}"#, "HttpProtocolIpv6"),
    ] {
        assert_eq!(applied(off, json), Err(OptionsError::EndpointDisabled { option }), "{json}");
        let together = json.replace('}', r#","HttpEndpoint":"disabled"}"#);
        assert_eq!(applied("{}", &together), Err(OptionsError::EndpointDisabled { option }), "{together}");
        let enabling = json.replace('}', r#","HttpEndpoint":"enabled"}"#);
        assert!(applied(off, &enabling).is_ok(), "{enabling}");
    }
    assert!(applied(off, r#"{"InstanceMetadataTags":"enabled"}"#).is_ok());
    assert!(applied("{}", off).is_ok());
}

#[test]
fn one_without_its_endpoint_is_changed_among_all() {
    let off = MetadataOptions { http_endpoint: Switch::Disabled, ..MetadataOptions::default() };
    let among_all = |json: &str| changes(json).expect("valid").apply(&off, std::iter::empty(), Scope::All);
    let next = among_all(r#"{"HttpTokens":"required","HttpPutResponseHopLimit":2}"#).expect("not asked for by name");
    assert_eq!((next.http_tokens, next.http_endpoint), (HttpTokens::Required, Switch::Disabled));
    let together = among_all(r#"{"HttpTokens":"required","HttpEndpoint":"disabled"}"#);
    assert_eq!(together, Err(OptionsError::EndpointDisabled { option: "HttpTokens" }));
}

#[test]
fn tags_are_shown_only_under_keys_that_can_be_paths() {
    let enabled = changes(r#"{"InstanceMetadataTags":"enabled"}"#).expect("valid");
    let apply =
        |changes: &Changes, key: &str| changes.apply(&MetadataOptions::default(), std::iter::once(key), Scope::All);
    for key in ["Name", "a+b-c=d.e,f_g:h@i", "_index2", "..."] {
        assert!(apply(&enabled, key).is_ok(), "{key}");
    }
    for key in ["", ".", "..", "_index", "a b", "a/b", "ä", "a\n"] {
        assert_eq!(apply(&enabled, key), Err(OptionsError::TagKey { key: key.to_owned() }));
        assert!(apply(&Changes::default(), key).is_ok(), "{key}");
    }
}

#[test]
fn the_strictest_takes_nothing_away_from_either() {
    let a = applied("{}", r#"{"HttpTokens":"required","HttpPutResponseHopLimit":9,"HttpProtocolIpv6":"enabled"}"#);
    let b = applied("{}", r#"{"HttpPutResponseHopLimit":3,"InstanceMetadataTags":"enabled"}"#);
    let (a, b) = (a.expect("valid"), b.expect("valid"));
    let expected = applied("{}", r#"{"HttpTokens":"required","HttpPutResponseHopLimit":3}"#).expect("valid");
    assert_eq!(strictest(&a, &b), expected);
    assert_eq!(strictest(&b, &a), expected);
    let off = MetadataOptions { http_endpoint: Switch::Disabled, ..a };
    assert_eq!(strictest(&a, &off), off);
}
