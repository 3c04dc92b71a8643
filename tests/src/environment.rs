//! Where the binaries under test and the clients are, as `cargo xtask` tells.

use std::env;
use std::path::PathBuf;

/// The daemon under test.
#[must_use]
pub fn imdsd() -> PathBuf {
    existing("IMDS_BIN_DIR", "imdsd")
}

/// The daemon under test with the debug object.
#[must_use]
pub fn debug_imdsd() -> PathBuf {
    let path = env::var_os("IMDS_DEBUG_IMDSD").expect("IMDS_DEBUG_IMDSD is not set: run this by `cargo xtask test`");
    PathBuf::from(path)
}

/// The command line under test.
#[must_use]
pub fn imdsctl() -> PathBuf {
    existing("IMDS_BIN_DIR", "imdsctl")
}

/// A Python that has boto3.
#[must_use]
pub fn python() -> PathBuf {
    client("python/bin/python3")
}

/// A file of a client.
#[must_use]
pub fn client(file: &str) -> PathBuf {
    existing("IMDS_CLIENTS", file)
}

/// The command that boots a virtual machine, and takes further arguments of QEMU's.
#[must_use]
pub fn machine() -> PathBuf {
    let path = env::var_os("IMDS_MACHINE").expect("IMDS_MACHINE is not set: run this by `cargo xtask vm-instance`");
    PathBuf::from(path)
}

/// Whether the processor is emulated: looking for the primes of a new key would take it longer than any start may.
#[must_use]
pub fn is_slow() -> bool {
    env::var_os("IMDS_SLOW").is_some()
}

/// The nginx that the benchmark compares with.
#[must_use]
pub fn nginx() -> PathBuf {
    existing("IMDS_RIVALS", "usr/sbin/nginx")
}

fn existing(variable: &str, file: &str) -> PathBuf {
    const HINT: &str = "run this by `cargo xtask test`, `demo` or `bench`, which set it up";
    let directory = env::var_os(variable).unwrap_or_else(|| panic!("{variable} is not set; {HINT}"));
    let path = PathBuf::from(directory).join(file);
    assert!(path.is_file(), "{} is not there; {HINT}", path.display());
    path
}

/// Ends the test, with the reason, where it can't be played: without root, or without what `cargo xtask` sets up.
pub fn require() {
    assert!(
        rustix::process::geteuid().is_root(),
        "these tests make network namespaces and load kernel programs: run `cargo xtask test` as root"
    );
    let _ = (imdsd(), imdsctl());
}
