//! The processors that a row keeps its threads on, and what they start.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Two of the processors that this process may use; the same one where it may use one only.
#[derive(Clone, Copy)]
pub(super) struct Cores {
    first: usize,
    last: usize,
}

impl Cores {
    /// Those that it may use.
    pub(super) fn of_this_process() -> Self {
        let set = sched_getaffinity(None).unwrap_or_else(|error| panic!("no processors: {error}"));
        let mut usable = (0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu));
        let first = usable.next().expect("this runs on one");
        Self { first, last: usable.next_back().unwrap_or(first) }
    }

    /// Keeps this thread on the first.
    pub(super) fn stay_on_the_first(self) {
        stay(self.first);
    }

    /// Keeps this thread on the last.
    pub(super) fn stay_on_the_last(self) {
        stay(self.last);
    }
}

fn stay(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).unwrap_or_else(|error| panic!("a thread can't be kept on processor {cpu}: {error}"));
}
