//! The archive format of an initramfs: cpio, "newc".

use std::io::{self, Write};

const MAGIC: &str = "070701";
const TRAILER: &str = "TRAILER!!!";
/// Bytes of a header: the magic and thirteen fields of eight hexadecimal digits.
const HEADER_LENGTH: usize = 110;
/// Names and contents are padded to a multiple of this many bytes.
const ALIGNMENT: usize = 4;
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;

/// An archive being written. Owner, times and devices are all zero.
pub(crate) struct Archive<W> {
    writer: W,
    inode: u32,
}

impl<W: Write> Archive<W> {
    /// Begins an archive.
    pub(crate) fn new(writer: W) -> Self {
        Self { writer, inode: 0 }
    }

    /// Adds a folder, which must come before what is in it.
    pub(crate) fn directory(&mut self, path: &str) -> io::Result<()> {
        self.entry(path, DIRECTORY | 0o755, &[])
    }

    /// Adds a file that everyone may read and run.
    pub(crate) fn executable(&mut self, path: &str, content: &[u8]) -> io::Result<()> {
        self.entry(path, REGULAR | 0o755, content)
    }

    /// Ends the archive; returns what it was written to.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.inode = 0;
        self.header(TRAILER, 0, 0)?;
        self.writer.flush()?;
        Ok(self.writer)
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        let size = u32::try_from(content.len())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, format!("{path} is over 4 GiB")))?;
        self.inode += 1;
        self.header(path.trim_start_matches('/'), mode, size)?;
        self.writer.write_all(content)?;
        self.pad(content.len())
    }

    fn header(&mut self, name: &str, mode: u32, size: u32) -> io::Result<()> {
        let name_size = u32::try_from(name.len() + 1)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a name is over 4 GiB"))?;
        let (inode, links) = (self.inode, 1);
        // inode, mode, uid, gid, links, mtime, size, device (2), device node (2), name's size, checksum
        let fields = [inode, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name_size, 0];
        self.writer.write_all(MAGIC.as_bytes())?;
        for field in fields {
            write!(self.writer, "{field:08x}")?;
        }
        self.writer.write_all(name.as_bytes())?;
        self.writer.write_all(&[0])?;
        self.pad(HEADER_LENGTH + name.len() + 1)
    }

    fn pad(&mut self, length: usize) -> io::Result<()> {
        self.writer.write_all(&[0; ALIGNMENT][..length.next_multiple_of(ALIGNMENT) - length])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_laid_out_as_the_kernel_reads_it() {
        let mut archive = Archive::new(Vec::new());
        archive.executable("/init", b"hello").expect("a Vec takes all");
        let bytes = archive.finish().expect("a Vec takes all");

        let expected = "07070100000001000081ed000000000000000000000001000000000000000500000000000000000000000000000000\
                        0000000500000000init";
        assert_eq!(bytes[..HEADER_LENGTH + 4], *expected.as_bytes());
        // Name with its NUL, and content, each padded to a multiple of four; then the trailer.
        let (padded, trailer) = bytes[HEADER_LENGTH + 4..].split_at(10);
        assert_eq!(padded, b"\0\0hello\0\0\0");
        assert!(trailer.starts_with(MAGIC.as_bytes()));
        assert_eq!(bytes.len() % ALIGNMENT, 0);
    }

    #[test]
    fn the_trailer_ends_the_archive() {
        let bytes = Archive::new(Vec::new()).finish().expect("a Vec takes all");
        assert_eq!(bytes.len(), (HEADER_LENGTH + TRAILER.len() + 1).next_multiple_of(ALIGNMENT));
        assert_eq!(&bytes[HEADER_LENGTH..HEADER_LENGTH + TRAILER.len()], TRAILER.as_bytes());
    }

    #[test]
    fn a_directory_has_no_content() {
        let mut archive = Archive::new(Vec::new());
        archive.directory("/proc").expect("a Vec takes all");
        let bytes = archive.finish().expect("a Vec takes all");
        assert_eq!(&bytes[14..22], b"000041ed");
        assert_eq!(&bytes[54..62], b"00000000");
    }
}
