use super::*;

fn all_options() -> impl Iterator<Item = MetadataOptions> {
    let switches = [Switch::Enabled, Switch::Disabled];
    let tokens = [HttpTokens::Optional, HttpTokens::Required];
    let limits = [1u8, 2, 63, 64];
    tokens.into_iter().flat_map(move |http_tokens| {
        limits.into_iter().flat_map(move |limit| {
            switches.into_iter().flat_map(move |http_endpoint| {
                switches.into_iter().flat_map(move |http_protocol_ipv6| {
                    switches.into_iter().map(move |instance_metadata_tags| MetadataOptions {
                        http_tokens,
                        http_put_response_hop_limit: HopLimit::new(limit).expect("in range"),
                        http_endpoint,
                        http_protocol_ipv6,
                        instance_metadata_tags,
                    })
                })
            })
        })
    })
}

#[test]
fn the_word_holds_every_option() {
    for options in all_options() {
        for silent in [false, true] {
            let word = OptionsWord::from_bits(OptionsWord::new(&options, silent).bits());
            assert!(word.is_owned());
            assert_eq!(word.tokens_required(), options.http_tokens == HttpTokens::Required);
            assert_eq!(word.endpoint_enabled(), options.http_endpoint.is_enabled());
            assert_eq!(word.ipv6_enabled(), options.http_protocol_ipv6.is_enabled());
            assert_eq!(word.tags_enabled(), options.instance_metadata_tags.is_enabled());
            assert_eq!(word.refuses_silently(), silent);
            assert!(!word.has_error_pages());
            let pages = word.with_error_pages(true);
            assert_eq!(pages.has_error_pages(), !silent);
            assert_eq!(pages.with_error_pages(false), word);
            assert_eq!(word.hop_limit(), options.http_put_response_hop_limit.get());
        }
    }
}

#[test]
fn a_list_of_senders_and_its_bank_change_nothing_else() {
    let word = OptionsWord::new(&MetadataOptions::default(), true).with_packet_budget(1_024);
    assert!(!word.lists_senders() && word.senders_bank() == 0);
    for (listed, bank) in [(false, 0), (false, 1), (true, 0), (true, 1)] {
        let other = word.with_senders(listed).with_senders_bank(bank);
        assert_eq!((other.lists_senders(), other.senders_bank()), (listed, bank));
        assert_eq!(other.with_senders(false).with_senders_bank(0), word);
        assert_eq!(other.with_senders(true).with_senders_bank(1).bits().count_ones(), word.bits().count_ones() + 2);
    }
}

#[test]
fn a_closed_word_gives_nothing() {
    let word = OptionsWord::CLOSED;
    assert_eq!(word.bits(), 0);
    assert!(!word.is_owned() && !word.endpoint_enabled() && !word.ipv6_enabled() && !word.tags_enabled());
    assert_eq!(word.hop_limit(), 1);
}

#[test]
fn defaults_are_those_of_a_new_instance() {
    let options = MetadataOptions::default();
    assert_eq!(options.http_tokens.as_str(), "optional");
    assert_eq!(options.http_put_response_hop_limit.get(), 1);
    assert_eq!(options.http_endpoint.as_str(), "enabled");
    assert_eq!(options.http_protocol_ipv6.as_str(), "disabled");
    assert_eq!(options.instance_metadata_tags.as_str(), "disabled");
}

#[test]
fn values_are_read_as_ec2_writes_them() {
    assert_eq!("optional".parse(), Ok(HttpTokens::Optional));
    assert_eq!("required".parse(), Ok(HttpTokens::Required));
    assert_eq!("Required".parse::<HttpTokens>(), Err(OptionError::Tokens));
    assert_eq!("enabled".parse(), Ok(Switch::Enabled));
    assert_eq!("disabled".parse(), Ok(Switch::Disabled));
    assert_eq!("".parse::<Switch>(), Err(OptionError::Switch));
    for (text, expected) in
        [("1", Some(1)), ("64", Some(64)), ("0", None), ("65", None), ("-1", None), ("x", None), ("300", None)]
    {
        assert_eq!(text.parse::<HopLimit>().ok().map(HopLimit::get), expected, "{text}");
    }
    assert_eq!(OptionError::Tokens.to_string(), "specify either 'optional' or 'required'");
    assert_eq!(OptionError::Switch.to_string(), "specify either 'enabled' or 'disabled'");
    assert_eq!(OptionError::HopLimit.to_string(), "specify an integer from 1 to 64");
}

#[test]
fn tightening_is_seen_for_each_option() {
    let open = MetadataOptions {
        http_protocol_ipv6: Switch::Enabled,
        instance_metadata_tags: Switch::Enabled,
        ..MetadataOptions::default()
    };
    let tighter = [
        MetadataOptions { http_tokens: HttpTokens::Required, ..open },
        MetadataOptions { http_endpoint: Switch::Disabled, ..open },
        MetadataOptions { http_protocol_ipv6: Switch::Disabled, ..open },
        MetadataOptions { instance_metadata_tags: Switch::Disabled, ..open },
    ];
    let from = OptionsWord::new(&open, false);
    assert!(!from.is_tightened_by(from));
    for options in tighter {
        let to = OptionsWord::new(&options, false);
        assert!(from.is_tightened_by(to), "{options:?}");
        assert!(!to.is_tightened_by(from), "{options:?}");
        assert!(!to.is_tightened_by(to), "{options:?}");
    }
    assert!(from.is_tightened_by(OptionsWord::CLOSED));
    assert!(!OptionsWord::CLOSED.is_tightened_by(from));
}

#[test]
fn a_packet_budget_changes_nothing_else() {
    for options in all_options() {
        let word = OptionsWord::new(&options, true);
        assert_eq!(word.packet_interval_ns(), 0);
        for rate in [1, 1_024, budget::RATE_MAX] {
            let budgeted = word.with_packet_budget(rate);
            assert_eq!(budgeted.packet_interval_ns(), budget::interval_ns(rate));
            assert_eq!(budgeted.with_packet_budget(0), word);
            assert_eq!(budgeted.bits() & 0xffff_ffff, word.bits());
        }
    }
}

#[test]
fn a_trace_changes_nothing_else_and_never_the_closed_word() {
    for options in all_options() {
        let word = OptionsWord::new(&options, true).with_packet_budget(1_024);
        let traced = word.with_trace(true);
        assert!(traced.is_traced() && !word.is_traced());
        assert_eq!(traced.with_trace(true), traced);
        assert_eq!(traced.with_trace(false), word);
        assert_eq!((traced.bits() ^ word.bits()).count_ones(), 1);
        assert!(!word.is_tightened_by(traced) && !traced.is_tightened_by(word));
    }
    assert_eq!(OptionsWord::CLOSED.with_trace(true), OptionsWord::CLOSED);
}
