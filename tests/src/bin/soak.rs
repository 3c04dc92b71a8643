//! The soak, as `cargo xtask soak` asks for it: for how many seconds.

use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let seconds = std::env::args().nth(1).and_then(|seconds| seconds.parse().ok());
    let Some(seconds) = seconds else {
        eprintln!("usage: soak SECONDS; use it by `cargo xtask soak`");
        return ExitCode::from(2);
    };
    imds_tests::soak::run_alone(Duration::from_secs(seconds));
    ExitCode::SUCCESS
}
