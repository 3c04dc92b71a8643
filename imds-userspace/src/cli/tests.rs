use super::*;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use std::io::BufReader;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

/// How long a daemon waits for its next client.
const CLIENT_WAIT: Duration = Duration::from_secs(10);

/// What a run of `imdsctl` came to.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    code: u8,
    output: String,
    errors: String,
}

fn run_words(words: &[&str]) -> Outcome {
    let arguments = Arguments::try_parse_from([&["imdsctl"], words].concat()).expect("parsed");
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let mut streams =
        Streams { input: &mut io::empty(), output: &mut output, errors: &mut errors, terminal: false, colour: false };
    let code = run_on(arguments, &mut streams);
    Outcome { code, output: String::from_utf8(output).expect("text"), errors: String::from_utf8(errors).expect("text") }
}

/// Runs `imdsctl` against a daemon that gives these replies, a connection each.
fn run_against(replies: &[&str], words: &[&str]) -> Outcome {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let socket = directory.path().join("imdsd.sock");
    let listener = UnixListener::bind(&socket).expect("bound");
    set_socket_timeout(&listener, Timeout::Recv, Some(CLIENT_WAIT)).expect("a client is not waited for forever");
    thread::scope(|scope| {
        scope.spawn(move || {
            for reply in replies {
                let (mut stream, _) = listener.accept().expect("a client");
                io::BufRead::read_line(&mut BufReader::new(&stream), &mut String::new()).expect("a request");
                writeln!(stream, "{reply}").expect("written");
            }
        });
        run_words(&[words, &["--socket", socket.to_str().expect("text")]].concat())
    })
}

fn refusal(words: &[&str]) -> ErrorKind {
    let error = Arguments::try_parse_from([&["imdsctl"], words].concat()).expect_err("refused");
    assert_eq!(error.exit_code(), 2, "{words:?}");
    error.kind()
}

#[test]
fn the_arguments_are_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn misuse_is_refused() {
    use ErrorKind::{
        ArgumentConflict, DisplayHelpOnMissingArgumentOrSubcommand, InvalidValue, MissingRequiredArgument,
        UnknownArgument, ValueValidation,
    };
    let set = ["options", "set"];
    let hop = "--http-put-response-hop-limit";
    let cases: &[(&[&str], ErrorKind)] = &[
        (&[], DisplayHelpOnMissingArgumentOrSubcommand),
        (&["instance"], DisplayHelpOnMissingArgumentOrSubcommand),
        (&["instance", "create"], MissingRequiredArgument),
        (&["instance", "create", "--interface", "a", "--credentials-file", "f"], MissingRequiredArgument),
        (&["instance", "create", "--interface", "a", "--private-ip", "fe80::1"], ValueValidation),
        (&["instance", "create", "--interface", "a", "--frobnicate"], UnknownArgument),
        (&["instance", "show"], MissingRequiredArgument),
        (&["options", "show"], MissingRequiredArgument),
        (&["identity", "verify", "--document", "d"], MissingRequiredArgument),
        (&["identity", "verify", "--pkcs7", "p"], MissingRequiredArgument),
        (&[set[0], set[1], "i-1"], MissingRequiredArgument),
        (&[set[0], set[1], "--all"], MissingRequiredArgument),
        (&[set[0], set[1], "--http-tokens", "required"], MissingRequiredArgument),
        (&[set[0], set[1], "i-1", "--all", "--http-tokens", "required"], ArgumentConflict),
        (&[set[0], set[1], "i-1", "--http-tokens", "sometimes"], InvalidValue),
        (&[set[0], set[1], "i-1", "--http-tokens", "required", "--http-tokens", "optional"], ArgumentConflict),
        (&[set[0], set[1], "i-1", "--http-endpoint", "on"], InvalidValue),
        (&[set[0], set[1], "i-1", hop, "0"], ValueValidation),
        (&[set[0], set[1], "i-1", hop, "65"], ValueValidation),
        (&[set[0], set[1], "i-1", hop, "-1"], ValueValidation),
        (&[set[0], set[1], "i-1", hop, "two"], ValueValidation),
        (&["stats", "--output", "yaml"], InvalidValue),
        (&["completions", "tcsh"], InvalidValue),
    ];
    for (words, kind) in cases {
        assert_eq!(refusal(words), *kind, "{words:?}");
    }
    let error = Arguments::try_parse_from(["imdsctl", "options", "set", "i-1", hop, "65"]).expect_err("refused");
    assert!(error.to_string().contains("specify an integer from 1 to 64"), "{error}");
}

#[test]
fn the_help_of_each_command_has_an_about_and_examples() {
    fn check(command: &mut clap::Command) {
        let help = command.render_long_help().to_string();
        let name = command.get_name().to_owned();
        assert!(command.get_about().is_some_and(|about| !about.to_string().contains('\n')), "{name}");
        assert!(help.contains("Examples:\n  imdsctl "), "{name}: {help}");
        command.get_subcommands_mut().filter(|inner| inner.get_name() != "help").for_each(check);
    }
    let mut command = Arguments::command();
    check(&mut command);
    let help = command.render_long_help().to_string();
    for words in ["Exit codes:", "IMDSD_SOCKET", "/run/imdsd/imdsd.sock"] {
        assert!(help.contains(words), "{help}");
    }
    for code in 0..=5 {
        assert!(help.contains(&format!("\n  {code}  ")), "{help}");
    }
}

#[test]
fn the_examples_in_the_help_are_commands() {
    let texts = [
        help::TOP,
        help::INSTANCE,
        help::INSTANCE_CREATE,
        help::INSTANCE_LIST,
        help::INSTANCE_SHOW,
        help::INSTANCE_DELETE,
        help::INSTANCE_UPDATE,
        help::METADATA,
        help::METADATA_GET,
        help::METADATA_SET,
        help::METADATA_UNSET,
        help::METADATA_SCHEMA,
        help::EVENT,
        help::EVENT_SPOT,
        help::EVENT_REBALANCE,
        help::EVENT_MAINTENANCE,
        help::EVENT_LIFECYCLE,
        help::EVENT_CLEAR,
        help::APPLY,
        help::OPTIONS,
        help::OPTIONS_SHOW,
        help::OPTIONS_SET,
        help::STATS,
        help::INTERFACE,
        help::INTERFACE_RELEASE,
        help::EXPLAIN,
        help::TRACE,
        help::KEYS,
        help::KEYS_ROTATE,
        help::COMPLETIONS,
        help::MAN,
    ];
    for text in texts {
        let text = text.replace("\\\n", " ");
        for example in text.lines().map(str::trim).filter(|line| line.starts_with("imdsctl ")) {
            let words = example.split_whitespace().take_while(|word| !["|", ">", "<"].contains(word));
            assert!(Arguments::try_parse_from(words).is_ok(), "{example}");
        }
    }
}

#[test]
fn a_reply_is_printed() {
    let listed = run_against(&["{\"ok\":{\"instances\":[]}}"], &["instance", "list", "--output", "json"]);
    assert_eq!(listed, Outcome { code: 0, output: "[]\n".into(), errors: String::new() });
}

#[test]
fn descriptions_are_checked_before_they_are_applied() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("instances.json");
    let text = r#"{"instances":[{"instance-id":"i-1","interfaces":["a"]},{"instance-id":"i-2","interfaces":["b"]}]}"#;
    std::fs::write(&file, text).expect("written");
    let reply = |first: &str, second: &str| {
        let one = |id, outcome, message| {
            format!(r#"{{"instance_id":"{id}","outcome":"{outcome}","changed":[],"claimed":[7],"message":{message}}}"#)
        };
        format!(r#"{{"ok":{{"applied":[{},{}]}}}}"#, one("i-1", first, "null"), one("i-2", second, "\"no tap\""))
    };
    let words = ["apply", "-f", file.to_str().expect("text")];
    let planned = reply("created", "unchanged");
    let dry = run_against(&[&planned], &[&words[..], &["--dry-run"]].concat());
    assert_eq!((dry.code, dry.output.as_str()), (0, "to create i-1\nunchanged i-2: no tap\n"));
    let done = run_against(&[&planned, &reply("created", "failed")], &words);
    assert_eq!((done.code, done.output.as_str()), (1, "created i-1\nfailed i-2: no tap\n"));
    assert!(done.errors.starts_with("imdsctl: 1 of 2 instances are not as described"), "{}", done.errors);
    let refused = r#"{"error":{"kind":"invalid","message":"instance i-2: no"}}"#;
    assert_eq!(run_against(&[refused], &words).code, 2, "nothing is applied after that");
}

#[test]
fn the_schema_is_printed() {
    assert_eq!(run_words(&["metadata", "schema"]).output, SCHEMA);
}

#[test]
fn a_document_is_printed_whole_or_in_part() {
    let reply = r#"{"ok":{"document":{"ami-id":"ami-1","placement":{"region":"lab"}}}}"#;
    let whole = run_against(&[reply], &["metadata", "get", "i-1"]);
    assert_eq!(whole.output, "{\n  \"ami-id\": \"ami-1\",\n  \"placement\": {\n    \"region\": \"lab\"\n  }\n}\n");
    assert_eq!(run_against(&[reply], &["metadata", "get", "i-1", "placement/region"]).output, "lab\n");
    let json = run_against(&[reply], &["metadata", "get", "i-1", "placement/region", "--output", "json"]);
    assert_eq!(json.output, "\"lab\"\n");
    let absent = run_against(&[reply], &["metadata", "get", "i-1", "iam/credentials"]);
    assert_eq!((absent.code, absent.output.as_str()), (3, ""));
    assert!(absent.errors.contains("nothing that may be shown stands at iam/credentials"), "{}", absent.errors);
}

#[test]
fn a_refusal_is_told_with_its_code() {
    let reply = r#"{"error":{"kind":"not_found","message":"no instance i-1; see `imdsctl instance list`\u001b[2J"}}"#;
    let outcome = run_against(&[reply], &["instance", "show", "i-1"]);
    let errors = "imdsctl: no instance i-1; see `imdsctl instance list`\\u{1b}[2J\n".to_owned();
    assert_eq!(outcome, Outcome { code: 3, output: String::new(), errors });
}

#[test]
fn no_daemon_is_told() {
    let outcome = run_words(&["--socket", "/nonexistent/imdsd.sock", "instance", "list"]);
    let errors = "imdsctl: no imdsd answers at /nonexistent/imdsd.sock (No such file or directory); \
                  start it with `imdsd`, or give --socket PATH\n";
    assert_eq!(outcome, Outcome { code: 1, output: String::new(), errors: errors.into() });
}

#[test]
fn bad_input_is_told_before_the_daemon_is_asked() {
    let create = ["--socket", "/nonexistent/imdsd.sock", "instance", "create", "--interface", "tap0"];
    for (words, message) in [
        (["--tag", "Name"], "--tag: 'Name' has no '='"),
        (["--metadata-options", "HttpToken=required"], "--metadata-options: no option is named 'HttpToken'"),
        (["--document", "/nonexistent/data"], "/nonexistent/data can't be read"),
        (["--user-data-file", "/nonexistent/data"], "user data file /nonexistent/data can't be read"),
    ] {
        let outcome = run_words(&[&create[..], &words].concat());
        assert_eq!(outcome.code, 2, "{outcome:?}");
        assert!(outcome.errors.starts_with(&format!("imdsctl: {message}")), "{outcome:?}");
    }
}

#[test]
fn watching_appends_a_document_a_line_until_the_daemon_is_gone() {
    let reply = "{\"ok\":{\"stats\":{\"instances\":[],\"host\":null}}}";
    let outcome = run_against(&[reply, reply], &["stats", "--watch", "--output", "json"]);
    assert_eq!(outcome.output, "{\"instances\":[],\"host\":null}\n".repeat(2));
    assert_eq!(outcome.code, 1);
    assert!(outcome.errors.starts_with("imdsctl: no imdsd answers at "), "{outcome:?}");
}

#[test]
fn a_file_that_others_may_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("role.json");
    let text = r#"{"AccessKeyId": "A", "SecretAccessKey": "S", "Token": "T", "Expiration": "2030-01-01T00:00:00Z"}"#;
    std::fs::write(&path, text).expect("written");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("permissions");
    let file = path.to_str().expect("text");
    let words = ["instance", "create", "--interface", "a", "--iam-role", "r", "--credentials-file", file];
    let reply = r#"{"error":{"kind":"conflict","message":"taken"}}"#;
    let outcome = run_against(&[reply], &words);
    assert_eq!(outcome.code, 4);
    let warning = format!("imdsctl: warning: credentials file {file} is readable by others (mode 0644); run `chmod");
    assert!(outcome.errors.starts_with(&warning), "{outcome:?}");
}

#[test]
fn a_reader_who_has_gone_away_is_no_failure() {
    struct Failing(io::ErrorKind);
    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for (kind, code) in [(io::ErrorKind::BrokenPipe, 0), (io::ErrorKind::StorageFull, 1)] {
        let arguments = Arguments::try_parse_from(["imdsctl", "man"]).expect("parsed");
        let mut errors = Vec::new();
        let mut streams = Streams {
            input: &mut io::empty(),
            output: &mut Failing(kind),
            errors: &mut errors,
            terminal: false,
            colour: false,
        };
        assert_eq!(run_on(arguments, &mut streams), code, "{kind}");
        assert_eq!(errors.is_empty(), code == 0);
    }
}

#[test]
fn pages_are_written_and_listed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let outcome = run_words(&["man", directory.path().to_str().expect("text")]);
    assert_eq!(outcome.code, 0);
    assert!(outcome.output.lines().all(|line| Path::new(line).is_file()), "{outcome:?}");
    assert_eq!(outcome.output.lines().count(), 39);
}
