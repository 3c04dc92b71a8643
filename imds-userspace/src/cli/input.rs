//! Files that arguments name, of which `-` is standard input.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The permission bits that let others than the owner read.
const READABLE_BY_OTHERS: u32 = 0o044;

/// What a file held.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) bytes: Vec<u8>,
    /// Its permissions; none of standard input.
    mode: Option<u32>,
}

/// A size in bytes that may be known to be at least something only.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// Of a regular file.
    Exactly(u64),
    /// Of a stream, which isn't read to its end.
    AtLeast(usize),
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exactly(bytes) => write!(f, "{bytes}"),
            Self::AtLeast(bytes) => write!(f, "at least {bytes}"),
        }
    }
}

/// Whether a name is standard input's.
pub(super) fn is_input(path: &Path) -> bool {
    path == Path::new("-")
}

/// Reads a file of at most `max` bytes, or says how large it is; `-` is `input`.
pub(super) fn read(path: &Path, input: &mut dyn Read, max: usize) -> io::Result<Result<Content, Size>> {
    // One byte more than there may be tells a full one from one that is too large.
    let limit = max as u64 + 1;
    let (mut bytes, mut mode) = (Vec::new(), None);
    if is_input(path) {
        input.take(limit).read_to_end(&mut bytes)?;
    } else {
        let opened = File::open(path)?;
        let metadata = opened.metadata()?;
        if metadata.is_file() && metadata.len() >= limit {
            return Ok(Err(Size::Exactly(metadata.len())));
        }
        mode = Some(metadata.permissions().mode() & 0o7777);
        opened.take(limit).read_to_end(&mut bytes)?;
    }
    Ok(if bytes.len() > max { Err(Size::AtLeast(bytes.len())) } else { Ok(Content { bytes, mode }) })
}

impl Content {
    /// That others may read a file with credentials, and how to end that.
    pub(super) fn exposure(&self, what: &str, path: &Path) -> Option<String> {
        let mode = self.mode.filter(|mode| mode & READABLE_BY_OTHERS != 0)?;
        let name = path.display();
        Some(format!("{what} {name} is readable by others (mode {mode:04o}); run `chmod 600 {name}`"))
    }
}
