//! A Rust compiler that has `core` for bpfel-unknown-none. Two ways: Debian's packages, which ship it compiled, and a
//! rustup nightly with rust-src, which compiles it (`-Z build-std=core`).

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

use crate::process;
use crate::setup::apt;
use crate::setup::linker::{self, LLVM_MAJOR};
use crate::workspace::Workspace;

/// The first release of rustc-web with LLVM 22; Debian 12's security updates have it.
const PACKAGED_RELEASE: (u32, u32) = (1, 96);
const PACKAGED_RUSTC: &str = "/usr/bin/rustc";
const PACKAGED_CORE: &str = "/usr/lib/rustlib/bpfel-unknown-none/lib";
const PACKAGED_CLIPPY: &str = "/usr/bin/cargo-clippy";
/// A nightly whose LLVM the linker reads, for messages: later ones may have LLVM 23.
const KNOWN_NIGHTLY: &str = "nightly-2026-05-20";

/// Which way to get `core` is asked for.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Core {
    /// Debian's packages if installed, else a usable nightly if there is one, else install the packages
    Auto,
    /// A rustup nightly with rust-src
    BuildStd,
    /// Debian's packages rustc-web and libstd-rust-web-dev-bpf
    Packaged,
}

/// A compiler for the kernel programs.
pub(crate) struct Compiler {
    /// The compiler itself, never rustup's proxy.
    pub(crate) rustc: PathBuf,
    /// The cargo that goes with it, never rustup's proxy.
    pub(crate) cargo: PathBuf,
    /// The rustup toolchain that has to compile `core` first; none where `core` comes compiled.
    pub(crate) toolchain: Option<String>,
    version: Version,
}

/// What a compiler says of itself.
#[derive(Debug, PartialEq, Eq)]
struct Version {
    release: String,
    llvm: String,
}

impl Compiler {
    /// Finds a compiler, or installs Debian's where there is none.
    pub(crate) fn ensure(core: Core) -> Result<Self> {
        if core != Core::BuildStd
            && let Some(compiler) = Self::packaged()
        {
            return Ok(compiler);
        }
        if core != Core::Packaged
            && let Some(compiler) = Self::build_std()
        {
            return Ok(compiler);
        }
        if core == Core::BuildStd {
            bail!(
                "no rustup nightly has rust-src and LLVM {LLVM_MAJOR}, which bpf-linker {} reads: `rustup toolchain \
                 install {KNOWN_NIGHTLY} --profile minimal --component rust-src,clippy`, or use --core packaged",
                linker::VERSION
            );
        }
        Self::install_packaged().with_context(|| {
            format!(
                "there is no `core` for the eBPF target. Two ways out: on Debian 12 with its security updates, as \
                 root, `apt-get install rustc-web libstd-rust-web-dev-bpf`; anywhere, `rustup toolchain install \
                 {KNOWN_NIGHTLY} --profile minimal --component rust-src,clippy`"
            )
        })
    }

    /// The `cargo-clippy` that goes with this compiler, installed if it is Debian's.
    pub(crate) fn ensure_clippy(&self) -> Result<PathBuf> {
        match &self.toolchain {
            None => {
                if !Path::new(PACKAGED_CLIPPY).is_file() {
                    apt::install(&["rust-web-clippy"], "it lints the kernel programs")?;
                }
                Ok(PathBuf::from(PACKAGED_CLIPPY))
            }
            Some(toolchain) => {
                let clippy = self.cargo.with_file_name("cargo-clippy");
                ensure!(
                    clippy.is_file(),
                    "{toolchain} has no clippy: `rustup component add clippy --toolchain {toolchain}`"
                );
                Ok(clippy)
            }
        }
    }

    fn packaged() -> Option<Self> {
        if !Path::new(PACKAGED_CORE).is_dir() {
            return None;
        }
        let rustc = PathBuf::from(PACKAGED_RUSTC);
        let version = Version::of(&rustc).filter(Version::is_linkable)?;
        Some(Self { rustc, cargo: Workspace::cargo_path(), toolchain: None, version })
    }

    fn build_std() -> Option<Self> {
        let toolchains = process::output(Command::new("rustup").args(["toolchain", "list"])).ok()?;
        nightlies(&toolchains).into_iter().find_map(Self::nightly)
    }

    fn nightly(toolchain: &str) -> Option<Self> {
        let which = |program: &str| -> Option<PathBuf> {
            let path =
                process::output(Command::new("rustup").args(["which", "--toolchain", toolchain, program])).ok()?;
            Some(PathBuf::from(path.trim()))
        };
        let rustc = which("rustc")?;
        let sysroot = process::output(Command::new(&rustc).args(["--print", "sysroot"])).ok()?;
        if !Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library").is_dir() {
            return None;
        }
        let version = Version::of(&rustc).filter(Version::is_linkable)?;
        Some(Self { rustc, cargo: which("cargo")?, toolchain: Some(toolchain.to_owned()), version })
    }

    fn install_packaged() -> Result<Self> {
        if !packaged_release_offered()? {
            process::require_root("bringing apt's package lists up to date")?;
            apt::update()?;
        }
        ensure!(
            packaged_release_offered()?,
            "apt offers no rustc-web {}.{} or later (Debian 12's security updates have it)",
            PACKAGED_RELEASE.0,
            PACKAGED_RELEASE.1
        );
        apt::install(
            &["rustc-web", "libstd-rust-web-dev-bpf"],
            "they compile the kernel programs and bring `core` for the eBPF target",
        )?;
        Self::packaged().with_context(|| {
            format!(
                "rustc-web is installed, but its LLVM is not {LLVM_MAJOR}, which bpf-linker {} reads",
                linker::VERSION
            )
        })
    }
}

impl fmt::Display for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Version { release, llvm } = &self.version;
        match &self.toolchain {
            None => write!(f, "rustc {release} of Debian's rustc-web, LLVM {llvm}, core from libstd-rust-web-dev-bpf"),
            Some(toolchain) => write!(f, "rustc {release} of {toolchain}, LLVM {llvm}, core by -Z build-std"),
        }
    }
}

impl Version {
    fn of(rustc: &Path) -> Option<Self> {
        Self::parse(&process::output(Command::new(rustc).arg("-Vv")).ok()?)
    }

    fn parse(printed: &str) -> Option<Self> {
        let field =
            |name: &str| printed.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned());
        Some(Self { release: field("release:")?, llvm: field("LLVM version:")? })
    }

    fn is_linkable(&self) -> bool {
        major_minor(&self.llvm).is_some_and(|(major, _)| major == LLVM_MAJOR)
    }
}

fn packaged_release_offered() -> Result<bool> {
    Ok(apt::candidate("rustc-web")?
        .and_then(|version| major_minor(&version))
        .is_some_and(|found| found >= PACKAGED_RELEASE))
}

fn major_minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The nightlies among rustup's toolchains, without remarks such as "(default)".
fn nightlies(list: &str) -> Vec<&str> {
    list.lines().filter_map(|line| line.split_whitespace().next()).filter(|name| name.starts_with("nightly")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NIGHTLY: &str = "rustc 1.97.0-nightly (e50aa6fba 2026-05-19)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\n\
                           release: 1.97.0-nightly\nLLVM version: 22.1.4\n";

    #[test]
    fn version_is_read_from_what_the_compiler_prints() {
        let version = Version::parse(NIGHTLY).expect("both fields are there");
        assert_eq!(version, Version { release: "1.97.0-nightly".into(), llvm: "22.1.4".into() });
        assert_eq!(Version::parse("rustc 1.97.0\n"), None);
    }

    #[test]
    fn only_the_linker_s_llvm_is_linkable() {
        let with = |llvm: &str| Version { release: "1.98.0".into(), llvm: llvm.into() };
        assert!(with("22.1.4").is_linkable());
        assert!(!with("23.1.0").is_linkable());
        assert!(!with("2.22").is_linkable());
    }

    #[test]
    fn debian_versions_compare_by_number() {
        assert_eq!(major_minor("1.96.0+dfsg1-1~deb12u2"), Some((1, 96)));
        assert!(major_minor("1.100.0") > major_minor("1.96.0"));
        assert_eq!(major_minor("(none)"), None);
    }

    #[test]
    fn nightlies_are_picked_from_rustup_s_list() {
        let list = "stable-x86_64-unknown-linux-gnu (active, default)\nnightly-x86_64-unknown-linux-gnu\nnightly-2026-05-20-x86_64-unknown-linux-gnu (x)\n";
        assert_eq!(
            nightlies(list),
            ["nightly-x86_64-unknown-linux-gnu", "nightly-2026-05-20-x86_64-unknown-linux-gnu"]
        );
    }
}
