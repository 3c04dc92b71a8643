//! What came from a client and isn't answered yet: the head of a request, and what follows it.

use imds_common::request::{HEAD_MAX, Scan};

/// Most heads fit: the buffer's first size, and the one that it returns to. In bytes.
const FIRST_SIZE: usize = 2 * 1024;

/// How far the head at the front is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More bytes are needed.
    Incomplete,
    /// It is whole.
    Complete,
    /// No head can come of it.
    Malformed,
    /// It is longer than [`HEAD_MAX`].
    TooLarge,
}

/// The bytes that came, and the scan of the head at their front.
pub(super) struct Inbox {
    bytes: Vec<u8>,
    filled: usize,
    scanned: usize,
    scan: Scan,
}

impl Inbox {
    /// An empty one.
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; FIRST_SIZE], filled: 0, scanned: 0, scan: Scan::new() }
    }

    /// Whether nothing is there.
    pub(super) const fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Where further bytes go. Never empty while the head is incomplete.
    pub(super) fn space(&mut self) -> &mut [u8] {
        if self.filled == self.bytes.len() {
            let size = (self.bytes.len() * 2).min(HEAD_MAX);
            self.bytes.resize(size, 0);
        }
        &mut self.bytes[self.filled..]
    }

    /// So many bytes were put into [`Inbox::space`].
    pub(super) fn took(&mut self, count: usize) {
        self.filled = (self.filled + count).min(self.bytes.len());
    }

    /// The whole buffer, for bytes that nobody will look at; what is in it is lost.
    pub(super) fn scratch(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Scans what came since the last time.
    pub(super) fn progress(&mut self) -> Progress {
        for &byte in &self.bytes[self.scanned..self.filled] {
            if self.scan.is_complete() || self.scan.is_malformed() {
                break;
            }
            self.scan.step(byte);
            self.scanned += 1;
        }
        if self.scan.is_malformed() {
            Progress::Malformed
        } else if self.scan.is_complete() {
            Progress::Complete
        } else if self.filled == HEAD_MAX {
            Progress::TooLarge
        } else {
            Progress::Incomplete
        }
    }

    /// The head as far as it was scanned, and its scan.
    pub(super) fn head(&self) -> (&Scan, &[u8]) {
        (&self.scan, &self.bytes[..self.scanned])
    }

    /// Removes the head: what follows it begins the next one.
    pub(super) fn advance(&mut self) {
        self.bytes.copy_within(self.scanned..self.filled, 0);
        self.filled -= self.scanned;
        self.scanned = 0;
        self.scan = Scan::new();
        if self.filled <= FIRST_SIZE && self.bytes.len() > FIRST_SIZE {
            self.bytes.truncate(FIRST_SIZE);
            self.bytes.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands over `bytes` in pieces of a segment's size.
    fn feed(inbox: &mut Inbox, mut bytes: &[u8]) -> Progress {
        let mut progress = inbox.progress();
        while !bytes.is_empty() && progress == Progress::Incomplete {
            let space = inbox.space();
            assert!(!space.is_empty());
            let (now, later) = bytes.split_at(bytes.len().min(space.len()).min(1_217));
            space[..now.len()].copy_from_slice(now);
            inbox.took(now.len());
            bytes = later;
            progress = inbox.progress();
        }
        progress
    }

    /// A whole head of so many bytes.
    fn head_of(length: usize) -> Vec<u8> {
        let (before, after) = ("GET / HTTP/1.1\r\nA: ", "\r\n\r\n");
        format!("{before}{}{after}", "x".repeat(length - before.len() - after.len())).into_bytes()
    }

    #[test]
    fn heads_are_taken_one_by_one() {
        let mut inbox = Inbox::new();
        let (first, second) = (head_of(40), head_of(50));
        assert_eq!(feed(&mut inbox, &[first.clone(), second.clone(), b"GET".to_vec()].concat()), Progress::Complete);
        assert_eq!(inbox.head().1, first);
        inbox.advance();
        assert_eq!(inbox.progress(), Progress::Complete);
        assert_eq!(inbox.head().1, second);
        inbox.advance();
        assert_eq!(inbox.progress(), Progress::Incomplete);
        assert_eq!(inbox.head().1, b"GET");
        assert!(!inbox.is_empty());
        assert_eq!(feed(&mut inbox, b" / HTTP/1.1\r\n\r\n"), Progress::Complete);
        inbox.advance();
        assert!(inbox.is_empty());
    }

    #[test]
    fn a_head_may_be_as_long_as_the_limit_and_no_longer() {
        let mut inbox = Inbox::new();
        for length in [FIRST_SIZE, FIRST_SIZE + 1, HEAD_MAX - 1, HEAD_MAX] {
            let (most, last) = (&head_of(length)[..length - 1], b"\n");
            assert_eq!(feed(&mut inbox, most), Progress::Incomplete, "{length}");
            assert_eq!(feed(&mut inbox, last), Progress::Complete, "{length}");
            assert_eq!(inbox.head().1.len(), length);
            inbox.advance();
            assert_eq!(inbox.bytes.len(), FIRST_SIZE, "large buffers are given back");
        }
        assert_eq!(feed(&mut inbox, &head_of(HEAD_MAX + 1)), Progress::TooLarge);
        assert_eq!(inbox.bytes.len(), HEAD_MAX);
    }

    #[test]
    fn the_first_wrong_byte_is_enough() {
        let mut inbox = Inbox::new();
        assert_eq!(feed(&mut inbox, b"GET / HTTP/1.1\n"), Progress::Malformed);
        assert_eq!(inbox.progress(), Progress::Malformed);
    }
}
