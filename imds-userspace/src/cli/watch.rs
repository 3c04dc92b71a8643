//! `stats --watch`: a document again and again.

use std::io::Write;
use std::time::Duration;

use super::error::Error;

/// The time from one document to the next.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

/// Moves to the terminal's upper left corner and erases what is below, and what has been scrolled away stays.
const CLEAR: &str = "\x1b[H\x1b[J";

/// How documents follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Watch {
    /// Each one takes the place of the one before, on a terminal; otherwise it stands below.
    pub(super) clear: bool,
}

impl Watch {
    /// Writes documents, with a pause after each, until there is none any more or nobody reads on.
    pub(super) fn repeat(
        self,
        document: impl Fn() -> Result<String, Error>,
        output: &mut dyn Write,
        pause: impl Fn(),
    ) -> Result<(), Error> {
        loop {
            let document = document()?;
            let before = if self.clear { CLEAR } else { "" };
            super::write(output, format!("{before}{document}").as_bytes())?;
            pause();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::io;

    fn watch_three(clear: bool) -> (String, u32, Error) {
        let (asked, pauses) = (Cell::new(0), Cell::new(0));
        let mut output = Vec::new();
        let document = || {
            asked.set(asked.get() + 1);
            if asked.get() > 3 { Err(Error::Payload) } else { Ok(format!("{}\n", asked.get())) }
        };
        let ended = Watch { clear }.repeat(document, &mut output, || pauses.set(pauses.get() + 1));
        (String::from_utf8(output).expect("text"), pauses.get(), ended.expect_err("the fourth has none"))
    }

    #[test]
    fn documents_follow_each_other_until_there_is_none() {
        let (output, pauses, ended) = watch_three(false);
        assert_eq!(output, "1\n2\n3\n");
        assert_eq!(pauses, 3);
        assert!(matches!(ended, Error::Payload));
    }

    #[test]
    fn on_a_terminal_each_takes_the_place_of_the_one_before() {
        assert_eq!(watch_three(true).0, "\x1b[H\x1b[J1\n\x1b[H\x1b[J2\n\x1b[H\x1b[J3\n");
    }

    #[test]
    fn it_ends_when_nobody_reads_on() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let ended = Watch { clear: false }.repeat(|| Ok("1\n".into()), &mut Gone, || ());
        assert!(matches!(ended, Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe));
    }
}
