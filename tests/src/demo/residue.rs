//! Taking the stage down, and what is left of it.

use std::fs;

use super::report::Outcome;
use super::stage::Stage;
use crate::{names, wait};

/// Removes everything and looks for what is left under its names.
pub(super) fn check(stage: Stage) -> Outcome {
    let Stage { behind, first, second, bridge, host, token: _ } = stage;
    let detached = {
        let mut host = host;
        host.kill();
        host.detach()
    };
    drop((behind, first, second, bridge));
    let daemons: Vec<_> = detached.stdout.lines().filter_map(|line| line.rsplit([' ', '/']).next()).collect();
    let left = || {
        let mut left: Vec<String> = Vec::new();
        for directory in ["/run/netns", "/sys/class/net", "/sys/fs/bpf"] {
            let entries = fs::read_dir(directory).into_iter().flatten().flatten();
            let entries = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
            left.extend(entries.filter(|name| name.starts_with(&names::prefix()) || daemons.contains(&name.as_str())));
        }
        left
    };
    // The kernel removes links some time after their namespace.
    let left = wait::until("everything to be gone", left, Vec::is_empty);
    let removed = detached.stdout.lines().count();
    let came = if removed >= 4 && left.is_empty() { "nothing left" } else { "too little was removed" };
    Outcome::new("nothing left", came)
}
