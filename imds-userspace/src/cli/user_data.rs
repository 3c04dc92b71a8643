//! User data from a file, or from standard input.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::input::{self, Size};
use crate::metadata::field::USER_DATA_MAX;

/// Why there is no user data.
#[derive(Debug, Error)]
pub(super) enum UserDataError {
    #[error("user data file {} can't be read: {source}", .file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("user data file {} has {size} bytes, more than the {USER_DATA_MAX} that user data may have; compress it, or let it fetch the rest", .file.display())]
    TooLarge { file: PathBuf, size: Size },
}

/// The file's content in base64; `-` is `input`.
pub(super) fn read(file: &Path, input: &mut dyn Read) -> Result<String, UserDataError> {
    let unreadable = |source| UserDataError::Unreadable { file: file.to_owned(), source };
    let too_large = |size| UserDataError::TooLarge { file: file.to_owned(), size };
    let content = input::read(file, input, USER_DATA_MAX).map_err(unreadable)?.map_err(too_large)?.bytes;
    Ok(STANDARD.encode(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_limit_passes_verbatim_and_one_byte_more_does_not() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("data");
        let content: Vec<u8> = (0..=u8::MAX).cycle().take(USER_DATA_MAX).collect();
        std::fs::write(&file, &content).expect("written");
        let encoded = read(&file, &mut io::empty()).expect("of the limit");
        assert_eq!(STANDARD.decode(encoded).expect("base64"), content);

        std::fs::write(&file, vec![b'x'; USER_DATA_MAX + 1]).expect("written");
        let message = read(&file, &mut io::empty()).expect_err("too large").to_string();
        let expected = format!("user data file {} has 16385 bytes, more than the 16384 ", file.display());
        assert!(message.starts_with(&expected), "{message}");
    }

    #[test]
    fn a_dash_is_standard_input_and_an_endless_one_is_refused() {
        assert_eq!(read(Path::new("-"), &mut &b"#!/bin/sh\n"[..]).expect("short"), "IyEvYmluL3NoCg==");
        let message = read(Path::new("-"), &mut io::repeat(0)).expect_err("endless").to_string();
        assert!(message.starts_with("user data file - has at least 16385 bytes, more than the 16384 "), "{message}");
    }

    #[test]
    fn an_unreadable_file_is_named() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for (file, words) in [(directory.path().join("absent"), "No such file"), (directory.path().into(), "directory")]
        {
            let message = read(&file, &mut io::empty()).expect_err("unreadable").to_string();
            assert!(message.contains(&file.display().to_string()) && message.contains(words), "{message}");
        }
    }
}
