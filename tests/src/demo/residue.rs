//! Taking the stage down, and what is left of it.

use std::fs;

use super::report::Outcome;
use super::stage::Stage;
use crate::{names, wait};

/// Removes everything, and looks for what is left: imdsd for its own, and here for all that has the stage's names.
pub(super) fn check(stage: Stage) -> Outcome {
    let Stage { behind, first, second, bridge, mut host, token: _ } = stage;
    host.kill();
    let before = host.leftovers().len();
    let detached = host.detach().success();
    let after = host.leftovers().len();
    drop((behind, first, second, bridge, host));
    let left = || {
        let mut left: Vec<String> = Vec::new();
        for directory in ["/run/netns", "/sys/class/net"] {
            let entries = fs::read_dir(directory).into_iter().flatten().flatten();
            let entries = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
            left.extend(entries.filter(|name| name.starts_with(&names::prefix())));
        }
        left
    };
    // The kernel removes links some time after their namespace.
    let left = wait::until("everything to be gone", left, Vec::is_empty);
    // Programs on two interfaces, pins, a link and a namespace.
    let removed = detached && before >= 5 && after == 0 && left.is_empty();
    Outcome::new("nothing left", if removed { "nothing left" } else { "something is left" })
}
