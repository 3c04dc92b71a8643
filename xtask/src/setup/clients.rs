//! The real clients that black-box tests and the demo use.

mod cloud_init;
mod javascript;
mod python;
mod rust;

use std::path::PathBuf;

use anyhow::Result;

use crate::process;
use crate::setup::apt;
use crate::workspace::Workspace;

/// Installs what the tests and the demo run, boto3 and the AWS CLI in a virtual environment of their own; returns that
/// environment's folder.
pub(crate) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    ensure_programs()?;
    python::ensure(workspace)
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

/// Installs what only tests need besides: the AWS SDKs for JavaScript and for Rust, and cloud-init; returns the folder
/// of all clients.
pub(crate) fn ensure_for_tests(workspace: &Workspace) -> Result<PathBuf> {
    ensure(workspace)?;
    javascript::ensure(workspace)?;
    cloud_init::ensure(workspace)?;
    rust::ensure(workspace)?;
    Ok(workspace.clients())
}
