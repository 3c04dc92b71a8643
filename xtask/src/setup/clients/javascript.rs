//! The AWS SDK for JavaScript.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;
use crate::setup::apt;
use crate::workspace::Workspace;

/// What says which packages are installed, exactly; the second one by its checksums.
const LISTS: [&str; 2] = ["package.json", "package-lock.json"];

/// Installs the packages of the committed list.
pub(super) fn ensure(workspace: &Workspace) -> Result<()> {
    for (program, package) in [("node", "nodejs"), ("npm", "npm")] {
        if process::find(program).is_none() {
            apt::install(&[package], "the AWS SDK for JavaScript, one of the tests' clients, runs on it")?;
        }
    }
    let (ours, installed) = (workspace.root.join("tests/clients/javascript"), workspace.clients().join("javascript"));
    let mut lists = LISTS.iter().map(|list| (ours.join(list), installed.join(list)));
    // The list of what stands in a folder of packages is what npm writes last.
    let is_whole = installed.join("node_modules/.package-lock.json").is_file();
    if is_whole && lists.clone().all(|(from, to)| fs::read(from).ok() == fs::read(to).ok()) {
        return Ok(());
    }
    println!(
        "setup: installing the AWS SDK for JavaScript by npm into {}: one of the tests' clients",
        installed.display()
    );
    fs::create_dir_all(&installed).with_context(|| format!("can't make {}", installed.display()))?;
    lists.try_for_each(|(from, to)| {
        fs::copy(&from, &to).map(drop).with_context(|| format!("can't copy {}", from.display()))
    })?;
    process::run(
        Command::new("npm")
            .args(["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"])
            .current_dir(&installed),
    )
    .context("npm couldn't install the AWS SDK for JavaScript")
}
