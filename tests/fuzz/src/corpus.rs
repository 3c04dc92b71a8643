//! The committed inputs.

use std::fs;
use std::path::Path;

/// The inputs of a target, each with its file's name.
///
/// # Panics
///
/// If there are none.
#[must_use]
pub fn of(target: &str) -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut inputs: Vec<_> = entries
        .flatten()
        .map(|entry| {
            let bytes = fs::read(entry.path()).unwrap_or_else(|error| panic!("{}: {error}", entry.path().display()));
            (format!("{target}/{}", entry.file_name().display()), bytes)
        })
        .collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "{} is empty", directory.display());
    inputs
}
