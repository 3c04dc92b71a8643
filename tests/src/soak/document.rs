//! What an instance's document says over time: one state after the other, all of whose values change at once. A client sees
//! each whole, and none that is older than what it has seen.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::credentials::{self, ACCESS_KEY_ID, ROLE, SECRET_ACCESS_KEY, SESSION_TOKEN};
use crate::host::Host;
use crate::{environment, names, process};

const USER_DATA: &str = "/latest/user-data";
const IDENTITY: &str = "/latest/dynamic/instance-identity/document";
const SIGNATURE: &str = "/latest/dynamic/instance-identity/signature";
/// One of so many changes is followed by a restart.
const RESTART_EVERY: u64 = 3;
/// Lines of user data, all the same: more than a frame holds.
const LINES: usize = 1_000;

/// The states of an instance's document, by their numbers.
pub(super) struct Document {
    /// The last state that the operator began to set, and the last that is set.
    begun: AtomicU64,
    done: AtomicU64,
    /// The last state that was done when the instance restarted: its identity document stays as it was signed then.
    signed: AtomicU64,
    file: PathBuf,
}

impl Document {
    /// That of an instance that isn't created yet: its file holds the first state.
    pub(super) fn new() -> Self {
        let file = names::file("document", state(0).as_bytes(), 0o600);
        Self { begun: AtomicU64::default(), done: AtomicU64::default(), signed: AtomicU64::default(), file }
    }

    /// Where the newest state stands.
    pub(super) fn file(&self) -> &str {
        self.file.to_str().expect("a path in UTF-8")
    }

    /// Sets the next state; at times the instance restarts in it.
    pub(super) fn advance(&self, host: &Host, id: &str) {
        let next = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        names::write(&self.file, state(next).as_bytes(), 0o600);
        host.ask(&["instance", "update", id, "--document", self.file()]);
        self.done.store(next, Ordering::SeqCst);
        if next.is_multiple_of(RESTART_EVERY) {
            host.ask(&["instance", "restart", id]);
            self.signed.store(next, Ordering::SeqCst);
        }
    }

    /// Reads all of it, by what reads a path, and checks it.
    pub(super) fn read(
        &self,
        mut get: impl FnMut(&str) -> io::Result<String>,
        signatures: &Signatures,
    ) -> io::Result<()> {
        let [least, least_signed] = [&self.done, &self.signed].map(|number| number.load(Ordering::SeqCst));
        let of_credentials = number_of_credentials(&get(&credentials::path(ROLE))?);
        let user_data = get(USER_DATA)?;
        let of_user_data = user_data.lines().next().and_then(|line| line.parse().ok()).expect("a number in each line");
        assert_eq!(user_data, lines_of(of_user_data), "user data of two states");
        let (document, signature, after) = (get(IDENTITY)?, get(SIGNATURE)?, get(IDENTITY)?);
        let [of_document, of_after] = [&document, &after].map(|text| number_of_identity(text));
        let most = self.begun.load(Ordering::SeqCst);
        for seen in [[least, of_credentials, of_user_data, most], [least_signed, of_document, of_after, most]] {
            assert!(seen.is_sorted(), "a state that wasn't there, or is older than what was read before: {seen:?}");
        }
        if document == after {
            signatures.check(&document, &signature);
        }
        Ok(())
    }
}

/// A state's document.
fn state(number: u64) -> String {
    let credentials: Value = serde_json::from_str(&credentials::document(&mark(number))).expect("JSON");
    let document = json!({
        "ami-id": format!("ami-{number:017x}"),
        "kernel-id": format!("aki-{number:017x}"),
        "iam": { "role": ROLE, "credentials": credentials },
        "user-data": { "text": lines_of(number) },
    });
    document.to_string()
}

fn mark(number: u64) -> String {
    format!(".{number}")
}

fn lines_of(number: u64) -> String {
    vec![number.to_string(); LINES].join("\n")
}

/// The number that all three values of credentials have.
#[track_caller]
fn number_of_credentials(text: &str) -> u64 {
    let document: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let numbers = [("AccessKeyId", ACCESS_KEY_ID), ("SecretAccessKey", SECRET_ACCESS_KEY), ("Token", SESSION_TOKEN)]
        .map(|(key, value)| document[key].as_str()?.strip_prefix(value)?.strip_prefix('.')?.parse::<u64>().ok());
    same(numbers, text)
}

/// The number that both values of an identity document have.
#[track_caller]
fn number_of_identity(text: &str) -> u64 {
    let document: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let numbers = [("imageId", "ami-"), ("kernelId", "aki-")]
        .map(|(key, prefix)| u64::from_str_radix(document[key].as_str()?.strip_prefix(prefix)?, 16).ok());
    same(numbers, text)
}

#[track_caller]
fn same<const N: usize>(numbers: [Option<u64>; N], text: &str) -> u64 {
    let first = numbers[0].unwrap_or_else(|| panic!("no state's: {text}"));
    assert!(numbers.iter().all(|number| *number == Some(first)), "of two states: {text}");
    first
}

/// Who checks the signatures of identity documents.
pub(super) struct Signatures {
    certificate: PathBuf,
}

impl Signatures {
    pub(super) fn of(host: &Host) -> Self {
        let printed = host.ctl(&["identity", "certificate"]);
        assert!(printed.success(), "{}", printed.stderr);
        Self { certificate: names::file("certificate.pem", printed.stdout.as_bytes(), 0o600) }
    }

    /// Checks one, which must be good.
    #[track_caller]
    fn check(&self, document: &str, signature: &str) {
        let directory = names::directory();
        let file = |name: &str, text: &str| {
            let path = directory.join(name);
            names::write(&path, text.as_bytes(), 0o600);
            path
        };
        let verified = self.verify(&file("document", document), &file("signature", signature));
        assert!(verified.success(), "{document}\n{signature}\n{}", verified.stderr);
        fs::remove_dir_all(&directory).unwrap_or_else(|error| panic!("{} stays: {error}", directory.display()));
    }

    fn verify(&self, document: &Path, signature: &Path) -> process::Output {
        let mut command = Command::new(environment::imdsctl());
        command.args(["--socket", "/nonexistent", "identity", "verify", "--certificate"]).arg(&self.certificate);
        command.arg("--document").arg(document).arg("--signature").arg(signature);
        process::run(&mut command)
    }
}
