//! How an instance's document changes while the instance runs.

use std::collections::BTreeSet;

use serde_json::Value;

use super::creation::deposits;
use super::draft::{DraftError, Kept, read_document, same_credentials, tag_keys};
use super::error::RegistryError;
use super::fates::{Fate, Fates};
use super::kernel::Kernel;
use super::record::Record;
use super::{Registry, State, event, options};
use crate::credentials;
use crate::credentials::vault::Deposit;
use crate::metadata::bearer::{Bearer, ByBearer};
use crate::metadata::document::{Credentials, Document, DocumentError, PackedDocument, Time};
use crate::metadata::instance::Instance;
use crate::metadata::patch;
use crate::registry::request::{Change, Part};
use crate::registry::view::InstanceView;

/// The member of the document that stands in a table of its own.
const USER_DATA: &str = "user-data";

/// Its paths, in either form: which of them it was given in, isn't kept.
const USER_DATA_PATHS: [&str; 3] = [USER_DATA, "user-data/text", "user-data/base64"];

/// Paths of an instance's own credentials, and of what holds nothing else.
const CREDENTIALS: [(&str, Bearer); 3] = [
    ("iam/credentials", Bearer::Role),
    ("identity-credentials", Bearer::Instance),
    ("identity-credentials/credentials", Bearer::Instance),
];

/// How the paths of credentials alone end.
const MEMBER: &str = "/credentials";

/// A change that is to be done: it makes a difference.
pub(super) struct Planned {
    next: Record,
    fates: Fates,
    /// The credentials in whose place others come, or none.
    former: ByBearer<Deposit>,
    /// What is another.
    pub(super) parts: BTreeSet<Part>,
}

impl<K: Kernel> Registry<K> {
    /// Changes an instance's document; returns when readers see the new tree.
    ///
    /// # Errors
    ///
    /// [`RegistryError::NotFound`], what is wrong with the document, [`RegistryError::Credentials`], the store's; then
    /// nothing was changed.
    pub async fn change(&self, instance_id: &str, change: &Change) -> Result<InstanceView, RegistryError> {
        let mut state = self.state.lock().await;
        let (document, fates) = next(state.record(instance_id)?, change)?;
        self.put(&mut state, instance_id, document, fates).await?;
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

    /// Puts a document in the place of an instance's; what of it was another. The record is written before any reader
    /// sees the new tree, and a tree is swapped as a whole.
    pub(super) async fn put(
        &self,
        state: &mut State,
        instance_id: &str,
        document: Document,
        fates: Fates,
    ) -> Result<BTreeSet<Part>, RegistryError> {
        let record = state.record(instance_id)?;
        let refused = |source| RegistryError::Options { instance_id: instance_id.to_owned(), source };
        options::check_tags(&record.options, tag_keys(&document)).map_err(refused)?;
        let Some(planned) = self.planned(record, &document, fates).await? else { return Ok(BTreeSet::new()) };
        let parts = planned.parts.clone();
        let next = self.write_change(planned).await?;
        self.load_credentials(&next).await;
        let tree = self.tree(&next);
        for served in next.slots().filter_map(|slot| self.directory.get(slot)) {
            served.set_tree(tree.clone());
        }
        tracing::info!(instance = instance_id, "document changed");
        state.records.insert(instance_id.to_owned(), next);
        Ok(parts)
    }

    /// What has to be done for an instance to have this document, if anything.
    pub(super) async fn planned(
        &self,
        record: &Record,
        document: &Document,
        fates: Fates,
    ) -> Result<Option<Planned>, RegistryError> {
        let mut next = record.clone();
        next.instance.document = PackedDocument::try_from(document).map_err(DraftError::from)?;
        let (fates, former) = self.without_repetition(record, &next.instance, fates).await?;
        let (mut others, own) = (false, &mut next.instance.own_credentials);
        for bearer in fates.replaced() {
            others = true;
            own.set(bearer, fates.credentials().of(bearer).map(Credentials::end));
        }
        let mut parts = differences(record.instance.document.unpack(), document.clone());
        parts.extend(others.then_some(Part::Credentials));
        parts.extend((fates.user_data != Fate::Keep).then_some(Part::UserData));
        if parts.is_empty() {
            return Ok(None);
        }
        next.instance.check().map_err(DraftError::from)?;
        // Those that were kept before may be over by now: they stay, so that the same description is no error later.
        credentials::check_given(&fates.credentials())?;
        if others || document.iam.role != record.instance.role() {
            self.issuer.check(&next.instance)?;
        }
        let created = next.created_document.take().unwrap_or_else(|| record.instance.document.clone());
        next.created_document = (created != next.instance.document).then_some(created);
        if others {
            next.created_credentials.get_or_insert_with(|| record.instance.own_credentials.clone());
        }
        if let Fate::Replace(bytes) = &fates.user_data {
            next.user_data_bytes = bytes.as_ref().map(Vec::len);
        }
        next.instance.modified = Time::now();
        Ok(Some(Planned { next, fates, former, parts }))
    }

    /// Writes a change: new credentials are there before the record says so, others go after it.
    async fn write_change(&self, planned: Planned) -> Result<Record, RegistryError> {
        let Planned { next, fates, former, parts: _ } = planned;
        let id = next.instance.instance_id.as_str();
        let (given, gone): (Vec<_>, Vec<_>) =
            fates.replaced().into_iter().partition(|bearer| next.instance.own_credentials.of(*bearer).is_some());
        let outcome = match self.keep_credentials(id, deposits(&next.instance, fates.credentials())).await {
            Ok(()) => self.write_record(next.clone(), fates.user_data).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = outcome {
            self.put_back(id, given, former).await;
            return Err(error);
        }
        self.forget_credentials(id, &gone).await;
        Ok(next)
    }

    async fn write_record(&self, record: Record, user_data: Fate<Vec<u8>>) -> Result<(), RegistryError> {
        let written = self.write(move |store| match user_data {
            Fate::Keep => store.change(&record, None),
            Fate::Replace(bytes) => store.change(&record, Some(bytes.as_deref())),
        });
        Ok(written.await?)
    }

    /// Keeps again what an instance had before a change that came to nothing.
    async fn put_back(&self, instance_id: &str, given: Vec<Bearer>, former: ByBearer<Deposit>) {
        let added: Vec<_> = given.into_iter().filter(|bearer| former.of(*bearer).is_none()).collect();
        if let Err(error) = self.keep_credentials(instance_id, former).await {
            tracing::error!(instance = instance_id, %error, "its former credentials are not kept; give them again");
        }
        self.forget_credentials(instance_id, &added).await;
    }

    /// Keeps what is replaced by the same for the same role, and gives the credentials that aren't.
    async fn without_repetition(
        &self,
        record: &Record,
        next: &Instance,
        fates: Fates,
    ) -> Result<(Fates, ByBearer<Deposit>), RegistryError> {
        let mut former = self.kept_credentials(record, &fates.replaced()).await?;
        let own = &record.instance.own_credentials;
        let mut same = |bearer, fate: Fate<Credentials>| {
            let is_repeated = match &fate {
                Fate::Keep => true,
                Fate::Replace(Some(new)) => former.of(bearer).is_some_and(|former| {
                    former.is_of(next, bearer) && same_credentials(Some(new), Some(&former.credentials))
                }),
                Fate::Replace(None) => own.of(bearer).is_none(),
            };
            if is_repeated {
                former.set(bearer, None);
                return Fate::Keep;
            }
            fate
        };
        let (role, instance) = (same(Bearer::Role, fates.role), same(Bearer::Instance, fates.instance));
        let user_data = match fates.user_data {
            Fate::Replace(new) if new == self.user_data(record).await? => Fate::Keep,
            fate => fate,
        };
        Ok((Fates { user_data, role, instance }, former))
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

/// Which parts of a document are others in another.
fn differences(mut one: Document, mut other: Document) -> BTreeSet<Part> {
    let tags = (one.tags.take() != other.tags.take()).then_some(Part::Tags);
    (one != other).then_some(Part::Document).into_iter().chain(tags).collect()
}

/// The document after a change, and what becomes of what isn't in it.
fn next(record: &Record, change: &Change) -> Result<(Document, Fates), RegistryError> {
    let document = record.instance.document.unpack();
    Ok(match change {
        Change::Merge(patch) => {
            let mut value = document.to_value();
            patch::merge(&mut value, patch.0.clone());
            let (document, kept) = read_document(value).map_err(DraftError::from)?;
            let given = patch.0.get(USER_DATA).is_some();
            let taken = |path| patch::get(&patch.0, path).is_some_and(Value::is_null);
            let user_data = if given { Fate::Replace(kept.user_data.clone()) } else { Fate::Keep };
            let mut fates = Fates { user_data, ..Fates::of_part(record, &document, kept) };
            CREDENTIALS.iter().filter(|(path, _)| taken(path)).for_each(|(_, bearer)| fates.take_away(*bearer));
            (document, fates)
        }
        Change::Replace(value) => {
            let value = event::kept(record, value.0.clone());
            let (document, kept) = read_document(value).map_err(DraftError::from)?;
            let fates = Fates::of_replacement(record, &document, kept);
            (document, fates)
        }
        Change::Set { path, value } => {
            let text = value.0.as_str().unwrap_or_default();
            let derived = record.instance.complete().shown().to_value();
            let mut document = patch::set(&document.to_value(), &derived, path, text).map_err(DraftError::from)?;
            let given = document.user_data.is_some();
            let kept = Kept::take(&mut document);
            let user_data = if given { Fate::Replace(kept.user_data.clone()) } else { Fate::Keep };
            let fates = Fates { user_data, ..Fates::of_part(record, &document, kept) };
            (document, fates)
        }
        Change::Unset { path } => unset(record, document, path)?,
        Change::Event(event) => {
            let document = event::happen(&document, event, Time::now())?;
            // An event may make the document too large.
            (read_document(document.to_value()).map_err(DraftError::from)?.0, Fates::KEEP)
        }
    })
}

/// The document without what stands at a path. Secrets aren't in it, so that they are taken away by their paths.
fn unset(record: &Record, document: Document, path: &str) -> Result<(Document, Fates), RegistryError> {
    let plain = patch::plain(path);
    if USER_DATA_PATHS.contains(&plain.as_str()) && record.user_data_bytes.is_some() {
        return Ok((document, Fates { user_data: Fate::Replace(None), ..Fates::KEEP }));
    }
    let own = |bearer| record.instance.own_credentials.of(bearer).is_some();
    if let Some((_, bearer)) = CREDENTIALS.iter().find(|(path, bearer)| *path == plain && own(*bearer)) {
        let mut fates = Fates::KEEP;
        fates.take_away(*bearer);
        return Ok((document, fates));
    }
    let is_below = |whole: &str| plain.strip_prefix(whole).is_some_and(|below| below.starts_with('/'));
    let is_part = |whole: &str, bearer| whole.ends_with(MEMBER) && is_below(whole) && own(bearer);
    if let Some((whole, _)) = CREDENTIALS.iter().find(|(whole, bearer)| is_part(whole, *bearer)) {
        let reason = format!("credentials are taken away as a whole: unset {whole}, or set others in their place");
        return Err(DraftError::from(DocumentError::at(path, reason)).into());
    }
    let derived = record.instance.complete().shown().to_value();
    let document = patch::unset(&document.to_value(), &derived, path).map_err(DraftError::from)?;
    let fates = Fates::of_part(record, &document, Kept::default());
    Ok((document, fates))
}
