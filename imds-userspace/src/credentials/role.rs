//! A role of the operator's config.

use std::fmt;
use std::path::PathBuf;

use super::process::Process;

/// Which reads a provider's credentials are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Delivery {
    /// All.
    Any,
    /// Those without a token: EC2's role delivery 1.0.
    WithoutToken,
    /// Those with one: EC2's role delivery 2.0.
    WithToken,
}

impl Delivery {
    /// Whether some reads are for both.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self == other || self == Self::Any || other == Self::Any
    }
}

/// Where credentials come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provider {
    /// A file that is read once, when the daemon starts.
    Static(PathBuf),
    /// A file that somebody keeps up to date.
    File(PathBuf),
    /// A program.
    Process(Process),
}

impl fmt::Display for Provider {
    /// Its kind: nothing of a command is to be shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Static(_) => "static",
            Self::File(_) => "file",
            Self::Process(_) => "process",
        })
    }
}

/// One provider of one role. A role may have two, for reads without a token and with one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleSpec {
    /// The role's name.
    pub name: String,
    /// Which reads it is for.
    pub delivery: Delivery,
    /// Where the credentials come from.
    pub provider: Provider,
}
