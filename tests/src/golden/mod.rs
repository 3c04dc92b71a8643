//! Golden packets: what the loaded programs make of a frame, to the byte.
//!
//! `tests/golden/*.golden` hold cases, played on the programs that a daemon has pinned. A case begins with empty tables,
//! unless it says otherwise; the flow state of its last step is what its steps before it made.
//!
//! ```text
//! case a tokenless GET while one is required      a name
//! on required                                     whose interface: an option set of `stage`
//! with flows taken                                what is there before, if anything is: see [`State`]
//! ingress the GET                                 a program, and what the frame is
//!   eth 020000000001 020000000010 0800            the frame: a word for the reader, then hexadecimal bytes,
//!   data "GET / HTTP/1.1\r\n\r\n"                 text in quotes, or names in braces
//! -> redirect answered refused-token-missing      the verdict, and the counters that it moves: the slot's,
//!                                                 or if there are none, after `host:`, those that are nobody's
//!   eth 020000000010 020000000001 0800            the frame as the program leaves it, unless it passes or drops it
//! ```
//!
//! Named ranges stand for what differs from run to run: see [`Name`]. The TCP checksum over one is
//! `{checksum}`: it must be right, whatever it is. After an intended change, `IMDS_GOLDEN_ACCEPT=1` writes what the
//! programs do now into the files, to be reviewed as a difference.

mod case;
mod checksum;
mod daemon;
mod pattern;
mod place;
mod stage;
mod state;

pub use case::{Case, Script, Side, Step};
pub use pattern::{Name, Pattern, Values};
pub use place::Place;
pub use stage::{Played, Stage};
pub use state::State;

use std::path::{Path, PathBuf};

/// The files by name. They are part of the binary, so that it has them wherever it runs.
pub const FILES: [(&str, &str); 9] = [
    ("connections", include_str!("../../golden/connections.golden")),
    ("deliveries", include_str!("../../golden/deliveries.golden")),
    ("drops", include_str!("../../golden/drops.golden")),
    ("limits", include_str!("../../golden/limits.golden")),
    ("neighbours", include_str!("../../golden/neighbours.golden")),
    ("passes", include_str!("../../golden/passes.golden")),
    ("refusals", include_str!("../../golden/refusals.golden")),
    ("replies", include_str!("../../golden/replies.golden")),
    ("silence", include_str!("../../golden/silence.golden")),
];

/// Where a file of that name is in the project.
#[must_use]
pub fn path_of(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("golden/{name}.golden"))
}
