//! The verdict table, row by row, mode by mode, whole and cut wherever it can be.

use imds_tests::family::Family;
use imds_tests::over_both_families;
use imds_tests::verdicts::{Case, play_rows};

over_both_families!(whole, cut_in_two_at_every_byte, a_byte_in_each_segment);

/// Rows up to so many bytes are cut at every byte; for longer ones that would prove nothing more.
const CUT_MAX: usize = 700;

fn whole(family: Family) {
    play_rows(family, |row, mode| vec![Case::cut(row, mode, &row.least_cuts())]);
}

fn cut_in_two_at_every_byte(family: Family) {
    play_rows(family, |row, mode| {
        let length = row.bytes().len();
        let cuts = if length <= CUT_MAX { 1..length } else { 0..0 };
        cuts.map(|cut| Case::cut(row, mode, &[cut])).collect()
    });
}

fn a_byte_in_each_segment(family: Family) {
    play_rows(family, |row, mode| {
        let length = row.bytes().len();
        let cuts: Vec<_> = (1..length).collect();
        if length <= CUT_MAX { vec![Case::cut(row, mode, &cuts)] } else { Vec::new() }
    });
}
