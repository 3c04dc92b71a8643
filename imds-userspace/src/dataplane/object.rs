//! The embedded eBPF object: loading it, over the maps that an earlier daemon pinned or over new ones.

use std::collections::BTreeMap;
use std::fs;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use aya::pin::PinError;
use aya::programs::{Program, ProgramError, SchedClassifier, Xdp};
use aya::{Ebpf, EbpfError, EbpfLoader};

use super::tables::ShapeError;
use super::{events, tables};

/// The program of an instance's interface.
pub(super) const INGRESS: &str = "imds_ingress";
/// The program of the service link.
pub(super) const REPLY: &str = "imds_reply";

/// The programs that see an interface's frames before it, where there is XDP: in generic mode, and in the driver.
pub(super) const EARLY_GENERIC: &str = "imds_xdp";
pub(super) const EARLY_DRIVER: &str = "imds_xdp_driver";
/// Those that every daemon needs. The others are loaded once one of them is asked for, as the kernel takes its time to
/// verify them.
pub(super) const NEEDED: [&str; 2] = [INGRESS, REPLY];
/// All of them.
const PROGRAMS: [&str; 4] = [INGRESS, REPLY, EARLY_GENERIC, EARLY_DRIVER];

/// What is attached to see whether it can be: by tc, and by XDP.
pub(super) const TRIAL: &str = "imds_trial";
pub(super) const TRIAL_EARLY: &str = "imds_trial_xdp";

/// The object, which aya wants aligned; empty in a build without one.
pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/imds.o"));

/// Lines of the verifier's log that an error shows: its last ones say why.
const VERIFIER_LINES: usize = 12;

/// Why the object can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// This build has no object.
    #[error("this imdsd was built without its eBPF object; build it with `cargo xtask build`")]
    Missing,
    /// A pinned map is not what this build makes.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// aya can't read the object or make its maps.
    #[error(
        "the eBPF maps can't be made: {0}; imdsd needs root (CAP_BPF, CAP_NET_ADMIN) and a kernel with CONFIG_BPF_SYSCALL"
    )]
    Maps(#[source] EbpfError),
    /// A program can't be pinned.
    #[error("pinning {}: {source}", .pin.display())]
    Pin {
        /// Where.
        pin: PathBuf,
        /// What aya says.
        source: PinError,
    },
    /// The kernel refuses a program.
    #[error(
        "the kernel refuses the program {program}: {reason}; `imdsd check` tells what this host has of what is needed"
    )]
    Program {
        /// Its name.
        program: &'static str,
        /// The kernel's error, and the verifier's last words.
        reason: String,
    },
}

/// How one program loaded.
#[derive(Debug)]
pub struct LoadReport {
    /// The program's name.
    pub program: String,
    /// Instructions that the verifier walked.
    pub verified_instructions: Option<u32>,
    /// How long the load took.
    pub duration: Duration,
}

/// Loads the object, and these programs of it: with maps pinned under `pins`, of so many slots, for the host's end of the
/// service link.
pub(super) fn load(pins: &Path, slots: u32, host_link: u32, programs: &[&'static str]) -> Result<Ebpf, ObjectError> {
    let mut loader = EbpfLoader::new();
    for table in tables::PINNED {
        loader.map_pin_path(table.name, pins.join(table.name));
        if table.by_slot {
            loader.map_max_entries(table.name, table.entries(slots));
        }
    }
    for (name, entries) in events::sizes(slots) {
        loader.map_max_entries(name, entries);
    }
    loader.override_global("IMDS_HOST_LINK", &host_link, true);
    let mut ebpf = read(&mut loader)?;
    load_programs(&mut ebpf, programs)?;
    Ok(ebpf)
}

/// Loads the object without pinning or attaching anything, to see whether this kernel takes it.
pub(super) fn check() -> Result<Vec<LoadReport>, ObjectError> {
    let mut ebpf = read(&mut EbpfLoader::new())?;
    // One after the other, so that none's time is another's.
    PROGRAMS.into_iter().map(|name| load_program(name, ebpf.program_mut(name))).collect()
}

/// Loads what is attached to see whether it can be.
pub(super) fn trial() -> Result<Ebpf, ObjectError> {
    let mut ebpf = read(&mut EbpfLoader::new())?;
    load_programs(&mut ebpf, &[TRIAL, TRIAL_EARLY])?;
    Ok(ebpf)
}

/// Whether this build has an object.
pub(super) const fn is_built() -> bool {
    !OBJECT.is_empty()
}

fn read(loader: &mut EbpfLoader<'_>) -> Result<Ebpf, ObjectError> {
    if !is_built() {
        return Err(ObjectError::Missing);
    }
    loader.load(OBJECT).map_err(ObjectError::Maps)
}

/// Loads these programs at once: the kernel's verifier takes a core for each, and its time is most of a start's.
fn load_programs(ebpf: &mut Ebpf, names: &[&'static str]) -> Result<(), ObjectError> {
    let mut programs: BTreeMap<_, _> = ebpf.programs_mut().map(|(name, program)| (name.to_owned(), program)).collect();
    let mut programs: Vec<_> = names.iter().map(|name| (*name, programs.remove(*name))).collect();
    thread::scope(|scope| {
        let loads: Vec<_> = programs
            .iter_mut()
            .map(|(name, program)| scope.spawn(|| load_program(name, program.as_deref_mut()).map(drop)))
            .collect();
        loads.into_iter().try_for_each(|load| load.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

fn load_program(name: &'static str, program: Option<&mut Program>) -> Result<LoadReport, ObjectError> {
    let refused = |reason: String| ObjectError::Program { program: name, reason };
    let absent = || refused("it isn't in the object".to_owned());
    let program = program.ok_or_else(absent)?;
    let start = Instant::now();
    let loaded = match program {
        Program::SchedClassifier(program) => program.load(),
        Program::Xdp(program) => program.load(),
        _ => return Err(absent()),
    };
    loaded.map_err(|error| refused(describe(&error)))?;
    let duration = start.elapsed();
    let info = program.info().map_err(|error| refused(error.to_string()))?;
    Ok(LoadReport { program: name.to_owned(), verified_instructions: info.verified_instruction_count(), duration })
}

/// The kernel's number of a loaded program.
pub(super) fn id(ebpf: &Ebpf, name: &'static str) -> Result<u32, ObjectError> {
    let info = ebpf.program(name).ok_or(ObjectError::Missing)?.info();
    Ok(info.map_err(|error| ObjectError::Program { program: name, reason: error.to_string() })?.id())
}

/// Pins these loaded programs under `pins`, in place of all of an earlier daemon's, for `bpftool` and for the eye: links
/// hold them anyway.
pub(super) fn pin_all(ebpf: &mut Ebpf, pins: &Path, names: &[&'static str]) -> Result<(), ObjectError> {
    for name in PROGRAMS {
        let _ = fs::remove_file(pins.join(name));
    }
    names.iter().try_for_each(|name| pin(ebpf, pins, name))
}

fn pin(ebpf: &mut Ebpf, pins: &Path, name: &'static str) -> Result<(), ObjectError> {
    let pin = pins.join(name);
    let program = ebpf.program_mut(name).ok_or(ObjectError::Missing)?;
    program.pin(&pin).map_err(|source| ObjectError::Pin { pin, source })
}

/// A program of tc.
pub(super) fn classifier<'a>(ebpf: &'a mut Ebpf, name: &str) -> Option<&'a mut SchedClassifier> {
    ebpf.program_mut(name)?.try_into().ok()
}

/// A program of XDP.
pub(super) fn early<'a>(ebpf: &'a mut Ebpf, name: &str) -> Option<&'a mut Xdp> {
    ebpf.program_mut(name)?.try_into().ok()
}

/// A program of XDP that is loaded, and pinned under `pins`, if it isn't yet.
pub(super) fn loaded_early<'a>(
    ebpf: &'a mut Ebpf,
    pins: &Path,
    name: &'static str,
) -> Result<&'a mut Xdp, ObjectError> {
    if early(ebpf, name).is_some_and(|program| program.fd().is_err()) {
        load_program(name, ebpf.program_mut(name))?;
        pin(ebpf, pins, name)?;
    }
    early(ebpf, name).ok_or(ObjectError::Missing)
}

fn describe(error: &ProgramError) -> String {
    let ProgramError::LoadError { io_error, verifier_log } = error else { return error.to_string() };
    let log = verifier_log.to_string();
    let lines: Vec<_> = log.lines().collect();
    let last = &lines[lines.len().saturating_sub(VERIFIER_LINES)..];
    format!("{io_error}\n{}\n", last.join("\n"))
}
