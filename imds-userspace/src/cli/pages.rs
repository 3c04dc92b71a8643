//! What is made from the arguments' own description: completions and manual pages.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::arguments::Arguments;
use super::error::Error;

/// A shell's completions.
pub(super) fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "imdsctl", &mut script);
    script
}

/// The manual pages of every command, one after another.
pub(super) fn manual() -> Result<Vec<u8>, Error> {
    let mut pages = Vec::new();
    for page in all() {
        page.render(&mut pages).map_err(Error::Output)?;
    }
    Ok(pages)
}

/// Writes the manual pages of every command to a directory; returns their files.
pub(super) fn write_manual(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        |source: io::Error| Error::Page { path, source }
    };
    fs::create_dir_all(directory).map_err(failed(directory))?;
    let mut written = Vec::new();
    for page in all() {
        let path = directory.join(page.get_filename());
        let mut text = Vec::new();
        page.render(&mut text).map_err(failed(&path))?;
        fs::write(&path, text).map_err(failed(&path))?;
        written.push(path);
    }
    Ok(written)
}

/// A page for each command, the outer ones first.
fn all() -> Vec<Man> {
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    let mut waiting = vec![command];
    while let Some(command) = waiting.pop() {
        let inner: Vec<Command> = command.get_subcommands().cloned().collect();
        waiting.extend(inner.into_iter().rev());
        pages.push(Man::new(command));
    }
    pages
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command by its whole name.
    const COMMANDS: [&str; 39] = [
        "imdsctl",
        "imdsctl-instance",
        "imdsctl-instance-create",
        "imdsctl-instance-list",
        "imdsctl-instance-show",
        "imdsctl-instance-update",
        "imdsctl-instance-restart",
        "imdsctl-instance-delete",
        "imdsctl-options",
        "imdsctl-options-show",
        "imdsctl-options-set",
        "imdsctl-limits",
        "imdsctl-limits-show",
        "imdsctl-limits-set",
        "imdsctl-interface",
        "imdsctl-interface-attach",
        "imdsctl-interface-release",
        "imdsctl-metadata",
        "imdsctl-metadata-get",
        "imdsctl-metadata-set",
        "imdsctl-metadata-unset",
        "imdsctl-metadata-schema",
        "imdsctl-event",
        "imdsctl-event-spot-interruption",
        "imdsctl-event-rebalance",
        "imdsctl-event-maintenance",
        "imdsctl-event-lifecycle",
        "imdsctl-event-clear",
        "imdsctl-apply",
        "imdsctl-identity",
        "imdsctl-identity-certificate",
        "imdsctl-identity-verify",
        "imdsctl-stats",
        "imdsctl-explain",
        "imdsctl-trace",
        "imdsctl-keys",
        "imdsctl-keys-rotate",
        "imdsctl-completions",
        "imdsctl-man",
    ];

    #[test]
    fn each_command_has_a_page() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let target = directory.path().join("share/man1");
        let written = write_manual(&target).expect("written");
        let expected: Vec<PathBuf> = COMMANDS.iter().map(|name| target.join(format!("{name}.1"))).collect();
        assert_eq!(written, expected);

        let all = String::from_utf8(manual().expect("rendered")).expect("text");
        let files: String = written.iter().map(|path| fs::read_to_string(path).expect("readable")).collect();
        assert_eq!(all, files);
        assert_eq!(all.matches("\n.TH ").count() + usize::from(all.starts_with(".TH ")), COMMANDS.len());
        assert!(all.contains("imdsctl instance create \\-\\-interface veth0"), "examples are in the pages");
    }

    #[test]
    fn a_page_that_cannot_be_written_is_named() {
        let message = write_manual(Path::new("/proc/version/man1")).expect_err("no directory").to_string();
        assert!(message.starts_with("manual page /proc/version/man1 can't be written: Not a directory"), "{message}");
    }

    #[test]
    fn completions_know_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = String::from_utf8(completions(shell)).expect("text");
            for word in ["imdsctl", "instance", "http-put-response-hop-limit", "required"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }
}
