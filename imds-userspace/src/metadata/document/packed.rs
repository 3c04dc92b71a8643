//! A document at rest: thousands of them are kept, and few are looked at.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Document, DocumentError, depth};

/// A document as JSON, compressed: a sixth of the memory that its values take.
#[derive(Clone, PartialEq, Eq)]
pub struct PackedDocument(Box<[u8]>);

impl PackedDocument {
    /// # Panics
    ///
    /// Never: a document's keys are texts.
    fn written(document: &Document) -> Self {
        let json = serde_json::to_vec(document).expect("a document is JSON");
        Self(lz4_flex::compress_prepend_size(&json).into())
    }

    /// The document.
    ///
    /// # Panics
    ///
    /// Never: it was written from a document, which nests no deeper than any parser takes.
    #[must_use]
    pub fn unpack(&self) -> Document {
        let json = lz4_flex::decompress_size_prepended(&self.0).expect("it was compressed here");
        serde_json::from_slice(&json).expect("a document can be read as it was written")
    }
}

impl TryFrom<&Document> for PackedDocument {
    type Error = DocumentError;
    fn try_from(document: &Document) -> Result<Self, DocumentError> {
        depth::check(&document.to_value())?;
        Ok(Self::written(document))
    }
}

impl fmt::Debug for PackedDocument {
    /// Shows what a document shows: no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.unpack().fmt(f)
    }
}

impl Serialize for PackedDocument {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.unpack().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PackedDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The parser that took it took it with more around it.
        Document::deserialize(deserializer).map(|document| Self::written(&document))
    }
}
