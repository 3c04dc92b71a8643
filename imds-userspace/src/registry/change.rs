//! How an instance's document changes while the instance runs.

use serde_json::Value;

use super::draft::{DraftError, read_document, tag_keys};
use super::error::RegistryError;
use super::kernel::Kernel;
use super::record::Record;
use super::{Registry, State, event, options};
use crate::control::change::Change;
use crate::control::protocol::InstanceView;
use crate::metadata::date;
use crate::metadata::document::{Document, PackedDocument, Time};
use crate::metadata::patch;

/// The member of the document that stands in a table of its own.
const USER_DATA: &str = "user-data";

/// What becomes of the user data.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum UserDataChange {
    Keep,
    Replace(Option<Vec<u8>>),
}

impl<K: Kernel> Registry<K> {
    /// Changes an instance's document; returns when readers see the new tree.
    ///
    /// # Errors
    ///
    /// [`RegistryError::NotFound`], what is wrong with the document, the store's; then nothing was changed.
    pub async fn change(&self, instance_id: &str, change: &Change) -> Result<InstanceView, RegistryError> {
        let mut state = self.state.lock().await;
        let (document, user_data) = next(state.record(instance_id)?, change)?;
        self.put(&mut state, instance_id, document, user_data).await?;
        self.view(state.record(instance_id)?)
    }

    /// An instance's document with everything that is derived, without its secrets.
    ///
    /// # Errors
    ///
    /// [`RegistryError::NotFound`]
    pub async fn document(&self, instance_id: &str) -> Result<Document, RegistryError> {
        let state = self.state.lock().await;
        Ok(state.record(instance_id)?.instance.complete().shown())
    }

    /// Puts a document in the place of an instance's; whether it was another. The record is written before any reader
    /// sees the new tree, and a tree is swapped as a whole.
    pub(super) async fn put(
        &self,
        state: &mut State,
        instance_id: &str,
        document: Document,
        user_data: UserDataChange,
    ) -> Result<bool, RegistryError> {
        let record = state.record(instance_id)?;
        let refused = |source| RegistryError::Options { instance_id: instance_id.to_owned(), source };
        options::check_tags(&record.options, tag_keys(&document)).map_err(refused)?;
        let user_data = self.without_repetition(record, user_data).await?;
        let document = PackedDocument::from(&document);
        if document == record.instance.document && user_data == UserDataChange::Keep {
            return Ok(false);
        }
        let mut next = record.clone();
        let created = next.created_document.take().unwrap_or_else(|| record.instance.document.clone());
        next.created_document = (created != document).then_some(created);
        next.instance.document = document;
        next.instance.modified = Time::from_unix(date::unix_seconds());
        if let UserDataChange::Replace(bytes) = &user_data {
            next.user_data_bytes = bytes.as_ref().map(Vec::len);
        }
        let written = next.clone();
        self.write(move |store| match user_data {
            UserDataChange::Keep => store.change(&written, None),
            UserDataChange::Replace(bytes) => store.change(&written, Some(bytes.as_deref())),
        })
        .await?;
        let tree = Self::tree(&next, &next.options);
        for served in next.slots().filter_map(|slot| self.directory.get(slot)) {
            served.set_tree(tree.clone());
        }
        tracing::info!(instance = instance_id, "document changed");
        state.records.insert(instance_id.to_owned(), next);
        Ok(true)
    }

    /// Keeps user data that is replaced by the same.
    async fn without_repetition(
        &self,
        record: &Record,
        change: UserDataChange,
    ) -> Result<UserDataChange, RegistryError> {
        match &change {
            UserDataChange::Replace(new) if *new == self.user_data(record).await? => Ok(UserDataChange::Keep),
            _ => Ok(change),
        }
    }

    /// The user data of an instance.
    pub(super) async fn user_data(&self, record: &Record) -> Result<Option<Vec<u8>>, RegistryError> {
        if record.user_data_bytes.is_none() {
            return Ok(None);
        }
        let id = record.instance.instance_id.clone();
        Ok(self.write(move |store| store.user_data(&id)).await?)
    }
}

/// The document after a change.
fn next(record: &Record, change: &Change) -> Result<(Document, UserDataChange), RegistryError> {
    let document = &record.instance.document.unpack();
    let (document, user_data) = match change {
        Change::Merge(patch) => {
            let mut value = document.to_value();
            let taken = patch.0.get(USER_DATA).is_some_and(Value::is_null);
            patch::merge(&mut value, patch.0.clone());
            let (document, user_data) = read_document(value).map_err(DraftError::from)?;
            let given = taken || patch.0.get(USER_DATA).is_some();
            (document, if given { UserDataChange::Replace(user_data) } else { UserDataChange::Keep })
        }
        Change::Replace(value) => {
            let (document, user_data) = read_document(value.0.clone()).map_err(DraftError::from)?;
            (document, UserDataChange::Replace(user_data))
        }
        Change::Set { path, value } => {
            let text = value.0.as_str().unwrap_or_default();
            let mut document = patch::set(&document.to_value(), path, text).map_err(DraftError::from)?;
            let user_data = document.user_data.take().map(|data| data.bytes().to_vec());
            let change = user_data.map(|data| UserDataChange::Replace(Some(data).filter(|data| !data.is_empty())));
            (document, change.unwrap_or(UserDataChange::Keep))
        }
        Change::Unset { path } if path.trim_matches('/') == USER_DATA && record.user_data_bytes.is_some() => {
            (document.clone(), UserDataChange::Replace(None))
        }
        Change::Unset { path } => {
            (patch::unset(&document.to_value(), path).map_err(DraftError::from)?, UserDataChange::Keep)
        }
        Change::Event(event) => {
            let document = event::happen(document, event, Time::from_unix(date::unix_seconds()))?;
            // An event may be one too many.
            (read_document(document.to_value()).map_err(DraftError::from)?.0, UserDataChange::Keep)
        }
    };
    Ok((document, user_data))
}
