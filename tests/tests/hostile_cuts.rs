//! The verdict table, row by row, mode by mode, whole and cut wherever it can be.

use imds_tests::verdicts::{Case, play_rows};

/// Rows up to so many bytes are cut at every byte; for longer ones that would prove nothing more.
const CUT_MAX: usize = 700;

#[test]
fn whole() {
    play_rows(|row, mode| vec![Case::cut(row, mode, &row.least_cuts())]);
}

#[test]
fn cut_in_two_at_every_byte() {
    play_rows(|row, mode| {
        let length = row.bytes().len();
        let cuts = if length <= CUT_MAX { 1..length } else { 0..0 };
        cuts.map(|cut| Case::cut(row, mode, &[cut])).collect()
    });
}

#[test]
fn a_byte_in_each_segment() {
    play_rows(|row, mode| {
        let length = row.bytes().len();
        let cuts: Vec<_> = (1..length).collect();
        if length <= CUT_MAX { vec![Case::cut(row, mode, &cuts)] } else { Vec::new() }
    });
}
