//! Debian packages: looked up, installed, or only downloaded.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::process;

/// Seconds to wait for another apt, such as unattended upgrades.
const LOCK_LIMIT: &str = "DPkg::Lock::Timeout=120";

/// Installs packages after saying why. Fails where that needs root and this isn't, or where another package would
/// have to be removed for it.
pub(crate) fn install(packages: &[&str], why: &str) -> Result<()> {
    let names = packages.join(" ");
    process::require_root(&format!("installing Debian's {names} ({why})"))?;
    println!("setup: installing {names} by apt: {why}");
    if !packages.iter().all(|package| is_known(package)) {
        update()?;
    }
    if install_known(packages).is_err() {
        // Lists that are older than the mirror name files that are gone from it.
        update()?;
        install_known(packages)?;
    }
    Ok(())
}

/// Which packages are unpacked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The named one.
    Alone,
    /// It and all that it needs and this machine lacks.
    WithMissing,
}

/// Downloads a package and unpacks it into `directory`, which is there whole or not at all. Nothing is installed, so
/// nothing that is installed can be in the way. `package` gives its name, once more where the package lists had to be
/// brought up to date.
pub(crate) fn unpack(package: impl Fn() -> Result<String>, extent: Extent, why: &str, directory: &Path) -> Result<()> {
    let name = package()?;
    println!("setup: downloading {name} (not installing it): {why}");
    let (parent, own) = directory.parent().zip(directory.file_name()).context("a folder without a parent")?;
    let scratch = parent.join(format!(".{}", own.display()));
    remove(&scratch)?;
    let (archives, unpacked) = (scratch.join("archives"), scratch.join("unpacked"));
    fs::create_dir_all(&archives).with_context(|| format!("can't make {}", archives.display()))?;
    if download_all(&name, extent, &archives).is_err() {
        process::require_root("bringing apt's package lists up to date")?;
        update()?;
        download_all(&package()?, extent, &archives)?;
    }
    let entries = fs::read_dir(&archives).with_context(|| format!("can't read {}", archives.display()))?;
    for archive in entries.flatten().map(|entry| entry.path()) {
        process::run(Command::new("dpkg-deb").arg("-x").arg(archive).arg(&unpacked))?;
    }
    remove(directory)?;
    fs::rename(&unpacked, directory).with_context(|| format!("can't make {}", directory.display()))?;
    remove(&scratch)
}

fn download_all(package: &str, extent: Extent, into: &Path) -> Result<()> {
    if extent == Extent::Alone {
        return download(package, into);
    }
    let plan = process::output(apt_get().args(["-qq", "-s", "--no-install-recommends", "install", package]))?;
    parse_installed(&plan).try_for_each(|name| download(name, into))
}

fn download(package: &str, into: &Path) -> Result<()> {
    // The user that apt downloads as otherwise may not write into the project's folders.
    process::run(apt_get().args(["-qq", "-o", "APT::Sandbox::User=root", "download", package]).current_dir(into))
}

/// Brings the package lists up to date.
pub(crate) fn update() -> Result<()> {
    println!("setup: apt-get update, for the package lists are missing or old");
    process::run(apt_get().args(["-qq", "update"]))
}

/// The names of the packages that the lists know and that match a pattern.
pub(crate) fn search(pattern: &str) -> Result<Vec<String>> {
    let found = process::output(Command::new("apt-cache").args(["search", "--names-only", pattern]))?;
    Ok(found.lines().filter_map(|line| line.split_once(" - ")).map(|(name, _)| name.to_owned()).collect())
}

/// The version that an installation would take, if any.
pub(crate) fn candidate(package: &str) -> Result<Option<String>> {
    let policy = process::output(Command::new("apt-cache").args(["policy", package]).env("LC_ALL", "C"))?;
    Ok(parse_candidate(&policy).map(str::to_owned))
}

fn remove(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("can't remove {}", directory.display()))
        }
        _ => Ok(()),
    }
}

fn is_known(package: &str) -> bool {
    matches!(candidate(package), Ok(Some(_)))
}

fn install_known(packages: &[&str]) -> Result<()> {
    process::run(apt_get().args(["-qq", "-y", "--no-install-recommends", "--no-remove", "install"]).args(packages))
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.args(["-o", LOCK_LIMIT]).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    command
}

fn parse_candidate(policy: &str) -> Option<&str> {
    let version = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate:"))?.trim();
    (version != "(none)").then_some(version)
}

/// The packages that a simulated installation names.
fn parse_installed(plan: &str) -> impl Iterator<Item = &str> {
    plan.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidate_is_read_from_the_policy() {
        let policy = "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1~deb12u2\n  Version table:\n";
        assert_eq!(parse_candidate(policy), Some("1.96.0+dfsg1-1~deb12u2"));
    }

    #[test]
    fn what_an_installation_takes_is_read_from_its_simulation() {
        let plan = "Remv qemu-utils [1:10.0]\nInst libfdt1 (1.6.1-4 Debian:12 [amd64])\n\
                    Inst qemu-system-x86 [1:7.1] (1:7.2 Debian:12 [amd64])\nConf libfdt1 (1.6.1-4 Debian:12 [amd64])\n";
        assert_eq!(parse_installed(plan).collect::<Vec<_>>(), ["libfdt1", "qemu-system-x86"]);
    }

    #[test]
    fn no_candidate_for_a_package_that_is_only_named() {
        assert_eq!(parse_candidate("x:\n  Installed: (none)\n  Candidate: (none)\n"), None);
        assert_eq!(parse_candidate(""), None);
    }
}
