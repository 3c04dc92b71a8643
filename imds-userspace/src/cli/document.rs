//! Documents from files, and from the flags that say the same.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use thiserror::Error;

use super::arguments::CreateArguments;
use super::error::Error;
use super::{credentials, tags, user_data};
use crate::control::change::Json;
use crate::metadata::patch;

/// The largest file in bytes: descriptions of 10,000 instances fit.
const FILE_MAX: u64 = 256 * 1024 * 1024;

/// Why a file holds no JSON. What it holds is never in an error: it may be secret.
#[derive(Debug, Error)]
pub(super) enum FileError {
    #[error("{} can't be read: {source}", .file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("{} has more than {FILE_MAX} bytes; split it", .file.display())]
    TooLarge { file: PathBuf },
    #[error("{}, line {line}, column {column}: not JSON from there on; mend it", .file.display())]
    Malformed { file: PathBuf, line: usize, column: usize },
    #[error("{} is not a JSON object", .file.display())]
    NoObject { file: PathBuf },
}

/// The object in a file; `-` is `input`.
pub(super) fn read(path: &Path, input: &mut dyn Read) -> Result<Value, FileError> {
    let file = || path.to_owned();
    let unreadable = |source| FileError::Unreadable { file: file(), source };
    let mut content = Vec::new();
    let limit = FILE_MAX + 1;
    let read = if path == Path::new("-") {
        input.take(limit).read_to_end(&mut content)
    } else {
        File::open(path).and_then(|opened| opened.take(limit).read_to_end(&mut content))
    };
    if read.map_err(unreadable)? as u64 > FILE_MAX {
        return Err(FileError::TooLarge { file: file() });
    }
    let malformed =
        |error: serde_json::Error| FileError::Malformed { file: file(), line: error.line(), column: error.column() };
    let value: Value = serde_json::from_slice(&content).map_err(malformed)?;
    if value.is_object() { Ok(value) } else { Err(FileError::NoObject { file: file() }) }
}

/// The document of `instance create`: that of its file, and over it what the flags say.
pub(super) fn of_creation(
    arguments: &CreateArguments,
    input: &mut dyn Read,
    warnings: &mut Vec<String>,
) -> Result<Json, Error> {
    let mut document = match &arguments.document {
        Some(file) => read(file, input)?,
        None => Value::Object(Map::new()),
    };
    let mut flags = Map::new();
    let mut set = |name: &str, value: Option<Value>| flags.extend(value.map(|value| (name.to_owned(), value)));
    let text = |text: &Option<String>| text.clone().map(Value::from);
    set("account-id", text(&arguments.account_id));
    set("ami-id", text(&arguments.image_id));
    set("hostname", text(&arguments.hostname));
    set("instance-type", text(&arguments.instance_type));
    set("local-hostname", text(&arguments.hostname));
    set("local-ipv4", arguments.private_ip.map(|ip| json!(ip)));
    set("placement", arguments.availability_zone.as_ref().map(|zone| json!({ "availability-zone": zone })));
    let tags = tags::parse(&arguments.tags)?;
    set("tags", (!tags.is_empty()).then(|| json!(tags)));
    if let Some(file) = &arguments.user_data_file {
        set("user-data", Some(json!({ "base64": user_data::read(file, input)? })));
        // One of the two forms, never both.
        document.as_object_mut().and_then(|document| document.remove("user-data"));
    }
    let mut iam = Map::new();
    iam.extend(arguments.iam_role.as_ref().map(|role| ("role".to_owned(), json!(role))));
    if let Some(file) = &arguments.credentials_file {
        let file = credentials::read(file)?;
        warnings.extend(file.warning);
        iam.insert("credentials".to_owned(), json!(file.credentials));
    }
    set("iam", (!iam.is_empty()).then_some(iam.into()));
    patch::merge(&mut document, flags.into());
    Ok(Json(document))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_file_is_told_by_its_place_without_its_content() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("instance.json");
        for (text, words) in [
            ("{\n  \"iam\": SECRET\n}", "instance.json, line 2, column 10: not JSON from there on"),
            ("[\"SECRET\"]", "instance.json is not a JSON object"),
            ("\"SECRET\"", "instance.json is not a JSON object"),
        ] {
            std::fs::write(&file, text).expect("written");
            let message = read(&file, &mut io::empty()).expect_err(text).to_string();
            assert!(message.contains(words) && !message.contains("SECRET"), "{message}");
        }
        let message = read(Path::new("/nonexistent"), &mut io::empty()).expect_err("absent").to_string();
        assert!(message.contains("/nonexistent can't be read: No such file"), "{message}");
        assert_eq!(read(Path::new("-"), &mut &b"{}"[..]).expect("an object"), json!({}));
    }
}
