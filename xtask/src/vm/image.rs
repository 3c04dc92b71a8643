//! What a guest's file system holds.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::vm::cpio::Archive;
use crate::vm::modules;

/// Folders that the first process mounts something on, or that programs expect.
const DIRECTORIES: [&str; 7] = ["/dev", "/etc", "/proc", "/run", "/sys", "/tmp", "/var"];

/// An initramfs being put together: paths in the guest, and the host's files that stand there.
#[derive(Default)]
pub(crate) struct Image {
    directories: BTreeSet<String>,
    files: BTreeMap<String, PathBuf>,
}

impl Image {
    /// An image with the first process: this program; and the modules that it loads, in their order.
    pub(crate) fn new(modules: &[PathBuf]) -> Result<Self> {
        let mut image = Self::default();
        for directory in DIRECTORIES {
            image.directory(directory);
        }
        image.program("/init", &env::current_exe().context("can't find this program's own file")?)?;
        image.directory(modules::DIRECTORY);
        for (number, module) in modules.iter().enumerate() {
            let name = module.file_name().unwrap_or_default().display();
            image.file(&format!("{}/{number:02}-{name}", modules::DIRECTORY), module);
        }
        Ok(image)
    }

    /// Adds an empty folder, and those above it.
    pub(crate) fn directory(&mut self, path: &str) {
        // Sorted, a folder comes before what is in it.
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        self.directories.extend(ends.filter(|end| *end > 0).map(|end| path[..end].to_owned()));
    }

    /// Adds a program, and the shared libraries that it loads, where it looks for them.
    pub(crate) fn program(&mut self, path: &str, host: &Path) -> Result<()> {
        // Without the variable, by which cargo names folders that the guest doesn't have.
        let printed = process::output(Command::new("ldd").arg(host).env_remove("LD_LIBRARY_PATH"))?;
        for library in shared_libraries(&printed).with_context(|| format!("what {} loads", host.display()))? {
            self.file(library, Path::new(library));
        }
        self.file(path, host);
        Ok(())
    }

    /// Adds programs of this machine by their names, to `/bin`.
    pub(crate) fn installed(&mut self, programs: &[&str]) -> Result<()> {
        for name in programs {
            let host = process::find(name).with_context(|| format!("{name} is not installed on this machine"))?;
            self.program(&format!("/bin/{name}"), &host)?;
        }
        Ok(())
    }

    /// Adds a file.
    pub(crate) fn file(&mut self, path: &str, host: &Path) {
        if let Some((directory, _)) = path.rsplit_once('/') {
            self.directory(directory);
        }
        self.files.insert(path.to_owned(), host.to_owned());
    }

    /// Writes the archive.
    pub(crate) fn write(&self, to: &Path) -> Result<()> {
        if let Some(directory) = to.parent() {
            fs::create_dir_all(directory).with_context(|| format!("can't make {}", directory.display()))?;
        }
        let file = File::create(to).with_context(|| format!("can't write {}", to.display()))?;
        let mut archive = Archive::new(BufWriter::new(file));
        for directory in &self.directories {
            archive.directory(directory)?;
        }
        for (path, host) in &self.files {
            let content = fs::read(host).with_context(|| format!("can't read {}", host.display()))?;
            archive.executable(path, &content)?;
        }
        archive.finish().with_context(|| format!("can't write {}", to.display()))?;
        Ok(())
    }
}

/// The paths among what `ldd` prints; what the kernel itself maps has none.
fn shared_libraries(ldd: &str) -> Result<Vec<&str>> {
    let mut libraries = Vec::new();
    for line in ldd.lines().map(str::trim) {
        if line.ends_with("not found") {
            bail!("a shared library is missing on this machine: {line}");
        }
        let path = line.split_once("=> ").map_or(line, |(_, path)| path);
        if path.starts_with('/') {
            libraries.extend(path.split(" (").next());
        }
    }
    Ok(libraries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_found_the_kernel_s_own_is_not() {
        let ldd = "\tlinux-vdso.so.1 (0x00007ffc)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f01)\n\
                   \t/lib64/ld-linux-x86-64.so.2 (0x00007f02)\n";
        let found = shared_libraries(ldd).expect("nothing is missing");
        assert_eq!(found, ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]);
        assert!(shared_libraries("\tstatically linked\n").expect("nothing is missing").is_empty());
    }

    #[test]
    fn a_missing_library_is_an_error() {
        assert!(shared_libraries("\tlibx.so => not found\n").is_err());
    }

    #[test]
    fn folders_come_before_what_is_in_them() {
        let mut image = Image::default();
        image.file("/lib/a/b.so", Path::new("/b.so"));
        image.directory("/proc");
        assert_eq!(image.directories.into_iter().collect::<Vec<_>>(), ["/lib", "/lib/a", "/proc"]);
    }
}
