//! Signatures as text: base64 in lines, as EC2 writes them, without the lines of PEM around.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Characters in a line. OpenSSL reads a PEM message, which clients make by putting PEM's lines around, in lines of 64.
const LINE: usize = 64;

/// Bytes as lines of base64, with no newline at the end.
pub(super) fn encode(bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    let mut lines = String::with_capacity(text.len() + text.len() / LINE);
    for (place, character) in text.chars().enumerate() {
        if place > 0 && place % LINE == 0 {
            lines.push('\n');
        }
        lines.push(character);
    }
    lines
}

/// The bytes of base64 in lines of any length, with or without PEM's lines around.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, base64::DecodeError> {
    let lines = text.lines().filter(|line| !line.starts_with("-----"));
    let characters: String = lines.flat_map(str::chars).filter(|character| !character.is_ascii_whitespace()).collect();
    STANDARD.decode(characters)
}

/// The sections of a PEM text that bear a label, each with its two boundaries.
pub(super) fn sections<'t>(text: &'t str, label: &str) -> impl Iterator<Item = &'t str> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let mut rest = text;
    std::iter::from_fn(move || {
        let section = &rest[rest.find(&begin)?..];
        let (section, after) = section.split_at(section.find(&end)? + end.len());
        rest = after;
        Some(section)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_64_characters_and_the_last_no_end() {
        let text = encode(&[0xa5; 97]);
        let lengths: Vec<_> = text.split('\n').map(str::len).collect();
        assert_eq!(lengths, [64, 64, 4]);
        assert_eq!(encode(&[0xa5; 48]).len(), 64, "a full line ends without a newline");
        for around in ["", "-----BEGIN PKCS7-----\r\n", "\n\n "] {
            assert_eq!(decode(&format!("{around}{text}\n")).expect("base64"), [0xa5; 97], "{around:?}");
        }
        assert!(decode("Zg").is_err() && decode("Zh==").is_err(), "one spelling only");
    }

    #[test]
    fn sections_are_found_by_their_label() {
        let text = "words\n-----BEGIN A-----\n1\n-----END A-----\n-----BEGIN B-----\n2\n-----END B-----\n-----BEGIN A-----\n3\n-----END A-----";
        let found: Vec<_> = sections(text, "A").collect();
        assert_eq!(found, ["-----BEGIN A-----\n1\n-----END A-----", "-----BEGIN A-----\n3\n-----END A-----"]);
        assert_eq!(sections("-----BEGIN A-----\n1", "A").count(), 0);
    }
}
