//! boto3 and the AWS CLI.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;
use crate::setup::apt;
use crate::workspace::Workspace;

/// What is installed, each with its version.
const PACKAGES: [(&str, &str); 2] = [("boto3", "1.44.5"), ("awscli", "1.46.3")];
/// Debian's own, since its package python3-venv serves no other.
const PYTHON: &str = "/usr/bin/python3";

/// Makes a virtual environment with them; its folder.
pub(super) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    let environment = workspace.clients().join("python");
    if !PACKAGES.iter().all(|(name, version)| has(&environment, name, version)) {
        install(&environment)?;
    }
    Ok(environment)
}

fn install(environment: &Path) -> Result<()> {
    // Debian's python3 has `venv` without python3-venv, but not what it needs.
    let can_make_environments =
        Path::new(PYTHON).is_file() && process::output(Command::new(PYTHON).args(["-c", "import ensurepip"])).is_ok();
    if !can_make_environments {
        apt::install(&["python3-venv"], "boto3, one of the tests' clients, gets an environment of its own")?;
    }
    let packages = PACKAGES.map(|(name, version)| format!("{name}=={version}"));
    println!(
        "setup: installing {} by pip into {}: two of the tests' clients",
        packages.join(" "),
        environment.display()
    );
    process::run(Command::new(PYTHON).args(["-m", "venv", "--clear"]).arg(environment))?;
    process::run(
        Command::new(environment.join("bin/python3"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(&packages),
    )
    .context("pip couldn't install the tests' clients")
}

/// Whether pip has finished a package: it writes its RECORD last.
fn has(environment: &Path, name: &str, version: &str) -> bool {
    let Ok(versions) = fs::read_dir(environment.join("lib")) else { return false };
    versions
        .flatten()
        .any(|python| python.path().join(format!("site-packages/{name}-{version}.dist-info/RECORD")).is_file())
}
