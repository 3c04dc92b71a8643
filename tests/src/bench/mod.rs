//! The benchmark: how fast the path is, each row against a named peer that takes turns with it.

mod bulk;
mod bystander;
mod cores;
mod crawl;
mod drops;
mod fleet;
mod flood;
mod golden;
mod maps;
mod memory;
mod options;
mod reads;
mod refusals;
mod rival;
mod round;
mod scale;
mod stack;
mod start;
mod tokens;
mod wire;
mod wrk;

use self::fleet::Fleets;
pub use self::round::Extent;
use crate::{environment, reaper};

/// A row.
#[derive(Clone, Copy)]
pub struct Row(Measure);

#[derive(Clone, Copy)]
enum Measure {
    /// It makes what it measures.
    Alone(fn(&Extent)),
    /// It measures what takes its time to be made, and is made once.
    OfFleets(fn(&Extent, &mut Fleets)),
}

/// Every row by its name.
const ROWS: [(&str, Measure); 16] = [
    ("refusals", Measure::Alone(refusals::measure)),
    ("reads", Measure::Alone(reads::measure_kept)),
    ("reads-closing", Measure::Alone(reads::measure_closing)),
    ("tokens", Measure::Alone(tokens::measure)),
    ("crawl", Measure::Alone(crawl::measure)),
    ("bulk", Measure::Alone(bulk::measure)),
    ("drops", Measure::Alone(drops::measure)),
    ("bystander", Measure::Alone(bystander::measure)),
    ("options", Measure::Alone(options::measure)),
    ("golden", Measure::Alone(golden::measure)),
    ("flood", Measure::Alone(flood::measure)),
    ("maps", Measure::Alone(maps::measure)),
    ("memory", Measure::OfFleets(memory::measure)),
    ("scale", Measure::OfFleets(scale::measure)),
    ("bystander-scale", Measure::OfFleets(bystander::measure_scale)),
    ("start", Measure::OfFleets(start::measure)),
];

/// The rows of these names, if there are such.
#[must_use]
pub fn named(names: &[String]) -> Option<Vec<Row>> {
    let row = |name: &String| ROWS.iter().find(|(known, _)| known == name).map(|(_, row)| Row(*row));
    names.iter().map(row).collect()
}

/// Measures rows, one after the other, and leaves nothing behind.
pub fn run(extent: &Extent, rows: &[Row]) {
    environment::require();
    let mut fleets = None;
    for Row(row) in rows {
        match row {
            Measure::Alone(measure) => measure(extent),
            Measure::OfFleets(measure) => measure(extent, fleets.get_or_insert_with(|| Fleets::start(*extent))),
        }
    }
    drop(fleets);
    reaper::finish();
}
