//! Keys of the two algorithms, behind one face.

use dsa::Components;
use getrandom::SysRng;
use rsa::pkcs1v15;
use rsa::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey, LineEnding};
use rsa::signature::{
    DigestSigner as _, DigestVerifier as _, Error, Keypair, RandomizedSigner as _, SignatureEncoding as _,
    Verifier as _,
};
use rsa::traits::PublicKeyParts as _;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use x509_cert::AlgorithmIdentifier;
use x509_cert::der::Decode as _;
use x509_cert::der::asn1::Null;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::oid::db::rfc5912::{
    DSA_WITH_SHA_1, ID_SHA_1, ID_SHA_256, RSA_ENCRYPTION, SHA_256_WITH_RSA_ENCRYPTION,
};
use x509_cert::der::{Any, Document};
use x509_cert::spki::{self, DynSignatureAlgorithmIdentifier, SubjectPublicKeyInfoRef};
use zeroize::Zeroizing;

/// Bits of an RSA key: what `rsa2048` is named after, and the least that is taken.
const RSA_BITS: usize = 2048;
/// The most bits of an RSA key that is taken: a signature takes some ten milliseconds then.
const RSA_BITS_MAX: usize = 4096;

/// How a document is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA (PKCS #1 v1.5) over SHA-256.
    RsaSha256,
    /// DSA over SHA-1.
    DsaSha1,
}

impl std::fmt::Display for Algorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::RsaSha256 => "RSA",
            Self::DsaSha1 => "DSA",
        })
    }
}

impl Algorithm {
    /// The digest of a message.
    pub(super) fn digest(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::RsaSha256 => Sha256::digest(message).to_vec(),
            Self::DsaSha1 => Sha1::digest(message).to_vec(),
        }
    }

    /// The digest's name in a PKCS #7 message.
    pub(super) fn digest_identifier(self) -> AlgorithmIdentifier {
        with_null(match self {
            Self::RsaSha256 => ID_SHA_256,
            Self::DsaSha1 => ID_SHA_1,
        })
    }

    /// The signature's name in a PKCS #7 message (RFC 3370): RSA's is the key's, since the digest stands beside it.
    pub(super) fn message_identifier(self) -> AlgorithmIdentifier {
        match self {
            Self::RsaSha256 => with_null(RSA_ENCRYPTION),
            Self::DsaSha1 => AlgorithmIdentifier { oid: DSA_WITH_SHA_1, parameters: None },
        }
    }
}

fn with_null(oid: ObjectIdentifier) -> AlgorithmIdentifier {
    AlgorithmIdentifier { oid, parameters: Some(Any::from(Null)) }
}

/// Why there is no key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// It isn't a key of the algorithm, in PKCS #8.
    #[error("its private key can't be read as one of {0} ({1})")]
    Malformed(Algorithm, rsa::pkcs8::Error),
    /// An RSA key that is too weak, or too slow.
    #[error("its RSA key has {0} bits, {RSA_BITS} to {RSA_BITS_MAX} are taken")]
    Size(usize),
    /// None can be made.
    #[error("no RSA key can be made ({0})")]
    Rsa(rsa::Error),
    /// The kernel gave no random numbers.
    #[error("no DSA key can be made: the kernel gave no random numbers ({0})")]
    Random(getrandom::Error),
}

/// The group that DSA keys are made in: p of 1,024 bits, q of 160 and g, made and checked by OpenSSL after FIPS 186-4.
/// It is public and may be everybody's; to look for one of its own would take each new daemon up to a minute.
static DSA_PARAMETERS: &[u8] = include_bytes!("dsa-parameters.der");

/// A private key. Both kinds erase their secrets when dropped.
pub(super) enum PrivateKey {
    Rsa(Box<pkcs1v15::SigningKey<Sha256>>),
    Dsa(Box<dsa::SigningKey>),
}

impl PrivateKey {
    /// A new key. It takes a second or so: of the DSA key, only the secret is new.
    pub(super) fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        match algorithm {
            Algorithm::RsaSha256 => {
                let key = rsa::PrivateKey::new(&mut SysRng, RSA_BITS).map_err(KeyError::Rsa)?;
                Ok(Self::Rsa(Box::new(key.into())))
            }
            Algorithm::DsaSha1 => {
                let components = Components::from_der(DSA_PARAMETERS)
                    .map_err(|error| KeyError::Malformed(algorithm, error.into()))?;
                let key = dsa::SigningKey::try_generate_from_rng_with_components(&mut SysRng, components);
                Ok(Self::Dsa(Box::new(key.map_err(KeyError::Random)?)))
            }
        }
    }

    /// Reads a section of PEM.
    pub(super) fn from_pem(algorithm: Algorithm, section: &str) -> Result<Self, KeyError> {
        let malformed = |error| KeyError::Malformed(algorithm, error);
        match algorithm {
            Algorithm::RsaSha256 => {
                let key = rsa::PrivateKey::from_pkcs8_pem(section).map_err(malformed)?;
                let bits = key.n().bit_width() as usize;
                if !(RSA_BITS..=RSA_BITS_MAX).contains(&bits) {
                    return Err(KeyError::Size(bits));
                }
                Ok(Self::Rsa(Box::new(key.into())))
            }
            Algorithm::DsaSha1 => {
                let key = dsa::SigningKey::from_pkcs8_pem(section).map_err(malformed)?;
                Ok(Self::Dsa(Box::new(key)))
            }
        }
    }

    /// The key in PKCS #8, as a section of PEM.
    pub(super) fn to_pem(&self) -> rsa::pkcs8::Result<Zeroizing<String>> {
        match self {
            Self::Rsa(key) => key.to_pkcs8_pem(LineEnding::LF),
            Self::Dsa(key) => key.to_pkcs8_pem(LineEnding::LF),
        }
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa(_) => Algorithm::RsaSha256,
            Self::Dsa(_) => Algorithm::DsaSha1,
        }
    }

    /// Signs a message: always the same bytes for the same key and message.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        match self {
            // Random numbers blind the computation; the signature doesn't depend on them.
            Self::Rsa(key) => Ok(key.try_sign_with_rng(&mut SysRng, message)?.to_vec()),
            // RFC 6979: without random numbers, so that none can be bad.
            Self::Dsa(key) => Ok(key.try_sign_digest(sha1_of(message))?.to_vec()),
        }
    }
}

/// Feeds a message to a digest.
fn sha1_of(message: &[u8]) -> impl Fn(&mut Sha1) -> Result<(), Error> {
    move |digest| {
        digest.update(message);
        Ok(())
    }
}

impl Keypair for PrivateKey {
    type VerifyingKey = PublicKey;

    fn verifying_key(&self) -> PublicKey {
        match self {
            Self::Rsa(key) => PublicKey::Rsa(Box::new(key.verifying_key())),
            Self::Dsa(key) => PublicKey::Dsa(Box::new(key.verifying_key().clone())),
        }
    }
}

impl DynSignatureAlgorithmIdentifier for PrivateKey {
    fn signature_algorithm_identifier(&self) -> spki::Result<AlgorithmIdentifier> {
        Ok(match self {
            Self::Rsa(_) => with_null(SHA_256_WITH_RSA_ENCRYPTION),
            Self::Dsa(_) => Algorithm::DsaSha1.message_identifier(),
        })
    }
}

/// A public key.
#[derive(Clone, Debug)]
pub(super) enum PublicKey {
    Rsa(Box<pkcs1v15::VerifyingKey<Sha256>>),
    Dsa(Box<dsa::VerifyingKey>),
}

impl PublicKey {
    pub(super) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa(_) => Algorithm::RsaSha256,
            Self::Dsa(_) => Algorithm::DsaSha1,
        }
    }

    /// Whether this key signed the message.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        match self {
            Self::Rsa(key) => key.verify(message, &pkcs1v15::Signature::try_from(signature)?),
            Self::Dsa(key) => key.verify_digest(sha1_of(message), &dsa::Signature::try_from(signature)?),
        }
    }
}

impl TryFrom<SubjectPublicKeyInfoRef<'_>> for PublicKey {
    type Error = spki::Error;

    fn try_from(info: SubjectPublicKeyInfoRef<'_>) -> spki::Result<Self> {
        if info.algorithm.oid == RSA_ENCRYPTION {
            Ok(Self::Rsa(Box::new(rsa::PublicKey::try_from(info)?.into())))
        } else {
            Ok(Self::Dsa(Box::new(info.try_into()?)))
        }
    }
}

impl EncodePublicKey for PublicKey {
    fn to_public_key_der(&self) -> spki::Result<Document> {
        match self {
            Self::Rsa(key) => key.to_public_key_der(),
            Self::Dsa(key) => key.to_public_key_der(),
        }
    }
}
