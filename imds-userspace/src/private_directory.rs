//! Directories that only the daemon's user writes: the run directory and the state directory.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The permissions of a directory that is made.
const MODE: u32 = 0o700;
/// The permission bits that let somebody else than the owner write.
const OTHERS_WRITE: u32 = 0o022;

/// Why a directory can't be used.
#[derive(Debug, Error)]
pub enum PrivateDirectoryError {
    /// It can't be made or looked at.
    #[error("{} can't be used as a directory ({source}); give another, or make it", .path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Somebody else owns it.
    #[error("{} belongs to user {owner}, not to the daemon's user {user}; `chown` it, or give another directory", .path.display())]
    Owner {
        /// The directory.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who should.
        user: u32,
    },
    /// Others may write in it.
    #[error("{} can be written by others (mode {mode:04o}); `chmod go-w` it, or give another directory", .path.display())]
    Writable {
        /// The directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

/// Makes the directory with mode 0700 where it is missing, checks it where it is there, and returns its path without
/// symbolic links, so that one directory has one name.
///
/// # Errors
///
/// [`PrivateDirectoryError`]
pub fn ensure(path: &Path) -> Result<PathBuf, PrivateDirectoryError> {
    let unusable = |source| PrivateDirectoryError::Unusable { path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(MODE).create(path).map_err(unusable)?;
    let real = path.canonicalize().map_err(unusable)?;
    let metadata = fs::metadata(&real).map_err(unusable)?;
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != user {
        return Err(PrivateDirectoryError::Owner { path: real, owner: metadata.uid(), user });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & OTHERS_WRITE != 0 {
        return Err(PrivateDirectoryError::Writable { path: real, mode });
    }
    Ok(real)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_missing_directory_is_made_for_the_owner_alone() {
        let scratch = tempfile::tempdir().expect("scratch directory");
        let path = ensure(&scratch.path().join("a/b")).expect("made");
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o7777, 0o700);
        let link = scratch.path().join("link");
        symlink(&path, &link).expect("symbolic link");
        assert_eq!(ensure(&link).expect("there"), path);
    }

    #[test]
    fn a_directory_that_others_write_is_refused() {
        let scratch = tempfile::tempdir().expect("scratch directory");
        for mode in [0o777, 0o1777, 0o770, 0o702] {
            fs::set_permissions(scratch.path(), fs::Permissions::from_mode(mode)).expect("owner");
            let error = ensure(scratch.path()).expect_err("writable by others");
            assert!(matches!(error, PrivateDirectoryError::Writable { mode: found, .. } if found == mode), "{error}");
        }
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).expect("owner");
        ensure(scratch.path()).expect("readable by others is fine");
    }

    #[test]
    fn a_file_is_no_directory() {
        let file = tempfile::NamedTempFile::new().expect("scratch file");
        let error = ensure(file.path()).expect_err("a file");
        assert!(matches!(error, PrivateDirectoryError::Unusable { .. }), "{error}");
    }
}
