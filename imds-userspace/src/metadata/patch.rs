//! Changes of a document in its JSON form: merged, and by path.
//!
//! A path is the names of members with slashes between, as targets of the tree are; a number is a place in a list. `~1`
//! stands for a slash in a name and `~0` for a tilde (RFC 6901).

use serde_json::{Map, Value};

use super::document::{Document, DocumentError};

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
    names(path).try_fold(document, |value, name| match value {
        Value::Object(members) => members.get(&name),
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        _ => None,
    })
}

/// The document with a text at a path. The field decides how it is read: as JSON if it takes that, else as it is.
///
/// # Errors
///
/// [`DocumentError`] of the text as it is, or of the JSON where the text can't be meant.
pub fn set(document: &Value, path: &str, text: &str) -> Result<Document, DocumentError> {
    let with = |value: Value| {
        let mut changed = document.clone();
        *place(&mut changed, path)? = value;
        Document::parse(changed)
    };
    let plain = || with(Value::from(text));
    match serde_json::from_str::<Value>(text) {
        Ok(value) if value.is_object() || value.is_array() => with(value).or_else(|error| plain().map_err(|_| error)),
        Ok(value) if !value.is_null() => with(value).or_else(|_| plain()),
        _ => plain(),
    }
}

/// The document without what stands at a path.
///
/// # Errors
///
/// [`DocumentError`] where nothing stands there, or the rest is no document.
pub fn unset(document: &Value, path: &str) -> Result<Document, DocumentError> {
    let mut changed = document.clone();
    let absent = || DocumentError::at(path, "nothing is set there; `imdsctl metadata get` shows what an instance has");
    let mut above: Vec<String> = names(path).collect();
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

/// The place that a path names, made where it isn't there. The next place of a list is there to be taken.
fn place<'v>(document: &'v mut Value, path: &str) -> Result<&'v mut Value, DocumentError> {
    names(path).try_fold(document, |value, name| {
        if value.is_null() {
            *value = if name == "0" { Value::Array(Vec::new()) } else { Value::Object(Map::new()) };
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

/// A name as paths have it.
pub(super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn names(path: &str) -> impl Iterator<Item = String> {
    path.split('/').filter(|name| !name.is_empty()).map(|name| name.replace("~1", "/").replace("~0", "~"))
}

#[cfg(test)]
mod tests;
