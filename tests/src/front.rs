//! Somebody else's program in front of imdsd's: it lets every packet pass to the host's stack.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// `BPF_PROG_LOAD`, `BPF_LINK_CREATE` (include/uapi/linux/bpf.h).
const PROG_LOAD: libc::c_long = 5;
const LINK_CREATE: libc::c_long = 28;
/// `BPF_PROG_TYPE_SCHED_CLS`, `BPF_TCX_INGRESS`, `BPF_F_BEFORE`.
const SCHED_CLS: u32 = 3;
const TCX_INGRESS: u32 = 46;
const BEFORE: u32 = 1 << 3;

/// `r0 = TCX_PASS; exit`
const PASS_ALL: [u64; 2] = [0xb7, 0x95];

/// A program that accepts every packet that an interface receives, before any other program sees it. It goes with this
/// value.
#[derive(Debug)]
pub struct Front {
    _link: OwnedFd,
}

#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    rest: [u64; 14],
}

#[repr(C)]
#[derive(Default)]
struct Create {
    program: u32,
    interface: u32,
    kind: u32,
    flags: u32,
    relative: u64,
    revision: u64,
}

fn bpf<T>(command: libc::c_long, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: the kernel reads so many bytes behind the pointer, which are there, and what they point to lives on.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>()) };
    match i32::try_from(result) {
        // SAFETY: a new file descriptor that nobody else has.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

impl Front {
    /// Puts it on an interface of the host's; none where the kernel has no tcx.
    #[must_use]
    pub fn of(interface: &str) -> Option<Self> {
        let load = Load {
            kind: SCHED_CLS,
            count: 2,
            instructions: PASS_ALL.as_ptr() as u64,
            license: c"GPL".as_ptr() as u64,
            ..Load::default()
        };
        let program = bpf(PROG_LOAD, &load).unwrap_or_else(|error| panic!("the program can't be loaded: {error}"));
        let index = fs::read_to_string(format!("/sys/class/net/{interface}/ifindex")).expect("the interface is there");
        let create = Create {
            program: program.as_raw_fd().unsigned_abs(),
            interface: index.trim().parse().expect("a number"),
            kind: TCX_INGRESS,
            flags: BEFORE,
            ..Create::default()
        };
        match bpf(LINK_CREATE, &create) {
            Ok(link) => Some(Self { _link: link }),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => None,
            Err(error) => panic!("the program can't be attached: {error}"),
        }
    }
}
