//! JSON as EC2 writes it: clients compare and sign these very bytes (behaviour.md section 6).

use serde_json::Value;

/// An object in the order given: two spaces before a key, one on each side of its colon.
pub(crate) fn object(members: &[(&str, Value)]) -> String {
    let mut text = String::from("{");
    for (index, (key, value)) in members.iter().enumerate() {
        text.push_str(if index == 0 { "\n  \"" } else { ",\n  \"" });
        text.push_str(key);
        text.push_str("\" : ");
        match value {
            Value::Array(items) => text.push_str(&list(items.iter().map(Value::to_string))),
            value => text.push_str(&value.to_string()),
        }
    }
    text.push_str("\n}");
    text
}

/// A list of what is JSON already.
pub(super) fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<_> = items.collect();
    if items.is_empty() { "[]".to_owned() } else { format!("[ {} ]", items.join(", ")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_format_is_ec2s() {
        let members = [("a", json!("b")), ("c", Value::Null), ("d", json!(["e", "f"])), ("g", json!([]))];
        assert_eq!(
            object(&members),
            "{\n  \"a\" : \"b\",\n  \"c\" : null,\n  \"d\" : [ \"e\", \"f\" ],\n  \"g\" : []\n}"
        );
    }

    #[test]
    fn values_are_escaped() {
        assert_eq!(object(&[("a", json!("\"\\\n/+ü"))]), "{\n  \"a\" : \"\\\"\\\\\\n/+ü\"\n}");
    }
}
