//! Kernel programs that are run on a frame by hand, by the bpf system call itself.

use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::{io, ptr};

/// `bpf` commands (include/uapi/linux/bpf.h).
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_OBJ_GET: libc::c_int = 7;
const BPF_PROG_TEST_RUN: libc::c_int = 10;
/// `BPF_PROG_TYPE_SCHED_CLS`
const SCHED_CLS: u32 = 3;

/// What a tc program returns that lets a packet pass: `TCX_NEXT`, `TC_ACT_UNSPEC`.
pub(super) const PASSED: u32 = u32::MAX;

/// `r0 = -1; exit`
const EMPTY: [[u8; 8]; 2] = [[0xb7, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], [0x95, 0, 0, 0, 0, 0, 0, 0]];

/// The beginnings of `union bpf_attr`, by command; the kernel takes what follows for zeros.
#[repr(C)]
struct Load {
    kind: u32,
    instructions: u32,
    code: u64,
    license: u64,
}

#[repr(C)]
struct Get {
    path: u64,
    descriptor: u32,
    flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct Run {
    program: u32,
    result: u32,
    input_size: u32,
    output_size: u32,
    input: u64,
    output: u64,
    repeat: u32,
    duration: u32,
}

/// A loaded program.
pub(super) struct Program(OwnedFd);

impl Program {
    /// A pinned one.
    pub(super) fn pinned(pin: &Path) -> Self {
        let path = CString::new(pin.as_os_str().as_bytes()).expect("no path has a NUL");
        let mut attributes = Get { path: address(path.as_ptr()), descriptor: 0, flags: 0 };
        // SAFETY: the command takes a path that ends in NUL and lives over the call.
        let result = unsafe { bpf(BPF_OBJ_GET, &mut attributes) };
        Self(owned(result).unwrap_or_else(|error| panic!("{}: {error}", pin.display())))
    }

    /// One that lets everything pass and does nothing else.
    pub(super) fn empty() -> Self {
        let license = c"GPL";
        let mut attributes = Load {
            kind: SCHED_CLS,
            instructions: u32::try_from(EMPTY.len()).expect("two"),
            code: address(EMPTY.as_ptr()),
            license: address(license.as_ptr()),
        };
        // SAFETY: the command takes that many instructions and a name that ends in NUL; both live over the call.
        let result = unsafe { bpf(BPF_PROG_LOAD, &mut attributes) };
        Self(owned(result).unwrap_or_else(|error| panic!("an empty program can't be loaded: {error}")))
    }

    /// Runs it on a frame so many times: what it returned the last time, and a run's time in nanoseconds.
    pub(super) fn run(&self, frame: &[u8], runs: u32) -> (u32, u32) {
        let mut attributes = Run {
            program: self.0.as_raw_fd().unsigned_abs(),
            input_size: u32::try_from(frame.len()).expect("a frame"),
            input: address(frame.as_ptr()),
            repeat: runs,
            ..Run::default()
        };
        // SAFETY: the command reads a frame of that size, which lives over the call, and writes none.
        let result = unsafe { bpf(BPF_PROG_TEST_RUN, &mut attributes) };
        result.unwrap_or_else(|error| panic!("a program can't be run by hand: {error}"));
        (attributes.result, attributes.duration)
    }
}

fn address<T>(pointer: *const T) -> u64 {
    pointer.expose_provenance() as u64
}

fn owned(result: io::Result<libc::c_int>) -> io::Result<OwnedFd> {
    // SAFETY: the commands that this is called for return a new descriptor of ours.
    result.map(|descriptor| unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// # Safety
///
/// The attributes must be those of the command, and what they point to must live.
unsafe fn bpf<T>(command: libc::c_int, attributes: &mut T) -> io::Result<libc::c_int> {
    // SAFETY: the attributes are as large as is said; the rest is the caller's promise.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, ptr::from_mut(attributes).cast::<libc::c_void>(), size_of::<T>())
    };
    match libc::c_int::try_from(result) {
        Ok(result) if result >= 0 => Ok(result),
        _ => Err(io::Error::last_os_error()),
    }
}
