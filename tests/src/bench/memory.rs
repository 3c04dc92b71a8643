//! What an instance costs the daemon in memory.

use super::fleet::{Fleet, Fleets};
use super::round::{Extent, word};

/// Bytes of an instance above its document.
const AIM: f64 = 16.0 * 1_024.0;

/// Prints the row.
pub(super) fn measure(_: &Extent, Fleets { many, one }: &mut Fleets) {
    let document = Fleet::document_bytes();
    println!("memory: the daemon's (PSS) with {} instances of a full document, and with one", many.count);
    let created = (many.memory_as_created, one.memory_as_created);
    for fleet in [&mut *many, &mut *one] {
        fleet.restart();
    }
    for (when, (of_many, of_one)) in [("created", created), ("restarted", (many.memory(), one.memory()))] {
        let each = real(of_many.saturating_sub(of_one)) / real(many.count.saturating_sub(1) as u64);
        let above = each - real(document as u64);
        println!(
            "  {when}: {:.1} MiB and {:.1} MiB, {:.1} KiB each, {:.1} KiB above the {document} bytes of its JSON, aim at \
             most {:.0}: {}",
            real(of_many) / 1_048_576.0,
            real(of_one) / 1_048_576.0,
            each / 1_024.0,
            above / 1_024.0,
            AIM / 1_024.0,
            word(above <= AIM)
        );
    }
}

#[expect(clippy::cast_precision_loss, reason = "bytes of a daemon, and instances")]
const fn real(number: u64) -> f64 {
    number as f64
}
