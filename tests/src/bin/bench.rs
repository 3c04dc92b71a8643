//! The benchmark's rows, as `cargo xtask bench` asks for them: how many rounds, or `quick`, and the rows' names.

use std::process::ExitCode;

use imds_tests::bench::{self, Extent};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let extent = match arguments.next().as_deref() {
        Some("quick") => Some(Extent::quick()),
        Some(rounds) => rounds.parse().ok().filter(|&rounds| rounds > 0).map(Extent::of),
        None => None,
    };
    let rows: Vec<_> = arguments.collect();
    match (extent, bench::named(&rows)) {
        (Some(extent), Some(rows)) if !rows.is_empty() => {
            bench::run(&extent, &rows);
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: bench ROUNDS|quick ROW...; use it by `cargo xtask bench`");
            ExitCode::from(2)
        }
    }
}
