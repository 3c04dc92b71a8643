//! A short slice of the soak.

use std::time::Duration;

#[test]
fn a_while_of_everything_at_once_answers_right_and_grows_nothing() {
    imds_tests::soak::run(Duration::from_secs(16));
}
