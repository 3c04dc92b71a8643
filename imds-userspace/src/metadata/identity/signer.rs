//! A private key and its certificate.

use std::fmt;
use std::time::{Duration, SystemTime};

use getrandom::SysRng;
use rsa::pkcs8::LineEnding;
use rsa::rand_core::UnwrapErr;
use rsa::signature::Keypair as _;
use thiserror::Error;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{self, Builder as _, CertificateBuilder};
use x509_cert::der::asn1::{BitString, GeneralizedTime};
use x509_cert::der::{self, DateTime, DecodePem as _, EncodePem as _};
use x509_cert::ext::Extension;
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{EncodePublicKey as _, SubjectPublicKeyInfoRef};
use x509_cert::time::{Time, Validity};
use x509_cert::{Certificate, SubjectPublicKeyInfo, TbsCertificate};
use zeroize::Zeroizing;

use super::armour;
use super::key::{Algorithm, KeyError, PrivateKey};

/// PEM's label of a private key in PKCS #8.
const KEY_LABEL: &str = "PRIVATE KEY";
/// PEM's label of a certificate.
pub(super) const CERTIFICATE_LABEL: &str = "CERTIFICATE";

/// Why there is no signer. No message holds anything of a key.
#[derive(Debug, Error)]
pub enum SignerError {
    /// There is no key.
    #[error("it has no section PRIVATE KEY; `openssl pkcs8 -topk8 -nocrypt` writes one of a key in another form")]
    NoKey,
    /// A key that can't be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// There is no certificate.
    #[error("it has no section CERTIFICATE; append the key's certificate in PEM")]
    NoCertificate,
    /// The certificate can't be read, or none can be made.
    #[error("its certificate can't be used ({0})")]
    Certificate(#[from] builder::Error),
    /// It is another key's.
    #[error("its certificate is of another key; append the certificate of this one")]
    OtherKey,
    /// It signs in another way than is wanted.
    #[error("its key is not one of {0}")]
    Algorithm(Algorithm),
    /// It can't be written.
    #[error("its key can't be written ({0})")]
    Encoding(#[from] rsa::pkcs8::Error),
}

impl From<der::Error> for SignerError {
    fn from(error: der::Error) -> Self {
        Self::Certificate(error.into())
    }
}

/// A key, and the certificate that tells others what to check its signatures with.
pub struct Signer {
    key: PrivateKey,
    certificate: Certificate,
    certificate_pem: String,
}

impl fmt::Debug for Signer {
    /// Shows nothing: it holds a private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}

impl Signer {
    /// A new key with a certificate that it signs itself. It takes a second or so.
    ///
    /// # Errors
    ///
    /// [`SignerError`]
    pub fn generate(algorithm: Algorithm) -> Result<Self, SignerError> {
        let key = PrivateKey::generate(algorithm)?;
        let certificate = self_signed(&key)?;
        Self::new(key, certificate)
    }

    /// Reads a PEM file: a private key in PKCS #8, and a certificate of it. If there are several, the first counts.
    ///
    /// # Errors
    ///
    /// [`SignerError`]
    pub fn from_pem(algorithm: Algorithm, text: &str) -> Result<Self, SignerError> {
        let key = armour::sections(text, KEY_LABEL).next().ok_or(SignerError::NoKey)?;
        let key = PrivateKey::from_pem(algorithm, key)?;
        let certificate = armour::sections(text, CERTIFICATE_LABEL).next().ok_or(SignerError::NoCertificate)?;
        Self::new(key, Certificate::from_pem(certificate)?)
    }

    fn new(key: PrivateKey, certificate: Certificate) -> Result<Self, SignerError> {
        let ours = key.verifying_key().to_public_key_der().map_err(builder::Error::from)?;
        let theirs = certificate.tbs_certificate().subject_public_key_info();
        if ours.decode_msg::<SubjectPublicKeyInfo>()? != *theirs {
            return Err(SignerError::OtherKey);
        }
        let certificate_pem = certificate.to_pem(LineEnding::LF)?;
        Ok(Self { key, certificate, certificate_pem })
    }

    /// The file that [`Self::from_pem`] reads: a secret.
    ///
    /// # Errors
    ///
    /// [`SignerError::Encoding`]
    pub fn to_pem(&self) -> Result<Zeroizing<String>, SignerError> {
        let key = self.key.to_pem()?;
        let mut text = Zeroizing::new(String::with_capacity(key.len() + self.certificate_pem.len()));
        text.push_str(&key);
        text.push_str(&self.certificate_pem);
        Ok(text)
    }

    /// How it signs.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }

    /// Its certificate in PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    pub(super) fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rsa::signature::Error> {
        self.key.sign(message)
    }
}

/// A certificate without extensions (version 1, as EC2's are), that nothing but signatures of documents hangs on.
struct Plain(Name);

impl BuilderProfile for Plain {
    fn get_issuer(&self, subject: &Name) -> Name {
        subject.clone()
    }

    fn get_subject(&self) -> Name {
        self.0.clone()
    }

    fn build_extensions(
        &self,
        _: SubjectPublicKeyInfoRef<'_>,
        _: SubjectPublicKeyInfoRef<'_>,
        _: &TbsCertificate,
    ) -> builder::Result<Vec<Extension>> {
        Ok(Vec::new())
    }
}

/// The key's certificate by itself, from now on and without an end: what ends it is its file's replacement.
fn self_signed(key: &PrivateKey) -> Result<Certificate, builder::Error> {
    let name: Name = format!("CN=imdsd instance identity ({})", key.algorithm()).parse()?;
    // The kernel's random numbers don't run out once it has begun to give them, as it had when the key was made.
    let serial = SerialNumber::generate(&mut UnwrapErr(SysRng));
    // Whole seconds are all that the form holds.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = DateTime::from_unix_duration(Duration::from_secs(now.as_secs()))?;
    // RFC 5280, 4.1.2.5: the end of a certificate that has none.
    let never = DateTime::new(9999, 12, 31, 23, 59, 59)?;
    let time = |time| Time::GeneralTime(GeneralizedTime::from_date_time(time));
    let validity = Validity::new(time(now), time(never));
    let public = SubjectPublicKeyInfo::from_key(&key.verifying_key())?;
    let mut builder = CertificateBuilder::new(Plain(name), serial, validity, public)?;
    let signature = key.sign(&builder.finalize(key)?)?;
    builder.assemble(BitString::from_bytes(&signature)?, key)
}
