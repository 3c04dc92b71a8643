//! The real clients that black-box tests and the demo use.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;
use crate::setup::apt;
use crate::workspace::Workspace;

const BOTO3_VERSION: &str = "1.44.5";
/// Debian's own, since its package python3-venv serves no other.
const PYTHON: &str = "/usr/bin/python3";

/// Installs what the tests run, and boto3 in a virtual environment of its own; returns that environment's folder.
pub(crate) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    ensure_programs()?;
    let environment = workspace.clients().join("python");
    if !has_boto3(&environment) {
        install_boto3(&environment)?;
    }
    Ok(environment)
}

/// Installs curl, wget, sysctl, and ip with tc.
pub(crate) fn ensure_programs() -> Result<()> {
    for (program, package, why) in [
        ("curl", "curl", "the tests' first client"),
        ("wget", "wget", "the tests' second client"),
        ("sysctl", "procps", "the tests set up a guest that forwards with it"),
        ("ip", "iproute2", "the tests make network namespaces and links with it"),
    ] {
        if process::find(program).is_none() {
            apt::install(&[package], why)?;
        }
    }
    Ok(())
}

fn install_boto3(environment: &Path) -> Result<()> {
    // Debian's python3 has `venv` without python3-venv, but not what it needs.
    let can_make_environments =
        Path::new(PYTHON).is_file() && process::output(Command::new(PYTHON).args(["-c", "import ensurepip"])).is_ok();
    if !can_make_environments {
        apt::install(&["python3-venv"], "boto3, one of the tests' clients, gets an environment of its own")?;
    }
    println!(
        "setup: installing boto3 {BOTO3_VERSION} by pip into {}: one of the tests' clients",
        environment.display()
    );
    process::run(Command::new(PYTHON).args(["-m", "venv", "--clear"]).arg(environment))?;
    process::run(
        Command::new(environment.join("bin/python3"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .arg(format!("boto3=={BOTO3_VERSION}")),
    )
    .context("pip couldn't install boto3")
}

/// Whether pip has finished: it writes a package's RECORD last.
fn has_boto3(environment: &Path) -> bool {
    let Ok(versions) = fs::read_dir(environment.join("lib")) else { return false };
    versions
        .flatten()
        .any(|version| version.path().join(format!("site-packages/boto3-{BOTO3_VERSION}.dist-info/RECORD")).is_file())
}
