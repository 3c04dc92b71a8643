//! Tags from the command line, `KEY=VALUE`.

use std::collections::BTreeMap;

use thiserror::Error;

/// Why a `--tag` isn't one.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum TagError {
    #[error("--tag: '{0}' has no '='; write KEY=VALUE")]
    NoValue(String),
    #[error("--tag: '{0}' has no key in front of its '='; write KEY=VALUE")]
    NoKey(String),
    #[error("--tag: the key '{0}' is given twice; give it once")]
    Twice(String),
}

/// Reads tags; the first `=` ends the key, the others are the value's.
pub(super) fn parse(tags: &[String]) -> Result<BTreeMap<String, String>, TagError> {
    let mut parsed = BTreeMap::new();
    for tag in tags {
        let (key, value) = tag.split_once('=').ok_or_else(|| TagError::NoValue(tag.clone()))?;
        if key.is_empty() {
            return Err(TagError::NoKey(tag.clone()));
        }
        if parsed.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(TagError::Twice(key.to_owned()));
        }
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(texts: &[&str]) -> Result<BTreeMap<String, String>, TagError> {
        parse(&texts.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn the_first_equals_sign_ends_the_key() {
        let cases = [
            ("Name=web", "Name", "web"),
            ("query=a=b=c", "query", "a=b=c"),
            ("empty=", "empty", ""),
            ("both==", "both", "="),
            ("two words=some text", "two words", "some text"),
        ];
        for (text, key, value) in cases {
            assert_eq!(tags(&[text]), Ok(BTreeMap::from([(key.to_owned(), value.to_owned())])), "{text}");
        }
        assert_eq!(tags(&["a=1", "b=1"]).expect("two keys").len(), 2);
        assert_eq!(tags(&[]), Ok(BTreeMap::new()));
    }

    #[test]
    fn bad_ones_are_named() {
        assert_eq!(tags(&["a=1", "Name"]), Err(TagError::NoValue("Name".into())));
        assert_eq!(tags(&[""]), Err(TagError::NoValue(String::new())));
        assert_eq!(tags(&["=web"]), Err(TagError::NoKey("=web".into())));
        assert_eq!(tags(&["a=1", "a=2"]), Err(TagError::Twice("a".into())));
        assert_eq!(TagError::NoValue("Name".into()).to_string(), "--tag: 'Name' has no '='; write KEY=VALUE");
    }
}
