//! Bad input of every kind: a clear error that names the thing and the way out, and nothing half done.

use imds_tests::credentials::ROLE;
use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::names;

const ADDRESS: &str = "10.0.0.1";
const ID: &str = "i-0123456789abcdef0";
/// A parser's error, and a request that the daemon says is wrong.
const INVALID: i32 = 2;
const NOT_FOUND: i32 = 3;

/// Runs `imdsctl`: refused with `code` by words that contain each of `words`, and no instance changed by it.
#[track_caller]
fn assert_refused(host: &Host, arguments: &[&str], code: i32, words: &[&str]) {
    let before = host.ask(&["instance", "list"]);
    let refused = host.ctl(arguments);
    assert_eq!(refused.code, Some(code), "{arguments:?}: {}{}", refused.stdout, refused.stderr);
    for word in words {
        assert!(refused.stderr.contains(word), "{arguments:?}: {word} is not in: {}", refused.stderr);
    }
    assert!(refused.stdout.is_empty(), "{arguments:?}: {}", refused.stdout);
    assert_eq!(host.ask(&["instance", "list"]), before, "{arguments:?}");
}

#[test]
fn of_an_instance() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let create = ["instance", "create", "--interface", guest.interface()];
    let with = |more: &'static [&'static str]| [&create[..], more].concat();
    for id in ["0123456789abcdef0", "i-xyz", "i-0123456789ABCDEF0", "i-0123", "i-", ""] {
        let words = [id, "8 or 17", "hexadecimal digits"];
        assert_refused(&host, &[&create[..], &["--instance-id", id]].concat(), INVALID, &words);
    }
    for (more, words) in [
        (&["--image-id", "image"][..], &["image", "ami-"][..]),
        (&["--instance-type", "huge"], &["huge", "t3.micro"]),
        (&["--availability-zone", "moon"], &["moon", "us-east-1a"]),
        (&["--account-id", "12"], &["12", "twelve digits"]),
        (&["--private-ip", "10.0.0.256"], &["10.0.0.256"]),
        (&["--hostname", "a b"], &["a b"]),
        (&["--tag", "Name"], &["Name", "KEY=VALUE"]),
        (&["--tag", "a=1", "--tag", "a=2"], &["'a'", "twice"]),
        (&["--iam-role", "web"], &["--credentials-file"]),
        (&["--no-such-option", "1"], &["--no-such-option"]),
    ] {
        assert_refused(&host, &with(more), INVALID, words);
    }
    for command in
        [&["instance", "show", ID][..], &["instance", "delete", ID], &["stats", ID], &["options", "show", ID]]
    {
        assert_refused(&host, command, NOT_FOUND, &[ID, "does not exist", "imdsctl instance list"]);
    }
}

#[test]
fn of_options() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let create = ["instance", "create", "--interface", guest.interface(), "--metadata-options"];
    for (options, words) in [
        ("HttpTokens=maybe", &["HttpTokens", "maybe", "'optional' or 'required'"][..]),
        ("HttpPutResponseHopLimit=0", &["HttpPutResponseHopLimit", "'0'", "1 to 64"]),
        ("HttpPutResponseHopLimit=65", &["HttpPutResponseHopLimit", "'65'", "1 to 64"]),
        ("HttpEndpoint=on", &["HttpEndpoint", "on", "'enabled' or 'disabled'"]),
        ("HttpToken=required", &["HttpToken", "names are", "HttpTokens"]),
        ("HttpTokens", &["HttpTokens", "NAME=VALUE"]),
        ("HttpEndpoint=disabled,HttpTokens=required", &["HttpTokens", "HttpEndpoint", "disabled"]),
    ] {
        assert_refused(&host, &[&create[..], &[options]].concat(), INVALID, words);
    }

    let id = host.create(guest.interface(), &[]);
    let set = ["options", "set", &id];
    for (options, words) in [
        (&["--http-put-response-hop-limit", "0"][..], &["--http-put-response-hop-limit", "'0'", "1 to 64"][..]),
        (&["--http-put-response-hop-limit", "65"], &["--http-put-response-hop-limit", "'65'", "1 to 64"]),
        (&["--http-put-response-hop-limit", "-1"], &["'-1'", "1 to 64"]),
        (&["--http-tokens", "maybe"], &["maybe", "optional", "required"]),
        (&["--http-endpoint", "on"], &["on", "enabled", "disabled"]),
        (&["--http-token", "required"], &["--http-token"]),
        (&[], &["--http-tokens"]),
        (&["--http-endpoint", "disabled", "--http-tokens", "required"], &["HttpTokens", "HttpEndpoint"]),
    ] {
        assert_refused(&host, &[&set[..], options].concat(), INVALID, words);
    }
    host.set(&id, &["--http-endpoint", "disabled"]);
    let words = ["HttpTokens", "HttpEndpoint is disabled", "set HttpEndpoint to enabled"];
    assert_refused(&host, &[&set[..], &["--http-tokens", "required"]].concat(), INVALID, &words);
    assert_refused(&host, &["options", "set", ID, "--http-tokens", "required"], NOT_FOUND, &[ID]);
}

#[test]
fn a_disabled_instance_keeps_none_of_the_others_from_a_change() {
    let host = Host::start();
    let guests = [Guest::on_veth(ADDRESS), Guest::on_veth(ADDRESS), Guest::on_veth(ADDRESS)];
    let ids = guests.each_ref().map(|guest| host.create(guest.interface(), &[]));
    host.set(&ids[1], &["--http-endpoint", "disabled"]);
    let both = ["options", "set", "--all", "--http-endpoint", "disabled", "--http-tokens", "required"];
    assert_refused(&host, &both, INVALID, &["HttpTokens", "HttpEndpoint"]);
    let statuses = || guests.each_ref().map(|guest| guest.get("/latest/meta-data/", None).status);
    assert_eq!(statuses(), [200, 403, 200], "nothing was changed");
    let all = ["options", "set", "--all", "--http-tokens", "required"];
    assert_eq!(host.ctl(&all).code, Some(0));
    assert_eq!(statuses(), [401, 403, 401]);
}

#[test]
fn of_user_data() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let create = ["instance", "create", "--interface", guest.interface(), "--user-data-file"];
    let missing = names::directory().join("no-such-file");
    let missing = missing.to_str().expect("UTF-8");
    assert_refused(&host, &[&create[..], &[missing]].concat(), INVALID, &[missing, "No such file"]);
    let directory = names::directory();
    let directory = directory.to_str().expect("UTF-8");
    assert_refused(&host, &[&create[..], &[directory]].concat(), INVALID, &[directory, "directory"]);
    // One that is there and can't be read, and one without an end.
    let unreadable = "/proc/self/mem";
    assert_refused(&host, &[&create[..], &[unreadable]].concat(), INVALID, &[unreadable, "Input/output error"]);
    assert_refused(&host, &[&create[..], &["/dev/zero"]].concat(), INVALID, &["/dev/zero", "16384"]);
    let large = names::file("large", &[b'x'; 16 * 1024 + 1], 0o600);
    let large = large.to_str().expect("UTF-8");
    assert_refused(&host, &[&create[..], &[large]].concat(), INVALID, &[large, "16385", "16384"]);
    let most = names::file("most", &[b'x'; 16 * 1024], 0o600);
    host.create(guest.interface(), &["--user-data-file", most.to_str().expect("UTF-8")]);
}

#[test]
fn of_credentials() {
    const SECRET: &str = "a-secret-that-nobody-prints";
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let create = ["instance", "create", "--interface", guest.interface(), "--iam-role", ROLE, "--credentials-file"];
    for (content, words) in [
        (format!("{{\n\"Token\": \"{SECRET}\",,\n}}"), &["line 2", "JSON"][..]),
        (format!("[\"{SECRET}\"]"), &["object", "AccessKeyId"]),
        (format!("{{\"AccessKeyId\": \"{SECRET}\"}}"), &["SecretAccessKey"]),
        (
            format!(
                "{{\"AccessKeyId\": 1, \"SecretAccessKey\": \"{SECRET}\", \"Token\": \"t\", \"Expiration\": \"e\"}}"
            ),
            &["AccessKeyId", "string"],
        ),
        (
            format!(
                "{{\"AccessKeyId\": \"A\", \"SecretAccessKey\": \"{SECRET}\", \"Token\": \"t\", \"Expiration\": \"e\"}}"
            ),
            &["xpiration"],
        ),
    ] {
        let file = names::file("role.json", content.as_bytes(), 0o600);
        let arguments = [&create[..], &[file.to_str().expect("UTF-8")]].concat();
        assert_refused(&host, &arguments, INVALID, words);
        let said = host.ctl(&arguments).stderr;
        assert!(!said.contains(SECRET), "{said}");
        assert!(!host.log().contains(SECRET), "{}", host.log());
    }
}

#[test]
fn of_the_control_socket() {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixStream;

    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let _ = host.create(guest.interface(), &[]);
    let before = host.ask(&["instance", "list"]);
    let say = |line: &[u8]| -> String {
        let mut stream = UnixStream::connect(host.socket()).expect("imdsd listens");
        stream.set_read_timeout(Some(imds_tests::wait::LIMIT)).expect("a time-out");
        // A daemon that has enough may hang up in the middle.
        let _ = stream.write_all(line);
        let mut reply = String::new();
        let _ = BufReader::new(stream).read_line(&mut reply);
        reply
    };
    for (line, word) in [
        (&b"no JSON\n"[..], "error"),
        (b"{}\n", "error"),
        (b"{\"version\":99,\"command\":\"instance_list\"}\n", "version"),
        (b"{\"version\":1,\"command\":\"no_such_command\"}\n", "error"),
    ] {
        let reply = say(line);
        assert!(reply.contains(word), "{}: {reply}", String::from_utf8_lossy(line));
    }
    let endless = vec![b'x'; 4 * 1024 * 1024];
    let reply = say(&endless);
    assert!(!reply.contains("\"ok\""), "{reply}");
    assert_eq!(host.ask(&["instance", "list"]), before, "it lives on");
}
