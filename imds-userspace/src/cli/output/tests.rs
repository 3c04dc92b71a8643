use super::*;
use crate::dataplane::attach::Attach;
use crate::registry::request::{Applied, ApplyOutcome, Part};
use crate::registry::view::{
    InstanceStats, InstanceView, InterfaceView, KeysView, LimitsView, OptionsView, ReleasedInterface, StatsView,
};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

const TABLE: Printer = Printer { format: Format::Table, colour: false };
const JSON: Printer = Printer { format: Format::Json, colour: false };

pub(in crate::cli) fn instance() -> InstanceView {
    InstanceView {
        instance_id: "i-0123456789abcdef0".into(),
        interfaces: vec![
            InterfaceView {
                name: "tap0".into(),
                ifindex: Some(7),
                slot: 1,
                status: "enforced".into(),
                attachment: Some(Attach::Tc),
            },
            InterfaceView { name: "tap1".into(), ifindex: None, slot: 2, status: "absent".into(), attachment: None },
        ],
        metadata_options: OptionsView {
            state: "applied".into(),
            http_tokens: "required".into(),
            http_put_response_hop_limit: 2,
            http_endpoint: "enabled".into(),
            http_protocol_ipv6: "disabled".into(),
            instance_metadata_tags: "disabled".into(),
        },
        limits: LimitsView {
            allow_addresses: vec!["10.0.0.5".into(), "fd00::/64".into()],
            allow_macs: Vec::new(),
            packet_budget: 1_024,
            request_budget: 0,
        },
        image_id: "ami-00000000000000000".into(),
        instance_type: "t3.micro".into(),
        availability_zone: "us-east-1a".into(),
        private_ip: Some(Ipv4Addr::new(10, 0, 0, 5)),
        ipv6: None,
        hostname: "ip-10-0-0-5.ec2.internal".into(),
        account_id: "123456789012".into(),
        iam_role: Some("web".into()),
        credentials_provider: Some("file".into()),
        credentials_expiration: Some("2030-01-01T00:00:00Z".into()),
        tags: BTreeMap::from([("Name".into(), "web".into()), ("stage".into(), "a=b".into())]),
        user_data_bytes: Some(120),
    }
}

fn bare_instance() -> InstanceView {
    let mut instance = instance();
    instance.instance_id = "i-1".into();
    instance.interfaces.truncate(1);
    instance.metadata_options.state = "pending".into();
    (instance.iam_role, instance.credentials_provider) = (None, None);
    (instance.credentials_expiration, instance.user_data_bytes) = (None, None);
    instance.tags.clear();
    instance
}

fn counters(counted: &[(&str, u64)]) -> BTreeMap<String, u64> {
    counted.iter().map(|(name, count)| (name.to_string(), *count)).collect()
}

fn stats() -> StatsView {
    StatsView {
        instances: vec![InstanceStats {
            instance_id: "i-0123456789abcdef0".into(),
            metadata_no_token: 1,
            metadata_no_token_rejected: 23,
            tokens_issued: 4,
            requests: 56,
            kernel: counters(&[
                ("answered", 23),
                ("delivered", 7890),
                ("dropped-port", 0),
                ("dropped-vlan", 3),
                ("limited", 5),
                ("refused-token-missing", 22),
            ]),
            daemon: counters(&[("refused-malformed", 0), ("refused-token-missing", 1)]),
        }],
        host: Some(counters(&[("delivered", 0), ("dropped-unowned", 9)])),
    }
}

#[test]
fn a_list_has_a_line_for_each_instance() {
    let text = TABLE.render(&View::Instances, Payload::Instances(vec![instance(), bare_instance()])).expect("rendered");
    assert_eq!(
        text,
        "\
Instance             Type      Zone        Private IP  Interfaces           HttpTokens  HopLimit  HttpEndpoint  State
i-0123456789abcdef0  t3.micro  us-east-1a  10.0.0.5    tap0, tap1 (absent)  required    2         enabled       applied
i-1                  t3.micro  us-east-1a  10.0.0.5    tap0                 required    2         enabled       pending
"
    );
}

#[test]
fn one_instance_has_a_line_for_each_value() {
    let text = TABLE.render(&View::Instance, Payload::Instance(Box::new(instance()))).expect("rendered");
    assert_eq!(
        text,
        "\
Instance                 i-0123456789abcdef0
Image                    ami-00000000000000000
Type                     t3.micro
Zone                     us-east-1a
Account                  123456789012
Private IP               10.0.0.5
Hostname                 ip-10-0-0-5.ec2.internal
Interface                tap0: enforced by tc, index 7, slot 1
Interface                tap1: absent, slot 2
Role                     web (file), credentials expire 2030-01-01T00:00:00Z
Tag                      Name=web
Tag                      stage=a=b
User data                120 bytes
HttpTokens               required
HttpPutResponseHopLimit  2
HttpEndpoint             enabled
HttpProtocolIpv6         disabled
InstanceMetadataTags     disabled
Addresses                10.0.0.5, fd00::/64
MACs                     any
Packet budget            1024 a second
Request budget           none
State                    applied
"
    );
    let limits = TABLE.render(&View::Limits, Payload::Instance(Box::new(instance()))).expect("rendered");
    let expected = "\
Instance        i-0123456789abcdef0
Addresses       10.0.0.5, fd00::/64
MACs            any
Packet budget   1024 a second
Request budget  none
";
    assert_eq!(limits, expected);
    let bare = TABLE.render(&View::Instance, Payload::Instance(Box::new(bare_instance()))).expect("rendered");
    for label in ["Role", "\nTag ", "User data", "tap1"] {
        assert!(!bare.contains(label), "{bare}");
    }
}

#[test]
fn a_deletion_says_what_becomes_of_the_interfaces() {
    for (released, line) in [
        (false, "closed until another instance takes it or it is released: tap0, tap1"),
        (true, "released: tap0, tap1"),
    ] {
        let view = View::Deletion { released };
        let text = TABLE.render(&view, Payload::Instance(Box::new(instance()))).expect("rendered");
        assert_eq!(text, format!("deleted i-0123456789abcdef0\n{line}\n"));
    }
}

#[test]
fn what_was_applied_is_a_line_for_each_instance() {
    let applied = |outcome, changed: &[Part], message: Option<&str>| Applied {
        instance_id: "i-1".into(),
        outcome,
        changed: changed.to_vec(),
        claimed: Vec::new(),
        message: message.map(str::to_owned),
    };
    let all =
        [Part::Document, Part::Options, Part::Limits, Part::UserData, Part::Credentials, Part::Tags, Part::Attach];
    let all = || {
        Payload::Applied(vec![
            applied(ApplyOutcome::Created, &[], None),
            applied(ApplyOutcome::Updated, &all, None),
            applied(ApplyOutcome::Failed, &[Part::Options], Some("no")),
        ])
    };
    let text = TABLE.render(&View::Applied { check: false }, all()).expect("rendered");
    let expected = "\
created i-1
updated i-1: document, options, limits, user data, credentials, tags, attach
failed i-1: no; changed before that: options
";
    assert_eq!(text, expected);
    let json = JSON.render(&View::Applied { check: true }, all()).expect("rendered");
    assert!(json.contains("\"user_data\"") && !json.contains("claimed"), "{json}");
}

#[test]
fn a_release_is_one_line() {
    let interface = || Payload::Interface(ReleasedInterface { name: "tap0".into(), ifindex: 7 });
    assert_eq!(TABLE.render(&View::Release, interface()).expect("rendered"), "released tap0\n");
    let json = JSON.render(&View::Release, interface()).expect("rendered");
    assert_eq!(json, "{\n  \"name\": \"tap0\",\n  \"ifindex\": 7\n}\n");
}

#[test]
fn options_stand_under_their_names_with_their_state() {
    let expected = "\
Instance             State    HttpTokens  HttpPutResponseHopLimit  HttpEndpoint  HttpProtocolIpv6  InstanceMetadataTags
i-0123456789abcdef0  applied  required    2                        enabled       disabled          disabled
";
    let one = TABLE.render(&View::OptionsOfOne, Payload::Instance(Box::new(instance()))).expect("rendered");
    let each = TABLE.render(&View::OptionsOfEach, Payload::Instances(vec![instance()])).expect("rendered");
    assert_eq!(one, expected);
    assert_eq!(each, expected);
}

#[test]
fn counters_stand_in_columns_and_reasons_below_where_they_happened() {
    let expected = "\
Instance             MetadataNoToken  MetadataNoTokenRejected  Tokens issued  Requests  Delivered  Answered  Limited
i-0123456789abcdef0                1                       23              4        56       7890        23        5

Instance             By      Reason                 Count
i-0123456789abcdef0  kernel  dropped-vlan               3
i-0123456789abcdef0  kernel  refused-token-missing     22
i-0123456789abcdef0  daemon  refused-token-missing      1
(host)               kernel  dropped-unowned            9
";
    for view in [View::Stats, View::StatsOverTime] {
        assert_eq!(TABLE.render(&view, Payload::Stats(stats())).expect("rendered"), expected);
    }
    let quiet = StatsView { instances: Vec::new(), host: None };
    let text = TABLE.render(&View::Stats, Payload::Stats(quiet)).expect("rendered");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn a_rotation_says_which_tokens_are_good() {
    let view = |ended| KeysView { key: 3, previous: 2, ended, next_rotation: "2030-01-01T06:00:00Z".into() };
    let text = TABLE.render(&View::Keys, Payload::Keys(view(None))).expect("rendered");
    assert_eq!(
        text,
        "key 3 signs from now on; tokens of key 2 stay good\n\
         a further rotation ends no good token from 2030-01-01T06:00:00Z on\n"
    );
    let text = TABLE.render(&View::Keys, Payload::Keys(view(Some(1)))).expect("rendered");
    assert_eq!(text.lines().nth(1), Some("tokens of key 1 are ended"), "{text}");
    let json = JSON.render(&View::Keys, Payload::Keys(view(None))).expect("rendered");
    assert_eq!(serde_json::from_str::<KeysView>(&json).expect("keys"), view(None));
}

#[test]
fn json_is_the_payload_itself() {
    let options = JSON.render(&View::OptionsOfOne, Payload::Instance(Box::new(instance()))).expect("rendered");
    assert_eq!(
        options,
        "\
{
  \"State\": \"applied\",
  \"HttpTokens\": \"required\",
  \"HttpPutResponseHopLimit\": 2,
  \"HttpEndpoint\": \"enabled\",
  \"HttpProtocolIpv6\": \"disabled\",
  \"InstanceMetadataTags\": \"disabled\"
}
"
    );
    for view in [View::Instance, View::Deletion { released: false }] {
        let text = JSON.render(&view, Payload::Instance(Box::new(instance()))).expect("rendered");
        assert_eq!(serde_json::from_str::<InstanceView>(&text).expect("an instance"), instance());
    }
    for view in [View::Instances, View::OptionsOfEach] {
        let text = JSON.render(&view, Payload::Instances(vec![instance()])).expect("rendered");
        assert_eq!(serde_json::from_str::<Vec<InstanceView>>(&text).expect("instances"), [instance()]);
    }
    let pretty = JSON.render(&View::Stats, Payload::Stats(stats())).expect("rendered");
    assert_eq!(serde_json::from_str::<StatsView>(&pretty).expect("counters"), stats());
    assert!(pretty.contains("\n        \"dropped-port\": 0,\n"), "every counter is there: {pretty}");
    let line = JSON.render(&View::StatsOverTime, Payload::Stats(stats())).expect("rendered");
    assert_eq!(line.find('\n'), Some(line.len() - 1), "a document a line");
    assert_eq!(serde_json::from_str::<StatsView>(&line).expect("counters"), stats());
}

#[test]
fn colours_are_there_only_where_wanted() {
    let payload = || Payload::Instances(vec![instance(), bare_instance()]);
    let coloured = Printer { colour: true, ..TABLE }.render(&View::Instances, payload()).expect("rendered");
    assert!(coloured.contains("\x1b["), "{coloured}");
    assert!(!TABLE.render(&View::Instances, payload()).expect("rendered").contains('\x1b'));
    assert!(!Printer { colour: true, ..JSON }.render(&View::Instances, payload()).expect("rendered").contains('\x1b'));
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let mut instance = instance();
    instance.tags = BTreeMap::from([("a\x1b[2Jb".into(), "c\nd\u{9b}e ä".into())]);
    let text = TABLE.render(&View::Instance, Payload::Instance(Box::new(instance))).expect("rendered");
    assert!(text.contains("Tag                      a\\u{1b}[2Jb=c\\nd\\u{9b}e ä\n"), "{text}");
}

#[test]
fn a_payload_of_another_kind_is_an_error() {
    let cases = [
        (View::Instance, Payload::Instances(Vec::new())),
        (View::Deletion { released: false }, Payload::Stats(stats())),
        (View::Release, Payload::Stats(stats())),
        (View::Keys, Payload::Stats(stats())),
        (View::Instances, Payload::Instance(Box::new(instance()))),
        (View::OptionsOfOne, Payload::Instances(Vec::new())),
        (View::OptionsOfEach, Payload::Instance(Box::new(instance()))),
        (View::Stats, Payload::Instances(Vec::new())),
        (View::StatsOverTime, Payload::Instances(Vec::new())),
    ];
    for (view, payload) in cases {
        assert!(matches!(TABLE.render(&view, payload), Err(Error::Payload)), "{view:?}");
    }
}

#[test]
fn certificates_are_printed_as_they_are() {
    let view = CertificatesView { rsa: "an RSA one\n".into(), dsa: "a DSA one\n".into() };
    let print = |printer: Printer, dsa| {
        printer.render(&View::Certificate { dsa }, Payload::Certificates(view.clone())).expect("rendered")
    };
    assert_eq!((print(TABLE, false), print(TABLE, true)), (view.rsa.clone(), view.dsa.clone()));
    assert_eq!(print(JSON, true), "{\n  \"rsa\": \"an RSA one\\n\",\n  \"dsa\": \"a DSA one\\n\"\n}\n");
    assert_eq!(TABLE.verified(&["signature", "pkcs7"]).expect("rendered"), "signature: good\npkcs7: good\n");
    assert_eq!(JSON.verified(&["pkcs7"]).expect("rendered"), "{\n  \"good\": [\n    \"pkcs7\"\n  ]\n}\n");
}
