//! How deep a document may nest.

use serde_json::Value;

use super::DocumentError;

/// Lists and objects that may stand within each other, the document itself being the first. Its own parts take six; a
/// description of JSON in any form has the rest. Far below what a parser of JSON takes, in whatever it is wrapped.
pub const DEPTH_MAX: usize = 16;

/// Refuses what nests deeper, before anything walks it.
pub(super) fn check(value: &Value) -> Result<(), DocumentError> {
    if is_deeper(value, DEPTH_MAX) {
        let reason = format!("it nests lists and objects more than {DEPTH_MAX} levels deep; give flatter descriptions");
        return Err(DocumentError::whole(reason));
    }
    Ok(())
}

/// Goes no deeper than it has to.
fn is_deeper(value: &Value, levels: usize) -> bool {
    let Some(left) = levels.checked_sub(1) else { return value.is_array() || value.is_object() };
    match value {
        Value::Array(items) => items.iter().any(|item| is_deeper(item, left)),
        Value::Object(members) => members.values().any(|member| is_deeper(member, left)),
        _ => false,
    }
}
