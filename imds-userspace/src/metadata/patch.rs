//! Changes of a document in its JSON form: merged, and by path.
//!
//! A path is the names of members with slashes between, as targets of the tree are; a number is a place in a list. `~1`
//! stands for a slash in a name and `~0` for a tilde (RFC 6901).

use serde_json::{Map, Value};

use super::document::{DEPTH_MAX, Document, DocumentError};

/// Bytes in a path: the longest key of a tag fits, each of its characters escaped.
const PATH_MAX: usize = 1024;
/// Members below which there is JSON of any form.
const ANY_JSON: [&str; 2] = ["elastic-gpus", "elastic-inference"];

/// Merges a patch into a document (RFC 7396): what the patch leaves out stays, null takes away, a list is replaced.
pub fn merge(document: &mut Value, patch: Value) {
    match patch {
        Value::Object(members) => {
            if !document.is_object() {
                *document = Value::Object(Map::new());
            }
            let Some(object) = document.as_object_mut() else { return };
            for (key, value) in members {
                if value.is_null() {
                    object.remove(&key);
                } else {
                    merge(object.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        other => *document = other,
    }
}

/// What stands at a path.
#[must_use]
pub fn get<'v>(document: &'v Value, path: &str) -> Option<&'v Value> {
    names(path).ok()?.iter().try_fold(document, |value, name| below(value, name))
}

/// The document with a text at a path. The field decides how it is read: as it is if it takes that, else as JSON. A
/// description in JSON of any form is JSON if it can be. A list on the way to the path begins as the one that is
/// `derived`, so that its places are those that are shown.
///
/// # Errors
///
/// [`DocumentError`] of the text as it is, or of the JSON where the text can't be meant.
pub fn set(document: &Value, derived: &Value, path: &str, text: &str) -> Result<Document, DocumentError> {
    let names = names(path)?;
    let Some(first) = names.first() else {
        let reason = "no path is given; `imdsctl instance update ID --document FILE` gives a whole document";
        return Err(DocumentError::whole(reason));
    };
    let read = |value: &Value, lists| {
        let mut changed = document.clone();
        *place(&mut changed, derived, path, lists)? = value.clone();
        Document::parse(changed)
    };
    // A 0 may be the first place of a list or a name.
    let with = |value: Value| read(&value, true).or_else(|error| read(&value, false).map_err(|_| error));
    let plain = || with(Value::from(text));
    match serde_json::from_str::<Value>(text) {
        Ok(value) if !value.is_null() && ANY_JSON.contains(&first.as_str()) => with(value),
        Err(error) if text.starts_with(['[', '{']) && ANY_JSON.contains(&first.as_str()) => {
            Err(DocumentError::at(path, format!("it begins as JSON and is none ({error})")))
        }
        Ok(value) if value.is_object() || value.is_array() => plain().or_else(|_| with(value)),
        Ok(value) if !value.is_null() => plain().or_else(|error| with(value).map_err(|_| error)),
        _ => plain(),
    }
}

/// The document without what stands at a path; `derived` is the one with everything that is derived.
///
/// # Errors
///
/// [`DocumentError`] where nothing stands there, or the rest is no document.
pub fn unset(document: &Value, derived: &Value, path: &str) -> Result<Document, DocumentError> {
    let mut changed = document.clone();
    let absent = || match get(derived, path) {
        Some(_) if !path.trim_matches('/').is_empty() => DocumentError::at(
            path,
            "what is there is derived and not set, so it can't be unset; `imdsctl metadata set` puts another value in its place",
        ),
        _ => DocumentError::at(path, "nothing is set there; `imdsctl metadata get` shows what an instance has"),
    };
    let mut above = names(path)?;
    let last = above.pop().ok_or_else(absent)?;
    let parent = above.iter().try_fold(&mut changed, |value, name| match value {
        Value::Object(members) => members.get_mut(name),
        Value::Array(items) => items.get_mut(name.parse::<usize>().ok()?),
        _ => None,
    });
    match parent.ok_or_else(absent)? {
        Value::Object(members) => drop(members.remove(&last).ok_or_else(absent)?),
        Value::Array(items) => {
            let index = last.parse().ok().filter(|&index: &usize| index < items.len()).ok_or_else(absent)?;
            items.remove(index);
        }
        _ => return Err(absent()),
    }
    Document::parse(changed)
}

/// The place that a path names, made where it isn't there, with `lists` where nothing is known but a 0 follows. The next
/// place of a list is there to be taken.
fn place<'v>(
    document: &'v mut Value,
    derived: &Value,
    path: &str,
    lists: bool,
) -> Result<&'v mut Value, DocumentError> {
    let mut derived = Some(derived);
    names(path)?.into_iter().try_fold(document, |value, name| {
        let shown = derived;
        derived = shown.and_then(|shown| below(shown, &name));
        if value.is_null() {
            *value = match shown {
                Some(Value::Array(_)) => Value::Array(Vec::new()),
                None if lists && name == "0" => Value::Array(Vec::new()),
                Some(Value::Object(_)) | None => Value::Object(Map::new()),
                Some(shown) => shown.clone(),
            };
        }
        if let (Value::Array(items), Some(Value::Array(shown))) = (&mut *value, shown) {
            items.extend(shown.iter().skip(items.len()).map(emptied));
        }
        match value {
            Value::Object(members) => Ok(members.entry(name).or_insert(Value::Null)),
            Value::Array(items) => {
                let length = items.len();
                let index = name.parse().ok().filter(|&index: &usize| index <= length);
                let index = index
                    .ok_or_else(|| DocumentError::at(path, format!("{name} is no place in a list of {length}")))?;
                if index == length {
                    items.push(Value::Null);
                }
                Ok(&mut items[index])
            }
            _ => Err(DocumentError::at(path, format!("there is nothing below a value, so no {name}"))),
        }
    })
}

/// An item of a derived list as a document has it: what can be derived of it again is left out.
fn emptied(item: &Value) -> Value {
    if item.is_object() { Value::Object(Map::new()) } else { item.clone() }
}

/// What stands at a name.
fn below<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match value {
        Value::Object(members) => members.get(name),
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        _ => None,
    }
}

/// A name as paths have it.
pub(super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// A path in the spelling that it is compared in: slashes that stand before, behind or beside others say nothing.
#[must_use]
pub fn plain(path: &str) -> String {
    given(path).collect::<Vec<_>>().join("/")
}

/// The names of a path as they were given.
fn given(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty())
}

/// The names of a path, no more than a document nests: what is made at a path is walked later.
fn names(path: &str) -> Result<Vec<String>, DocumentError> {
    if path.len() > PATH_MAX || given(path).count() > DEPTH_MAX {
        let reason = format!("the path is too long; give at most {DEPTH_MAX} names, in {PATH_MAX} bytes");
        return Err(DocumentError::whole(reason));
    }
    Ok(given(path).map(|name| name.replace("~1", "/").replace("~0", "~")).collect())
}

#[cfg(test)]
mod tests;
