//! The demo: a host with two instances of one address, and what the kernel lets through.

mod by_hand;
mod report;
mod residue;
mod stage;
mod steps;

use std::process::ExitCode;

use crate::{environment, reaper};
use report::Report;
use stage::Stage;

/// Plays every step and prints a line for each. Fails if one does; leaves nothing behind unless it is to `keep` all.
#[must_use]
pub fn run(keep: bool) -> ExitCode {
    environment::require();
    println!("Setting up a daemon and three guests:");
    let mut stage = Stage::set_up();
    stage.describe();
    let mut report = Report::default();
    for (name, step) in steps::ALL {
        report.play(name, || step(&mut stage));
    }
    let counters = stage.counters();
    if keep {
        by_hand::explain(&stage);
        // Whoever tries it by hand ends it by the script.
        std::mem::forget(stage);
        reaper::leave();
    } else {
        report.play("Everything is removed", || residue::check(stage));
        reaper::finish();
    }
    println!("\n{counters}\n{report}");
    if report.passed_all() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
