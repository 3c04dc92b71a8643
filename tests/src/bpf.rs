//! Kernel programs that are run on a frame by hand, and the maps behind them, by the bpf system call itself.

use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::{fs, io, ptr};

/// `bpf` commands (include/uapi/linux/bpf.h).
const BPF_MAP_LOOKUP_ELEM: libc::c_int = 1;
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_MAP_GET_NEXT_KEY: libc::c_int = 4;
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_OBJ_GET: libc::c_int = 7;
const BPF_PROG_TEST_RUN: libc::c_int = 10;
const BPF_LINK_CREATE: libc::c_int = 28;
/// `BPF_PROG_TYPE_XDP`, `BPF_XDP`, `XDP_FLAGS_SKB_MODE`
const XDP: u32 = 6;
const ON_XDP: u32 = 37;
const GENERIC: u32 = 1 << 1;
/// What an XDP program returns that drops a frame: `XDP_DROP`.
pub const XDP_DROPPED: i32 = 1;
/// What it returns that lets one pass: `XDP_PASS`.
pub const XDP_PASSED: i32 = 2;
/// `BPF_PROG_TYPE_SCHED_CLS`, `BPF_TCX_INGRESS`, `BPF_F_BEFORE`
const SCHED_CLS: u32 = 3;
const TCX_INGRESS: u32 = 46;
const BEFORE: u32 = 1 << 3;

/// What a tc program returns that lets a packet pass: `TCX_NEXT`, `TC_ACT_UNSPEC`.
pub const PASSED: i32 = -1;
/// What it returns that drops one: `TC_ACT_SHOT`.
pub const DROPPED: i32 = 2;
/// What it returns that sends one elsewhere: `TC_ACT_REDIRECT`.
pub const REDIRECTED: i32 = 7;

/// Longest frame that a program makes of one that it is given, in bytes.
const FRAME_MAX: usize = 4096;

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
struct Create {
    program: u32,
    interface: u32,
    kind: u32,
    flags: u32,
    relative: u64,
    revision: u64,
}

#[repr(C)]
struct Element {
    map: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
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
    context_in_size: u32,
    context_out_size: u32,
    context_in: u64,
    context_out: u64,
}

/// `struct __sk_buff` up to the interface: what a program sees of a packet beside its bytes.
#[repr(C)]
#[derive(Default)]
struct Context {
    before: [u32; 10],
    ifindex: u32,
}

impl Context {
    /// Lets a run have it, which it has to outlive.
    fn give(&self, run: &mut Run) {
        run.context_in_size = u32::try_from(size_of::<Self>()).expect("small");
        run.context_in = address(ptr::from_ref(self));
    }
}

/// What became of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What the program returned.
    pub verdict: i32,
    /// The frame as it is then.
    pub frame: Vec<u8>,
    /// How long it took, in nanoseconds.
    pub nanoseconds: u32,
}

/// A loaded program.
#[derive(Debug)]
pub struct Program(OwnedFd);

impl Program {
    /// A pinned one.
    #[must_use]
    #[track_caller]
    pub fn pinned(pin: &Path) -> Self {
        Self(open(pin))
    }

    /// One of tc that returns a verdict and does nothing else.
    #[must_use]
    pub fn returning(verdict: i32) -> Self {
        Self::load(SCHED_CLS, verdict)
    }

    /// One of XDP that returns a verdict and does nothing else.
    #[must_use]
    pub fn xdp_returning(verdict: i32) -> Self {
        Self::load(XDP, verdict)
    }

    fn load(kind: u32, verdict: i32) -> Self {
        let [v0, v1, v2, v3] = verdict.to_le_bytes();
        // r0 = verdict; exit
        let code = [[0xb7, 0, 0, 0, v0, v1, v2, v3], [0x95, 0, 0, 0, 0, 0, 0, 0]];
        let license = c"GPL";
        let mut attributes = Load {
            kind,
            instructions: u32::try_from(code.len()).expect("two"),
            code: address(code.as_ptr()),
            license: address(license.as_ptr()),
        };
        // SAFETY: the command takes that many instructions and a name that ends in NUL; both live over the call.
        let result = unsafe { bpf(BPF_PROG_LOAD, &mut attributes) };
        Self(owned(result).unwrap_or_else(|error| panic!("a program can't be loaded: {error}")))
    }

    /// Lets it see every packet that an interface receives, before any other program does, as long as the link is open.
    ///
    /// # Errors
    ///
    /// The kernel's; `EINVAL` where it has no tcx.
    pub fn attach_first(&self, ifindex: u32) -> io::Result<OwnedFd> {
        let mut attributes = Create {
            program: self.0.as_raw_fd().unsigned_abs(),
            interface: ifindex,
            kind: TCX_INGRESS,
            flags: BEFORE,
            ..Create::default()
        };
        // SAFETY: the command takes these numbers and nothing behind a pointer.
        owned(unsafe { bpf(BPF_LINK_CREATE, &mut attributes) })
    }

    /// Hangs an XDP program on an interface, in generic mode, as long as the link is open.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn attach_xdp(&self, ifindex: u32) -> io::Result<OwnedFd> {
        let program = self.0.as_raw_fd().unsigned_abs();
        let mut attributes = Create { program, interface: ifindex, kind: ON_XDP, flags: GENERIC, ..Create::default() };
        // SAFETY: the command takes these numbers and nothing behind a pointer.
        owned(unsafe { bpf(BPF_LINK_CREATE, &mut attributes) })
    }

    /// Runs it so many times on a frame that it leaves alone: what it returned the last time, and a run's time in
    /// nanoseconds.
    #[must_use]
    pub fn time(&self, frame: &[u8], runs: u32) -> (i32, u32) {
        Self::timed(self.attributes(frame, runs))
    }

    /// The same of a frame that came by an interface of this network namespace's.
    #[must_use]
    pub fn time_at(&self, frame: &[u8], runs: u32, ifindex: u32) -> (i32, u32) {
        let context = Context { ifindex, ..Context::default() };
        let mut attributes = self.attributes(frame, runs);
        context.give(&mut attributes);
        Self::timed(attributes)
    }

    fn timed(mut attributes: Run) -> (i32, u32) {
        // SAFETY: the command reads a frame and a context of these sizes, which live over the call, and writes none.
        let result = unsafe { bpf(BPF_PROG_TEST_RUN, &mut attributes) };
        result.unwrap_or_else(|error| panic!("a program can't be run by hand: {error}"));
        (attributes.result.cast_signed(), attributes.duration)
    }

    /// Runs it once on a frame that came by an interface of this network namespace's.
    #[must_use]
    pub fn run(&self, frame: &[u8], ifindex: u32) -> Outcome {
        let context = Context { ifindex, ..Context::default() };
        let mut output = vec![0; FRAME_MAX];
        let mut attributes = self.attributes(frame, 1);
        attributes.output_size = u32::try_from(output.len()).expect("a frame");
        attributes.output = output.as_mut_ptr().expose_provenance() as u64;
        context.give(&mut attributes);
        // SAFETY: the command reads a frame and a context of these sizes and writes a frame of no more than its room;
        // all live over the call.
        let result = unsafe { bpf(BPF_PROG_TEST_RUN, &mut attributes) };
        result.unwrap_or_else(|error| panic!("a program can't be run by hand on {} bytes: {error}", frame.len()));
        output.truncate(usize::try_from(attributes.output_size).expect("a frame"));
        Outcome { verdict: attributes.result.cast_signed(), frame: output, nanoseconds: attributes.duration }
    }

    fn attributes(&self, frame: &[u8], repeat: u32) -> Run {
        Run {
            program: self.0.as_raw_fd().unsigned_abs(),
            input_size: u32::try_from(frame.len()).expect("a frame"),
            input: address(frame.as_ptr()),
            repeat,
            ..Run::default()
        }
    }
}

/// What a pinned map takes.
#[derive(Clone, Copy, Debug)]
pub struct MapMemory {
    /// How many entries it may have.
    pub entries: u64,
    /// Bytes of it in the kernel.
    pub bytes: u64,
}

impl MapMemory {
    /// Of a pinned map, as the kernel tells it.
    #[must_use]
    #[track_caller]
    pub fn pinned(pin: &Path) -> Self {
        let map = open(pin);
        let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", map.as_raw_fd())).expect("it is open");
        let number = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
            value.unwrap_or_else(|| panic!("{} has no {name} in {text}", pin.display()))
        };
        Self { entries: number("max_entries:"), bytes: number("memlock:") }
    }
}

/// How many entries a pinned map has whose keys are of 32 bits, and come and go.
#[must_use]
#[track_caller]
pub fn count_entries(pin: &Path) -> usize {
    let map = open(pin);
    let (mut key, mut next) = (None, 0_u32);
    let mut count = 0;
    loop {
        let mut attributes = Element {
            map: map.as_raw_fd().unsigned_abs(),
            pad: 0,
            key: key.as_ref().map_or(0, |key| address(ptr::from_ref::<u32>(key))),
            value: (&raw mut next).expose_provenance() as u64,
            flags: 0,
        };
        // SAFETY: the command reads one key of four bytes, or none, and writes another; both live over the call.
        match unsafe { bpf(BPF_MAP_GET_NEXT_KEY, &mut attributes) } {
            Ok(_) => (key, count) = (Some(next), count + 1),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return count,
            Err(error) => panic!("{} can't be read: {error}", pin.display()),
        }
    }
}

/// A map whose keys are numbers from 0 on, with values of so many bytes.
#[derive(Debug)]
pub struct Table {
    map: OwnedFd,
    value: usize,
}

impl Table {
    /// A pinned one.
    #[must_use]
    #[track_caller]
    pub fn pinned(pin: &Path, value: usize) -> Self {
        Self { map: open(pin), value }
    }

    /// Fills an entry with zeros.
    pub fn clear(&self, key: u32) {
        self.set(key, &vec![0; self.value]);
    }

    /// Writes an entry.
    pub fn set(&self, key: u32, value: &[u8]) {
        assert_eq!(value.len(), self.value);
        let mut attributes = self.element(&key, address(value.as_ptr()));
        // SAFETY: the command reads a key of four bytes and a value of the map's size; both live over the call.
        let result = unsafe { bpf(BPF_MAP_UPDATE_ELEM, &mut attributes) };
        result.unwrap_or_else(|error| panic!("a map's entry {key} can't be written: {error}"));
    }

    /// An entry's bytes.
    #[must_use]
    pub fn entry(&self, key: u32) -> Vec<u8> {
        let mut value = vec![0; self.value];
        let mut attributes = self.element(&key, value.as_mut_ptr().expose_provenance() as u64);
        // SAFETY: the command reads a key of four bytes and writes a value of the map's size; both live over the call.
        let result = unsafe { bpf(BPF_MAP_LOOKUP_ELEM, &mut attributes) };
        result.unwrap_or_else(|error| panic!("a map's entry {key} can't be read: {error}"));
        value
    }

    fn element(&self, key: &u32, value: u64) -> Element {
        Element { map: self.map.as_raw_fd().unsigned_abs(), pad: 0, key: address(key), value, flags: 0 }
    }
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
