//! The black-box tests as guests run them: those that the built binaries list, but for what is left out by name.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::process;
use crate::vm::plan::{Kind, Test};
use crate::workspace::Workspace;

/// The folder of an image's test binaries.
const DIRECTORY: &str = "/tests";

/// How much of the suite a guest runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What an emulated guest does in some minutes.
    #[default]
    Slice,
    /// Everything that a guest can run.
    All,
}

/// Which tests a guest runs.
#[derive(Default)]
pub(crate) struct Choice {
    /// How much of the suite.
    pub(crate) extent: Extent,
    /// Of that, only those whose names hold this.
    pub(crate) only: String,
}

/// Why guests don't run a test.
enum Reason {
    /// They can't.
    Unable(&'static str),
    /// It takes an emulated processor too long for every run.
    Slow(&'static str),
}

/// What guests leave out: a test, with a slash at the end a whole binary, or all tests whose names begin and end as is said
/// around a star. What names no test is an error, and so this list stays true.
const LEFT_OUT: &[(&str, Reason)] = &[
    ("*ipv6_by_tc_and_xdp", Reason::Slow("over IPv4 both are run, and over IPv6 tc")),
    ("*by_tc_and_xdp_driver", Reason::Slow("each kernel runs XDP in the driver in the tests of xdp/")),
    ("bench/", Reason::Unable("what it measures with, and against, is the host's")),
    ("client_crawls/", Reason::Unable(NO_PYTHON)),
    ("client_sdks/", Reason::Unable(NO_PYTHON)),
    ("clients/boto3_finds_region_and_credentials_in_both_modes", Reason::Unable(NO_PYTHON)),
    ("clients/boto3_falls_back_to_reads_without_a_token_at_a_limit_that_is_too_small", Reason::Unable(NO_PYTHON)),
    ("races/", Reason::Unable("a guest has one processor")),
    ("identity/", Reason::Unable("openssl isn't in the image")),
    ("load/", Reason::Slow("sixteen clients at once")),
    ("clients/", Reason::Slow(CLIENTS)),
    ("hostile_clients/", Reason::Slow(CONNECTIONS)),
    ("hostile_cuts/", Reason::Slow(CONNECTIONS)),
    ("hostile_segments/", Reason::Slow(CONNECTIONS)),
    ("hostile_tokens/", Reason::Slow(CONNECTIONS)),
    ("hop_limit_repeats/", Reason::Slow("it waits for repetitions")),
    ("differential/", Reason::Slow("a corpus of packets")),
    ("kills/", Reason::Slow("a hundred starts of a daemon")),
    ("soak/", Reason::Slow("everything at once")),
    ("roles/", Reason::Slow(DAEMON)),
    ("secrets/", Reason::Slow(DAEMON)),
    ("documents/", Reason::Slow(DAEMON)),
    ("protocol/", Reason::Slow(DAEMON)),
    ("instances/", Reason::Slow(DAEMON)),
    ("bad_input/", Reason::Slow(DAEMON)),
    ("bad_starts/", Reason::Slow(DAEMON)),
    ("layouts/", Reason::Slow(DAEMON)),
    ("limits/", Reason::Slow(DAEMON)),
    ("keys/", Reason::Slow(DAEMON)),
    ("service/", Reason::Slow(DAEMON)),
    ("debug_lines/", Reason::Slow("each kernel loads the debug object")),
    ("drain/", Reason::Slow(DAEMON)),
    ("full_disk/", Reason::Slow(DAEMON)),
    ("flags/", Reason::Slow(CONNECTIONS)),
    ("bad_interfaces/that_vanish_while_they_are_taken", Reason::Slow("forty instances, one after the other")),
    ("budget/a_connection_that_is_reset_in_vain_keeps_its_place/*", Reason::Slow(CONNECTIONS)),
    ("budget/*/ipv6", Reason::Slow(BOTH_FAMILIES)),
    ("budget/*/ipv6_by_tc", Reason::Slow(BOTH_FAMILIES)),
    ("explain/", Reason::Slow("trace/ shows that the programs of each kernel tell of packets")),
    ("budget/*by_tc_and_xdp", Reason::Slow(EARLY)),
    ("forged/*by_tc_and_xdp", Reason::Slow(EARLY)),
    ("hop_limit/*by_tc_and_xdp", Reason::Slow("tc alone sets it, on the way back")),
    ("neighbours/*by_tc_and_xdp", Reason::Slow(EARLY)),
    ("path/*by_tc_and_xdp", Reason::Slow(EARLY)),
    ("hooks/*by_tc_and_xdp", Reason::Slow(EARLY)),
    ("hooks/*/ipv6_by_tc", Reason::Slow(BOTH_FAMILIES)),
    ("operators_filters/*by_tc_and_xdp", Reason::Slow(EARLY)),
    ("operators_filters/*/ipv6_by_tc", Reason::Slow(BOTH_FAMILIES)),
    ("options/*/ipv6", Reason::Slow(BOTH_FAMILIES)),
    ("recreate/*/ipv6", Reason::Slow(BOTH_FAMILIES)),
    ("restart/*/ipv6", Reason::Slow(BOTH_FAMILIES)),
];

const CLIENTS: &str = "it waits for clients to give up";
const EARLY: &str = "early/ and golden/ run XDP on each kernel";
const BOTH_FAMILIES: &str = "over IPv4 it is the same";
const CONNECTIONS: &str = "thousands of connections";
const DAEMON: &str = "the kernel's version makes no difference to what it tests";

const NO_PYTHON: &str = "Python with boto3 is larger than all the rest of the image";

/// A binary of black-box tests.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Binary {
    name: String,
    /// Where it was built.
    pub(crate) file: PathBuf,
}

impl Binary {
    /// Where an image has it.
    pub(crate) fn program(&self) -> String {
        format!("{DIRECTORY}/{}", self.name)
    }

    /// The tests that it lists.
    fn tests(&self) -> Result<Vec<Test>> {
        let listed = process::output(Command::new(&self.file).args(["--list", "--format", "terse"]))?;
        let tests = listed.lines().filter_map(|line| line.strip_suffix(": test"));
        Ok(tests
            .map(|test| Test {
                name: format!("{}/{}", self.name, test.replace("::", "/")),
                program: self.program(),
                kind: Kind::OfBinary(test.to_owned()),
            })
            .collect())
    }
}

/// Builds the black-box tests.
pub(crate) fn build(workspace: &Workspace) -> Result<Vec<Binary>> {
    cargo_test(workspace, &["--tests"])
}

/// Builds the tests of a host whose kernel has no IPv6.
pub(crate) fn build_without_ipv6(workspace: &Workspace) -> Result<Vec<Binary>> {
    cargo_test(workspace, &["--features", "machines", "--test", "no_ipv6"])
}

fn cargo_test(workspace: &Workspace, arguments: &[&str]) -> Result<Vec<Binary>> {
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--package", "imds-tests", "--no-run", "--locked"]).args(arguments);
    cargo.args(["--message-format", "json-render-diagnostics"]).stderr(Stdio::inherit());
    let binaries = binaries(&process::output(&mut cargo)?)?;
    ensure!(!binaries.is_empty(), "cargo built no black-box tests");
    Ok(binaries)
}

/// The tests of these binaries that guests run; says which ones they don't.
pub(crate) fn tests(binaries: &[Binary], choice: &Choice) -> Result<Vec<Test>> {
    let mut tests = all(binaries)?;
    leave_out(&mut tests, LEFT_OUT, choice.extent)?;
    tests.retain(|test| test.name.contains(&choice.only));
    Ok(tests)
}

/// Every test of these binaries.
pub(crate) fn all(binaries: &[Binary]) -> Result<Vec<Test>> {
    Ok(binaries.iter().map(Binary::tests).collect::<Result<Vec<_>>>()?.concat())
}

fn leave_out(tests: &mut Vec<Test>, left_out: &[(&str, Reason)], extent: Extent) -> Result<()> {
    for (name, reason) in left_out {
        let is_meant = |test: &Test| match name.split_once('*') {
            Some((begin, end)) => test.name.starts_with(begin) && test.name.ends_with(end),
            None => test.name == *name || name.ends_with('/') && test.name.starts_with(name),
        };
        ensure!(
            tests.iter().any(is_meant),
            "{name} is to be left out, but there is no such test: mend the list in xtask/src/vm/suite.rs"
        );
        let why = match reason {
            Reason::Unable(why) => (*why).to_owned(),
            Reason::Slow(_) if extent == Extent::All => continue,
            Reason::Slow(why) => format!("{why}: run it by --all"),
        };
        println!("vm-test: left out: {name}: {why}");
        tests.retain(|test| !is_meant(test));
    }
    Ok(())
}

/// The test binaries among what cargo says that it built.
fn binaries(messages: &str) -> Result<Vec<Binary>> {
    let mut binaries = Vec::new();
    for line in messages.lines() {
        let message: Value = serde_json::from_str(line).with_context(|| format!("cargo said {line}"))?;
        let target = &message["target"];
        let is_test = target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "test"));
        if let (true, Some(name), Some(file)) = (is_test, target["name"].as_str(), message["executable"].as_str()) {
            binaries.push(Binary { name: name.to_owned(), file: file.into() });
        }
    }
    binaries.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(binaries)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &[(&str, Reason)] = &[
        ("path/unable", Reason::Unable("no Python")),
        ("path/slow", Reason::Slow("many clients")),
        ("host/", Reason::Unable("no")),
        ("path/*/ipv6", Reason::Slow("twice")),
    ];

    fn names(extent: Extent, tests: &[&str]) -> Result<Vec<String>> {
        let test = |name: &&str| Test { name: (*name).to_owned(), program: String::new(), kind: Kind::Check };
        let mut tests: Vec<_> = tests.iter().map(test).collect();
        leave_out(&mut tests, LIST, extent)?;
        Ok(tests.into_iter().map(|test| test.name).collect())
    }

    #[test]
    fn what_is_slow_is_run_when_all_is_asked_for() {
        let tests = ["path/quick", "path/slow", "path/unable", "host/one", "host/two", "path/a/ipv4", "path/a/ipv6"];
        assert_eq!(names(Extent::Slice, &tests).expect("all are there"), ["path/quick", "path/a/ipv4"]);
        assert_eq!(
            names(Extent::All, &tests).expect("all are there"),
            ["path/quick", "path/slow", "path/a/ipv4", "path/a/ipv6"]
        );
    }

    #[test]
    fn leaving_out_what_is_not_there_is_an_error() {
        let error = names(Extent::All, &["path/quick", "path/slow", "host/one"]).expect_err("one is missing");
        assert!(error.to_string().contains("path/unable"), "{error}");
    }

    #[test]
    fn test_binaries_are_told_from_what_else_is_built() {
        let messages = r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"imds_tests"},"executable":null}
{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"demo"},"executable":"/target/debug/demo"}
{"reason":"compiler-artifact","target":{"kind":["test"],"name":"path"},"executable":"/target/debug/deps/path-1"}
{"reason":"build-finished","success":true}"#;
        let expected = Binary { name: "path".to_owned(), file: "/target/debug/deps/path-1".into() };
        assert_eq!(binaries(messages).expect("JSON"), [expected]);
    }
}
