use super::*;
use crate::dataplane::attach::Attach;
use crate::metadata::document::{LifecycleState, MaintenanceCode, SpotAction};
use crate::registry::request::{BudgetChange, LimitChanges, OptionChanges};
use clap::Parser;
use serde_json::json;
use std::io;

fn invocation(words: &str) -> Invocation {
    let arguments = Arguments::try_parse_from(words.split_whitespace()).expect(words);
    Invocation::new(arguments, &mut io::empty()).expect(words)
}

fn asked(words: &str) -> (Command, View) {
    match invocation(words).action {
        Action::Ask { command, view } => (command, view),
        other => panic!("{words}: {other:?}"),
    }
}

#[test]
fn each_command_asks_for_its_own() {
    assert!(matches!(asked("imdsctl instance list"), (Command::InstanceList, View::Instances)));
    assert!(matches!(
        asked("imdsctl instance show i-1"),
        (Command::InstanceShow { instance_id }, View::Instance) if instance_id == "i-1"
    ));
    for (words, released) in [("imdsctl instance delete i-1", false), ("imdsctl instance delete i-1 --release", true)] {
        let (command, view) = asked(words);
        assert!(
            matches!(&command, Command::InstanceDelete { instance_id, release } if instance_id == "i-1" && *release == released),
            "{command:?}"
        );
        assert_eq!(view, View::Deletion { released });
    }
    assert!(matches!(
        asked("imdsctl interface release tap0"),
        (Command::InterfaceRelease { interface }, View::Release) if interface == "tap0"
    ));
    for (words, how) in [
        ("imdsctl interface attach tap0 tc+xdp-driver", Some(Attach::TcXdpDriver)),
        ("imdsctl interface attach tap0", None),
    ] {
        let (command, view) = asked(words);
        let is_it =
            matches!(&command, Command::InterfaceAttach { interface, attach } if interface == "tap0" && *attach == how);
        assert!(is_it && view == View::Change, "{command:?}");
    }
    assert!(matches!(
        asked("imdsctl instance restart i-1"),
        (Command::InstanceRestart { instance_id }, View::Instance) if instance_id == "i-1"
    ));
    for (words, dsa) in [("imdsctl identity certificate", false), ("imdsctl identity certificate --dsa", true)] {
        assert_eq!(asked(words).1, View::Certificate { dsa }, "{words}");
        assert!(matches!(asked(words).0, Command::IdentityCertificates), "{words}");
    }
    assert!(matches!(
        asked("imdsctl options show i-1"),
        (Command::InstanceShow { instance_id }, View::OptionsOfOne) if instance_id == "i-1"
    ));
    assert!(matches!(asked("imdsctl stats"), (Command::Stats { instance_id: None }, View::Stats)));
    assert!(matches!(
        asked("imdsctl stats i-1"),
        (Command::Stats { instance_id: Some(id) }, View::Stats) if id == "i-1"
    ));
    for (words, force) in [("imdsctl keys rotate", false), ("imdsctl keys rotate --force", true)] {
        let (command, view) = asked(words);
        assert!(matches!(command, Command::KeysRotate { force: asked } if asked == force), "{words}");
        assert_eq!(view, View::Keys);
    }
    assert!(matches!(
        invocation("imdsctl stats i-1 --watch").action,
        Action::Watch { instance_id: Some(id) } if id == "i-1"
    ));
    assert!(matches!(invocation("imdsctl completions zsh").action, Action::Completions(Shell::Zsh)));
    assert!(matches!(invocation("imdsctl man").action, Action::Man(None)));
    assert!(matches!(invocation("imdsctl man dir").action, Action::Man(Some(dir)) if dir.to_str() == Some("dir")));
}

#[test]
fn socket_and_output_stand_before_or_after_the_command() {
    for words in ["imdsctl --socket s --output json stats", "imdsctl stats --socket s --output json"] {
        let invocation = invocation(words);
        assert_eq!(invocation.socket, PathBuf::from("s"));
        assert_eq!(invocation.format, Format::Json);
    }
    assert_eq!(invocation("imdsctl stats").format, Format::Table);
}

#[test]
fn options_are_set_as_given_and_the_others_left_out() {
    let (command, view) = asked(
        "imdsctl options set i-1 --http-tokens required --http-put-response-hop-limit 64 --http-endpoint enabled \
         --http-protocol-ipv6 disabled --instance-metadata-tags enabled",
    );
    let Command::OptionsSet { instance_id, changes } = command else { panic!("{command:?}") };
    assert_eq!(view, View::OptionsOfEach);
    assert_eq!(instance_id.as_deref(), Some("i-1"));
    let expected = OptionChanges {
        http_tokens: Some("required".into()),
        http_put_response_hop_limit: Some(64),
        http_endpoint: Some("enabled".into()),
        http_protocol_ipv6: Some("disabled".into()),
        instance_metadata_tags: Some("enabled".into()),
    };
    assert_eq!(changes, expected);

    let (command, _) = asked("imdsctl options set --all --http-endpoint disabled");
    let Command::OptionsSet { instance_id: None, changes } = command else { panic!("{command:?}") };
    assert_eq!(changes, OptionChanges { http_endpoint: Some("disabled".into()), ..OptionChanges::default() });
}

#[test]
fn limits_are_set_as_given_and_the_others_left_out() {
    let set = |words: &str| match asked(&format!("imdsctl limits set i-1 {words}")) {
        (Command::LimitsSet { instance_id, changes }, View::Limits) if instance_id == "i-1" => changes,
        other => panic!("{words}: {other:?}"),
    };
    let none = LimitChanges::default();
    let some = |list: &[&str]| Some(list.iter().map(|&entry| entry.to_owned()).collect::<Vec<_>>());
    let (rate, default) = (Some(BudgetChange::Rate(5)), Some(BudgetChange::Default));
    for (words, expected) in [
        ("--allow-address 10.0.0.0/8", LimitChanges { allow_addresses: some(&["10.0.0.0/8"]), ..none.clone() }),
        ("--any-address", LimitChanges { allow_addresses: some(&[]), ..none.clone() }),
        ("--any-mac --packet-budget 5", LimitChanges { allow_macs: some(&[]), packet_budget: rate, ..none.clone() }),
        ("--request-budget default", LimitChanges { request_budget: default, ..none.clone() }),
    ] {
        assert_eq!(set(words), expected, "{words}");
    }
    for words in [
        "",
        "--allow-address 10.0.0.1/8",
        "--allow-address any",
        "--allow-address 10.0.0.1 --any-address",
        "--allow-mac 01:00:00:00:00:00",
        "--allow-mac 02:00:00:00:00:01 --any-mac",
        "--packet-budget -1",
        "--packet-budget 1000001",
        "--request-budget none",
    ] {
        let words = format!("imdsctl limits set i-1 {words}");
        assert!(Arguments::try_parse_from(words.split_whitespace()).is_err(), "{words}");
    }
    assert!(matches!(
        asked("imdsctl limits show i-1"),
        (Command::InstanceShow { instance_id }, View::Limits) if instance_id == "i-1"
    ));
}

#[test]
fn an_instance_is_created_from_everything_that_is_given() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let credentials = directory.path().join("role.json");
    let text = r#"{"AccessKeyId": "A", "SecretAccessKey": "S", "Token": "T", "Expiration": "2030-01-01T00:00:00Z"}"#;
    std::fs::write(&credentials, text).expect("written");
    let words = format!(
        "imdsctl instance create --interface tap0 --interface tap1 --instance-id i-1 --image-id ami-1 \
         --instance-type m5.large --availability-zone eu-west-1b --private-ip 10.1.2.3 --hostname web \
         --account-id 123456789012 --iam-role web --credentials-file {} --tag Name=web --tag q=a=b \
         --user-data-file - --metadata-options HttpTokens=required,HttpPutResponseHopLimit=2 \
         --allow-address 10.1.2.3 --allow-address fd00::/64 --allow-mac 02:00:00:00:00:0A --packet-budget 0",
        credentials.display()
    );
    let arguments = Arguments::try_parse_from(words.split_whitespace()).expect("parsed");
    let invocation = Invocation::new(arguments, &mut &b"data"[..]).expect("valid");
    let Action::Ask { command: Command::InstanceCreate(create), view: View::Instance } = invocation.action else {
        panic!("{:?}", invocation.action)
    };
    let document = json!({
        "account-id": "123456789012",
        "ami-id": "ami-1",
        "hostname": "web",
        "iam": {
            "role": "web",
            "credentials": {
                "AccessKeyId": "A", "SecretAccessKey": "S", "Token": "T", "Expiration": "2030-01-01T00:00:00Z",
            },
        },
        "instance-type": "m5.large",
        "local-hostname": "web",
        "local-ipv4": "10.1.2.3",
        "placement": { "availability-zone": "eu-west-1b" },
        "tags": { "Name": "web", "q": "a=b" },
        "user-data": { "base64": "ZGF0YQ==" },
    });
    assert_eq!(create.document.0, document);
    let expected = CreateInstance {
        interfaces: vec!["tap0".into(), "tap1".into()],
        attach: None,
        instance_id: Some("i-1".into()),
        document: Json(document),
        metadata_options: OptionChanges {
            http_tokens: Some("required".into()),
            http_put_response_hop_limit: Some(2),
            ..OptionChanges::default()
        },
        limits: LimitChanges {
            allow_addresses: Some(vec!["10.1.2.3".into(), "fd00::/64".into()]),
            allow_macs: Some(vec!["02:00:00:00:00:0a".into()]),
            packet_budget: Some(BudgetChange::Rate(0)),
            request_budget: None,
        },
    };
    assert_eq!(*create, expected);

    let (command, _) = asked("imdsctl instance create --interface tap0");
    let Command::InstanceCreate(create) = command else { panic!("{command:?}") };
    let document = Json(json!({}));
    assert_eq!(*create, CreateInstance { interfaces: vec!["tap0".into()], document, ..CreateInstance::default() });
}

#[test]
fn flags_come_before_the_document() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("instance.json");
    let text = r#"{"ami-id": "ami-1", "tags": {"a": "1", "b": "2"}, "user-data": {"text": "x"}, "placement": {"host-id": "h-1"}}"#;
    std::fs::write(&file, text).expect("written");
    let words = format!(
        "imdsctl instance create --interface tap0 --document {} --image-id ami-2 --tag b=3 --user-data-file - \
         --availability-zone eu-west-1b",
        file.display()
    );
    let arguments = Arguments::try_parse_from(words.split_whitespace()).expect("parsed");
    let invocation = Invocation::new(arguments, &mut &b"data"[..]).expect("valid");
    let Action::Ask { command: Command::InstanceCreate(create), .. } = invocation.action else { panic!() };
    let expected = json!({
        "ami-id": "ami-2",
        "tags": { "a": "1", "b": "3" },
        "user-data": { "base64": "ZGF0YQ==" },
        "placement": { "host-id": "h-1", "availability-zone": "eu-west-1b" },
    });
    assert_eq!(create.document.0, expected);
}

#[test]
fn changes_and_events_are_asked_for() {
    let change = |words: &str| match asked(words) {
        (Command::DocumentChange { instance_id, change }, View::Change) if instance_id == "i-1" => *change,
        other => panic!("{words}: {other:?}"),
    };
    let set = Change::Set { path: "tags/Name".into(), value: Json("-5".into()) };
    assert_eq!(change("imdsctl metadata set i-1 tags/Name -5"), set);
    assert_eq!(change("imdsctl metadata unset i-1 tags/Name"), Change::Unset { path: "tags/Name".into() });
    let maintenance = |duration, code| Event::Maintenance { seconds: 120, duration, code, description: None };
    for (words, event) in [
        ("spot-interruption i-1", Event::SpotInterruption { seconds: 120, action: SpotAction::Terminate }),
        (
            "spot-interruption i-1 --in 90s --action stop",
            Event::SpotInterruption { seconds: 90, action: SpotAction::Stop },
        ),
        ("rebalance i-1", Event::Rebalance { seconds: 0 }),
        ("rebalance i-1 --in 1h30m", Event::Rebalance { seconds: 5400 }),
        (
            "maintenance i-1 --in 1d --for 1m --code instance-stop --description why",
            Event::Maintenance {
                seconds: 86_400,
                duration: Some(60),
                code: MaintenanceCode::InstanceStop,
                description: Some("why".into()),
            },
        ),
        ("maintenance i-1", maintenance(Some(600), MaintenanceCode::SystemReboot)),
        ("maintenance i-1 --code instance-stop", maintenance(None, MaintenanceCode::InstanceStop)),
        ("maintenance i-1 --code instance-retirement", maintenance(None, MaintenanceCode::InstanceRetirement)),
        ("maintenance i-1 --for 1ms", maintenance(Some(1), MaintenanceCode::SystemReboot)),
        ("rebalance i-1 --in 1500ms", Event::Rebalance { seconds: 2 }),
        ("rebalance i-1 --in 0ms", Event::Rebalance { seconds: 0 }),
        ("lifecycle i-1 Warmed:Running", Event::Lifecycle { seconds: 0, state: LifecycleState::WarmedRunning }),
        ("clear i-1", Event::Clear),
    ] {
        assert_eq!(change(&format!("imdsctl event {words}")), Change::Event(event), "{words}");
    }
    for words in ["spot-interruption i-1 --in soon", "lifecycle i-1 Asleep", "spot-interruption i-1 --action sleep"] {
        let words = format!("imdsctl event {words}");
        assert!(Arguments::try_parse_from(words.split_whitespace()).is_err(), "{words}");
    }
    assert!(matches!(
        asked("imdsctl metadata get i-1 tags"),
        (Command::DocumentGet { instance_id }, View::Document(Some(path))) if instance_id == "i-1" && path == "tags"
    ));
}
