//! Documents, and what became of described instances.

use serde_json::Value;

use super::printable;
use crate::registry::request::{Applied, ApplyOutcome, Part};

/// A value of a document as people read it: a text as it is, anything else as JSON.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::String(text) => text.split('\n').map(|line| printable(line).into_owned() + "\n").collect(),
        value => serde_json::to_string_pretty(value).unwrap_or_default() + "\n",
    }
}

/// A line for each instance.
pub(super) fn applied(applied: &[Applied], check: bool) -> String {
    applied
        .iter()
        .map(|Applied { instance_id, outcome, changed, claimed: _, message }| {
            let word = match (outcome, check) {
                (ApplyOutcome::Created, false) => "created",
                (ApplyOutcome::Created, true) => "to create",
                (ApplyOutcome::Updated, false) => "updated",
                (ApplyOutcome::Updated, true) => "to update",
                (ApplyOutcome::Unchanged, _) => "unchanged",
                (ApplyOutcome::Failed, _) => "failed",
            };
            let reason = message.as_ref().map_or_else(String::new, |message| format!(": {}", printable(message)));
            let parts: Vec<_> = changed.iter().map(|part| name(*part)).collect();
            let parts = match outcome {
                _ if parts.is_empty() => String::new(),
                ApplyOutcome::Failed => format!("; changed before that: {}", parts.join(", ")),
                _ => format!(": {}", parts.join(", ")),
            };
            format!("{word} {}{reason}{parts}\n", printable(instance_id))
        })
        .collect()
}

const fn name(part: Part) -> &'static str {
    match part {
        Part::Document => "document",
        Part::Options => "options",
        Part::Limits => "limits",
        Part::UserData => "user data",
        Part::Credentials => "credentials",
        Part::Tags => "tags",
        Part::Attach => "attach",
    }
}
