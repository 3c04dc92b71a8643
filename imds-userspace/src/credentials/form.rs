//! The two JSON forms that credentials come in. Nothing that a text holds is ever in an error.

use serde_json::{Map, Value};
use thiserror::Error;

use crate::metadata::date;
use crate::metadata::document::{Credentials, Time};
use crate::metadata::field::{self, FieldError};

/// The largest text in bytes: session tokens have one or two KiB.
pub const SIZE_MAX: usize = 64 * 1024;

/// The version of `credential_process`'s form that there is.
const PROCESS_VERSION: u64 = 1;

/// How long what a process gives without an expiration is served before the process is asked for newer: such credentials
/// don't expire, but EC2's document has an `Expiration`, and clients refresh by it. In seconds.
const ROLLING_SECONDS: u64 = 60 * 60;

/// Who writes a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// An operator, or somebody who keeps a file up to date: EC2's form (`Token`), or that of a process.
    File,
    /// A program, as the AWS configuration's `credential_process` runs them (`Version` 1, `SessionToken`).
    Process,
}

/// Why a text holds no credentials.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum FormError {
    /// It isn't JSON.
    #[error("line {line}, column {column}: not JSON from there on; mend it")]
    Malformed {
        /// The line, from 1.
        line: usize,
        /// The column.
        column: usize,
    },
    /// It is JSON, but no object.
    #[error("it is not a JSON object; it needs AccessKeyId, SecretAccessKey, {token} and, in a file, Expiration")]
    NoObject {
        /// What the token is called.
        token: &'static str,
    },
    /// A key is missing.
    #[error("it has no key {key}; it needs AccessKeyId, SecretAccessKey, {token} and, in a file, Expiration")]
    Missing {
        /// The key.
        key: &'static str,
        /// What the token is called.
        token: &'static str,
    },
    /// A value is of another type.
    #[error("{key} is not a string, or an empty one; give its value in quotes")]
    NoString {
        /// The key.
        key: &'static str,
    },
    /// Another version of a process's form, or none.
    #[error("its Version is not 1; imdsd knows no other version of credential_process's form")]
    Version,
    /// EC2's document of a failure.
    #[error("its Code is not Success; it is EC2's document of a failure")]
    Failure,
    /// The expiration is no time.
    #[error("Expiration is not a time like 2030-01-31T12:00:00Z")]
    Expiration,
    /// A value that no client could use.
    #[error(transparent)]
    Field(#[from] FieldError),
}

/// Reads credentials, and writes their expiration as EC2 does. A process may leave it out, for credentials that don't
/// expire: then they are served with one that is an hour from now. Other keys, such as `LastUpdated`, are passed over.
///
/// # Errors
///
/// [`FormError`]
pub fn parse(text: &[u8], writer: Writer) -> Result<Credentials, FormError> {
    // The parser's own words could quote the content; its position can't.
    let value: Value = serde_json::from_slice(text)
        .map_err(|error| FormError::Malformed { line: error.line(), column: error.column() })?;
    let by_process = writer == Writer::Process || value.get("Version").is_some();
    let token = if by_process { "SessionToken" } else { "Token" };
    let Value::Object(mut object) = value else {
        return Err(FormError::NoObject { token });
    };
    if by_process && object.get("Version").and_then(Value::as_u64) != Some(PROCESS_VERSION) {
        return Err(FormError::Version);
    }
    if object.get("Code").is_some_and(|code| code != "Success") {
        return Err(FormError::Failure);
    }
    // Only a process can be asked again, so only it may leave the expiration out.
    let lasts = writer == Writer::Process && !object.contains_key("Expiration");
    let mut take = |key| take(&mut object, key, token);
    let given = Credentials {
        access_key_id: take("AccessKeyId")?,
        secret_access_key: take("SecretAccessKey")?,
        token: take(token)?,
        expiration: if lasts { Time::now().plus(ROLLING_SECONDS).to_string() } else { take("Expiration")? },
    };
    let end = date::seconds_of(&given.expiration).ok_or(FormError::Expiration)?;
    let credentials = Credentials { expiration: Time::from_unix(end).to_string(), ..given };
    field::credentials(&credentials)?;
    Ok(credentials)
}

fn take(object: &mut Map<String, Value>, key: &'static str, token: &'static str) -> Result<String, FormError> {
    match object.remove(key) {
        Some(Value::String(value)) if !value.is_empty() => Ok(value),
        Some(_) => Err(FormError::NoString { key }),
        None => Err(FormError::Missing { key, token }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI";
    const KEYS: [&str; 4] = ["AccessKeyId", "SecretAccessKey", "Token", "Expiration"];
    const PROCESS_KEYS: [&str; 4] = ["AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"];

    fn object(keys: &[&str]) -> Map<String, Value> {
        let mut object: Map<_, _> =
            keys.iter().map(|key| (key.to_string(), format!("{key}/{SECRET}").into())).collect();
        object.insert("Expiration".into(), "2030-01-01T00:00:00Z".into());
        object
    }

    fn of_process() -> Map<String, Value> {
        let mut object = object(&PROCESS_KEYS);
        object.insert("Version".into(), 1.into());
        object
    }

    fn parse_object(object: Map<String, Value>, writer: Writer) -> Result<Credentials, FormError> {
        parse(Value::Object(object).to_string().as_bytes(), writer)
    }

    fn message_of(text: &str) -> String {
        let message = parse(text.as_bytes(), Writer::File).expect_err(text).to_string();
        assert!(!message.contains(SECRET), "{message}");
        message
    }

    #[test]
    fn the_four_keys_are_taken_and_others_passed_over() {
        let mut ec2 = object(&KEYS);
        for (key, value) in [("Code", "Success"), ("LastUpdated", "2029-01-01T00:00:00Z"), ("Type", "AWS-HMAC")] {
            ec2.insert(key.into(), value.into());
        }
        let mut process = of_process();
        process.insert("AccountId".into(), "123456789012".into());
        for (object, writer, token) in [
            (ec2, Writer::File, "Token"),
            (process.clone(), Writer::File, "SessionToken"),
            (process, Writer::Process, "SessionToken"),
        ] {
            let credentials = parse_object(object, writer).expect("complete");
            assert_eq!(credentials.access_key_id, format!("AccessKeyId/{SECRET}"));
            assert_eq!(credentials.secret_access_key, format!("SecretAccessKey/{SECRET}"));
            assert_eq!(credentials.token, format!("{token}/{SECRET}"));
            assert_eq!(credentials.expiration, "2030-01-01T00:00:00Z");
        }
    }

    #[test]
    fn an_expiration_is_written_as_ec2_does() {
        for (given, written) in [
            ("2030-01-01T02:00:00+02:00", Some("2030-01-01T00:00:00Z")),
            ("2030-01-01T00:00:00.999999Z", Some("2030-01-01T00:00:00Z")),
            ("2030-01-01T00:00:00z", Some("2030-01-01T00:00:00Z")),
            ("2030-01-01T00:00:00", None),
            ("1893456000", None),
            ("1900-01-01T00:00:00.5Z", None),
            ("soon", None),
        ] {
            let mut object = of_process();
            object.insert("Expiration".into(), given.into());
            let parsed = parse_object(object, Writer::Process).map(|credentials| credentials.expiration);
            assert_eq!(parsed.as_deref(), written.ok_or(&FormError::Expiration), "{given}");
        }
    }

    #[test]
    fn what_a_process_gives_without_an_expiration_is_good_for_an_hour() {
        let mut object = of_process();
        object.remove("Expiration");
        let before = Time::now().unix();
        let credentials = parse_object(object.clone(), Writer::Process).expect("complete");
        let hours = before + 3600..=Time::now().unix() + 3600;
        assert!(hours.contains(&credentials.end().unix()), "{}", credentials.expiration);
        let missing = Err(FormError::Missing { key: "Expiration", token: "SessionToken" });
        assert_eq!(parse_object(object.clone(), Writer::File), missing, "nobody would ask for newer");
        object.insert("Expiration".into(), Value::Null);
        assert_eq!(parse_object(object, Writer::Process), Err(FormError::NoString { key: "Expiration" }));
    }

    #[test]
    fn a_process_says_its_version() {
        for version in [None, Some(Value::from(2)), Some("1".into()), Some(Value::Null), Some(1.5.into())] {
            let mut object = of_process();
            object.remove("Version");
            object.extend(version.clone().map(|version| ("Version".to_owned(), version)));
            assert_eq!(parse_object(object, Writer::Process), Err(FormError::Version), "{version:?}");
        }
        assert_eq!(parse_object(object(&KEYS), Writer::Process), Err(FormError::Version));
    }

    #[test]
    fn a_missing_key_is_named() {
        for (keys, whole) in [(KEYS, object(&KEYS)), (PROCESS_KEYS, of_process())] {
            for key in keys {
                let mut object = whole.clone();
                object.remove(key);
                let error = parse_object(object, Writer::File).expect_err(key);
                assert_eq!(error, FormError::Missing { key, token: keys[2] });
                assert!(error.to_string().contains(&format!("no key {key};")), "{error}");
            }
        }
    }

    #[test]
    fn a_value_that_is_no_text_is_named_by_its_key() {
        for key in KEYS {
            for value in [Value::Null, Value::from(1), Value::from(""), Value::from(vec![SECRET])] {
                let mut object = object(&KEYS);
                object.insert(key.into(), value);
                assert_eq!(parse_object(object, Writer::File), Err(FormError::NoString { key }));
            }
        }
    }

    #[test]
    fn a_value_that_no_client_takes_is_named_by_its_key() {
        for key in &KEYS[..3] {
            let mut object = object(&KEYS);
            object.insert((*key).into(), format!("{SECRET}\n").into());
            let message = message_of(&Value::Object(object).to_string());
            assert!(message.starts_with(key), "{message}");
        }
    }

    #[test]
    fn a_failure_of_ec2_s_is_no_credentials() {
        for code in [Value::from("AssumeRoleUnauthorizedAccess"), Value::Null] {
            let mut object = object(&KEYS);
            object.insert("Code".into(), code);
            assert_eq!(parse_object(object, Writer::File), Err(FormError::Failure));
        }
    }

    #[test]
    fn broken_json_is_told_by_line_and_column_without_its_content() {
        let text = format!("{{\n  \"AccessKeyId\": \"A\",\n  \"Token\": {SECRET}\n}}");
        assert!(message_of(&text).starts_with("line 3, column 12: not JSON"), "{}", message_of(&text));
        assert!(message_of("").starts_with("line 1, column 0: not JSON"));
        assert!(message_of("{\"Token\": \"").starts_with("line 1, column 11: not JSON"));
        assert!(message_of(&format!("[\"{SECRET}\"]")).starts_with("it is not a JSON object"));
    }
}
