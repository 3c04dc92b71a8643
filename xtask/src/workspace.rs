//! Where the project's files are, and its cargo.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// What an outer `cargo run` says about the package it runs; wrong for a cargo that builds another one.
const OUTER_PACKAGE: [&str; 5] =
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE"];

/// The checked-out project and its target folder.
pub(crate) struct Workspace {
    /// The folder of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Cargo's target folder, where everything that xtask makes or installs goes too.
    pub(crate) target: PathBuf,
}

/// One of the two profiles that everything is built in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Unoptimised daemon; kernel programs with debug lines.
    Debug,
    /// What is shipped.
    Release,
}

impl Profile {
    /// The folder below the target folder.
    pub(crate) fn directory(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Release => "release",
        }
    }
}

impl Workspace {
    /// Finds the project by what cargo says of the running package.
    pub(crate) fn locate() -> Result<Self> {
        let manifest =
            env::var_os("CARGO_MANIFEST_DIR").context("CARGO_MANIFEST_DIR is not set: run this as `cargo xtask`")?;
        let root = Path::new(&manifest).parent().context("xtask's own folder has no parent")?.to_path_buf();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(target) => std::path::absolute(target)?,
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// The cargo that runs this program, for packages of the host.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = Command::new(Self::cargo_path());
        cargo.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        for (name, _) in env::vars_os() {
            if OUTER_PACKAGE.iter().any(|prefix| starts_with(&name, prefix)) {
                cargo.env_remove(name);
            }
        }
        cargo
    }

    /// The path of the cargo that runs this program: the toolchain's own, not rustup's proxy.
    pub(crate) fn cargo_path() -> PathBuf {
        env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
    }

    /// The folder of a profile's binaries.
    pub(crate) fn binaries(&self, profile: Profile) -> PathBuf {
        self.target.join(profile.directory())
    }

    /// The folder of what the tests' clients need.
    pub(crate) fn clients(&self) -> PathBuf {
        self.target.join("clients")
    }

    /// The folder of what the benchmark compares with.
    pub(crate) fn rivals(&self) -> PathBuf {
        self.target.join("rivals")
    }

    /// The nginx that the benchmark compares with.
    pub(crate) fn nginx(&self) -> PathBuf {
        self.rivals().join("usr/sbin/nginx")
    }

    /// The folder of the fuzzer's targets and their corpus.
    pub(crate) fn fuzz(&self) -> PathBuf {
        self.root.join("tests/fuzz")
    }

    /// The committed list of what the verifier walks.
    pub(crate) fn verifier_costs(&self) -> PathBuf {
        self.root.join("xtask/verifier-costs.toml")
    }
}

/// Whether a variable's name begins with `prefix`.
pub(crate) fn starts_with(name: &OsStr, prefix: &str) -> bool {
    name.as_encoded_bytes().starts_with(prefix.as_bytes())
}
