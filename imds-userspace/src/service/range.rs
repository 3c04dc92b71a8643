//! The part of the user data that a request asks for (RFC 9110, section 14): one range of bytes, as EC2 gives it.

use std::ops::Range;

use crate::events::head::values;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// All of it; also where several ranges are asked for, or something that is none.
    Whole,
    /// These bytes of it, at least one.
    Part(Range<usize>),
    /// What is not in it.
    Outside,
}

/// What a GET asks for of so many bytes that were last changed then.
pub(super) fn asked(head: &[u8], length: usize, modified: &[u8]) -> Asked {
    let mut ranges = values(head, b"range:");
    let is_same = values(head, b"if-range:").all(|validator| validator == modified);
    match (ranges.next(), ranges.next()) {
        // Of nothing there is no part: some clients ask for one of everything.
        (Some(range), None) if is_same && length > 0 => part(range, length).unwrap_or(Asked::Whole),
        _ => Asked::Whole,
    }
}

/// `bytes=` and first and last, first alone, or how many at the end; nothing for another form.
fn part(range: &[u8], length: usize) -> Option<Asked> {
    let (unit, range) = range.split_at_checked(b"bytes=".len())?;
    let dash = range.iter().position(|&byte| byte == b'-')?;
    let (first, last) = (range[..dash].trim_ascii(), range[dash + 1..].trim_ascii());
    if !unit.eq_ignore_ascii_case(b"bytes=") {
        return None;
    }
    let part = if first.is_empty() {
        length.saturating_sub(number(last)?)..length
    } else {
        let (first, last) = (number(first)?, if last.is_empty() { usize::MAX } else { number(last)? });
        if last < first {
            return None;
        }
        first..last.saturating_add(1).min(length)
    };
    Some(if part.is_empty() { Asked::Outside } else { Asked::Part(part) })
}

/// A number; one that is too large is larger than everything.
fn number(digits: &[u8]) -> Option<usize> {
    let digit = |&digit: &u8| digit.is_ascii_digit().then(|| usize::from(digit - b'0'));
    let add = |number: usize, digit| Some(number.saturating_mul(10).saturating_add(digit?));
    if digits.is_empty() { None } else { digits.iter().map(digit).try_fold(0, add) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODIFIED: &[u8] = b"Sun, 22 Nov 2026 09:08:07 GMT";

    fn of(fields: &str, length: usize) -> Asked {
        let head = format!("GET /latest/user-data HTTP/1.1\r\n{fields}\r\n\r\n");
        asked(head.as_bytes(), length, MODIFIED)
    }

    #[test]
    fn one_range_is_a_part() {
        for (range, part) in [
            ("0-0", 0..1),
            ("0-9", 0..10),
            ("2-4", 2..5),
            ("9-", 9..10),
            ("0-99999999999999999999999", 0..10),
            ("-1", 9..10),
            ("-10", 0..10),
            ("-99999999999999999999999", 0..10),
            (" 2 - 4 ", 2..5),
        ] {
            assert_eq!(of(&format!("Range: bytes={range}"), 10), Asked::Part(part.clone()), "{range}");
            let same = "If-Range: Sun, 22 Nov 2026 09:08:07 GMT\r\nrange: BYTES=";
            assert_eq!(of(&format!("{same}{range}"), 10), Asked::Part(part), "{range}");
            let other = "If-Range: Sun, 22 Nov 2026 09:08:08 GMT\r\nRange: bytes=";
            assert_eq!(of(&format!("{other}{range}"), 10), Asked::Whole, "{range}");
            assert_eq!(of(&format!("Range: bytes={range}"), 0), Asked::Whole, "{range}");
        }
        for range in ["10-", "10-11", "99999999999999999999999-", "-0"] {
            assert_eq!(of(&format!("Range: bytes={range}"), 10), Asked::Outside, "{range}");
        }
    }

    #[test]
    fn anything_else_is_the_whole() {
        for range in ["", "-", "2", "4-2", "a-b", "0-1,3-4", "0-,-1", "--1", "+0-1", "0x0-1", "1 2-3", "0-1;"] {
            assert_eq!(of(&format!("Range: bytes={range}"), 10), Asked::Whole, "{range}");
        }
        for fields in ["X: y", "Range: lines=0-1", "Range: 0-1", "Range: byte", "Range: bytes=0-1\r\nRange: bytes=0-1"]
        {
            assert_eq!(of(fields, 10), Asked::Whole, "{fields}");
        }
    }
}
