//! What becomes of an instance's secrets, which are kept beside its record, when its document changes.

use super::draft::Kept;
use super::record::Record;
use crate::metadata::bearer::{Bearer, ByBearer};
use crate::metadata::document::{Credentials, Document};

/// What becomes of something that is kept beside the record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate<T> {
    Keep,
    Replace(Option<T>),
}

/// What becomes of everything that is kept beside the record.
pub(super) struct Fates {
    pub(super) user_data: Fate<Vec<u8>>,
    pub(super) role: Fate<Credentials>,
    pub(super) instance: Fate<Credentials>,
}

impl<T> Fate<T> {
    /// Other than what there is, if it is given.
    fn given(value: Option<T>) -> Self {
        value.map_or(Self::Keep, |value| Self::Replace(Some(value)))
    }
}

impl Fates {
    /// Everything stays.
    pub(super) const KEEP: Self = Self { user_data: Fate::Keep, role: Fate::Keep, instance: Fate::Keep };

    /// What a document gives in the place of a record's. User data that it doesn't give goes.
    pub(super) fn of_replacement(record: &Record, document: &Document, kept: Kept) -> Self {
        let user_data = Fate::Replace(kept.user_data);
        Self { user_data, ..Self::of_credentials(record, document, kept.credentials) }
    }

    /// What a document that was changed in part gives.
    pub(super) fn of_part(record: &Record, document: &Document, kept: Kept) -> Self {
        let user_data = Fate::given(kept.user_data);
        Self { user_data, ..Self::of_credentials(record, document, kept.credentials) }
    }

    /// Credentials that aren't given stay, those of the role while it is the same one: none are served as another's.
    fn of_credentials(record: &Record, document: &Document, credentials: ByBearer<Credentials>) -> Self {
        let role = match Fate::given(credentials.role) {
            Fate::Keep if document.iam.role.is_none() || record.instance.role() != document.iam.role => {
                Fate::Replace(None)
            }
            fate => fate,
        };
        Self { user_data: Fate::Keep, role, instance: Fate::given(credentials.instance) }
    }

    const fn of(&self, bearer: Bearer) -> &Fate<Credentials> {
        match bearer {
            Bearer::Role => &self.role,
            Bearer::Instance => &self.instance,
        }
    }

    /// Takes a bearer's credentials away.
    pub(super) fn take_away(&mut self, bearer: Bearer) {
        match bearer {
            Bearer::Role => self.role = Fate::Replace(None),
            Bearer::Instance => self.instance = Fate::Replace(None),
        }
    }

    /// Bearers whose credentials don't stay.
    pub(super) fn replaced(&self) -> Vec<Bearer> {
        Bearer::ALL.into_iter().filter(|bearer| !matches!(self.of(*bearer), Fate::Keep)).collect()
    }

    /// Credentials that are given.
    pub(super) fn credentials(&self) -> ByBearer<Credentials> {
        ByBearer::from_fn(|bearer| match self.of(bearer) {
            Fate::Replace(given) => given.clone(),
            Fate::Keep => None,
        })
    }
}
