//! The PKCS #7 message (CMS `SignedData`, RFC 5652) around a document.
//!
//! The document is in the message, no certificate is: a reader must bring the one that he trusts, and not take the
//! sender's. The signature covers attributes that hold the document's digest, as EC2's do.

use cms::cert::IssuerAndSerialNumber;
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo};
use x509_cert::Certificate;
use x509_cert::attr::{Attribute, Attributes};
use x509_cert::der::asn1::{OctetString, OctetStringRef, SetOfVec};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::oid::db::rfc5911::{ID_CONTENT_TYPE, ID_DATA, ID_MESSAGE_DIGEST, ID_SIGNED_DATA};
use x509_cert::der::{self, Any, Decode as _, Encode as _, Tag};

use super::SignError;
use super::key::Algorithm;
use super::signer::Signer;

/// The message of a document, in DER.
pub(super) fn seal(signer: &Signer, document: &[u8]) -> Result<Vec<u8>, SignError> {
    let algorithm = signer.algorithm();
    let attributes = attributes(&algorithm.digest(document))?;
    let signature = signer.sign(&attributes.to_der()?)?;
    let info = SignerInfo {
        version: CmsVersion::V1,
        sid: identifier(signer.certificate()),
        digest_alg: algorithm.digest_identifier(),
        signed_attrs: Some(attributes),
        signature_algorithm: algorithm.message_identifier(),
        signature: OctetString::new(signature)?,
        unsigned_attrs: None,
    };
    let data = SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::from_iter([algorithm.digest_identifier()])?,
        encap_content_info: EncapsulatedContentInfo {
            econtent_type: ID_DATA,
            econtent: Some(Any::new(Tag::OctetString, document)?),
        },
        certificates: None,
        crls: None,
        signer_infos: vec![info].try_into()?,
    };
    let message = ContentInfo { content_type: ID_SIGNED_DATA, content: Any::encode_from(&data)? };
    Ok(message.to_der()?)
}

/// What is signed: that the content is plain data, and its digest.
fn attributes(digest: &[u8]) -> der::Result<Attributes> {
    let attribute = |oid: ObjectIdentifier, value: Any| -> der::Result<Attribute> {
        Ok(Attribute { oid, values: SetOfVec::from_iter([value])? })
    };
    SetOfVec::from_iter([
        attribute(ID_CONTENT_TYPE, Any::encode_from(&ID_DATA)?)?,
        attribute(ID_MESSAGE_DIGEST, Any::encode_from(&OctetStringRef::new(digest)?)?)?,
    ])
}

/// How a message names the certificate of its signer.
fn identifier(certificate: &Certificate) -> SignerIdentifier {
    let certificate = certificate.tbs_certificate();
    SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
        issuer: certificate.issuer().clone(),
        serial_number: certificate.serial_number().clone(),
    })
}

/// A message that was read: what it says, nothing of it checked.
pub(super) struct Opened {
    /// The document in it.
    pub(super) document: Vec<u8>,
    /// What is signed.
    pub(super) signed: Vec<u8>,
    /// The signature over that.
    pub(super) signature: Vec<u8>,
    signer: SignerIdentifier,
    attributes: Attributes,
}

impl Opened {
    /// Reads a message of one signer by an algorithm, with the attributes of [`seal`] or more; `None` when it is
    /// anything else.
    pub(super) fn read(algorithm: Algorithm, message: &[u8]) -> Option<Self> {
        let message = ContentInfo::from_der(message).ok().filter(|message| message.content_type == ID_SIGNED_DATA)?;
        let data: SignedData = message.content.decode_as().ok()?;
        let content = data.encap_content_info;
        let document = content.econtent.filter(|_| content.econtent_type == ID_DATA)?;
        let document = document.decode_as::<OctetString>().ok()?.into_bytes().into_vec();
        let [info] = data.signer_infos.0.as_slice() else { return None };
        if info.digest_alg.oid != algorithm.digest_identifier().oid {
            return None;
        }
        let attributes = info.signed_attrs.clone()?;
        Some(Self {
            document,
            signed: attributes.to_der().ok()?,
            signature: info.signature.as_bytes().to_vec(),
            signer: info.sid.clone(),
            attributes,
        })
    }

    /// Whether it names this certificate as its signer's.
    pub(super) fn is_by(&self, certificate: &Certificate) -> bool {
        self.signer == identifier(certificate)
    }

    /// Whether what is signed is the digest of the document in it.
    pub(super) fn covers_document(&self, algorithm: Algorithm) -> bool {
        let wanted = attributes(&algorithm.digest(&self.document));
        wanted.is_ok_and(|wanted| {
            wanted.iter().all(|wanted| self.attributes.iter().filter(|given| given.oid == wanted.oid).eq([wanted]))
        })
    }
}
