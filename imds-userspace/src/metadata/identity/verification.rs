//! Whether a signature is good: what a reader of a document checks, with certificates that he trusts.

use thiserror::Error;
use x509_cert::Certificate;
use x509_cert::der::{self, DecodePem as _, referenced::OwnedToRef as _};
use x509_cert::spki;

use super::armour;
use super::key::{Algorithm, PublicKey};
use super::signed_data::Opened;
use super::signer::CERTIFICATE_LABEL;

/// Which of a document's signatures is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// `signature`
    Signature,
    /// `pkcs7`
    Pkcs7,
    /// `rsa2048`
    Rsa2048,
}

impl Claim {
    /// The leaf's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Pkcs7 => "pkcs7",
            Self::Rsa2048 => "rsa2048",
        }
    }

    /// How such a signature is made.
    #[must_use]
    pub fn algorithm(self) -> Algorithm {
        match self {
            Self::Signature | Self::Rsa2048 => Algorithm::RsaSha256,
            Self::Pkcs7 => Algorithm::DsaSha1,
        }
    }
}

/// Why a text holds no certificates.
#[derive(Debug, Error)]
pub enum CertificatesError {
    /// There is none.
    #[error("there is no section CERTIFICATE; give certificates in PEM")]
    None,
    /// One can't be read.
    #[error("certificate {number} can't be read ({source})")]
    Malformed {
        /// Which, from 1.
        number: usize,
        /// Why.
        source: der::Error,
    },
    /// One is of a key that signs no documents.
    #[error("certificate {number} has no RSA or DSA key that can be used ({source})")]
    Key {
        /// Which, from 1.
        number: usize,
        /// Why.
        source: spki::Error,
    },
}

/// Why a signature isn't good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// No key to check with.
    #[error("no certificate of the key that makes it ({0}) is given; `imdsctl identity certificate` prints imdsd's")]
    NoCertificate(Algorithm),
    /// It isn't base64.
    #[error("it is not base64; give it as the instance reads it")]
    Encoding,
    /// It isn't such a message.
    #[error("it is not a PKCS #7 message of one signer, with its document and signed attributes in it")]
    Message,
    /// The message is another document's.
    #[error("it has another document in it")]
    OtherDocument,
    /// The message is by somebody else.
    #[error("it is by the key of none of the certificates given")]
    OtherSigner,
    /// The signature itself.
    #[error("the signature does not fit the document and the certificate")]
    Bad,
}

/// Certificates that a reader trusts.
#[derive(Debug)]
pub struct Certificates(Vec<(Certificate, PublicKey)>);

impl Certificates {
    /// Reads all certificates of a PEM text; whatever stands between them is passed over.
    ///
    /// # Errors
    ///
    /// [`CertificatesError`]
    pub fn from_pem(text: &str) -> Result<Self, CertificatesError> {
        let mut all = Vec::new();
        for (number, section) in (1..).zip(armour::sections(text, CERTIFICATE_LABEL)) {
            let malformed = |source| CertificatesError::Malformed { number, source };
            let certificate = Certificate::from_pem(section).map_err(malformed)?;
            let info = certificate.tbs_certificate().subject_public_key_info();
            let key =
                PublicKey::try_from(info.owned_to_ref()).map_err(|source| CertificatesError::Key { number, source })?;
            all.push((certificate, key));
        }
        if all.is_empty() { Err(CertificatesError::None) } else { Ok(Self(all)) }
    }

    /// Checks that one of these certificates' keys signed exactly this document; `text` is what the leaf holds, PEM's
    /// lines around it or not. Dates of certificates are not looked at: a document is frozen longer than keys are used.
    ///
    /// # Errors
    ///
    /// [`VerifyError`]
    pub fn verify(&self, claim: Claim, document: &[u8], text: &str) -> Result<(), VerifyError> {
        let algorithm = claim.algorithm();
        let fitting: Vec<_> = self.0.iter().filter(|(_, key)| key.algorithm() == algorithm).collect();
        if fitting.is_empty() {
            return Err(VerifyError::NoCertificate(algorithm));
        }
        let bytes = armour::decode(text).map_err(|_| VerifyError::Encoding)?;
        if claim == Claim::Signature {
            let good = fitting.iter().any(|(_, key)| key.verify(document, &bytes).is_ok());
            return if good { Ok(()) } else { Err(VerifyError::Bad) };
        }
        let message = Opened::read(algorithm, &bytes).ok_or(VerifyError::Message)?;
        if message.document != document {
            return Err(VerifyError::OtherDocument);
        }
        let mut signers = fitting.iter().filter(|(certificate, _)| message.is_by(certificate)).peekable();
        signers.peek().ok_or(VerifyError::OtherSigner)?;
        let good = message.covers_document(algorithm)
            && signers.any(|(_, key)| key.verify(&message.signed, &message.signature).is_ok());
        if good { Ok(()) } else { Err(VerifyError::Bad) }
    }
}
