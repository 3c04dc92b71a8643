//! Kernel programs that are run on a frame by hand, and the maps behind them, by the bpf system call itself.

mod program;
mod table;

pub use program::{DROPPED, Hook, Outcome, PASSED, Program, REDIRECTED, XDP_DROPPED, XDP_PASSED};
pub use table::{MapMemory, Table, count_entries};

use std::ffi::CString;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::{io, ptr};

/// A `bpf` command (include/uapi/linux/bpf.h).
const BPF_OBJ_GET: libc::c_int = 7;

/// The beginning of `union bpf_attr` for it; the kernel takes what follows for zeros.
#[repr(C)]
struct Get {
    path: u64,
    descriptor: u32,
    flags: u32,
}

#[track_caller]
fn open(pin: &Path) -> OwnedFd {
    let path = CString::new(pin.as_os_str().as_bytes()).expect("no path has a NUL");
    let mut attributes = Get { path: address(path.as_ptr()), descriptor: 0, flags: 0 };
    // SAFETY: the command takes a path that ends in NUL and lives over the call.
    let result = unsafe { bpf(BPF_OBJ_GET, &mut attributes) };
    owned(result).unwrap_or_else(|error| panic!("{}: {error}", pin.display()))
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
