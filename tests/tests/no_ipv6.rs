//! A host whose kernel was booted with `ipv6.disable=1`: a virtual machine of `cargo xtask vm-test`.

use std::path::Path;
use std::process::Command;

use imds_tests::environment;
use imds_tests::host::Host;
use imds_tests::process;

/// What imdsd has to say of it: what is the matter, and the way out.
const REASON: [&str; 2] = ["IPv6 is switched off in this kernel (ipv6.disable=1)", "boot without that parameter"];

#[track_caller]
fn assert_no_ipv6() {
    assert!(!Path::new("/proc/sys/net/ipv6").exists(), "this kernel has IPv6: run this by `cargo xtask vm-test`");
}

#[test]
fn a_start_is_refused_and_leaves_nothing() {
    assert_no_ipv6();
    let host = Host::prepare();
    let started = process::run(&mut host.imdsd());
    assert_eq!(started.code, Some(1), "{}", started.stderr);
    assert!(REASON.iter().all(|word| started.stderr.contains(word)), "{}", started.stderr);
    assert_eq!(started.stderr.lines().count(), 1, "{}", started.stderr);
    assert!(!host.run_dir().exists() && !host.state_dir().exists());
    assert!(host.leftovers().is_empty(), "{:?}", host.leftovers());
}

#[test]
fn a_check_says_so_of_all_that_is_needed() {
    assert_no_ipv6();
    let checked = process::run(Command::new(environment::imdsd()).arg("check"));
    assert_eq!(checked.code, Some(1), "{}", checked.stdout);
    assert!(REASON.iter().all(|word| checked.stderr.contains(word)), "{}", checked.stderr);
    let lines: Vec<_> = checked.stdout.lines().filter(|line| !line.ends_with("  yes")).collect();
    assert!(lines.iter().any(|line| line.starts_with("IPv6  ") && line.contains("  no: ")), "{lines:?}");
    let namespace = lines.iter().find(|line| line.starts_with("IPv6 in a namespace "));
    assert!(namespace.is_some_and(|line| line.ends_with(" not tried")), "{lines:?}");
    assert_eq!(lines.len(), 4, "how it would attach, by tc and by XDP, is the rest: {lines:?}");
}
