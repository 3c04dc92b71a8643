//! Identity documents: what a guest reads, checked by OpenSSL and by `imdsctl`, over restarts and new keys.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::process::{self, Output};
use imds_tests::{environment, names};

const ADDRESS: &str = "10.0.0.1";
const LEAVES: [&str; 4] = ["document", "pkcs7", "rsa2048", "signature"];
const README: &str = include_str!("../../README.md");

/// Reads an identity's leaves into files of a new directory.
#[track_caller]
fn read(guest: &Guest, directory: &Path) {
    let path = "/latest/dynamic/instance-identity/";
    assert_eq!(guest.get(path, None).text(), LEAVES.join("\n"));
    for name in LEAVES {
        let answer = guest.get(&format!("{path}{name}"), None);
        assert_eq!((answer.status, answer.header("Content-Type")), (200, Some("text/plain")), "{name}");
        names::write(&directory.join(name), &answer.body, 0o600);
    }
}

fn contents(directory: &Path) -> [Vec<u8>; 4] {
    LEAVES.map(|name| fs::read(directory.join(name)).expect("it was read"))
}

/// Writes the daemon's certificates.
fn certificates(host: &Host, directory: &Path) {
    for (file, arguments) in
        [("rsa.pem", &["identity", "certificate"][..]), ("dsa.pem", &["identity", "certificate", "--dsa"])]
    {
        let printed = host.ctl(arguments);
        assert!(printed.success(), "{}", printed.stderr);
        names::write(&directory.join(file), printed.stdout.as_bytes(), 0o600);
    }
}

fn shell(directory: &Path, line: &str) -> Output {
    process::run(Command::new("sh").args(["-c", line]).current_dir(directory))
}

/// The README's lines for OpenSSL, each with the leaf that it checks.
fn documented() -> Vec<(&'static str, &'static str)> {
    let lines: Vec<_> = README.lines().filter(|line| line.starts_with("    ") && line.contains("openssl ")).collect();
    ["signature", "rsa2048", "pkcs7"]
        .map(|leaf| {
            let word = format!("base64 -d {leaf} ");
            (leaf, *lines.iter().find(|line| line.contains(&word)).unwrap_or_else(|| panic!("no line for {leaf}")))
        })
        .to_vec()
}

/// `imdsctl identity verify`, without a daemon.
fn verify(directory: &Path, certificate: &str, leaf: &str) -> Output {
    let mut command = Command::new(environment::imdsctl());
    command.args(["--socket", "/nonexistent", "identity", "verify", "--document", "document"]);
    command.args(["--certificate", certificate, &format!("--{leaf}"), leaf]).current_dir(directory);
    process::run(&mut command)
}

fn certificate_of(leaf: &str) -> &'static str {
    if leaf == "pkcs7" { "dsa.pem" } else { "rsa.pem" }
}

#[test]
fn the_documented_lines_of_openssl_find_good_and_bad() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let id = host.create(guest.interface(), &["--private-ip", "10.0.0.5"]);
    let directory = names::directory();
    read(&guest, &directory);
    certificates(&host, &directory);
    let document = fs::read_to_string(directory.join("document")).expect("text");
    let json: serde_json::Value = serde_json::from_str(&document).expect("JSON");
    assert_eq!((json["instanceId"].as_str(), json["privateIp"].as_str()), (Some(id.as_str()), Some("10.0.0.5")));
    for (leaf, line) in documented() {
        let found = shell(&directory, line);
        assert!(found.success(), "{line}: {}", found.stderr);
        let checked = verify(&directory, certificate_of(leaf), leaf);
        assert_eq!((checked.code, checked.stdout.as_str()), (Some(0), format!("{leaf}: good\n").as_str()));
    }
    // The lines of AWS's own pages, which put PEM's lines around.
    for leaf in ["pkcs7", "rsa2048"] {
        let certificate = certificate_of(leaf);
        let line = format!(
            "(echo '-----BEGIN PKCS7-----'; cat {leaf}; echo; echo '-----END PKCS7-----') > pem && \
             openssl smime -verify -in pem -inform PEM -certfile {certificate} -noverify -out d && cmp d document"
        );
        let found = shell(&directory, &line);
        assert!(found.success(), "{leaf}: {}", found.stderr);
    }
    // Another document, and another one's keys.
    let forged = document.replace("10.0.0.5", "10.0.0.6");
    for (name, content) in [("document", forged.as_bytes()), ("rsa.pem", STRANGER_RSA), ("dsa.pem", STRANGER_DSA)] {
        let good = fs::read(directory.join(name)).expect("there");
        names::write(&directory.join(name), content, 0o600);
        for (leaf, line) in documented() {
            if name == "document" || name == certificate_of(leaf) {
                assert!(!shell(&directory, line).success(), "{name}: {line}");
                assert_eq!(verify(&directory, certificate_of(leaf), leaf).code, Some(1), "{name}: {leaf}");
            }
        }
        names::write(&directory.join(name), &good, 0o600);
    }
}

#[test]
fn the_documented_lines_see_through_forged_messages() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let _ = host.create(guest.interface(), &[]);
    let directory = names::directory();
    read(&guest, &directory);
    certificates(&host, &directory);
    let refuses = |leaf: &str, line: &str| {
        let found = shell(&directory, line);
        assert!(!found.success(), "{line}: {}", found.stderr);
        assert_eq!(verify(&directory, certificate_of(leaf), leaf).code, Some(1), "{leaf}");
    };
    // The signature stands at the end: another one beside the right document.
    for (leaf, line) in documented() {
        let mut text = fs::read(directory.join(leaf)).expect("it was read");
        let place = text.len() - 12;
        text[place] = if text[place] == b'A' { b'B' } else { b'A' };
        names::write(&directory.join(leaf), &text, 0o600);
        refuses(leaf, line);
    }
    // Somebody else's message, with his certificate in it.
    let forge = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x -keyout key -out cert && \
                 openssl smime -sign -binary -nodetach -in document -signer cert -inkey key -outform DER -out m && \
                 base64 m > rsa2048";
    let forged = shell(&directory, forge);
    assert!(forged.success(), "{}", forged.stderr);
    let (leaf, line) = documented()[1];
    refuses(leaf, line);
}

/// A certificate that has nothing to do with a daemon.
const STRANGER_RSA: &[u8] = include_bytes!("identity/stranger-rsa.pem");
/// A certificate that has nothing to do with a daemon.
const STRANGER_DSA: &[u8] = include_bytes!("identity/stranger-dsa.pem");

#[test]
fn an_identity_is_the_same_bytes_until_the_instance_restarts() {
    let mut host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let id = host.create(guest.interface(), &["--tag", "Name=web"]);
    let (first, second, third) = (names::directory(), names::directory(), names::directory());
    read(&guest, &first);
    host.kill();
    host.launch();
    host.set(&id, &["--instance-metadata-tags", "enabled"]);
    read(&guest, &second);
    assert_eq!(contents(&first), contents(&second));
    // pendingTime has whole seconds.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let token = guest.token();
    assert_eq!(host.ask(&["instance", "restart", &id])["instance_id"], id.as_str());
    read(&guest, &third);
    for (name, (before, after)) in LEAVES.into_iter().zip(contents(&second).iter().zip(&contents(&third))) {
        assert_ne!(before, after, "{name}");
    }
    certificates(&host, &third);
    for leaf in ["signature", "pkcs7", "rsa2048"] {
        assert!(verify(&third, certificate_of(leaf), leaf).success(), "{leaf}");
    }
    assert_eq!(guest.get("/latest/meta-data/tags/instance/Name", Some(&token)).text(), "web", "its token lives on");
    assert_eq!(host.ctl(&["instance", "restart", "i-0123456789abcdef0"]).code, Some(3));
}

#[test]
fn keys_are_the_daemon_s_alone_and_can_be_replaced() {
    let mut host = Host::start();
    let (guest, later) = (Guest::on_veth(ADDRESS), Guest::on_veth(ADDRESS));
    let id = host.create(guest.interface(), &[]);
    let (old, new) = (names::directory(), names::directory());
    certificates(&host, &old);
    for name in ["identity-rsa.pem", "identity-dsa.pem"] {
        let metadata = fs::metadata(host.state_dir().join(name)).expect("made at the first start");
        assert_eq!((metadata.mode() & 0o7777, metadata.uid()), (0o600, 0), "{name}");
    }
    assert!(host.terminate().success());
    fs::remove_file(host.state_dir().join("identity-rsa.pem")).expect("there");
    host.launch();
    certificates(&host, &new);
    let file = |directory: &Path, name| fs::read(directory.join(name)).expect("there");
    assert_ne!(file(&old, "rsa.pem"), file(&new, "rsa.pem"));
    assert_eq!(file(&old, "dsa.pem"), file(&new, "dsa.pem"));
    // Signed by the old key, and good by a file with both certificates.
    let _ = host.create(later.interface(), &[]);
    for (reader, good, bad) in [(&guest, &old, &new), (&later, &new, &old)] {
        let directory = names::directory();
        read(reader, &directory);
        let (good, bad) = (file(good, "rsa.pem"), file(bad, "rsa.pem"));
        names::write(&directory.join("good.pem"), &good, 0o600);
        names::write(&directory.join("bad.pem"), &bad, 0o600);
        names::write(&directory.join("both.pem"), &[bad, good].concat(), 0o600);
        for leaf in ["signature", "rsa2048"] {
            for (certificate, code) in [("good.pem", 0), ("bad.pem", 1), ("both.pem", 0)] {
                let checked = verify(&directory, certificate, leaf);
                assert_eq!(checked.code, Some(code), "{certificate}, {leaf}: {}", checked.stderr);
            }
        }
    }
    host.ask(&["instance", "restart", &id]);
    let directory = names::directory();
    read(&guest, &directory);
    names::write(&directory.join("rsa.pem"), &file(&new, "rsa.pem"), 0o600);
    assert!(verify(&directory, "rsa.pem", "signature").success(), "signed by the new key");
    let path = directory.to_str().expect("UTF-8");
    let arguments = ["identity", "verify", "--document", &format!("{path}/document"), "--signature"];
    let asked = host.ctl(&[&arguments[..], &[&format!("{path}/signature")]].concat());
    assert!(asked.success(), "by the certificates that it asks the daemon for: {}", asked.stderr);
}

#[test]
fn a_bad_signing_key_keeps_the_daemon_from_starting() {
    let mut host = Host::start();
    assert!(host.terminate().success());
    let key = host.state_dir().join("identity-dsa.pem");
    let good = fs::read(&key).expect("there");
    let rsa = fs::read(host.state_dir().join("identity-rsa.pem")).expect("there");
    for (content, mode, words) in
        [(&good[..], 0o644, "chmod 600"), (b"", 0o600, "no section PRIVATE KEY"), (&rsa, 0o600, "one of DSA")]
    {
        names::write(&key, content, mode);
        let output = process::run(&mut host.imdsd());
        assert_eq!(output.code, Some(1), "{words}");
        assert!(output.stderr.contains(words) && output.stderr.contains("identity-dsa.pem"), "{}", output.stderr);
        let secret = String::from_utf8_lossy(&good);
        assert!(!secret.lines().any(|line| line.len() > 40 && output.stderr.contains(line)), "{}", output.stderr);
        assert_eq!(fs::read(&key).expect("there"), content, "it is left as it was");
    }
    names::write(&key, &good, 0o600);
    host.launch();
}

#[test]
fn the_operator_s_own_keys_sign() {
    let directory = names::directory();
    let make = "openssl req -x509 -newkey rsa:3072 -nodes -days 30 -subj /CN=own -keyout k -out rsa.pem && cat k rsa.pem > own.pem";
    let made = shell(&directory, make);
    assert!(made.success(), "{}", made.stderr);
    let own = directory.join("own.pem");
    names::write(&own, &fs::read(&own).expect("made"), 0o600);
    let host = Host::with_config(&format!("[identity]\nrsa-file = \"{}\"\n", own.display()));
    assert!(!host.state_dir().join("identity-rsa.pem").exists());
    let guest = Guest::on_veth(ADDRESS);
    let _ = host.create(guest.interface(), &[]);
    read(&guest, &directory);
    for leaf in ["signature", "rsa2048"] {
        assert!(verify(&directory, "rsa.pem", leaf).success(), "{leaf}");
    }
}
