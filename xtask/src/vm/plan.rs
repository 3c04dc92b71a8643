//! What a guest runs, and the host asserts that it ran: a file of one line for each test.

use anyhow::{Context, Result};

/// Where a guest has that file.
pub(crate) const LIST: &str = "/tests/list";
/// Stands between the parts of a line; in none of them.
const SEPARATOR: char = '\t';

/// One thing that the guest tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Test {
    /// Its name in the report: without blanks and colons.
    pub(crate) name: String,
    /// Where the image has the program.
    pub(crate) program: String,
    /// What it is given, and how it is judged.
    pub(crate) kind: Kind,
}

/// How a test is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `imdsd check`: must exit with 0. What it says is always shown.
    Check,
    /// One test of a test binary, by this name: exactly that one must have passed.
    OfBinary(String),
}

impl Test {
    /// The line that stands for it in the list.
    fn line(&self) -> String {
        let test = match &self.kind {
            Kind::Check => "",
            Kind::OfBinary(test) => test,
        };
        [&self.name, &self.program, test].join(&SEPARATOR.to_string())
    }

    fn parse(line: &str) -> Option<Self> {
        let mut parts = line.split(SEPARATOR).map(str::to_owned);
        let (name, program, test) = (parts.next()?, parts.next()?, parts.next()?);
        let kind = if test.is_empty() { Kind::Check } else { Kind::OfBinary(test) };
        parts.next().is_none().then_some(Self { name, program, kind })
    }
}

/// The list of these tests.
pub(crate) fn list(tests: &[Test]) -> String {
    tests.iter().map(|test| test.line() + "\n").collect()
}

/// The tests of a list.
pub(crate) fn read(list: &str) -> Result<Vec<Test>> {
    list.lines().map(|line| Test::parse(line).with_context(|| format!("no test: {line:?}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_reads_back_as_it_was_written() {
        let tests = [
            Test { name: "debug".into(), program: "/bin/imdsd-debug".into(), kind: Kind::Check },
            Test { name: "path/a_read".into(), program: "/tests/path".into(), kind: Kind::OfBinary("a_read".into()) },
        ];
        assert_eq!(read(&list(&tests)).expect("a list"), tests);
    }

    #[test]
    fn a_line_with_a_part_too_many_or_too_few_is_no_test() {
        assert!(read("path/a_read\t/tests/path\n").is_err());
        assert!(read("path/a_read\t/tests/path\ta_read\tmore\n").is_err());
    }
}
