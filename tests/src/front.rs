//! Somebody else's program in front of imdsd's: it lets every packet pass to the host's stack.

use std::os::fd::OwnedFd;

use crate::bpf::{Hook, Program};
use crate::guest::ifindex_of;

/// `TCX_PASS` (include/uapi/linux/bpf.h): no other program sees the packet.
const TCX_PASS: i32 = 0;

/// A program that accepts every packet that an interface receives, before any other program sees it. It goes with this
/// value.
#[derive(Debug)]
pub struct Front {
    _link: OwnedFd,
}

impl Front {
    /// Puts it on an interface of the host's; none where the kernel has no tcx.
    #[must_use]
    pub fn of(interface: &str) -> Option<Self> {
        match Program::returning(Hook::Tc, TCX_PASS).attach_first(ifindex_of(interface)) {
            Ok(link) => Some(Self { _link: link }),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => None,
            Err(error) => panic!("the program can't be attached: {error}"),
        }
    }
}
