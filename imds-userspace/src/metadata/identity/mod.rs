//! Identity documents: what an instance shows to prove who it is, signed with the operator's keys.
//!
//! Three signatures stand beside a document, in the forms of EC2 (behaviour.md section 6): `signature`, RSA over the
//! document's SHA-256; `rsa2048`, the same key's PKCS #7 message with the document in it; `pkcs7`, a PKCS #7 message by
//! DSA over SHA-1, which is old and weak, and here for the clients that read nothing else. All of them cover the
//! document's exact bytes, so that document and signatures are made together, once, and kept together.
//!
//! Keys sign when an instance is made or restarts, never on a guest's request: no guest can time them.

mod armour;
mod key;
#[cfg(test)]
pub(crate) mod sample;
mod signed_data;
mod signer;
#[cfg(test)]
mod tests;
mod verification;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::key::{Algorithm, KeyError};
pub use self::signer::{Signer, SignerError};
pub use self::verification::{Certificates, CertificatesError, Claim, VerifyError};

/// A document and its signatures, frozen until the instance restarts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The document's exact text.
    pub document: String,
    /// Base64 of an RSA signature (PKCS #1 v1.5) over the document's SHA-256.
    pub signature: String,
    /// Base64 of a PKCS #7 message: the document, signed by DSA over SHA-1.
    pub pkcs7: String,
    /// Base64 of a PKCS #7 message: the document, signed by RSA over SHA-256.
    pub rsa2048: String,
}

/// A text of an identity, as a leaf of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityText {
    /// `document`
    Document,
    /// A signature of it.
    Signed(Claim),
}

impl IdentityText {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Document, Self::Signed(Claim::Pkcs7), Self::Signed(Claim::Rsa2048), Self::Signed(Claim::Signature)];

    /// The leaf's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Document => "document",
            Self::Signed(claim) => claim.name(),
        }
    }
}

impl Identity {
    /// One of its texts.
    #[must_use]
    pub fn text(&self, text: IdentityText) -> &str {
        match text {
            IdentityText::Document => &self.document,
            IdentityText::Signed(Claim::Signature) => &self.signature,
            IdentityText::Signed(Claim::Pkcs7) => &self.pkcs7,
            IdentityText::Signed(Claim::Rsa2048) => &self.rsa2048,
        }
    }
}

/// Who signs for the instances of this host: a key of each algorithm, with its certificate.
pub struct Authority {
    rsa: Signer,
    dsa: Signer,
}

impl fmt::Debug for Authority {
    /// Shows nothing: it holds private keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// Signs with these two.
    ///
    /// # Errors
    ///
    /// [`SignerError::Algorithm`] when one is given in the other's place.
    pub fn new(rsa: Signer, dsa: Signer) -> Result<Self, SignerError> {
        for (signer, wanted) in [(&rsa, Algorithm::RsaSha256), (&dsa, Algorithm::DsaSha1)] {
            if signer.algorithm() != wanted {
                return Err(SignerError::Algorithm(wanted));
            }
        }
        Ok(Self { rsa, dsa })
    }

    /// Signs a document. The same keys and the same text give the same bytes.
    ///
    /// # Errors
    ///
    /// [`SignError`]
    pub fn sign(&self, document: String) -> Result<Identity, SignError> {
        let bytes = document.as_bytes();
        let signature = armour::encode(&self.rsa.sign(bytes)?);
        let pkcs7 = armour::encode(&signed_data::seal(&self.dsa, bytes)?);
        let rsa2048 = armour::encode(&signed_data::seal(&self.rsa, bytes)?);
        Ok(Identity { document, signature, pkcs7, rsa2048 })
    }

    /// The certificate, in PEM, that what an algorithm signs is checked with.
    #[must_use]
    pub fn certificate(&self, algorithm: Algorithm) -> &str {
        match algorithm {
            Algorithm::RsaSha256 => self.rsa.certificate_pem(),
            Algorithm::DsaSha1 => self.dsa.certificate_pem(),
        }
    }
}

/// Why a document isn't signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The key.
    #[error("the identity document can't be signed ({0})")]
    Signature(#[from] rsa::signature::Error),
    /// What the signature stands in.
    #[error("the identity document's signature can't be written ({0})")]
    Encoding(#[from] x509_cert::der::Error),
}
