//! What a guest prints about its tests, and how the host judges it.

use std::fmt;
use std::time::Duration;

/// Marks the report among what else is on the console.
const MARK: &str = "vm-test: ";
/// What a kernel says last.
const PANIC: &str = "Kernel panic - not syncing: ";

/// One line of the report.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// The release of the running kernel.
    Kernel(&'a str),
    /// A line that a test printed.
    Output { test: &'a str, text: &'a str },
    /// A test that succeeded.
    Passed(&'a str),
    /// A test that did not, and what became of it.
    Failed { test: &'a str, reason: &'a str },
    /// The last line; without it nothing counts.
    End { passed: usize, failed: usize },
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MARK)?;
        match self {
            Self::Kernel(release) => write!(f, "kernel {release}"),
            Self::Output { test, text } => write!(f, "{test}: {text}"),
            Self::Passed(test) => write!(f, "{test} passed"),
            Self::Failed { test, reason } => write!(f, "{test} failed: {reason}"),
            Self::End { passed, failed } => write!(f, "{passed} passed, {failed} failed"),
        }
    }
}

impl<'a> Line<'a> {
    /// Reads a line of the console; none if it is not part of the report.
    pub(crate) fn parse(console: &'a str) -> Option<Self> {
        let line = console.trim_end().strip_prefix(MARK)?;
        if let Some(release) = line.strip_prefix("kernel ") {
            return Some(Self::Kernel(release));
        }
        if let Some((test, reason)) = line.split_once(" failed: ")
            && !test.contains(' ')
        {
            return Some(Self::Failed { test, reason });
        }
        // An output line's text may be empty, and its end was trimmed.
        if let Some((test, text)) = line.split_once(':')
            && !test.contains(' ')
        {
            return Some(Self::Output { test, text: text.strip_prefix(' ').unwrap_or(text) });
        }
        if let Some((passed, failed)) = line.strip_suffix(" failed").and_then(|counts| counts.split_once(" passed, ")) {
            return Some(Self::End { passed: passed.parse().ok()?, failed: failed.parse().ok()? });
        }
        line.strip_suffix(" passed").map(Self::Passed)
    }
}

/// What the host has read of a guest's report.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// The release that the guest's kernel gives of itself.
    pub(crate) kernel: Option<String>,
    /// Each test's result in the order they came.
    pub(crate) results: Vec<(String, Result<(), String>)>,
    /// What tests printed: the test, and the line.
    output: Vec<(String, String)>,
    /// Why the guest's kernel panicked.
    panic: Option<String>,
    /// The counts of the last line.
    end: Option<(usize, usize)>,
    /// After how long a guest was killed that gave no such line.
    killed: Option<Duration>,
}

impl Report {
    /// Takes a line of the console; true if it was the last of the report.
    pub(crate) fn take(&mut self, console: &str) -> bool {
        match Line::parse(console) {
            Some(Line::Kernel(release)) => self.kernel = Some(release.to_owned()),
            Some(Line::Output { test, text }) => self.output.push((test.to_owned(), text.to_owned())),
            Some(Line::Passed(test)) => self.results.push((test.to_owned(), Ok(()))),
            Some(Line::Failed { test, reason }) => self.results.push((test.to_owned(), Err(reason.to_owned()))),
            Some(Line::End { passed, failed }) => self.end = Some((passed, failed)),
            None => {
                if let Some((_, reason)) = console.split_once(PANIC) {
                    self.panic.get_or_insert_with(|| reason.trim_end().to_owned());
                }
            }
        }
        self.end.is_some()
    }

    /// Notes that the guest was killed, as its final line wasn't there in time.
    pub(crate) fn kill(&mut self, limit: Duration) {
        self.killed = Some(limit);
    }

    /// What became of a guest without its final line.
    fn fate(&self) -> String {
        match (&self.panic, self.killed) {
            (Some(reason), _) => format!("the guest's kernel panicked: {reason}"),
            (None, Some(limit)) => {
                format!("the guest had no final line within {} s and was killed", limit.as_secs())
            }
            (None, None) => "the guest ended before its final line".to_owned(),
        }
    }

    /// The lines that a test printed.
    pub(crate) fn output_of(&self, test: &str) -> impl Iterator<Item = &str> {
        self.output.iter().filter(move |(name, _)| name == test).map(|(_, text)| text.as_str())
    }

    /// Whether exactly the expected tests ran, each once, in any order, and all passed; else what is wrong.
    pub(crate) fn judge(&self, expected: &[&str]) -> Result<(), String> {
        let mut ran: Vec<_> = self.results.iter().map(|(test, _)| test.as_str()).collect();
        let mut expected = expected.to_vec();
        ran.sort_unstable();
        expected.sort_unstable();
        let Some((passed, failed)) = self.end else {
            let missing: Vec<_> = expected.iter().filter(|test| !ran.contains(test)).collect();
            return Err(format!("{}; without result: {missing:?}", self.fate()));
        };
        let failures = self.results.iter().filter_map(|(test, result)| Some((test, result.as_ref().err()?)));
        let failures: Vec<_> = failures.map(|(test, reason)| format!("{test} failed: {reason}")).collect();
        if !failures.is_empty() {
            return Err(failures.join(", "));
        }
        if ran != expected {
            return Err(format!("expected the tests {expected:?}, the guest ran {ran:?}"));
        }
        if (passed, failed) != (expected.len(), 0) {
            return Err(format!("the guest's count is {passed} passed, {failed} failed, of {} tests", expected.len()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: [&str; 2] = ["debug", "release"];

    fn judged(console: &str) -> Result<(), String> {
        let mut report = Report::default();
        for line in console.lines() {
            report.take(line);
        }
        report.judge(&EXPECTED)
    }

    #[test]
    fn every_line_reads_back_as_it_was_printed() {
        for line in [
            Line::Kernel("6.1.0-56-cloud-amd64"),
            Line::Output { test: "debug", text: "imds_ingress 1200 instructions: loaded, 0 failed" },
            Line::Output { test: "debug", text: "" },
            Line::Passed("debug"),
            Line::Failed { test: "release", reason: "exit status: 1" },
            Line::End { passed: 1, failed: 1 },
        ] {
            assert_eq!(Line::parse(&format!("{line}\r")), Some(line));
        }
    }

    #[test]
    fn other_lines_are_no_report() {
        assert_eq!(Line::parse("[    1.0] Kernel panic - not syncing"), None);
        assert_eq!(Line::parse("2 passed, 0 failed"), None);
        assert_eq!(Line::parse("vm-test: two passed, 0 failed"), None);
    }

    #[test]
    fn a_test_s_own_output_can_t_end_the_report() {
        let text = "2 passed, 0 failed";
        assert_eq!(
            Line::parse(&Line::Output { test: "debug", text }.to_string()),
            Some(Line::Output { test: "debug", text })
        );
    }

    #[test]
    fn all_expected_tests_passing_is_a_pass() {
        assert_eq!(judged("vm-test: debug passed\nvm-test: release passed\nvm-test: 2 passed, 0 failed\n"), Ok(()));
    }

    #[test]
    fn the_order_is_the_guest_s_own() {
        assert_eq!(judged("vm-test: release passed\nvm-test: debug passed\nvm-test: 2 passed, 0 failed\n"), Ok(()));
    }

    #[test]
    fn every_failure_is_named() {
        let console = "vm-test: debug failed: one\nvm-test: release failed: two\nvm-test: 0 passed, 2 failed\n";
        assert_eq!(judged(console), Err("debug failed: one, release failed: two".to_owned()));
    }

    #[test]
    fn why_a_guest_has_no_final_line_is_said() {
        let begun = "vm-test: debug passed\n";
        let judge = |console: &str| judged(console).expect_err("no final line");
        assert_eq!(judge(begun), r#"the guest ended before its final line; without result: ["release"]"#);
        let panicked = judge(&format!("{begun}[    3.1] Kernel panic - not syncing: Attempted to kill init!\r\n"));
        assert!(panicked.starts_with("the guest's kernel panicked: Attempted to kill init!; without"), "{panicked}");
        let mut hung = Report::default();
        hung.kill(Duration::from_secs(7));
        let hung = hung.judge(&EXPECTED).expect_err("no final line");
        assert!(hung.starts_with("the guest had no final line within 7 s and was killed; without"), "{hung}");
    }

    #[test]
    fn anything_less_is_a_failure() {
        for console in [
            "",
            "vm-test: debug passed\nvm-test: release passed\n",
            "vm-test: debug passed\nvm-test: 1 passed, 0 failed\n",
            "vm-test: debug passed\nvm-test: debug passed\nvm-test: 2 passed, 0 failed\n",
            "vm-test: debug passed\nvm-test: release failed: exit status: 1\nvm-test: 1 passed, 1 failed\n",
            "vm-test: debug passed\nvm-test: release passed\nvm-test: 1 passed, 1 failed\n",
            "vm-test: 2 passed, 0 failed\n",
        ] {
            assert!(judged(console).is_err(), "{console}");
        }
    }
}
