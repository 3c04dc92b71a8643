//! Documents from files, and from the flags that say the same.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use thiserror::Error;

use super::arguments::CreateArguments;
use super::error::Error;
use super::{credentials, input, tags, user_data};
use crate::control::protocol::MESSAGE_MAX;
use crate::metadata::patch;
use crate::registry::request::{Change, Json};

/// The largest file in bytes: descriptions of 10,000 instances fit.
const FILE_MAX: usize = 256 * 1024 * 1024;

/// Where credentials stand in a document.
const CREDENTIALS: [&str; 2] = ["/iam/credentials", "/identity-credentials/credentials"];

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
    #[error(
        "standard input is not UTF-8, as every value is but user data; set {USER_DATA_TEXT} to have it in there as it is"
    )]
    NoText,
}

/// The object in a file; `-` is `input`. Others shall not read it if it holds credentials.
pub(super) fn read(path: &Path, input: &mut dyn Read, warnings: &mut Vec<String>) -> Result<Value, FileError> {
    let file = || path.to_owned();
    let unreadable = |source| FileError::Unreadable { file: file(), source };
    let content = input::read(path, input, FILE_MAX).map_err(unreadable)?;
    let content = content.map_err(|_| FileError::TooLarge { file: file() })?;
    let malformed =
        |error: serde_json::Error| FileError::Malformed { file: file(), line: error.line(), column: error.column() };
    let value: Value = serde_json::from_slice(&content.bytes).map_err(malformed)?;
    if !value.is_object() {
        return Err(FileError::NoObject { file: file() });
    }
    let described = value.get("instances").and_then(Value::as_array).into_iter().flatten();
    let documents = described.filter_map(|instance| instance.get("document"));
    if has_credentials(&value) || documents.into_iter().any(has_credentials) {
        warnings.extend(content.exposure("file with credentials", path));
    }
    Ok(value)
}

/// Whether credentials stand in a document.
fn has_credentials(document: &Value) -> bool {
    CREDENTIALS.iter().any(|path| document.pointer(path).is_some_and(|credentials| !credentials.is_null()))
}

/// The path of user data as text.
const USER_DATA_TEXT: &str = "user-data/text";

/// The change that sets a value that was typed; `-` is `input`. Credentials aren't typed: whoever may list processes
/// would read them. User data is taken as it comes, every byte of it; of other values a line's end ends them.
pub(super) fn setting(path: String, value: String, input: &mut dyn Read) -> Result<Change, Error> {
    if value == "-" && patch::plain(&path) == USER_DATA_TEXT {
        let value = Json(user_data::read(Path::new("-"), input)?.into());
        return Ok(Change::Set { path: "user-data/base64".to_owned(), value });
    }
    let value = Json(typed(&path, value, input)?.into());
    Ok(Change::Set { path, value })
}

fn typed(path: &str, value: String, input: &mut dyn Read) -> Result<String, Error> {
    if value != "-" {
        let plain = patch::plain(path);
        let section = if plain.is_empty() { String::new() } else { format!("/{plain}") };
        let whole: Value = serde_json::from_str(&value).unwrap_or_default();
        let is_secret = |credentials: &&str| {
            let below = credentials.strip_prefix(section.as_str());
            section.starts_with(*credentials) || below.is_some_and(|below| whole.pointer(below).is_some())
        };
        return if CREDENTIALS.iter().any(is_secret) { Err(Error::TypedSecret) } else { Ok(value) };
    }
    let unreadable = |source| FileError::Unreadable { file: value.clone().into(), source };
    let content = input::read(Path::new("-"), input, MESSAGE_MAX).map_err(unreadable)?;
    let content = content.map_err(|_| FileError::TooLarge { file: value.clone().into() })?;
    let text = String::from_utf8(content.bytes).map_err(|_| FileError::NoText)?;
    Ok(text.strip_suffix('\n').map_or(text.clone(), str::to_owned))
}

/// The document of `instance create`: that of its file, and over it what the flags say.
pub(super) fn of_creation(
    arguments: &CreateArguments,
    input: &mut dyn Read,
    warnings: &mut Vec<String>,
) -> Result<Json, Error> {
    let mut document = match &arguments.document {
        Some(file) => read(file, input, warnings)?,
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
            let message = read(&file, &mut io::empty(), &mut Vec::new()).expect_err(text).to_string();
            assert!(message.contains(words) && !message.contains("SECRET"), "{message}");
        }
        let message =
            read(Path::new("/nonexistent"), &mut io::empty(), &mut Vec::new()).expect_err("absent").to_string();
        assert!(message.contains("/nonexistent can't be read: No such file"), "{message}");
        assert_eq!(read(Path::new("-"), &mut &b"{}"[..], &mut Vec::new()).expect("an object"), json!({}));
    }

    #[test]
    fn a_document_with_credentials_that_others_read_is_warned_of() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("instance.json");
        let iam = json!({ "iam": { "credentials": {} } });
        let own = json!({ "instances": [{}, { "document": { "identity-credentials": { "credentials": {} } } }] });
        let none = json!({ "iam": { "credentials": null, "role": "app" } });
        for (document, mode, warned) in [(&iam, 0o644, 1), (&own, 0o640, 1), (&iam, 0o600, 0), (&none, 0o644, 0)] {
            std::fs::write(&file, document.to_string()).expect("written");
            let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
            std::fs::set_permissions(&file, permissions).expect("owner");
            let mut warnings = Vec::new();
            read(&file, &mut io::empty(), &mut warnings).expect("an object");
            assert_eq!(warnings.len(), warned, "{document} {mode:o}");
            assert!(warnings.iter().all(|warning| warning.contains("instance.json is readable by others")));
        }
    }

    #[test]
    fn user_data_is_taken_as_it_comes_and_other_values_as_lines() {
        let set = |path: &str, mut input: &[u8]| match setting(path.to_owned(), "-".to_owned(), &mut input) {
            Ok(Change::Set { path, value }) => format!("{path} {}", value.0.as_str().expect("text")),
            other => format!("{other:?}"),
        };
        assert_eq!(set("user-data/text", b"#cloud-config\n\n"), "user-data/base64 I2Nsb3VkLWNvbmZpZwoK");
        assert_eq!(set("/user-data//text/", b"\xff\0"), "user-data/base64 /wA=");
        assert_eq!(set("tags/Name", b"web\n"), "tags/Name web");
        assert_eq!(set("user-data/base64", b"/wA=\n"), "user-data/base64 /wA=");
        let typed = setting("user-data/text".to_owned(), "a\n".to_owned(), &mut io::empty()).expect("typed");
        assert_eq!(typed, Change::Set { path: "user-data/text".to_owned(), value: Json("a\n".into()) });
        let refused = |path: &str, mut input: &[u8]| {
            let error = setting(path.to_owned(), "-".to_owned(), &mut input).expect_err(path);
            assert_eq!(error.exit_code(), 2, "{error}");
            error.to_string()
        };
        let message = refused("tags/Name", b"\xff");
        assert!(message.contains("not UTF-8") && message.contains("user-data/text"), "{message}");
        let message = refused("user-data/text", &[b'x'; 16 * 1024 + 1]);
        assert!(message.contains("more than the 16384 that user data may have"), "{message}");
    }

    #[test]
    fn credentials_are_not_typed_but_read() {
        let typed = |path, value: &str| typed(path, value.to_owned(), &mut &b"{\"a\": 1}\n"[..]);
        for (path, value) in [
            ("iam/credentials", "{}"),
            ("/iam/credentials/Token", "SECRET"),
            ("iam//credentials", "{}"),
            ("//iam///credentials//", "{}"),
            ("iam//credentials//Token", "SECRET"),
            ("identity-credentials//credentials", "{}"),
            ("//identity-credentials//", "{\"credentials\": {}}"),
            ("iam", "{\"credentials\": {}}"),
            ("identity-credentials", "{\"credentials\": {}}"),
            ("identity-credentials/credentials", "SECRET"),
        ] {
            let error = typed(path, value).expect_err(path);
            assert!(error.to_string().contains("give - as VALUE") && error.exit_code() == 2, "{error}");
            assert_eq!(typed(path, "-").expect("read"), "{\"a\": 1}");
        }
        for (path, value) in [("iam/role", "app"), ("tags/a", "iam/credentials"), ("iam", "{\"role\": \"app\"}")] {
            assert_eq!(typed(path, value).expect("no secret"), value);
        }
    }
}
