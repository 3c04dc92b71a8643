//! The benchmark: how fast the path is, each row against a named peer that takes turns with it.

mod bulk;
mod bystander;
mod crawl;
mod options;
mod program;
mod reads;
mod refusals;
mod rival;
mod round;
mod stack;
mod tokens;
mod wrk;

use crate::{environment, reaper};
pub use round::Extent;

/// A row.
type Row = fn(&Extent);

/// Every row by its name.
const ROWS: [(&str, Row); 8] = [
    ("refusals", refusals::measure),
    ("reads", reads::measure_kept),
    ("reads-closing", reads::measure_closing),
    ("tokens", tokens::measure),
    ("crawl", crawl::measure),
    ("bulk", bulk::measure),
    ("bystander", bystander::measure),
    ("options", options::measure),
];

/// The rows of these names, if there are such.
#[must_use]
pub fn named(names: &[String]) -> Option<Vec<Row>> {
    let row = |name: &String| ROWS.iter().find(|(known, _)| known == name).map(|(_, row)| *row);
    names.iter().map(row).collect()
}

/// Measures rows, one after the other, and leaves nothing behind.
pub fn run(extent: &Extent, rows: &[Row]) {
    environment::require();
    for row in rows {
        row(extent);
    }
    reaper::finish();
}
