//! The cargo that builds and lints the kernel programs: another compiler, another target, a target folder of its own.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::process;
use crate::setup::compiler::Compiler;
use crate::setup::linker;
use crate::workspace::{Profile, Workspace, starts_with};

const TARGET: &str = "bpfel-unknown-none";
/// BTF, without which the verifier takes no callback; its source is the debug information. Flags rather than a cargo
/// profile, so that functions out of other crates have theirs too.
const BTF_FLAGS: &str = "-Cdebuginfo=2\x1f-Clink-arg=--btf";
/// What decides how the outer cargo compiles, and must not reach this one.
const OUTER: [&str; 6] = ["CARGO", "RUSTC", "RUSTDOC", "RUSTFLAGS", "RUSTUP_TOOLCHAIN", "LD_LIBRARY_PATH"];
/// What of that decides only where packages come from and how progress is shown.
const OUTER_KEPT: [&str; 7] =
    ["CARGO_HOME", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_SOURCE_", "CARGO_TERM_", "CARGO_BUILD_JOBS"];

/// Compiler, linker and the linker's LLVM, found and ready.
pub(crate) struct Toolchain<'a> {
    workspace: &'a Workspace,
    /// The compiler in use.
    pub(crate) compiler: Compiler,
    linker: PathBuf,
    llvm: PathBuf,
}

impl<'a> Toolchain<'a> {
    /// Adds the linker to a compiler, and says which compiler is in use.
    pub(crate) fn new(workspace: &'a Workspace, compiler: Compiler) -> Result<Self> {
        let linker = linker::ensure(workspace)?;
        let llvm = linker::llvm_directory(workspace, &compiler)?;
        println!("xtask: kernel programs by {compiler}");
        Ok(Self { workspace, compiler, linker, llvm })
    }

    /// Builds the object of a profile; returns its path.
    pub(crate) fn build(&self, profile: Profile) -> Result<PathBuf> {
        let mut cargo = self.command(Command::new(&self.compiler.cargo))?;
        process::run(cargo.arg("build").args(self.arguments(profile)))?;
        Ok(self.directory().join(TARGET).join(profile.directory()).join("imds"))
    }

    /// Runs clippy on what a profile's object is made of.
    pub(crate) fn lint(&self, profile: Profile) -> Result<()> {
        let mut clippy = self.command(Command::new(self.compiler.ensure_clippy()?))?;
        clippy.env("CARGO", &self.compiler.cargo);
        process::run(clippy.args(["clippy", "--no-deps"]).args(self.arguments(profile)).args(["--", "-D", "warnings"]))
    }

    /// One for each way: in a common one, an object that cargo finds still fresh would be older than the `imdsd` that
    /// embeds the other way's, and be taken for unchanged.
    fn directory(&self) -> PathBuf {
        self.workspace.target.join(if self.compiler.toolchain.is_some() { "ebpf-build-std" } else { "ebpf" })
    }

    fn arguments(&self, profile: Profile) -> Vec<&'static str> {
        let mut arguments = vec!["--package", "imds-ebpf", "--locked", "--target", TARGET];
        match profile {
            Profile::Debug => arguments.extend(["--features", "trace"]),
            Profile::Release => arguments.push("--release"),
        }
        if self.compiler.toolchain.is_some() {
            arguments.extend(["-Z", "build-std=core"]);
        }
        arguments
    }

    fn command(&self, mut command: Command) -> Result<Command> {
        for (name, _) in env::vars_os().filter(|(name, _)| is_outer(name)) {
            command.env_remove(name);
        }
        command
            .current_dir(&self.workspace.root)
            .env("RUSTC", &self.compiler.rustc)
            // Two compilers in one folder would rebuild each other's work in turn.
            .env("CARGO_TARGET_DIR", self.directory())
            // In place of a user's own, which are for the host.
            .env("CARGO_ENCODED_RUSTFLAGS", BTF_FLAGS)
            // The verifier must find the debug object's dependencies optimised and free of panics too.
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "3")
            .env("CARGO_PROFILE_DEV_CODEGEN_UNITS", "16")
            .env("CARGO_INCREMENTAL", "0")
            .env("CARGO_PROFILE_DEV_DEBUG_ASSERTIONS", "false")
            .env("CARGO_PROFILE_DEV_OVERFLOW_CHECKS", "false")
            .env("LD_LIBRARY_PATH", &self.llvm)
            .env("PATH", process::path_with(&self.linker)?);
        match &self.compiler.toolchain {
            // For what is still found on the PATH and is rustup's proxy.
            Some(toolchain) => command.env("RUSTUP_TOOLCHAIN", toolchain),
            // The compiled `core` is a stable compiler's, which has the target's features switched off.
            None => command.env("RUSTC_BOOTSTRAP", "1"),
        };
        Ok(command)
    }
}

fn is_outer(name: &OsStr) -> bool {
    let any = |prefixes: &[&str]| prefixes.iter().any(|prefix| starts_with(name, prefix));
    any(&OUTER) && !any(&OUTER_KEPT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outer_cargo_s_choices_are_removed_and_the_user_s_access_kept() {
        for name in ["CARGO", "CARGO_MANIFEST_DIR", "CARGO_PROFILE_DEV_LTO", "RUSTC_WRAPPER", "RUSTUP_TOOLCHAIN"] {
            assert!(is_outer(OsStr::new(name)), "{name}");
        }
        for name in ["CARGO_HOME", "CARGO_NET_OFFLINE", "RUSTUP_HOME", "PATH", "HOME"] {
            assert!(!is_outer(OsStr::new(name)), "{name}");
        }
    }
}
