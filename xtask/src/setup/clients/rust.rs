//! The AWS SDK for Rust.

use anyhow::Result;

use crate::process;
use crate::workspace::Workspace;

/// Builds the client, a workspace of its own, with the SDK of its committed list.
pub(super) fn ensure(workspace: &Workspace) -> Result<()> {
    let target = workspace.clients().join("rust");
    if !target.join("debug/aws-sdk-client").is_file() {
        println!(
            "setup: building the AWS SDK for Rust into {}: one of the tests' clients, some minutes once",
            target.display()
        );
    }
    let manifest = workspace.root.join("tests/clients/rust/Cargo.toml");
    process::run(
        workspace
            .cargo()
            .args(["build", "--quiet", "--locked", "--manifest-path"])
            .arg(manifest)
            .env("CARGO_TARGET_DIR", target),
    )
}
