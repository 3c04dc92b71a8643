//! The demo: the main job on real packets, a line for each step. `--keep` leaves it running.

use std::process::ExitCode;

use imds_tests::demo;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => demo::run(false),
        ["--keep"] => demo::run(true),
        _ => {
            eprintln!("usage: demo [--keep]");
            ExitCode::from(2)
        }
    }
}
