//! The keys that sign identity documents: files of the operator's, or files in the state directory, made where they are
//! missing. Each holds a private key and its certificate, so that both are replaced at once or not at all.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::metadata::identity::{Algorithm, Authority, Signer, SignerError};
use crate::private_directory::{self, PrivateDirectoryError};
use crate::private_file::{self, PrivateFileError};

/// The RSA key's file in the state directory.
const RSA_FILE: &str = "identity-rsa.pem";
/// The DSA key's file in the state directory.
const DSA_FILE: &str = "identity-dsa.pem";
/// The largest file in bytes: a key and a chain of certificates have some KiB.
const FILE_MAX: usize = 64 * 1024;

/// Why documents can't be signed. No message holds anything of a key.
#[derive(Debug, Error)]
pub enum SigningKeyError {
    /// The state directory.
    #[error("state directory: {0}")]
    Directory(#[from] PrivateDirectoryError),
    /// A file isn't read.
    #[error("signing key {0}; see [identity] in imdsd's config")]
    File(#[from] PrivateFileError),
    /// A file holds no good key.
    #[error("signing key {}: {source}", .path.display())]
    Signer {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: SignerError,
    },
    /// A new key can't be kept.
    #[error("a new signing key can't be written to {} ({source})", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Reads the keys: of the files given, and else of the state directory's, which are made where they are missing. Making
/// one takes a second or so. Whoever calls this has the store open, so that no other daemon makes them as well.
///
/// # Errors
///
/// [`SigningKeyError`]; a file that is there is left as it is.
pub fn open(state_directory: &Path, rsa: Option<&Path>, dsa: Option<&Path>) -> Result<Authority, SigningKeyError> {
    let directory = private_directory::ensure(state_directory)?;
    let signer = |algorithm, given: Option<&Path>, name| match given {
        Some(path) => read(algorithm, path),
        None => read_or_make(algorithm, &directory, name),
    };
    let rsa = signer(Algorithm::RsaSha256, rsa, RSA_FILE)?;
    let dsa = signer(Algorithm::DsaSha1, dsa, DSA_FILE)?;
    Authority::new(rsa, dsa).map_err(|source| SigningKeyError::Signer { path: directory, source })
}

fn read(algorithm: Algorithm, path: &Path) -> Result<Signer, SigningKeyError> {
    let content = private_file::read(path, FILE_MAX)?;
    // What is no text is no key: an empty one says so.
    let text = std::str::from_utf8(&content).unwrap_or_default();
    Signer::from_pem(algorithm, text).map_err(|source| SigningKeyError::Signer { path: path.to_owned(), source })
}

fn read_or_make(algorithm: Algorithm, directory: &Path, name: &str) -> Result<Signer, SigningKeyError> {
    let path = directory.join(name);
    match read(algorithm, &path) {
        Err(SigningKeyError::File(error)) if error.is_not_found() => {}
        outcome => return outcome,
    }
    let failed = |source| SigningKeyError::Signer { path: path.clone(), source };
    let signer = Signer::generate(algorithm).map_err(failed)?;
    let text = signer.to_pem().map_err(failed)?;
    private_file::write(&path, text.as_bytes())
        .map_err(|source| SigningKeyError::Write { path: path.clone(), source })?;
    tracing::info!(path = %path.display(), "signing key made");
    Ok(signer)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;
    use crate::metadata::identity::sample;

    /// Permissions of a key.
    const MODE: u32 = 0o600;

    /// A state directory with the known keys.
    fn known() -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for (name, text) in [(RSA_FILE, sample::RSA), (DSA_FILE, sample::DSA)] {
            write(&directory.path().join(name), text, MODE);
        }
        directory
    }

    fn write(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).expect("written");
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("owner");
    }

    fn signature(authority: &Authority) -> String {
        authority.sign("document".to_owned()).expect("signed").signature
    }

    #[test]
    fn missing_keys_are_made_for_the_owner_alone_and_kept() {
        let directory = known();
        let path = directory.path().join(RSA_FILE);
        fs::remove_file(&path).expect("removed");
        write(&path.with_extension("new"), "left behind", 0o644);
        let first = open(directory.path(), None, None).expect("made");
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o7777, MODE);
        assert!(!path.with_extension("new").exists());
        let second = open(directory.path(), None, None).expect("read");
        assert_eq!(signature(&first), signature(&second));
        assert_ne!(signature(&first), signature(&sample::authority()), "a new key");
        let dsa = Algorithm::DsaSha1;
        assert_eq!(first.certificate(dsa), sample::authority().certificate(dsa), "the other one stays");
    }

    #[test]
    fn a_given_file_takes_the_place_of_the_state_directory_s() {
        let (directory, given) = (tempfile::tempdir().expect("a temporary directory"), known());
        let (rsa, dsa) = (given.path().join(RSA_FILE), given.path().join(DSA_FILE));
        let authority = open(directory.path(), Some(&rsa), Some(&dsa)).expect("read");
        assert_eq!(signature(&authority), signature(&sample::authority()));
        assert_eq!(fs::read_dir(directory.path()).expect("there").count(), 0, "nothing is made");
        fs::remove_file(&rsa).expect("removed");
        let error = open(directory.path(), Some(&rsa), Some(&dsa)).expect_err("missing").to_string();
        assert!(error.contains("identity-rsa.pem can't be read (No such file"), "{error}");
        assert!(!rsa.exists(), "a file of the operator's is never made");
    }

    #[test]
    fn files_that_others_read_or_that_hold_no_key_are_refused_and_left() {
        for mode in [0o640, 0o604, 0o620] {
            let directory = known();
            let path = directory.path().join(DSA_FILE);
            write(&path, sample::DSA, mode);
            let error = open(directory.path(), None, None).expect_err("readable by others").to_string();
            assert!(error.contains(&format!("open to others (mode {mode:04o}); ")), "{error}");
        }
        let long = "x".repeat(64 * 1024 + 1);
        for (text, reason) in
            [("", "no section PRIVATE KEY"), (sample::DSA, "one of RSA"), (&long, "more than 65536 bytes")]
        {
            let directory = known();
            let path = directory.path().join(RSA_FILE);
            write(&path, text, MODE);
            let error = open(directory.path(), None, None).expect_err(reason).to_string();
            assert!(error.contains(reason) && error.contains(RSA_FILE), "{error}");
            assert_eq!(fs::read_to_string(&path).expect("there"), text);
        }
        let directory = known();
        let path = directory.path().join(RSA_FILE);
        fs::remove_file(&path).expect("removed");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::from(MODE), 0)
            .expect("a pipe");
        let error = open(directory.path(), None, None).expect_err("a pipe");
        assert!(matches!(error, SigningKeyError::File(PrivateFileError::NotRegular { .. })), "{error}");
    }
}
