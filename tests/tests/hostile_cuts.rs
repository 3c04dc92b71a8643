//! The verdict table, row by row, mode by mode, whole and cut wherever it can be.

use imds_tests::verdicts::{Arena, Case, Mode, Row, rows};

/// Rows up to so many bytes are cut at every byte; for longer ones that would prove nothing more.
const CUT_MAX: usize = 700;

/// Plays, in each mode, what `cases` makes of each row.
fn play(cases: impl Fn(&Row, Mode) -> Vec<Case>) {
    let mut arena = Arena::new();
    let token = arena.token(21_600);
    let rows = rows(&token);
    for mode in Mode::ALL {
        let cases: Vec<_> = rows.iter().flat_map(|row| cases(row, mode)).collect();
        assert!(!cases.is_empty());
        arena.play(mode, &cases);
    }
}

#[test]
fn whole() {
    play(|row, mode| vec![Case::cut(row, mode, &row.least_cuts())]);
}

#[test]
fn cut_in_two_at_every_byte() {
    play(|row, mode| {
        let length = row.bytes().len();
        let cuts = if length <= CUT_MAX { 1..length } else { 0..0 };
        cuts.map(|cut| Case::cut(row, mode, &[cut])).collect()
    });
}

#[test]
fn a_byte_in_each_segment() {
    play(|row, mode| {
        let length = row.bytes().len();
        let cuts: Vec<_> = (1..length).collect();
        if length <= CUT_MAX { vec![Case::cut(row, mode, &cuts)] } else { Vec::new() }
    });
}
