//! What was expected and what came, a line each.

use std::fmt;
use std::io::{Write, stdout};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What one step expected and what came.
pub(super) struct Outcome {
    /// What was expected.
    pub(super) expected: String,
    /// What came.
    pub(super) came: String,
}

impl Outcome {
    pub(super) fn new(expected: impl Into<String>, came: impl Into<String>) -> Self {
        Self { expected: expected.into(), came: came.into() }
    }
}

/// How the demo goes.
#[derive(Default)]
pub(super) struct Report {
    passed: u32,
    failed: u32,
}

impl Report {
    /// Plays a step and prints its line. One that panics has failed, and the next one is played all the same.
    pub(super) fn play(&mut self, name: &str, step: impl FnOnce() -> Outcome) {
        print!("{name}: ");
        let _ = stdout().flush();
        let Ok(Outcome { expected, came }) = catch_unwind(AssertUnwindSafe(step)) else {
            self.failed += 1;
            println!("the step ended early, see above: FAILED");
            return;
        };
        let ok = expected == came;
        *(if ok { &mut self.passed } else { &mut self.failed }) += 1;
        println!("expected {expected}; came {came}: {}", if ok { "ok" } else { "FAILED" });
    }

    pub(super) fn passed_all(&self) -> bool {
        self.failed == 0 && self.passed > 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}
