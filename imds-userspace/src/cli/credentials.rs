//! A role's static credentials from a JSON file. Nothing that the file holds is ever in an error.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use thiserror::Error;

use crate::metadata::document::Credentials;

/// The largest credentials file in bytes: session tokens have one or two KiB.
const FILE_MAX: u64 = 64 * 1024;

/// The permission bits that let others than the owner read.
const READABLE_BY_OTHERS: u32 = 0o044;

/// Why there are no credentials.
#[derive(Debug, Error)]
pub(super) enum CredentialsError {
    #[error("credentials file {} can't be read: {source}", .file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("credentials file {} has more than {FILE_MAX} bytes; give one with a role's credentials only", .file.display())]
    TooLarge { file: PathBuf },
    #[error("credentials file {}, line {line}, column {column}: not JSON from there on; mend it", .file.display())]
    Malformed { file: PathBuf, line: usize, column: usize },
    #[error("credentials file {} is not a JSON object; it needs AccessKeyId, SecretAccessKey, Token and Expiration", .file.display())]
    NoObject { file: PathBuf },
    #[error("credentials file {} has no key {key}; it needs AccessKeyId, SecretAccessKey, Token and Expiration", .file.display())]
    Missing { file: PathBuf, key: &'static str },
    #[error("credentials file {}: {key} is not a string, or an empty one; give its value in quotes", .file.display())]
    NoString { file: PathBuf, key: &'static str },
}

/// What a file held.
#[derive(Debug)]
pub(super) struct CredentialsFile {
    pub(super) credentials: Credentials,
    /// That others may read it, and how to end that.
    pub(super) warning: Option<String>,
}

/// Reads credentials. Keys beside the four, such as `Code`, `LastUpdated` and `Type` of EC2's own document, are passed
/// over.
pub(super) fn read(path: &Path) -> Result<CredentialsFile, CredentialsError> {
    let file = || path.to_owned();
    let unreadable = |source| CredentialsError::Unreadable { file: file(), source };
    let opened = File::open(path).map_err(unreadable)?;
    let mode = opened.metadata().map_err(unreadable)?.permissions().mode() & 0o7777;
    let mut content = Vec::new();
    let read = opened.take(FILE_MAX + 1).read_to_end(&mut content).map_err(unreadable)?;
    if read as u64 > FILE_MAX {
        return Err(CredentialsError::TooLarge { file: file() });
    }
    // The parser's own words could quote the content; its position can't.
    let value: Value = serde_json::from_slice(&content).map_err(|error| CredentialsError::Malformed {
        file: file(),
        line: error.line(),
        column: error.column(),
    })?;
    let Value::Object(mut object) = value else {
        return Err(CredentialsError::NoObject { file: file() });
    };
    let credentials = Credentials {
        access_key_id: take(&mut object, "AccessKeyId", path)?,
        secret_access_key: take(&mut object, "SecretAccessKey", path)?,
        token: take(&mut object, "Token", path)?,
        expiration: take(&mut object, "Expiration", path)?,
    };
    let warning = (mode & READABLE_BY_OTHERS != 0).then(|| {
        let name = path.display();
        format!("credentials file {name} is readable by others (mode {mode:04o}); run `chmod 600 {name}`")
    });
    Ok(CredentialsFile { credentials, warning })
}

fn take(object: &mut Map<String, Value>, key: &'static str, path: &Path) -> Result<String, CredentialsError> {
    match object.remove(key) {
        Some(Value::String(value)) if !value.is_empty() => Ok(value),
        Some(_) => Err(CredentialsError::NoString { file: path.to_owned(), key }),
        None => Err(CredentialsError::Missing { file: path.to_owned(), key }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};

    const SECRET: &str = "wJalrXUtnFEMI";
    const KEYS: [&str; 4] = ["AccessKeyId", "SecretAccessKey", "Token", "Expiration"];

    fn document() -> Map<String, Value> {
        let mut document: Map<_, _> =
            KEYS.iter().map(|key| (key.to_string(), format!("{key} {SECRET}").into())).collect();
        document.insert("Expiration".into(), "2030-01-01T00:00:00Z".into());
        document
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
    fn the_four_keys_are_taken_and_others_passed_over() {
        let mut document = document();
        for (key, value) in [("Code", "Success"), ("LastUpdated", "2029-01-01T00:00:00Z"), ("Type", "AWS-HMAC")] {
            document.insert(key.into(), value.into());
        }
        let file = read_text(&Value::Object(document).to_string(), 0o600).expect("complete");
        assert_eq!(file.credentials.access_key_id, format!("AccessKeyId {SECRET}"));
        assert_eq!(file.credentials.secret_access_key, format!("SecretAccessKey {SECRET}"));
        assert_eq!(file.credentials.token, format!("Token {SECRET}"));
        assert_eq!(file.credentials.expiration, "2030-01-01T00:00:00Z");
        assert_eq!(file.warning, None);
    }

    #[test]
    fn a_missing_key_is_named() {
        for key in KEYS {
            let mut document = document();
            document.remove(key);
            let message = message_of(&Value::Object(document).to_string());
            assert!(message.contains(&format!("has no key {key};")), "{message}");
        }
    }

    #[test]
    fn a_key_that_is_no_text_is_named() {
        for key in KEYS {
            for value in [Value::Null, Value::from(1), Value::from(""), Value::from(vec![SECRET])] {
                let mut document = document();
                document.insert(key.into(), value);
                let message = message_of(&Value::Object(document).to_string());
                assert!(message.contains(&format!(": {key} is not a string")), "{message}");
            }
        }
    }

    #[test]
    fn broken_json_is_told_by_line_and_column_without_its_content() {
        let text = format!("{{\n  \"AccessKeyId\": \"A\",\n  \"Token\": {SECRET}\n}}");
        assert!(message_of(&text).contains(", line 3, column 12: not JSON"), "{}", message_of(&text));
        assert!(message_of("").contains(", line 1, column 0: not JSON"));
        assert!(message_of("{\"Token\": \"").contains(", line 1, column 11: not JSON"));
        assert!(message_of(&format!("[\"{SECRET}\"]")).contains("is not a JSON object"));
    }

    #[test]
    fn a_file_that_is_absent_or_too_large_is_named() {
        let message = read(Path::new("/nonexistent/role.json")).expect_err("absent").to_string();
        assert!(
            message.starts_with("credentials file /nonexistent/role.json can't be read: No such file"),
            "{message}"
        );
        let spaces = " ".repeat(usize::try_from(FILE_MAX).expect("fits") + 1);
        assert!(message_of(&spaces).contains("has more than 65536 bytes"));
    }

    #[test]
    fn a_file_that_others_may_read_is_warned_of() {
        let text = Value::Object(document()).to_string();
        for (mode, warned) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true), (0o644, true)] {
            let warning = read_text(&text, mode).expect("complete").warning;
            assert_eq!(warning.is_some(), warned, "{mode:o}");
            assert!(warning.is_none_or(|text| text.contains(&format!("(mode {mode:04o}); run `chmod 600 "))));
        }
    }
}
