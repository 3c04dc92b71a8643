//! Instances brought to a described state: a file in, a line for each instance out.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use super::document;
use super::error::Error;
use crate::control::client::{Client, ClientError};
use crate::control::protocol::{Command, MESSAGE_MAX, Payload};
use crate::registry::request::{Applied, ApplyOutcome, Described};

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
    #[error("{source}; {fate}")]
    Stopped { source: Box<Error>, fate: &'static str },
}

/// What became of everything, if the plan was refused.
const UNCHANGED: &str = "nothing was changed";
/// What became of the rest, if a later request was refused.
const UNCHANGED_SINCE: &str = "nothing more was changed";
/// What became of the rest, if nobody said.
const UNKNOWN: &str = "whether more was changed is not known: the same with --dry-run says what is left";

/// A file of instances.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Instances {
    instances: Vec<Described>,
}

/// Reads descriptions; no instance and no interface stands in two of them.
pub(super) fn read(path: &Path, input: &mut dyn Read, warnings: &mut Vec<String>) -> Result<Vec<Described>, Error> {
    let file = || path.to_owned();
    let value = document::read(path, input, warnings)?;
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

/// What was done, and what ended it before all of it was.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) applied: Vec<Applied>,
    pub(super) error: Option<Error>,
}

/// Has everything checked before anything is done; with `check` that is all.
pub(super) fn apply(client: &Client, instances: &[Described], check: bool) -> Outcome {
    let ask = |command| match client.ask(command)? {
        Payload::Applied(done) => Ok(done),
        _ => Err(Error::Payload),
    };
    apply_by(ask, instances, check)
}

fn apply_by(
    mut ask: impl FnMut(Command) -> Result<Vec<Applied>, Error>,
    instances: &[Described],
    check: bool,
) -> Outcome {
    let stopped = |applied, source: Error, fate| Outcome {
        applied,
        error: Some(ApplyError::Stopped { source: Box::new(source), fate }.into()),
    };
    let batches = match batches(instances) {
        Ok(batches) => batches,
        Err(error) => return stopped(Vec::new(), error, UNCHANGED),
    };
    let (mut planned, mut claimed) = (Vec::with_capacity(instances.len()), Vec::new());
    for batch in &batches {
        match ask(Command::Apply { instances: batch.to_vec(), check: true, claimed: claimed.clone() }) {
            Ok(mut batch) => {
                // They are for the requests after this one.
                batch.iter_mut().for_each(|planned| claimed.append(&mut planned.claimed));
                planned.extend(batch);
            }
            Err(error) => return stopped(Vec::new(), error, UNCHANGED),
        }
    }
    if check {
        return Outcome { applied: planned, error: None };
    }
    let mut applied = Vec::with_capacity(instances.len());
    for batch in &batches {
        match ask(Command::Apply { instances: batch.to_vec(), check: false, claimed: Vec::new() }) {
            Ok(batch) => applied.extend(batch),
            Err(error) => {
                let fate = match &error {
                    Error::Client(ClientError::Refused(_)) if applied.is_empty() => UNCHANGED,
                    Error::Client(ClientError::Refused(_)) => UNCHANGED_SINCE,
                    _ => UNKNOWN,
                };
                return stopped(applied, error, fate);
            }
        }
    }
    let error = failure(&applied).map(Error::from);
    Outcome { applied, error }
}

/// What ends the command with another exit code, though all of it was tried.
fn failure(applied: &[Applied]) -> Option<ApplyError> {
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
    use crate::control::protocol::{Failure, FailureKind};

    fn described(text: &str) -> Result<Vec<Described>, Error> {
        read(Path::new("-"), &mut text.as_bytes(), &mut Vec::new())
    }

    fn instance(number: usize, bytes: usize) -> Described {
        Described {
            instance_id: format!("i-{number:08x}"),
            interfaces: vec![format!("tap{number}")],
            attach: None,
            metadata_options: Default::default(),
            limits: Default::default(),
            document: crate::registry::request::Json("x".repeat(bytes).into()),
        }
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
                r#"{"instances": [{"instance-id": "i-1", "interfaces": ["a"], "attach": "xdp"}]}"#,
                "-, at instances[0].attach: unknown variant `xdp`, expected one of `auto`, `tc`, `tc+xdp`,",
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

    fn refusal() -> Error {
        let message = "instance i-1: no".to_owned();
        Error::Client(ClientError::Refused(Failure { kind: FailureKind::Conflict, message }))
    }

    /// Applies more than one request takes, to a daemon that gives each instance the interface of its number, and that
    /// fails at the request of this number.
    fn apply_two_batches(fails_at: usize, error: fn() -> Error) -> (Outcome, Vec<(bool, usize, Vec<u32>)>) {
        let instances: Vec<_> = (0..=BATCH_MAX).map(|number| instance(number, 10)).collect();
        let mut asked = Vec::new();
        let outcome = apply_by(
            |command| {
                let Command::Apply { instances, check, claimed } = command else { panic!("another command") };
                asked.push((check, instances.len(), claimed));
                if asked.len() > fails_at {
                    return Err(error());
                }
                let done = instances.into_iter().zip(0..).map(|(instance, number)| Applied {
                    instance_id: instance.instance_id,
                    outcome: ApplyOutcome::Created,
                    changed: Vec::new(),
                    claimed: if check { vec![number] } else { Vec::new() },
                    message: None,
                });
                Ok(done.collect())
            },
            &instances,
            false,
        );
        (outcome, asked)
    }

    #[test]
    fn all_is_planned_before_anything_is_done() {
        let (Outcome { applied, error }, asked) = apply_two_batches(4, refusal);
        assert!(error.is_none() && applied.len() == BATCH_MAX + 1);
        let claimed: Vec<u32> = (0..).take(BATCH_MAX).collect();
        let expected = [(true, BATCH_MAX, vec![]), (true, 1, claimed), (false, BATCH_MAX, vec![]), (false, 1, vec![])];
        assert_eq!(asked, expected);
    }

    #[test]
    fn what_was_done_before_a_failure_is_told() {
        let broken: fn() -> Error = || Error::Client(ClientError::Closed { socket: "s".into() });
        for (fails_at, error, done, words, code) in [
            (1, refusal as fn() -> Error, 0, "instance i-1: no; nothing was changed", 4),
            (2, refusal, 0, "instance i-1: no; nothing was changed", 4),
            (3, refusal, BATCH_MAX, "instance i-1: no; nothing more was changed", 4),
            (3, broken, BATCH_MAX, "; whether more was changed is not known", 1),
        ] {
            let (Outcome { applied, error }, _) = apply_two_batches(fails_at, error);
            let error = error.expect("stopped");
            assert!(error.to_string().contains(words), "{error}");
            assert_eq!((applied.len(), error.exit_code()), (done, code), "{error}");
        }
    }

    #[test]
    fn requests_stay_below_their_limits() {
        let many: Vec<_> = (0..2 * BATCH_MAX + 1).map(|number| instance(number, 10)).collect();
        let sizes: Vec<_> = batches(&many).expect("JSON").iter().map(|batch| batch.len()).collect();
        assert_eq!(sizes, [BATCH_MAX, BATCH_MAX, 1]);
        let large: Vec<_> = (0..3).map(|number| instance(number, BATCH_BYTES / 2)).collect();
        let sizes: Vec<_> = batches(&large).expect("JSON").iter().map(|batch| batch.len()).collect();
        assert_eq!(sizes, [1, 1, 1]);
        assert_eq!(batches(&[]).expect("JSON"), [&[][..]]);
    }
}
