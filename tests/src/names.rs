//! Names of what is made on the host: the process's own, so that tests and demos run side by side.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{environment, reaper};

/// What a number stands for that was taken in this process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// The directory that everything of this process is in; removed by the reaper.
static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    let root = std::env::temp_dir().join(format!("imt{:x}", std::process::id()));
    // One of a dead process that had our number.
    let _ = fs::remove_dir_all(&root);
    fs::DirBuilder::new()
        .mode(0o711)
        .create(&root)
        .unwrap_or_else(|error| panic!("{} can't be made: {error}", root.display()));
    reaper::start(&root);
    root
});

/// A number that nobody else in this process has.
#[must_use]
pub fn number() -> u32 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The directory that everything of this process is in.
#[must_use]
pub fn root() -> &'static Path {
    &ROOT
}

/// What every name of this process begins with.
#[must_use]
pub fn prefix() -> String {
    // Neither 1 nor 12 followed by a number may be mistaken for the other.
    format!("imt{:x}_", std::process::id())
}

/// The name of a new link or namespace, at most 15 characters.
#[must_use]
pub fn link() -> String {
    LazyLock::force(&ROOT);
    let name = format!("{}{:x}", prefix(), number());
    assert!(name.len() <= 15, "{name} is too long for a link");
    name
}

/// A new directory, 0700.
#[must_use]
pub fn directory() -> PathBuf {
    environment::require();
    let path = ROOT.join(number().to_string());
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&path)
        .unwrap_or_else(|error| panic!("{} can't be made: {error}", path.display()));
    path
}

/// Writes a new file with the given permissions; its path.
#[must_use]
pub fn file(name: &str, content: &[u8], mode: u32) -> PathBuf {
    let path = directory().join(name);
    write(&path, content, mode);
    path
}

/// Writes a file with the given permissions.
pub fn write(path: &Path, content: &[u8], mode: u32) {
    fs::write(path, content)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .unwrap_or_else(|error| panic!("{} can't be written: {error}", path.display()));
}

/// An IPv4 network of two hosts that nobody else in this process has: the host's address and the guest's.
///
/// Of 198.18.0.0/15, which is for tests (RFC 2544) and leads nowhere.
#[must_use]
pub fn pair_of_addresses() -> ([u8; 4], [u8; 4]) {
    static PAIRS: AtomicU32 = AtomicU32::new(0);
    // Side by side processes have neighbouring numbers: 16 pairs each.
    let next = PAIRS.fetch_add(1, Ordering::Relaxed) % 16;
    let pair = std::process::id().wrapping_mul(16).wrapping_add(next) % (1 << 15);
    let [_, high, middle, low] = (pair * 4).to_be_bytes();
    ([198, 18 + high, middle, low + 1], [198, 18 + high, middle, low + 2])
}
