//! What `cargo xtask bench` measures with, and the server that it measures against.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;
use crate::setup::apt::{self, Extent};
use crate::workspace::Workspace;

/// The libraries of Debian's nginx.
const NGINX_LIBRARIES: [&str; 4] = ["libcrypt1", "libpcre2-8-0", "libssl3", "zlib1g"];

/// Installs wrk and iperf3, and unpacks nginx; returns nginx's path.
pub(crate) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    for (program, why) in
        [("wrk", "the benchmark's HTTP load comes from it"), ("iperf3", "the benchmark's bulk TCP comes from it")]
    {
        if process::find(program).is_none() {
            apt::install(&[program], why)?;
        }
    }
    let nginx = workspace.nginx();
    if !nginx.is_file() {
        // Not installed, since apt would start a server on this host's port 80.
        apt::unpack(
            || Ok("nginx".to_owned()),
            Extent::Alone,
            "the server that the benchmark compares with",
            &workspace.rivals(),
        )?;
    }
    if version(&nginx, "-v").is_err() {
        apt::install(&NGINX_LIBRARIES, "the benchmark's nginx needs these libraries")?;
    }
    Ok(nginx)
}

/// The versions of all of them, in one line.
pub(crate) fn versions(workspace: &Workspace) -> Result<String> {
    let mut line = String::new();
    for (program, argument) in [(workspace.nginx(), "-v"), ("wrk".into(), "-v"), ("iperf3".into(), "--version")] {
        let separator = if line.is_empty() { "" } else { ", " };
        write!(line, "{separator}{}", version(&program, argument)?)?;
    }
    Ok(line)
}

/// The first line of what a program says of itself, up to what it was built with.
fn version(program: &Path, argument: &str) -> Result<String> {
    let mut command = Command::new(program);
    let output = command.arg(argument).output().with_context(|| process::cannot_start(&command))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let words = said.lines().next().unwrap_or_default().trim_start_matches("nginx version: ");
    // wrk fails when it is asked for its version, and nginx when a library is missing.
    let end = words.find([']', '(']).unwrap_or(words.len());
    let named = words[..end].replace('[', "");
    anyhow::ensure!(named.contains(|c: char| c.is_ascii_digit()) && !said.contains("loading shared"), "{said}");
    Ok(named.trim().to_owned())
}
