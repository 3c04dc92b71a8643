//! A helper process that outlives this one and then removes what carries its prefix, however it ended.
//!
//! It holds one end of a pipe whose other end only this process has: when that end closes, it cleans up.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::{environment, names, process};

/// How long a clean-up may take.
const CLEAN_UP: Duration = Duration::from_secs(30);

/// What it does until the pipe ends: any line means that all is to stay.
const WAIT: &str = r#"read -r line && exit 0; exec sh "$1""#;

static REAPER: OnceLock<Mutex<Option<Child>>> = OnceLock::new();

/// The script that removes everything of this process.
pub(crate) fn script(root: &Path) -> PathBuf {
    root.join("clean-up")
}

/// Starts the helper of this process. Its directory is `root`.
pub(crate) fn start(root: &Path) {
    let settings = [("ROOT", root.display().to_string()), ("PREFIX", names::prefix())];
    let imdsd = ("IMDSD", environment::imdsd().display().to_string());
    let mut text = String::from("#!/bin/sh\n");
    for (name, value) in settings.into_iter().chain([imdsd]) {
        text += &format!("{name}='{}'\n", value.replace('\'', r"'\''"));
    }
    text += include_str!("clean_up.sh");
    names::write(&script(root), text.as_bytes(), 0o700);
    let child = Command::new("sh")
        .args(["-c", WAIT, "sh"])
        .arg(script(root))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // So that Ctrl-C doesn't end it too.
        .process_group(0)
        .spawn()
        .unwrap_or_else(|error| panic!("the helper that cleans up can't be started: {error}"));
    assert!(REAPER.set(Mutex::new(Some(child))).is_ok(), "one helper per process");
}

fn take() -> Option<Child> {
    REAPER.get()?.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Cleans up now, instead of when this process ends, and waits for it.
pub fn finish() {
    let Some(mut child) = take() else { return };
    drop(child.stdin.take());
    assert!(process::wait(&mut child, CLEAN_UP).is_some(), "cleaning up takes longer than {CLEAN_UP:?}");
}

/// Leaves everything as it is when this process ends. The script that removes it stays.
pub fn leave() {
    if let Some(mut child) = take() {
        let pipe = child.stdin.as_mut().expect("it was made with a pipe");
        writeln!(pipe, "stay").unwrap_or_else(|error| panic!("the helper that cleans up is gone: {error}"));
        let _ = process::wait(&mut child, CLEAN_UP);
    }
}
