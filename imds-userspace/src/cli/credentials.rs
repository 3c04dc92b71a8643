//! A role's static credentials from a JSON file. Nothing that the file holds is ever in an error.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::input;
use crate::credentials::form::{self, FormError, SIZE_MAX, Writer};
use crate::metadata::document::Credentials;

/// Why there are no credentials.
#[derive(Debug, Error)]
pub(super) enum CredentialsError {
    #[error("credentials file {} can't be read: {source}", .file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("credentials file {} has more than {SIZE_MAX} bytes; give one with a role's credentials only", .file.display())]
    TooLarge { file: PathBuf },
    #[error("credentials file {}: {source}", .file.display())]
    Form { file: PathBuf, source: FormError },
}

/// What a file held.
#[derive(Debug)]
pub(super) struct CredentialsFile {
    pub(super) credentials: Credentials,
    /// That others may read it, and how to end that.
    pub(super) warning: Option<String>,
}

/// Reads credentials, in EC2's form or in that of `credential_process`.
pub(super) fn read(path: &Path) -> Result<CredentialsFile, CredentialsError> {
    let file = || path.to_owned();
    let unreadable = |source| CredentialsError::Unreadable { file: file(), source };
    let content = input::read(path, &mut io::empty(), SIZE_MAX).map_err(unreadable)?;
    let content = content.map_err(|_| CredentialsError::TooLarge { file: file() })?;
    let credentials =
        form::parse(&content.bytes, Writer::File).map_err(|source| CredentialsError::Form { file: file(), source })?;
    let warning = content.exposure("credentials file", path);
    Ok(CredentialsFile { credentials, warning })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    const SECRET: &str = "wJalrXUtnFEMI";

    fn document() -> String {
        format!(r#"{{"AccessKeyId":"A","SecretAccessKey":"{SECRET}","Token":"T","Expiration":"2030-01-01T00:00:00Z"}}"#)
    }

    fn read_text(text: &str, mode: u32) -> Result<CredentialsFile, CredentialsError> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("role.json");
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("permissions");
        read(&path)
    }

    fn message_of(text: &str) -> String {
        let message = read_text(text, 0o600).expect_err(text).to_string();
        assert!(message.contains("role.json"), "{message}");
        assert!(!message.contains(SECRET), "{message}");
        message
    }

    #[test]
    fn a_file_of_another_form_is_named() {
        let without_token = document().replace("\"Token\"", "\"token\"");
        assert!(message_of(&without_token).contains("role.json: it has no key Token;"));
        assert!(message_of(&document()[1..]).contains("role.json: line 1, column "));
    }

    #[test]
    fn a_file_that_is_absent_or_too_large_is_named() {
        let message = read(Path::new("/nonexistent/role.json")).expect_err("absent").to_string();
        assert!(
            message.starts_with("credentials file /nonexistent/role.json can't be read: No such file"),
            "{message}"
        );
        assert!(message_of(&" ".repeat(SIZE_MAX + 1)).contains("has more than 65536 bytes"));
    }

    #[test]
    fn a_file_that_others_may_read_is_warned_of() {
        for (mode, warned) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true), (0o644, true)] {
            let file = read_text(&document(), mode).expect("complete");
            assert_eq!(file.credentials.secret_access_key, SECRET);
            assert_eq!(file.warning.is_some(), warned, "{mode:o}");
            assert!(file.warning.is_none_or(|text| text.contains(&format!("(mode {mode:04o}); run `chmod 600 "))));
        }
    }
}
