//! Embeds the eBPF object that `cargo xtask build` made, or an empty stub where there is none, so that
//! `cargo check` works on a machine without an eBPF toolchain. An `imdsd` with the stub says so when started.

use std::path::PathBuf;
use std::{env, fs};

/// Set by xtask: the object to embed.
const OBJECT_VARIABLE: &str = "IMDS_EBPF_OBJECT";

fn main() {
    println!("cargo::rerun-if-env-changed={OBJECT_VARIABLE}");
    let embedded = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("imds.o");
    let object = env::var_os(OBJECT_VARIABLE).map_or_else(Vec::new, |path| {
        println!("cargo::rerun-if-changed={}", PathBuf::from(&path).display());
        fs::read(&path).unwrap_or_else(|error| {
            panic!(
                "{OBJECT_VARIABLE}={} can't be read: {error}; run `cargo xtask build`",
                PathBuf::from(&path).display()
            )
        })
    });
    fs::write(&embedded, object).expect("OUT_DIR is writable");
}
