//! How tables look: columns with space between them, no lines.

use std::borrow::Cow;

use comfy_table::{Attribute, Cell, CellAlignment, Color, Table, presets};

/// The space between columns, in characters.
const GAP: u16 = 2;

/// How tables look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// Whether there are colours.
    pub(super) colour: bool,
}

impl Look {
    /// A table with a line of headings.
    pub(super) fn headed(self, headings: &[&str]) -> Table {
        let mut table = self.bare();
        table.set_header(headings.iter().map(|heading| Cell::new(heading).add_attribute(Attribute::Bold)));
        table
    }

    /// A table without.
    pub(super) fn bare(self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        if self.colour {
            table.enforce_styling();
            table.style_text_only();
        } else {
            table.force_no_tty();
        }
        table
    }
}

/// A cell with text.
pub(super) fn text(text: &str) -> Cell {
    Cell::new(printable(text))
}

/// A cell with a number.
pub(super) fn number(number: u64) -> Cell {
    Cell::new(number).set_alignment(CellAlignment::Right)
}

/// A cell with a state: green where it is the `good` one, yellow where it isn't.
pub(super) fn state(state: &str, good: &str) -> Cell {
    text(state).fg(if state == good { Color::Green } else { Color::Yellow })
}

/// The table as text.
pub(super) fn lines(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

/// Text in which control characters are spelled out, since names and tags shall not steer a terminal.
pub(in crate::cli) fn printable(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        let spell = |character: char| {
            if character.is_control() { character.escape_default().to_string() } else { character.to_string() }
        };
        Cow::Owned(text.chars().map(spell).collect())
    } else {
        Cow::Borrowed(text)
    }
}
