//! How JSON becomes a document, and what is said where it is none.

use serde_json::Value;

use super::text::{Line, Name, RoleName};
use super::{Document, DocumentError, Time, UserData};
use crate::metadata::field::FieldError;
use crate::metadata::patch;

/// Parts whose values are secret, so that no error may quote them, nor a key that isn't known. The whole document is one.
const SECRET_PARTS: [&str; 4] = ["", "iam", "identity-credentials", "user-data"];

/// What is wrong where a value mustn't be quoted.
const ANOTHER_FORM: &str = "it is not of the form that the schema says (`imdsctl metadata schema`)";

/// What serde's words of a key that an object hasn't begin with.
const UNKNOWN_KEY: &str = "unknown field";

/// Reads a document as far as each member can be checked by itself.
pub(super) fn read(value: &Value) -> Result<Document, DocumentError> {
    let document: Document = serde_path_to_error::deserialize(value).map_err(|error| {
        let mut names: Vec<String> = error.path().iter().filter_map(name_of).collect();
        let mut reason = error.inner().to_string();
        if SECRET_PARTS.contains(&names.first().map_or("", String::as_str)) {
            // An unknown key stands at the path's end, and may be a value that slipped.
            if reason.starts_with(UNKNOWN_KEY) {
                names.pop();
            }
            reason = told_of_secret(value, &names).unwrap_or_else(|| ANOTHER_FORM.to_owned());
        }
        DocumentError { path: (!names.is_empty()).then(|| names.join("/")), reason }
    })?;
    if let Some(path) = list_for_object(value, Some(&document.to_value()), String::new()) {
        return Err(DocumentError { path: (!path.is_empty()).then_some(path), reason: ANOTHER_FORM.to_owned() });
    }
    Ok(document)
}

/// What is wrong at a path of a secret part, where that can be said without quoting anything.
fn told_of_secret(document: &Value, names: &[String]) -> Option<String> {
    let value = document.pointer(&format!("/{}", names.join("/")))?;
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let error = match names[..] {
        ["user-data"] => UserData::fault(value),
        ["iam", "role"] => fault_of::<RoleName>(value),
        ["iam", "instance-profile-arn"] => fault_of::<Line>(value),
        ["iam", "instance-profile-id"] => fault_of::<Name>(value),
        ["iam", "last-updated"] => Time::parse(value.as_str()?).err(),
        _ => None,
    };
    error.map(|error| error.without_value())
}

/// What is wrong with a text.
fn fault_of<T: TryFrom<String, Error = FieldError>>(value: &Value) -> Option<FieldError> {
    T::try_from(value.as_str()?.to_owned()).err()
}

/// A piece of a path as paths are written.
fn name_of(segment: &serde_path_to_error::Segment) -> Option<String> {
    match segment {
        serde_path_to_error::Segment::Seq { index } => Some(index.to_string()),
        serde_path_to_error::Segment::Map { key } => Some(patch::escaped(key)),
        serde_path_to_error::Segment::Enum { variant } => Some(variant.clone()),
        serde_path_to_error::Segment::Unknown => None,
    }
}

/// The path of the first list that was given for an object: serde takes its items for the object's members.
fn list_for_object(given: &Value, read: Option<&Value>, path: String) -> Option<String> {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
    match (given, read) {
        (Value::Array(_), None | Some(Value::Object(_))) => Some(path),
        (Value::Array(given), Some(Value::Array(read))) => {
            let mut pairs = given.iter().zip(read).enumerate();
            pairs.find_map(|(number, (given, read))| list_for_object(given, Some(read), below(&number.to_string())))
        }
        (Value::Object(given), read) => given.iter().find_map(|(key, given)| {
            list_for_object(given, read.and_then(|read| read.get(key)), below(&patch::escaped(key)))
        }),
        _ => None,
    }
}
