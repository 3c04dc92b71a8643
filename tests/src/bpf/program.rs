//! Programs: pinned ones, and some that do nothing but give a verdict.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use super::{address, bpf, open, owned};

/// `bpf` commands (include/uapi/linux/bpf.h).
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_TEST_RUN: libc::c_int = 10;
const BPF_LINK_CREATE: libc::c_int = 28;
/// `BPF_XDP`, `XDP_FLAGS_SKB_MODE`
const ON_XDP: u32 = 37;
const GENERIC: u32 = 1 << 1;
/// What an XDP program returns that drops a frame: `XDP_DROP`.
pub const XDP_DROPPED: i32 = 1;
/// What it returns that lets one pass: `XDP_PASS`.
pub const XDP_PASSED: i32 = 2;
/// `BPF_TCX_INGRESS`, `BPF_F_BEFORE`
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

/// Where a program sees packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// tc
    Tc,
    /// XDP
    Xdp,
}

impl Hook {
    /// `BPF_PROG_TYPE_SCHED_CLS`, `BPF_PROG_TYPE_XDP`
    const fn kind(self) -> u32 {
        match self {
            Self::Tc => 3,
            Self::Xdp => 6,
        }
    }

    /// What its programs see of a frame of `length` bytes that came by an interface: `struct __sk_buff` or
    /// `struct xdp_md`, up to the interface's index.
    fn context(self, length: usize, ifindex: u32) -> Vec<u32> {
        match self {
            Self::Tc => [&[0; 10][..], &[ifindex]].concat(),
            // data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex
            Self::Xdp => vec![0, u32::try_from(length).expect("a frame"), 0, ifindex, 0, 0],
        }
    }
}

/// The beginnings of `union bpf_attr`, by command; the kernel takes what follows for zeros.
#[repr(C)]
struct Load {
    kind: u32,
    instructions: u32,
    code: u64,
    license: u64,
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

impl Run {
    /// Lets a run have a context, which it has to outlive.
    fn give(&mut self, context: &[u32]) {
        self.context_in_size = u32::try_from(size_of_val(context)).expect("small");
        self.context_in = address(context.as_ptr());
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
pub struct Program {
    hook: Hook,
    descriptor: OwnedFd,
}

impl Program {
    /// A pinned one.
    #[must_use]
    #[track_caller]
    pub fn pinned(hook: Hook, pin: &Path) -> Self {
        Self { hook, descriptor: open(pin) }
    }

    /// One that returns a verdict and does nothing else.
    #[must_use]
    pub fn returning(hook: Hook, verdict: i32) -> Self {
        let [v0, v1, v2, v3] = verdict.to_le_bytes();
        // r0 = verdict; exit
        let code = [[0xb7, 0, 0, 0, v0, v1, v2, v3], [0x95, 0, 0, 0, 0, 0, 0, 0]];
        let license = c"GPL";
        let mut attributes = Load {
            kind: hook.kind(),
            instructions: u32::try_from(code.len()).expect("two"),
            code: address(code.as_ptr()),
            license: address(license.as_ptr()),
        };
        // SAFETY: the command takes that many instructions and a name that ends in NUL; both live over the call.
        let result = unsafe { bpf(BPF_PROG_LOAD, &mut attributes) };
        let descriptor = owned(result).unwrap_or_else(|error| panic!("a program can't be loaded: {error}"));
        Self { hook, descriptor }
    }

    /// Lets it see every packet that an interface receives, before any other program does, as long as the link is open.
    ///
    /// # Errors
    ///
    /// The kernel's; `EINVAL` where it has no tcx.
    pub fn attach_first(&self, ifindex: u32) -> io::Result<OwnedFd> {
        let mut attributes = Create {
            program: self.descriptor.as_raw_fd().unsigned_abs(),
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
        let program = self.descriptor.as_raw_fd().unsigned_abs();
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
        let context = self.hook.context(frame.len(), ifindex);
        let mut attributes = self.attributes(frame, runs);
        attributes.give(&context);
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
        let context = self.hook.context(frame.len(), ifindex);
        let mut output = vec![0; FRAME_MAX];
        let mut attributes = self.attributes(frame, 1);
        attributes.output_size = u32::try_from(output.len()).expect("a frame");
        attributes.output = output.as_mut_ptr().expose_provenance() as u64;
        attributes.give(&context);
        // SAFETY: the command reads a frame and a context of these sizes and writes a frame of no more than its room;
        // all live over the call.
        let result = unsafe { bpf(BPF_PROG_TEST_RUN, &mut attributes) };
        result.unwrap_or_else(|error| panic!("a program can't be run by hand on {} bytes: {error}", frame.len()));
        output.truncate(usize::try_from(attributes.output_size).expect("a frame"));
        Outcome { verdict: attributes.result.cast_signed(), frame: output, nanoseconds: attributes.duration }
    }

    fn attributes(&self, frame: &[u8], repeat: u32) -> Run {
        Run {
            program: self.descriptor.as_raw_fd().unsigned_abs(),
            input_size: u32::try_from(frame.len()).expect("a frame"),
            input: address(frame.as_ptr()),
            repeat,
            ..Run::default()
        }
    }
}
