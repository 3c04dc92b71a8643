//! Virtual machines that try the kernel programs on other kernels.

pub(crate) mod accelerator;
mod cpio;
pub(crate) mod guest;
pub(crate) mod image;
pub(crate) mod kernel;
pub(crate) mod report;

use crate::workspace::Profile;

/// One thing that the guest tries: a program that must exit with 0.
pub(crate) struct Test {
    /// Its name in the report.
    pub(crate) name: &'static str,
    /// The profile whose `imdsd` is tried.
    pub(crate) profile: Profile,
    /// Where the image has the program.
    pub(crate) program: &'static str,
    /// The program's arguments.
    pub(crate) arguments: &'static [&'static str],
}

/// Everything that a guest runs, and the host asserts that it ran.
pub(crate) const TESTS: [Test; 2] = [
    Test { name: "debug", profile: Profile::Debug, program: "/bin/imdsd-debug", arguments: &["check"] },
    Test { name: "release", profile: Profile::Release, program: "/bin/imdsd-release", arguments: &["check"] },
];
