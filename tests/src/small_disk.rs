//! A disk of few bytes, which a test fills up.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process;

/// A piece that fills it up, in bytes: a page.
const PIECE: usize = 4096;

/// A file system in memory, over an empty directory. Taken away with this value.
#[derive(Debug)]
pub struct SmallDisk {
    directory: PathBuf,
}

impl SmallDisk {
    /// Makes one of so many bytes at a directory, which is made, too.
    #[must_use]
    pub fn new(directory: &Path, bytes: usize) -> Self {
        fs::create_dir(directory).unwrap_or_else(|error| panic!("{} can't be made: {error}", directory.display()));
        let options = format!("size={bytes},mode=0700");
        let mut mount = Command::new("mount");
        let mounted = process::run(mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(directory));
        assert!(mounted.success(), "{}", mounted.stderr);
        Self { directory: directory.to_owned() }
    }

    fn filling(&self) -> PathBuf {
        self.directory.join("filling")
    }

    /// Fills it up to its last page.
    pub fn fill(&self) {
        let file = File::options().create(true).append(true).open(self.filling());
        let mut file = file.unwrap_or_else(|error| panic!("{} can't be made: {error}", self.filling().display()));
        while file.write_all(&[0; PIECE]).is_ok() {}
    }

    /// Makes room again.
    pub fn make_room(&self) {
        fs::remove_file(self.filling()).unwrap_or_else(|error| panic!("what fills it can't be removed: {error}"));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = process::run(Command::new("umount").arg("--lazy").arg(&self.directory));
    }
}
