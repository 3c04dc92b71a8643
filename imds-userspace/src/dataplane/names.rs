//! Every name that a daemon makes on the host follows from its run directory, so that several live side by side.

use std::path::{Path, PathBuf};

/// The run directory of a daemon that isn't told another.
pub const DEFAULT_RUN_DIR: &str = "/run/imdsd";

/// The names of one daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The run directory, absolute.
    pub run_dir: PathBuf,
    /// The network namespace, as `ip netns` knows it.
    pub namespace: String,
    /// The host's end of the service link.
    pub host_link: String,
    /// The namespace's end.
    pub service_link: String,
    /// The pin directory, which carries the layout's version.
    pub pins: PathBuf,
}

impl Names {
    /// The names for a run directory: `imds`, `imds0` for [`DEFAULT_RUN_DIR`]; with eight hexadecimal digits of the
    /// path's hash for any other.
    #[must_use]
    pub fn new(_run_dir: &Path) -> Self {
        unimplemented!()
    }
}
