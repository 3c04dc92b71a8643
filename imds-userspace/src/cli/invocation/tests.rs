use super::*;
use crate::control::protocol::OptionChanges;
use clap::Parser;
use std::collections::BTreeMap;
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
    assert!(matches!(
        asked("imdsctl instance delete i-1"),
        (Command::InstanceDelete { instance_id }, View::Deletion) if instance_id == "i-1"
    ));
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
fn an_instance_is_created_from_everything_that_is_given() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let credentials = directory.path().join("role.json");
    let text = r#"{"AccessKeyId": "A", "SecretAccessKey": "S", "Token": "T", "Expiration": "2030-01-01T00:00:00Z"}"#;
    std::fs::write(&credentials, text).expect("written");
    let words = format!(
        "imdsctl instance create --interface tap0 --interface tap1 --instance-id i-1 --image-id ami-1 \
         --instance-type m5.large --availability-zone eu-west-1b --private-ip 10.1.2.3 --hostname web \
         --account-id 123456789012 --iam-role web --credentials-file {} --tag Name=web --tag q=a=b \
         --user-data-file - --metadata-options HttpTokens=required,HttpPutResponseHopLimit=2",
        credentials.display()
    );
    let arguments = Arguments::try_parse_from(words.split_whitespace()).expect("parsed");
    let invocation = Invocation::new(arguments, &mut &b"data"[..]).expect("valid");
    let Action::Ask { command: Command::InstanceCreate(create), view: View::Instance } = invocation.action else {
        panic!("{:?}", invocation.action)
    };
    let given = create.credentials.as_ref().expect("credentials");
    assert_eq!((given.access_key_id.as_str(), given.token.as_str()), ("A", "T"));
    let expected = CreateInstance {
        interfaces: vec!["tap0".into(), "tap1".into()],
        instance_id: Some("i-1".into()),
        image_id: Some("ami-1".into()),
        instance_type: Some("m5.large".into()),
        availability_zone: Some("eu-west-1b".into()),
        private_ip: Some([10, 1, 2, 3].into()),
        hostname: Some("web".into()),
        account_id: Some("123456789012".into()),
        iam_role: Some("web".into()),
        credentials: create.credentials.clone(),
        tags: BTreeMap::from([("Name".into(), "web".into()), ("q".into(), "a=b".into())]),
        user_data: Some(EncodedUserData("ZGF0YQ==".into())),
        metadata_options: OptionChanges {
            http_tokens: Some("required".into()),
            http_put_response_hop_limit: Some(2),
            ..OptionChanges::default()
        },
    };
    assert_eq!(*create, expected);

    let (command, _) = asked("imdsctl instance create --interface tap0");
    let Command::InstanceCreate(create) = command else { panic!("{command:?}") };
    assert_eq!(*create, CreateInstance { interfaces: vec!["tap0".into()], ..CreateInstance::default() });
}
