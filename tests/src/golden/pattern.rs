//! The bytes of a frame, some of them by name.

use std::fmt::Write;

use super::checksum;

/// Length of a date as HTTP writes it, in bytes.
const DATE: usize = 29;

/// A range of bytes that differs from run to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// The slot's number in an identity.
    Slot,
    /// The slot's generation in an identity.
    Generation,
    /// A token that is good for the instance.
    Token,
    /// A token that is good for another instance.
    Foreign,
    /// A date.
    Date,
    /// The TCP checksum of a frame with any of the others.
    Checksum,
}

impl Name {
    const ALL: [(&'static str, Self); 6] = [
        ("{slot}", Self::Slot),
        ("{generation}", Self::Generation),
        ("{token}", Self::Token),
        ("{foreign}", Self::Foreign),
        ("{date}", Self::Date),
        ("{checksum}", Self::Checksum),
    ];
}

/// What the names stand for in this run.
#[derive(Clone, Debug)]
pub struct Values {
    /// The slot's number.
    pub slot: [u8; 2],
    /// The slot's generation.
    pub generation: [u8; 2],
    /// A good token.
    pub token: Vec<u8>,
    /// Another instance's.
    pub foreign: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Bytes(Vec<u8>),
    Name(Name),
}

/// A frame's bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern(Vec<Part>);

impl Pattern {
    /// Adds what a line holds after its first word.
    pub(super) fn add(&mut self, line: &str) -> Result<(), String> {
        let mut rest = line.trim_start();
        while !rest.is_empty() && !rest.starts_with('#') {
            let (part, after) = if let Some(text) = rest.strip_prefix('"') {
                let end = text.find('"').ok_or("text without an end")?;
                let text = text[..end].replace("\\r", "\r").replace("\\n", "\n");
                (Part::Bytes(text.into_bytes()), &rest[end + 2..])
            } else {
                let end = rest.find([' ', '"', '{']).filter(|&end| end > 0).unwrap_or(rest.len());
                let end = if rest.starts_with('{') { rest.find('}').ok_or("a name without an end")? + 1 } else { end };
                (word(&rest[..end])?, &rest[end..])
            };
            self.0.push(part);
            rest = after.trim_start();
        }
        Ok(())
    }

    /// The frame of this run.
    pub(super) fn fill(&self, values: &Values) -> Vec<u8> {
        let mut frame = Vec::new();
        for part in &self.0 {
            match part {
                Part::Bytes(bytes) => frame.extend_from_slice(bytes),
                Part::Name(name) => frame.extend_from_slice(value(*name, values).unwrap_or(&[0; 2])),
            }
        }
        if self.0.contains(&Part::Name(Name::Checksum)) {
            checksum::write(&mut frame);
        }
        frame
    }

    /// Whether a frame is as is said.
    pub(super) fn fits(&self, frame: &[u8], values: &Values) -> bool {
        let mut rest = frame;
        for part in &self.0 {
            let (length, expected) = match part {
                Part::Bytes(bytes) => (bytes.len(), Some(bytes.as_slice())),
                Part::Name(Name::Date) => (DATE, None),
                Part::Name(Name::Checksum) => (2, None),
                Part::Name(name) => value(*name, values).map(|value| (value.len(), Some(value))).unwrap_or_default(),
            };
            let Some((found, after)) = rest.split_at_checked(length) else { return false };
            let right = match part {
                Part::Name(Name::Date) => is_date(found),
                _ => expected.is_none_or(|expected| found == expected),
            };
            if !right {
                return false;
            }
            rest = after;
        }
        rest.is_empty()
    }

    /// Whether it says that there is a date.
    pub(super) fn has_date(&self) -> bool {
        self.0.contains(&Part::Name(Name::Date))
    }
}

fn value(name: Name, values: &Values) -> Option<&[u8]> {
    match name {
        Name::Slot => Some(&values.slot),
        Name::Generation => Some(&values.generation),
        Name::Token => Some(&values.token),
        Name::Foreign => Some(&values.foreign),
        Name::Date | Name::Checksum => None,
    }
}

fn word(text: &str) -> Result<Part, String> {
    if let Some((_, name)) = Name::ALL.iter().find(|(known, _)| *known == text) {
        return Ok(Part::Name(*name));
    }
    let byte = |at: usize| text.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    let bytes: Option<Vec<_>> = (0..text.len()).step_by(2).map(byte).collect();
    bytes.map(Part::Bytes).ok_or_else(|| format!("{text} is neither bytes nor a name"))
}

fn is_date(text: &[u8]) -> bool {
    let shape = |(byte, like): (&u8, &u8)| match like {
        b'0' => byte.is_ascii_digit(),
        b'a' => byte.is_ascii_alphabetic(),
        other => byte == other,
    };
    text.iter().zip(b"aaa, 00 aaa 0000 00:00:00 GMT").all(shape)
}

/// A frame's lines, with names for what differs from run to run.
pub(super) fn describe(frame: &[u8], values: &Values) -> String {
    let mut text = String::new();
    let mut named = false;
    let layers = layers(frame);
    let (headers, payload) = frame.split_at(layers.iter().map(|(_, cuts)| cuts.iter().sum::<usize>()).sum());
    let identity = [&[0xfd, 0, 0x0e, 0xc2, 0, 1][..], &values.slot, &values.generation].concat();
    let data = describe_data(payload, values, &mut named);
    named |= headers.windows(identity.len()).any(|window| window == identity);
    let mut at = 0;
    for (name, cuts) in layers {
        write!(text, "  {name:<4}").expect("a String takes all");
        for (number, &cut) in cuts.iter().enumerate().filter(|(_, cut)| **cut > 0) {
            let bytes = &headers[at..at + cut];
            at += cut;
            text.push(' ');
            match bytes.strip_prefix(identity.as_slice()) {
                Some(rest) => write!(text, "fd000ec20001 {{slot}} {{generation}} {}", hex(rest)),
                None if name == "tcp" && number == TCP_CHECKSUM && named => write!(text, "{{checksum}}"),
                None => write!(text, "{}", hex(bytes)),
            }
            .expect("a String takes all");
        }
        text.push('\n');
    }
    text + &data
}

/// Which of TCP's parts, as [`layers`] cuts them, the checksum is.
const TCP_CHECKSUM: usize = 5;

/// The headers of a frame, each with the lengths of its parts.
fn layers(frame: &[u8]) -> Vec<(&'static str, Vec<usize>)> {
    const IPV4: [usize; 10] = [2, 2, 2, 2, 1, 1, 2, 4, 4, 0];
    const IPV6: [usize; 6] = [4, 2, 1, 1, 16, 16];
    let mut layers = vec![("eth", vec![6, 6, 2])];
    let (protocol, at) = match frame.get(12..14) {
        Some([8, 0]) if frame.len() >= 34 => (frame[23], 34),
        Some([0x86, 0xdd]) if frame.len() >= 54 => (frame[20], 54),
        _ => return layers,
    };
    layers.push(if at == 34 { ("ip4", IPV4.to_vec()) } else { ("ip6", IPV6.to_vec()) });
    if let (6, Some(&length)) = (protocol, frame.get(at + 12)) {
        let options = (usize::from(length >> 4) * 4).saturating_sub(20);
        if frame.len() >= at + 20 + options {
            layers.push(("tcp", vec![4, 4, 4, 2, 2, 2, 2, options]));
        }
    }
    layers
}

fn describe_data(data: &[u8], values: &Values, named: &mut bool) -> String {
    let printable = |byte: &u8| matches!(byte, b' '..=b'~' | b'\r' | b'\n') && *byte != b'"' && *byte != b'\\';
    if data.is_empty() {
        return String::new();
    }
    if !data.iter().all(printable) {
        return format!("  data {}\n", data.chunks(16).map(hex).collect::<Vec<_>>().join(" "));
    }
    let mut text = String::new();
    for line in data.split_inclusive(|&byte| byte == b'\n') {
        let known = [(values.token.as_slice(), "{token}"), (values.foreign.as_slice(), "{foreign}")];
        let found = known.iter().find_map(|(value, name)| {
            let at = line.windows(value.len()).position(|window| window == *value)?;
            Some((at, value.len(), *name))
        });
        let date = line.windows(DATE).position(is_date).map(|at| (at, DATE, "{date}"));
        match found.or(date) {
            Some((at, length, name)) => {
                *named = true;
                let (before, after) = (quoted(&line[..at]), quoted(&line[at + length..]));
                writeln!(text, "  data {before} {name} {after}").expect("a String takes all");
            }
            None => writeln!(text, "  data {}", quoted(line)).expect("a String takes all"),
        }
    }
    text
}

fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", String::from_utf8_lossy(bytes).replace('\r', "\\r").replace('\n', "\\n"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Values {
        Values { slot: [0, 1], generation: [7, 8], token: vec![b'T'; 56], foreign: vec![b'F'; 56] }
    }

    fn pattern(lines: &[&str]) -> Pattern {
        let mut pattern = Pattern::default();
        lines.iter().for_each(|line| pattern.add(line).expect("a pattern"));
        pattern
    }

    #[test]
    fn lines_are_bytes_text_and_names() {
        let pattern = pattern(&["0a0B {slot} # a comment", "\"a b\\r\\n\"{token}\"c\""]);
        assert_eq!(pattern.fill(&values()), [b"\x0a\x0b\0\x01a b\r\n".as_slice(), &[b'T'; 56], b"c"].concat());
        assert!(pattern.fits(&pattern.fill(&values()), &values()));
        for broken in ["0", "0g", "\"open", "{such}", "{slot"] {
            assert!(Pattern::default().add(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn every_byte_that_has_no_name_counts() {
        let pattern = pattern(&["0102 {date} 03"]);
        let frame = |date: &str| [b"\x01\x02", date.as_bytes(), b"\x03"].concat();
        let good = frame("Sun, 06 Nov 1994 08:49:37 GMT");
        assert!(pattern.fits(&good, &values()));
        for at in [0, 1, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(!pattern.fits(&bad, &values()), "{at}");
        }
        assert!(!pattern.fits(&frame("Sun, 06 Nov 1994 08:49:37 CET"), &values()));
        assert!(!pattern.fits(&good[..good.len() - 1], &values()));
        assert!(!pattern.fits(&[&good[..], &[0]].concat(), &values()));
    }

    #[test]
    fn what_is_described_is_what_was_there() {
        let source = [0xfd, 0, 0x0e, 0xc2, 0, 1, 0, 1, 7, 8, 0, 3, 10, 0, 0, 1];
        let builder = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6]).ipv6(source, [9; 16], 64);
        let mut frame = Vec::new();
        builder.tcp(1, 80, 5, 6).write(&mut frame, b"GET / HTTP/1.1\r\nX: y\r\n\r\n").expect("written");
        let text = describe(&frame, &values());
        assert!(text.contains("{generation}") && text.contains("{checksum}"), "{text}");
        let lines: Vec<_> = text.lines().map(|line| line.trim_start().split_once(' ').expect("a word").1).collect();
        assert_eq!(pattern(&lines).fill(&values()), frame);
    }
}
