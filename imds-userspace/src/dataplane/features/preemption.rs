//! Whether a program runs to its end before the next one begins on its processor.

use std::fs;

use super::{Feature, State};

/// What the kernel's own description of itself holds where it is a real-time one.
const REAL_TIME: &str = "PREEMPT_RT";

/// The programs keep what doesn't fit on their stack in maps of which each processor has its own.
pub(super) fn probe() -> Feature {
    let told = fs::read_to_string("/sys/kernel/realtime").ok();
    let description = rustix::system::uname();
    Feature::new("uninterrupted programs", judge(told.as_deref(), &description.version().to_string_lossy()))
}

fn judge(told: Option<&str>, description: &str) -> State {
    if told.map(str::trim) != Some("1") && !description.split_whitespace().any(|word| word == REAL_TIME) {
        return State::There("yes");
    }
    State::Lacking(format!(
        "the kernel is a real-time one ({REAL_TIME}): there a packet may interrupt the program that judges another one, \
         which imdsd isn't tested with; boot a kernel without it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: &str = "#1 SMP PREEMPT_DYNAMIC Debian 6.12.9-1";

    #[test]
    fn a_real_time_kernel_is_refused_however_it_says_what_it_is() {
        let refused = [(Some("1\n"), USUAL), (None, "#1 SMP PREEMPT_RT Debian 6.12.9-1"), (Some("1"), "")];
        for (told, description) in refused {
            let State::Lacking(reason) = judge(told, description) else { panic!("{told:?}, {description}") };
            assert!(reason.contains("PREEMPT_RT") && reason.contains("boot"), "{reason}");
        }
        for told in [None, Some("0\n"), Some("")] {
            assert_eq!(judge(told, USUAL), State::There("yes"), "{told:?}");
        }
    }
}
