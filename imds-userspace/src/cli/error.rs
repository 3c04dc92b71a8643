//! What ends a command with another exit code than 0.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::apply::ApplyError;
use super::credentials::CredentialsError;
use super::document::FileError;
use super::identity::VerificationError;
use super::metadata_options::MetadataOptionsError;
use super::tags::TagError;
use super::user_data::UserDataError;
use crate::control::client::ClientError;
use crate::control::protocol::FailureKind;

/// The exit code of a command that did what it was told. `imdsctl --help` documents all of them.
pub(super) const SUCCESS: u8 = 0;
const OTHER: u8 = 1;
/// clap's too.
const INVALID: u8 = 2;
const NOT_FOUND: u8 = 3;
const CONFLICT: u8 = 4;
const UNSUPPORTED: u8 = 5;

/// Why a command failed.
#[derive(Debug, Error)]
pub(super) enum Error {
    #[error(transparent)]
    MetadataOptions(#[from] MetadataOptionsError),
    #[error(transparent)]
    Tag(#[from] TagError),
    #[error("the host gives no random numbers: {0}")]
    Random(getrandom::Error),
    #[error(transparent)]
    UserData(#[from] UserDataError),
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error(
        "credentials that are typed can be read by every process of this host; give - as VALUE, and them on standard input"
    )]
    TypedSecret,
    #[error("nothing that may be shown stands at {0}; `imdsctl metadata get ID` prints all that does")]
    NoValue(String),
    #[error(transparent)]
    Verification(#[from] VerificationError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("imdsd answered with something else than what was asked for; are imdsd and imdsctl of the same release?")]
    Payload,
    #[error("the answer can't be written as JSON: {0}")]
    Json(#[source] serde_json::Error),
    #[error("standard output can't be written: {0}")]
    Output(#[source] io::Error),
    #[error("manual page {} can't be written: {source}", .path.display())]
    Page { path: PathBuf, source: io::Error },
}

impl Error {
    /// The exit code that tells it.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Apply(ApplyError::Failed { .. }) => OTHER,
            Self::Apply(ApplyError::Stopped { source, .. }) => source.exit_code(),
            Self::MetadataOptions(_) | Self::Tag(_) | Self::UserData(_) | Self::Credentials(_) => INVALID,
            Self::File(_) | Self::Apply(_) | Self::TypedSecret => INVALID,
            Self::NoValue(_) => NOT_FOUND,
            Self::Verification(VerificationError::Bad { .. }) => OTHER,
            Self::Verification(_) | Self::Client(ClientError::RequestTooLong { .. }) => INVALID,
            Self::Client(ClientError::Refused(failure)) => match failure.kind {
                FailureKind::Invalid => INVALID,
                FailureKind::NotFound => NOT_FOUND,
                FailureKind::Conflict => CONFLICT,
                FailureKind::Unsupported => UNSUPPORTED,
                FailureKind::Version | FailureKind::Internal => OTHER,
            },
            Self::Client(_) | Self::Payload | Self::Json(_) => OTHER,
            Self::Output(_) | Self::Page { .. } | Self::Random(_) => OTHER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::protocol::Failure;

    #[test]
    fn each_kind_of_failure_has_its_code() {
        let codes = [
            (FailureKind::Invalid, 2),
            (FailureKind::NotFound, 3),
            (FailureKind::Conflict, 4),
            (FailureKind::Unsupported, 5),
            (FailureKind::Version, 1),
            (FailureKind::Internal, 1),
        ];
        for (kind, code) in codes {
            let error = Error::Client(ClientError::Refused(Failure { kind, message: "a reason".into() }));
            assert_eq!(error.exit_code(), code, "{kind:?}");
            assert_eq!(error.to_string(), "a reason");
        }
    }

    #[test]
    fn bad_input_is_usage_and_everything_else_is_one() {
        assert_eq!(Error::Tag(TagError::NoValue("x".into())).exit_code(), 2);
        assert_eq!(Error::MetadataOptions(MetadataOptionsError::Pair("x".into())).exit_code(), 2);
        assert_eq!(Error::Credentials(CredentialsError::TooLarge { file: "f".into() }).exit_code(), 2);
        assert_eq!(Error::Client(ClientError::RequestTooLong { bytes: 2_000_000 }).exit_code(), 2);
        assert_eq!(Error::Client(ClientError::Closed { socket: "s".into() }).exit_code(), 1);
        assert_eq!(Error::Payload.exit_code(), 1);
        assert_eq!(Error::Output(io::ErrorKind::StorageFull.into()).exit_code(), 1);
    }
}
