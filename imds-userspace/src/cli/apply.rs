//! Instances brought to a described state: a file in, a line for each instance out.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use super::document;
use super::error::Error;
use crate::control::change::{Applied, ApplyOutcome, Described};
use crate::control::client::Client;
use crate::control::protocol::{Command, MESSAGE_MAX, Payload};

/// Instances in one request: few enough that each request is done well within the client's time.
const BATCH_MAX: usize = 64;
/// Bytes of descriptions in one request.
const BATCH_BYTES: usize = MESSAGE_MAX / 2;

/// Why a file describes no instances.
#[derive(Debug, Error)]
pub(super) enum ApplyError {
    #[error("{}, at {path}: {reason}", .file.display())]
    Form { file: PathBuf, path: String, reason: String },
    #[error("{}: instance {instance_id} is described twice; describe each instance once", .file.display())]
    Twice { file: PathBuf, instance_id: String },
    #[error("{}: interface \"{interface}\" is described twice; describe each interface once", .file.display())]
    InterfaceTwice { file: PathBuf, interface: String },
    #[error("{failed} of {all} instances are not as described; mend what is said of them, and apply again")]
    Failed { failed: usize, all: usize },
}

/// A file of instances.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Instances {
    instances: Vec<Described>,
}

/// Reads descriptions; no instance and no interface stands in two of them.
pub(super) fn read(path: &Path, input: &mut dyn Read) -> Result<Vec<Described>, Error> {
    let file = || path.to_owned();
    let value = document::read(path, input)?;
    let Instances { instances } = serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        ApplyError::Form { file: file(), path, reason: error.into_inner().to_string() }
    })?;
    let (mut ids, mut interfaces) = (BTreeSet::new(), BTreeSet::new());
    for instance in &instances {
        if !ids.insert(&instance.instance_id) {
            return Err(ApplyError::Twice { file: file(), instance_id: instance.instance_id.clone() }.into());
        }
        if let Some(interface) = instance.interfaces.iter().find(|interface| !interfaces.insert(*interface)) {
            return Err(ApplyError::InterfaceTwice { file: file(), interface: interface.clone() }.into());
        }
    }
    Ok(instances)
}

/// Has everything checked before anything is done; with `check` that is all.
pub(super) fn apply(client: &Client, instances: &[Described], check: bool) -> Result<Vec<Applied>, Error> {
    let batches = batches(instances)?;
    let run = |check| -> Result<Vec<Applied>, Error> {
        let mut applied = Vec::with_capacity(instances.len());
        for batch in &batches {
            match client.ask(Command::Apply { instances: batch.to_vec(), check })? {
                Payload::Applied(done) => applied.extend(done),
                _ => return Err(Error::Payload),
            }
        }
        Ok(applied)
    };
    let planned = run(true)?;
    if check { Ok(planned) } else { run(false) }
}

/// What ends the command with another exit code, once all of it is said.
pub(super) fn failure(applied: &[Applied]) -> Option<ApplyError> {
    let failed = applied.iter().filter(|applied| applied.outcome == ApplyOutcome::Failed).count();
    (failed > 0).then_some(ApplyError::Failed { failed, all: applied.len() })
}

/// Cuts descriptions into requests.
fn batches(instances: &[Described]) -> Result<Vec<&[Described]>, Error> {
    let mut batches = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (number, instance) in instances.iter().enumerate() {
        let size = serde_json::to_vec(instance).map_err(Error::Json)?.len();
        if number > start && (number - start >= BATCH_MAX || bytes + size > BATCH_BYTES) {
            batches.push(&instances[start..number]);
            (start, bytes) = (number, 0);
        }
        bytes += size;
    }
    batches.push(&instances[start..]);
    Ok(batches)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(text: &str) -> Result<Vec<Described>, Error> {
        read(Path::new("-"), &mut text.as_bytes())
    }

    #[test]
    fn what_is_wrong_is_named_by_its_path() {
        for (text, words) in [
            (r#"{}"#, "missing field `instances`"),
            (r#"{"instances": [{"interfaces": []}]}"#, "-, at instances[0]: missing field `instance-id`"),
            (
                r#"{"instances": [{"instance-id": "i-1", "interfaces": ["a"], "documents": {}}]}"#,
                "-, at instances[0].documents: unknown field `documents`",
            ),
            (
                r#"{"instances": [{"instance-id": "i-1", "interfaces": ["a"]}, {"instance-id": "i-1", "interfaces": ["b"]}]}"#,
                "instance i-1 is described twice",
            ),
            (
                r#"{"instances": [{"instance-id": "i-1", "interfaces": ["a"]}, {"instance-id": "i-2", "interfaces": ["a"]}]}"#,
                "interface \"a\" is described twice",
            ),
        ] {
            let error = described(text).expect_err(text);
            assert!(error.to_string().contains(words), "{error}");
            assert_eq!(error.exit_code(), 2, "{error}");
        }
    }

    #[test]
    fn requests_stay_below_their_limits() {
        let instance = |number: usize, bytes: usize| Described {
            instance_id: format!("i-{number:08x}"),
            interfaces: vec![format!("tap{number}")],
            metadata_options: Default::default(),
            limits: Default::default(),
            document: crate::control::change::Json("x".repeat(bytes).into()),
        };
        let many: Vec<_> = (0..2 * BATCH_MAX + 1).map(|number| instance(number, 10)).collect();
        let sizes: Vec<_> = batches(&many).expect("JSON").iter().map(|batch| batch.len()).collect();
        assert_eq!(sizes, [BATCH_MAX, BATCH_MAX, 1]);
        let large: Vec<_> = (0..3).map(|number| instance(number, BATCH_BYTES / 2)).collect();
        let sizes: Vec<_> = batches(&large).expect("JSON").iter().map(|batch| batch.len()).collect();
        assert_eq!(sizes, [1, 1, 1]);
        assert_eq!(batches(&[]).expect("JSON"), [&[][..]]);
    }
}
