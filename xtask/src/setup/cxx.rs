//! A C++ compiler, which the fuzzer's engine is built with.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::process;
use crate::setup::apt;

/// Installs one if there is none; returns its path.
pub(crate) fn ensure() -> Result<PathBuf> {
    if let Some(compiler) = process::find("c++") {
        return Ok(compiler);
    }
    apt::install(&["g++"], "the fuzzer's engine is built with it")?;
    process::find("c++").context("g++ is installed, but there is no c++")
}
