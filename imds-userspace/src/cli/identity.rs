//! Signatures of identity documents, checked here, without the daemon where certificates are given.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::arguments::VerifyArguments;
use super::error::Error;
use super::input;
use crate::metadata::identity::{Certificates, CertificatesError, Claim, VerifyError};
use crate::registry::view::CertificatesView;

/// The largest file in bytes: a document and its signatures have a few KiB, a bundle of certificates some more.
const FILE_MAX: usize = 256 * 1024;

/// Why nothing was found good.
#[derive(Debug, Error)]
pub(super) enum VerificationError {
    #[error("file {} can't be read: {source}", .file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("file {} has more than {FILE_MAX} bytes; give what the instance reads", .file.display())]
    TooLarge { file: PathBuf },
    #[error("standard input is given for more than one file; give the others by their names")]
    InputTwice,
    #[error("{}: {source}", .file.display())]
    Certificates { file: PathBuf, source: CertificatesError },
    #[error("imdsd's certificates: {0}")]
    Theirs(CertificatesError),
    #[error("{} is not good: {source}", .claim.name())]
    Bad { claim: Claim, source: VerifyError },
}

/// What to check, its files read.
#[derive(Debug)]
pub(super) struct Verification {
    trusted: Option<Certificates>,
    document: Vec<u8>,
    claims: Vec<(Claim, String)>,
}

impl Verification {
    /// Reads the files that the arguments name; `input` is the one named `-`.
    pub(super) fn new(arguments: &VerifyArguments, input: &mut dyn Read) -> Result<Self, VerificationError> {
        let VerifyArguments { certificate, document, signature, pkcs7, rsa2048 } = arguments;
        let claims = [(Claim::Signature, signature), (Claim::Pkcs7, pkcs7), (Claim::Rsa2048, rsa2048)];
        let files = claims.iter().filter_map(|(_, file)| file.as_ref()).chain(certificate).chain([document]);
        if files.filter(|file| input::is_input(file)).count() > 1 {
            return Err(VerificationError::InputTwice);
        }
        // What isn't text is neither base64 nor PEM, and found so later.
        let mut text = |file: &Path| read(file, input).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let trusted = certificate.as_ref().map(|file| {
            let trusted = Certificates::from_pem(&text(file)?);
            trusted.map_err(|source| VerificationError::Certificates { file: file.clone(), source })
        });
        let trusted = trusted.transpose()?;
        let named = claims.into_iter().filter_map(|(claim, file)| Some((claim, file.as_ref()?)));
        let claims = named.map(|(claim, file)| Ok((claim, text(file)?))).collect::<Result<_, VerificationError>>()?;
        Ok(Self { trusted, document: read(document, input)?, claims })
    }

    /// The certificates to trust: those given, or the daemon's, for which `ask` asks.
    pub(super) fn certificates(
        &mut self,
        ask: impl FnOnce() -> Result<CertificatesView, Error>,
    ) -> Result<Certificates, Error> {
        if let Some(given) = self.trusted.take() {
            return Ok(given);
        }
        let CertificatesView { rsa, dsa } = ask()?;
        Ok(Certificates::from_pem(&(rsa + &dsa)).map_err(VerificationError::Theirs)?)
    }

    /// The names of the signatures, all of which are good.
    pub(super) fn check(&self, trusted: &Certificates) -> Result<Vec<&'static str>, VerificationError> {
        let check = |(claim, text): &(Claim, String)| {
            let claim = *claim;
            let checked = trusted.verify(claim, &self.document, text).map(|()| claim.name());
            checked.map_err(|source| VerificationError::Bad { claim, source })
        };
        self.claims.iter().map(check).collect()
    }
}

fn read(file: &Path, input: &mut dyn Read) -> Result<Vec<u8>, VerificationError> {
    let unreadable = |source| VerificationError::Unreadable { file: file.to_owned(), source };
    let content = input::read(file, input, FILE_MAX).map_err(unreadable)?;
    Ok(content.map_err(|_| VerificationError::TooLarge { file: file.to_owned() })?.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::identity::sample::{DSA, RSA};
    use crate::metadata::sample;

    /// A directory with the files of one document, and the verification of some of them.
    struct Files(tempfile::TempDir);

    impl Files {
        fn new() -> Self {
            let files = Self(tempfile::tempdir().expect("a temporary directory"));
            let identity = sample::identity();
            files.write("document", &identity.document);
            files.write("signature", &identity.signature);
            files.write("pkcs7", &identity.pkcs7);
            files.write("rsa2048", &identity.rsa2048);
            files.write("both.pem", &[RSA, DSA].concat());
            files.write("rsa.pem", RSA);
            files
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.0.path().join(name), text).expect("written");
        }

        fn arguments(&self, certificate: Option<&str>, claims: &[&str]) -> VerifyArguments {
            let path = |name: &str| if name == "-" { name.into() } else { self.0.path().join(name) };
            let claim = |name: &str| claims.contains(&name).then(|| path(name));
            VerifyArguments {
                certificate: certificate.map(path),
                document: path("document"),
                signature: claim("signature"),
                pkcs7: claim("pkcs7"),
                rsa2048: claim("rsa2048"),
            }
        }

        fn run(&self, certificate: Option<&str>, claims: &[&str]) -> Result<Vec<&'static str>, Error> {
            let mut verification = Verification::new(&self.arguments(certificate, claims), &mut io::empty())?;
            let theirs = || Ok(CertificatesView { rsa: RSA.to_owned(), dsa: DSA.to_owned() });
            let trusted = verification.certificates(theirs)?;
            Ok(verification.check(&trusted)?)
        }
    }

    #[test]
    fn all_signatures_are_checked_with_the_certificates_given_or_the_daemon_s() {
        let (files, all) = (Files::new(), ["signature", "pkcs7", "rsa2048"]);
        for certificate in [Some("both.pem"), None] {
            assert_eq!(files.run(certificate, &all).expect("good"), all);
        }
        assert_eq!(files.run(Some("rsa.pem"), &["rsa2048"]).expect("good"), ["rsa2048"]);
        let message = files.run(Some("rsa.pem"), &all).expect_err("no DSA").to_string();
        assert!(
            message.starts_with("pkcs7 is not good: no certificate of the key that makes it (DSA) is given; "),
            "{message}"
        );
        files.write("document", "{}");
        for claim in all {
            let error = files.run(None, &[claim]).expect_err("another document");
            assert_eq!(error.exit_code(), 1);
            assert!(error.to_string().starts_with(&format!("{claim} is not good: ")), "{error}");
        }
    }

    #[test]
    fn files_that_say_nothing_are_no_verdict() {
        let files = Files::new();
        let long = "x".repeat(256 * 1024 + 1);
        for (text, reason) in [("", "no section CERTIFICATE"), (long.as_str(), "more than 262144 bytes")] {
            files.write("rsa.pem", text);
            let error = files.run(Some("rsa.pem"), &["signature"]).expect_err(reason);
            assert_eq!(error.exit_code(), 2, "{error}");
            assert!(error.to_string().contains(reason) && error.to_string().contains("rsa.pem"), "{error}");
        }
        let error = files.run(Some("none.pem"), &["signature"]).expect_err("missing");
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("none.pem can't be read: No such file"), "{error}");
    }

    #[test]
    fn standard_input_is_one_of_the_files() {
        let files = Files::new();
        let signature = sample::identity().signature.clone();
        let mut arguments = files.arguments(Some("rsa.pem"), &[]);
        arguments.signature = Some("-".into());
        let mut verification = Verification::new(&arguments, &mut signature.as_bytes()).expect("read");
        let trusted = verification.certificates(|| Err(Error::Payload)).expect("given");
        assert_eq!(verification.check(&trusted).expect("good"), ["signature"]);
        arguments.document = "-".into();
        let error = Verification::new(&arguments, &mut signature.as_bytes()).expect_err("twice");
        assert!(matches!(error, VerificationError::InputTwice), "{error}");
    }
}
