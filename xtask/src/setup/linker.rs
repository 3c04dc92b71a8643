//! bpf-linker, and the LLVM that it loads.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process;
use crate::setup::compiler::Compiler;
use crate::workspace::Workspace;

/// The last version that reads LLVM 22's bitcode; later ones want LLVM 23.
pub(crate) const VERSION: &str = "0.10.3";
/// What the compiler and this version of the linker must have in common.
pub(crate) const LLVM_MAJOR: u32 = 22;

/// Compiles the linker where it is missing or of another version; returns the folder it is in.
pub(crate) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    let tools = workspace.target.join("tools");
    let directory = tools.join("bin");
    if installed_version(&directory.join("bpf-linker")).as_deref() == Some(VERSION) {
        return Ok(directory);
    }
    println!("setup: compiling bpf-linker {VERSION} into {}: it links the kernel programs", tools.display());
    let mut cargo = workspace.cargo();
    // Without it cargo compiles in a temporary folder, and leaves nothing but the binary.
    cargo.env_remove("CARGO_TARGET_DIR");
    process::run(
        cargo.args(["install", "bpf-linker", "--locked", "--force", "--version", VERSION, "--root"]).arg(&tools),
    )?;
    ensure!(
        installed_version(&directory.join("bpf-linker")).as_deref() == Some(VERSION),
        "bpf-linker {VERSION} was installed into {} but doesn't run from there: delete that folder and run again",
        directory.display()
    );
    Ok(directory)
}

/// A folder that holds nothing but the compiler's own libLLVM.
///
/// The linker takes the first file called `libLLVM*` in the folders of `LD_LIBRARY_PATH`, then beside those of `PATH`:
/// left alone, one of another compiler, which may not read this one's bitcode.
pub(crate) fn llvm_directory(workspace: &Workspace, compiler: &Compiler) -> Result<PathBuf> {
    let libraries = process::output(Command::new("ldd").arg(&compiler.rustc).env_remove("LD_LIBRARY_PATH"))?;
    let library = parse_llvm(&libraries).with_context(|| {
        format!("{} doesn't load a shared libLLVM, which bpf-linker needs", compiler.rustc.display())
    })?;
    let directory = workspace.target.join("tools/llvm");
    let link = directory.join("libLLVM.so");
    if fs::read_link(&link).is_ok_and(|current| current == library) {
        return Ok(directory);
    }
    fs::create_dir_all(&directory).with_context(|| format!("can't make {}", directory.display()))?;
    // Renamed over the old one, so that a build running beside this one always finds a library.
    let fresh = workspace.target.join(format!("tools/libLLVM.so.{}", std::process::id()));
    symlink(library, &fresh).with_context(|| format!("can't make {}", fresh.display()))?;
    fs::rename(&fresh, &link).with_context(|| format!("can't make {}", link.display()))?;
    Ok(directory)
}

fn installed_version(linker: &Path) -> Option<String> {
    let printed = process::output(Command::new(linker).arg("--version")).ok()?;
    printed.trim().strip_prefix("bpf-linker ").map(str::to_owned)
}

fn parse_llvm(ldd: &str) -> Option<&Path> {
    let line = ldd.lines().map(str::trim).find(|line| line.starts_with("libLLVM"))?;
    let path = line.split_once("=> ")?.1.split(" (").next()?;
    path.starts_with('/').then(|| Path::new(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llvm_is_found_among_the_compiler_s_libraries() {
        let ldd = "\tlibc.so.6 => /lib/libc.so.6 (0x1)\n\tlibLLVM.so.22.1 => /lib/libLLVM.so.22.1 (0x2)\n";
        assert_eq!(parse_llvm(ldd), Some(Path::new("/lib/libLLVM.so.22.1")));
    }

    #[test]
    fn a_missing_or_static_llvm_is_none() {
        assert_eq!(parse_llvm("\tlibLLVM.so.22.1 => not found\n"), None);
        assert_eq!(parse_llvm("\tlibc.so.6 => /lib/libc.so.6 (0x1)\n"), None);
    }
}
