//! Files that hold secrets: who may have written them, who may read them, and how one is written whole.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::OFlags;
use thiserror::Error;
use zeroize::Zeroizing;

/// Permissions of a file that is written.
const MODE: u32 = 0o600;
/// The permission bits of others than the owner.
const OTHERS: u32 = 0o077;
/// The permission bits that let somebody else than the owner write.
const OTHERS_WRITE: u32 = 0o022;
/// The bit of a directory in which only an entry's owner replaces it.
const STICKY: u32 = 0o1000;
/// Symbolic links that are followed on the way to a file, as many as Linux follows.
const LINKS_MAX: usize = 40;

/// Why a file isn't read. No message holds anything of it.
#[derive(Debug, Error)]
pub enum PrivateFileError {
    /// It can't be read.
    #[error("{} can't be read ({source})", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It is a directory, a pipe or a device.
    #[error("{} is not a regular file", .path.display())]
    NotRegular {
        /// The file.
        path: PathBuf,
    },
    /// Others can read it, or write it.
    #[error("{} is open to others (mode {mode:04o}); `chmod 600` it, where it is written too", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Somebody else could replace its content.
    #[error("{} belongs to user {owner}; `chown` it to root, where it is written too", .path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
    },
    /// Somebody else could turn the way to it.
    #[error(
        "{} is reached through {}, which others can replace or write (user {owner}, mode {mode:04o}); `chown` that to root and `chmod go-w` it, or keep the file elsewhere",
        .path.display(), .through.display()
    )]
    Way {
        /// The file.
        path: PathBuf,
        /// The directory or link on the way.
        through: PathBuf,
        /// Who owns that.
        owner: u32,
        /// Its mode.
        mode: u32,
    },
    /// It is too large.
    #[error("{} has more than {max} bytes", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// How many are taken.
        max: usize,
    },
}

impl PrivateFileError {
    /// Whether there is no such file.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Unreadable { source, .. } if source.kind() == ErrorKind::NotFound)
    }
}

/// Reads a file of at most `max` bytes that only root or the daemon's user can have written, under a name that only
/// they can have turned, and that only they can read. Blocks for the disk.
///
/// # Errors
///
/// [`PrivateFileError`]
pub fn read(path: &Path, max: usize) -> Result<Zeroizing<Vec<u8>>, PrivateFileError> {
    let named = || path.to_owned();
    let unreadable = |source| PrivateFileError::Unreadable { path: named(), source };
    let real = resolve(path)?;
    // A pipe must not keep the daemon waiting for its writer.
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(real).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(PrivateFileError::NotRegular { path: named() });
    }
    let mode = mode_of(&metadata);
    if mode & OTHERS != 0 {
        return Err(PrivateFileError::Open { path: named(), mode });
    }
    if !is_trusted(&metadata) {
        return Err(PrivateFileError::Owner { path: named(), owner: metadata.uid() });
    }
    // Of its whole size at once: a vector that grows leaves copies of a secret behind.
    let mut content = Zeroizing::new(Vec::with_capacity(max + 1));
    file.take(max as u64 + 1).read_to_end(&mut content).map_err(unreadable)?;
    if content.len() > max { Err(PrivateFileError::TooLarge { path: named(), max }) } else { Ok(content) }
}

/// Writes a file for its owner alone that is there whole or not at all, after a power failure too. Until then it has the
/// suffix `new`; nothing of it is left where that fails. Blocks for the disk.
///
/// # Errors
///
/// What the kernel said.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    // One that a crash left behind.
    remove(&new)?;
    let written = File::options().write(true).create_new(true).mode(MODE).open(&new).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&new, path)
    });
    if let Err(error) = written {
        // The first error is the one to tell.
        drop(remove(&new));
        return Err(error);
    }
    sync_directory(path)
}

/// Removes a file, if it is there, after a power failure too. Blocks for the disk.
///
/// # Errors
///
/// What the kernel said.
pub fn forget(path: &Path) -> io::Result<()> {
    remove(path)?;
    sync_directory(path)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Brings names that came and went to the disk.
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// The path without symbolic links, if nobody else can turn it: every directory on the way, and every link, is root's
/// or the daemon's user's, and no directory can be written by others, but for a sticky one, in which they replace only
/// what is theirs.
fn resolve(path: &Path) -> Result<PathBuf, PrivateFileError> {
    let unreadable = |source| PrivateFileError::Unreadable { path: path.to_owned(), source };
    let owned = |component: Component<'_>| component.as_os_str().to_owned();
    let absolute = std::path::absolute(path).map_err(unreadable)?;
    let mut rest: VecDeque<OsString> = absolute.components().map(owned).collect();
    let (mut real, mut links) = (PathBuf::from("/"), 0);
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            real.pop();
            continue;
        }
        // The root takes the place of everything before it.
        let next = real.join(name);
        let metadata = fs::symlink_metadata(&next).map_err(unreadable)?;
        let mode = mode_of(&metadata);
        let is_open = metadata.is_dir() && mode & OTHERS_WRITE != 0 && mode & STICKY == 0;
        // What the way ends at is looked at once it is open.
        let is_way = metadata.is_dir() || metadata.is_symlink();
        if is_way && (is_open || !is_trusted(&metadata)) {
            let (path, owner) = (path.to_owned(), metadata.uid());
            return Err(PrivateFileError::Way { path, through: next, owner, mode });
        }
        if metadata.is_symlink() {
            links += 1;
            if links > LINKS_MAX {
                return Err(unreadable(rustix::io::Errno::LOOP.into()));
            }
            let target = fs::read_link(&next).map_err(unreadable)?;
            target.components().rev().for_each(|component| rest.push_front(owned(component)));
        } else {
            real = next;
        }
    }
    Ok(real)
}

fn is_trusted(metadata: &Metadata) -> bool {
    metadata.uid() == 0 || metadata.uid() == rustix::process::geteuid().as_raw()
}

fn mode_of(metadata: &Metadata) -> u32 {
    metadata.mode() & 0o7777
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, chown, lchown, symlink};

    use super::*;

    const MAX: usize = 16;
    /// Anybody but root.
    const SOMEBODY: u32 = 65_534;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("owner");
    }

    /// Refused for what is on the way.
    fn refused(path: &Path, expected: &Path) {
        match read(path, MAX).expect_err("others can turn the way") {
            PrivateFileError::Way { through, .. } => assert_eq!(through, expected),
            error => panic!("{error}"),
        }
    }

    #[test]
    fn what_is_written_is_read_and_nobody_elses() {
        let scratch = tempfile::tempdir().expect("scratch directory");
        let path = scratch.path().join("a.json");
        assert!(read(&path, MAX).expect_err("not there").is_not_found());
        fs::write(path.with_extension("new"), "half").expect("scratch");
        for content in [&b"one"[..], &[0xff; MAX]] {
            write(&path, content).expect("written");
            assert_eq!(&read(&path, MAX).expect("read")[..], content);
        }
        assert_eq!(mode_of(&fs::metadata(&path).expect("there")), 0o600);
        write(&path, &[0; MAX + 1]).expect("written");
        assert!(matches!(read(&path, MAX), Err(PrivateFileError::TooLarge { max: MAX, .. })));
        forget(&path).expect("gone");
        forget(&path).expect("nothing there is fine");
        assert_eq!(fs::read_dir(scratch.path()).expect("there").count(), 0);
    }

    #[test]
    fn a_write_that_fails_leaves_nothing_of_a_secret() {
        let scratch = tempfile::tempdir().expect("scratch directory");
        let path = scratch.path().join("a.json");
        fs::create_dir(&path).expect("scratch");
        write(&path, b"secret").expect_err("a directory is in its place");
        assert!(!path.with_extension("new").exists());
    }

    #[test]
    fn a_directory_that_others_write_is_no_way() {
        let scratch = tempfile::tempdir().expect("scratch directory");
        let directory = scratch.path().canonicalize().expect("there").join("d");
        fs::create_dir(&directory).expect("scratch");
        let file = directory.join("a.json");
        write(&file, b"{}").expect("written");
        let link = scratch.path().join("link");
        symlink("d/../d", &link).expect("scratch");
        for mode in [0o777, 0o770, 0o702] {
            set_mode(&directory, mode);
            refused(&file, &directory);
            refused(&link.join("a.json"), &directory);
        }
        for mode in [0o1777, 0o755, 0o700] {
            set_mode(&directory, mode);
            assert_eq!(read(&file, MAX).expect("safe").len(), 2, "{mode:o}");
            assert_eq!(read(&link.join("a.json"), MAX).expect("safe").len(), 2, "{mode:o}");
        }
        symlink("loop", scratch.path().join("loop")).expect("scratch");
        assert!(matches!(read(&scratch.path().join("loop"), MAX), Err(PrivateFileError::Unreadable { .. })));
    }

    #[test]
    fn what_somebody_else_owns_is_no_way() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let scratch = tempfile::tempdir().expect("scratch directory");
        let scratch = scratch.path().canonicalize().expect("there");
        let (directory, link) = (scratch.join("d"), scratch.join("link"));
        fs::create_dir(&directory).expect("scratch");
        let file = directory.join("a.json");
        write(&file, b"{}").expect("written");
        symlink(&file, &link).expect("scratch");
        read(&link, MAX).expect("safe");
        lchown(&link, Some(SOMEBODY), None).expect("root");
        refused(&link, &link);
        chown(&file, Some(SOMEBODY), None).expect("root");
        assert!(matches!(read(&file, MAX), Err(PrivateFileError::Owner { owner: SOMEBODY, .. })));
        chown(&directory, Some(SOMEBODY), None).expect("root");
        refused(&file, &directory);
    }
}
