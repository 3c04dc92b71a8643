//! Every name that a daemon makes on the host follows from its run directory, so that several live side by side.

use std::hash::Hasher;
use std::path::{Path, PathBuf};

use siphasher::sip::SipHasher13;

/// The run directory of a daemon that isn't told another.
pub const DEFAULT_RUN_DIR: &str = "/run/imdsd";

/// Where the kernel's BPF file system stands.
pub const BPF_FS: &str = "/sys/fs/bpf";

/// Where network namespaces have names.
pub const NAMESPACES: &str = "/run/netns";

/// The layout of maps that this build makes and takes over; a change of any shared type counts it up.
pub const LAYOUT_VERSION: u32 = 3;

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
    /// The directory of all pins, of every layout.
    pub pins: PathBuf,
}

impl Names {
    /// The names for a run directory: `imds`, `imds0` for [`DEFAULT_RUN_DIR`]; with eight hexadecimal digits of the
    /// path's hash for any other, which fits the 15 characters of a link's name.
    #[must_use]
    pub fn new(run_dir: &Path) -> Self {
        let absolute = std::path::absolute(run_dir).unwrap_or_else(|_| run_dir.to_owned());
        let run_dir = absolute.canonicalize().unwrap_or(absolute);
        let (namespace, host_link) = if run_dir == Path::new(DEFAULT_RUN_DIR) {
            ("imds".to_owned(), "imds0".to_owned())
        } else {
            let mut hasher = SipHasher13::new();
            hasher.write(run_dir.as_os_str().as_encoded_bytes());
            let digits = hasher.finish() & 0xffff_ffff;
            (format!("imds-{digits:08x}"), format!("imds{digits:08x}"))
        };
        Self {
            service_link: format!("{host_link}p"),
            pins: Path::new(BPF_FS).join(&namespace),
            run_dir,
            namespace,
            host_link,
        }
    }

    /// Whether a link of this name is the host's end of a service link, whichever daemon's.
    #[must_use]
    pub fn is_host_link(name: &str) -> bool {
        let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let number = name.strip_prefix("imds");
        number.is_some_and(|number| number == "0" || number.len() == 8 && number.bytes().all(digit))
    }

    /// The directory of the pins of this build's layout.
    #[must_use]
    pub fn layout(&self) -> PathBuf {
        self.pins.join(format!("v{LAYOUT_VERSION}"))
    }

    /// The namespace's file.
    #[must_use]
    pub fn namespace_file(&self) -> PathBuf {
        Path::new(NAMESPACES).join(&self.namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_directory_has_the_plain_names() {
        let names = Names::new(Path::new(DEFAULT_RUN_DIR));
        assert_eq!(names.namespace, "imds");
        assert_eq!(names.host_link, "imds0");
        assert_eq!(names.service_link, "imds0p");
        assert_eq!(names.layout(), Path::new("/sys/fs/bpf/imds/v3"));
    }

    #[test]
    fn other_directories_have_names_of_their_own_that_fit() {
        let a = Names::new(Path::new("/tmp/a"));
        let b = Names::new(Path::new("/tmp/b"));
        assert_ne!(a.namespace, b.namespace);
        assert_eq!(a, Names::new(Path::new("/tmp/a")));
        assert!(a.service_link.len() <= 15 && a.namespace.starts_with("imds-"));
    }

    #[test]
    fn every_daemon_s_host_link_is_known_by_its_name() {
        for directory in [DEFAULT_RUN_DIR, "/tmp/a", "/tmp/b"] {
            let names = Names::new(Path::new(directory));
            assert!(Names::is_host_link(&names.host_link), "{names:?}");
            assert!(!Names::is_host_link(&names.service_link), "{names:?}");
        }
        for other in ["imds", "imds1", "imds0123456", "imds012345678", "imds0123456g", "imds-0000000", "tap0"] {
            assert!(!Names::is_host_link(other), "{other}");
        }
    }
}
