use imds_common::sender::Sender;
use proptest::prelude::*;

use super::*;

const DEFAULTS: Budgets = Budgets { packets: 1_024, requests: 7 };

fn limits(json: &str) -> Limits {
    Limits::default().changed(&changes(json)).expect(json)
}

fn changes(json: &str) -> LimitChanges {
    serde_json::from_str(json).expect(json)
}

#[test]
fn what_is_left_out_keeps_its_value() {
    let all = r#"{"allow-addresses":["10.0.0.1","10.0.0.1/32","fd00::/64"],"allow-macs":["0A:00:00:00:00:01"],"packet-budget":5,"request-budget":0}"#;
    let limits = limits(all);
    assert_eq!(limits.changed(&LimitChanges::default()), Ok(limits.clone()));
    let view = limits.view(DEFAULTS);
    assert_eq!(view.allow_addresses, ["10.0.0.1", "fd00::/64"]);
    assert_eq!(view.allow_macs, ["0a:00:00:00:00:01"]);
    assert_eq!((view.packet_budget, view.request_budget), (5, 0));
    let none = r#"{"allow-addresses":[],"allow-macs":[],"packet-budget":"default","request-budget":"default"}"#;
    assert_eq!(limits.changed(&changes(none)), Ok(Limits::default()));
    assert_eq!(Limits::default().budgets(DEFAULTS), DEFAULTS);
}

#[test]
fn what_is_stored_is_read_again() {
    assert_eq!(serde_json::to_string(&Limits::default()).expect("JSON"), "{}");
    for json in [
        "{}",
        r#"{"allow-addresses":["10.0.0.0/8","fe80::/10"]}"#,
        r#"{"allow-macs":["02:00:00:00:00:01"],"packet-budget":0,"request-budget":1000000}"#,
    ] {
        let limits = limits(json);
        let text = serde_json::to_string(&limits).expect("JSON");
        assert_eq!(serde_json::from_str::<Limits>(&text).expect("the same"), limits, "{text}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let many: Vec<_> = (0..=ADDRESSES).map(|last| format!("\"10.0.0.{last}\"")).collect();
    for (json, words) in [
        (
            r#"{"allow-addresses":["10.0.0.1/24"]}"#.to_owned(),
            "allow-address: '10.0.0.1/24' can't be listed; specify the network",
        ),
        (r#"{"allow-addresses":["any"]}"#.to_owned(), "allow-address: 'any' can't be listed; specify an IPv4 or IPv6"),
        (r#"{"allow-macs":["x"]}"#.to_owned(), "allow-mac: 'x' can't be listed; specify six pairs"),
        (format!("{{\"allow-addresses\":[{}]}}", many.join(",")), "allow-address has 17 entries, at most 16 have room"),
        (
            r#"{"packet-budget":-1}"#.to_owned(),
            "packet-budget is 0 to 1000000 a second, 0 for no limit, or 'default'; got -1",
        ),
        (r#"{"request-budget":1000001}"#.to_owned(), "request-budget is 0 to 1000000 a second"),
    ] {
        let error = Limits::default().changed(&changes(&json)).expect_err(&json).to_string();
        assert!(error.starts_with(words), "{error}");
    }
    for json in [r#"{"packet-budget":"none"}"#, r#"{"packet-budget":1.5}"#, r#"{"allow-address":[]}"#] {
        assert!(serde_json::from_str::<LimitChanges>(json).is_err(), "{json}");
    }
}

#[test]
fn between_two_lists_only_what_both_have_passes() {
    let senders = |a: &str, b: &str| senders(&limits(a), &limits(b));
    let one = r#"{"allow-addresses":["10.0.0.0/24","10.1.0.1"],"allow-macs":["02:00:00:00:00:01"]}"#;
    let other = r#"{"allow-addresses":["10.0.0.7","10.1.0.0/16","10.2.0.1"],"allow-macs":["02:00:00:00:00:02"]}"#;
    let both = senders(one, other).expect("lists");
    let passed = |last: [u8; 4]| both.allows_address(&Sender::v4(last));
    assert!(passed([10, 0, 0, 7]) && passed([10, 1, 0, 1]));
    assert!(!passed([10, 0, 0, 8]) && !passed([10, 1, 0, 2]) && !passed([10, 2, 0, 1]));
    assert!(!both.allows_mac([2, 0, 0, 0, 0, 1]) && !both.allows_mac([2, 0, 0, 0, 0, 2]));
    assert_eq!(senders(one, one), senders("{}", one));
    assert_eq!(senders("{}", "{}"), None);
    let apart = senders(r#"{"allow-addresses":["10.0.0.1"]}"#, r#"{"allow-addresses":["10.0.0.2"]}"#).expect("lists");
    assert!(!apart.allows_address(&Sender::v4([10, 0, 0, 1])) && !apart.allows_address(&Sender::v4([10, 0, 0, 2])));
}

#[test]
fn no_rate_is_the_loosest() {
    assert_eq!([(0, 0), (0, 5), (5, 0), (3, 5), (5, 3)].map(|(a, b)| stricter(a, b)), [0, 5, 5, 3, 3]);
}

fn lists() -> impl Strategy<Value = Limits> {
    let network = (0_u8..4, 30_u8..=32)
        .prop_map(|(last, bits)| format!("10.0.0.{}/{bits}", u32::from(last) >> (32 - bits) << (32 - bits)));
    prop::collection::vec(network, 0..5).prop_map(|list| {
        let changes = LimitChanges { allow_addresses: Some(list), ..LimitChanges::default() };
        Limits::default().changed(&changes).expect("networks")
    })
}

proptest! {
    #[test]
    fn both_let_through_what_each_does(a in lists(), b in lists(), last in 0_u8..5) {
        let passes = |a: &Limits, b: &Limits| {
            senders(a, b).is_none_or(|senders| senders.allows_address(&Sender::v4([10, 0, 0, last])))
        };
        prop_assert_eq!(passes(&a, &b), passes(&a, &a) && passes(&b, &b));
    }
}
