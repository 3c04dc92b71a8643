//! JSON as EC2 writes it: clients compare and sign these very bytes (behaviour.md section 6).

/// An object of strings and nulls, in the order given: two spaces before a key, one on each side of its colon.
pub(crate) fn object(members: &[(&str, Option<&str>)]) -> String {
    let mut text = String::from("{");
    for (index, (key, value)) in members.iter().enumerate() {
        text.push_str(if index == 0 { "\n  \"" } else { ",\n  \"" });
        text.push_str(key);
        text.push_str("\" : ");
        text.push_str(&serde_json::Value::from(*value).to_string());
    }
    text.push_str("\n}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_ec2s() {
        assert_eq!(object(&[("a", Some("b")), ("c", None)]), "{\n  \"a\" : \"b\",\n  \"c\" : null\n}");
    }

    #[test]
    fn values_are_escaped() {
        assert_eq!(object(&[("a", Some("\"\\\n/+ü"))]), "{\n  \"a\" : \"\\\"\\\\\\n/+ü\"\n}");
    }
}
