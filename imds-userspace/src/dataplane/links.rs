//! Attaching programs to interfaces so that they stay there: pinned tcx links where the kernel has them, else a
//! clsact filter of fixed priority and handle.

use std::io;
use std::path::{Path, PathBuf};

use aya::pin::PinError;
use aya::programs::links::{FdLink, LinkError, PinnedLink};
use aya::programs::tc::{
    NlOptions, SchedClassifierLink, SchedClassifierLinkId, TcAttachOptions, TcError, TcHandle, qdisc_add_clsact,
};
use aya::programs::{LinkOrder, ProgramError, SchedClassifier, TcAttachType};
use rustix::io::Errno;

use super::early;
use super::interface::index_of;
use super::object::{INGRESS, REPLY};

/// Of our clsact filters: before what an operator adds without a number of their own.
const PRIORITY: u16 = 1;
/// Of our clsact filters: fixed, so that a new daemon replaces the old one's and leaves no second.
const HANDLE: TcHandle = TcHandle::new(0, 0x1_3d5);
/// Of a filter that stands in while ours goes to the front.
const STAND_IN: TcHandle = TcHandle::new(0, 0x1_3d6);

/// `EEXIST`
const EXISTS: i32 = Errno::EXIST.raw_os_error();

/// Why a program can't be attached.
#[derive(Debug, thiserror::Error)]
pub enum LinkFailure {
    /// The interface is gone, or its name means another one by now.
    #[error("interface {0} vanished while the program was attached to it")]
    Vanished(String),
    /// Another imdsd's program hangs on it already, or it is an imdsd's own service link.
    #[error(
        "interface {0} belongs to another imdsd already, or is one's own link; delete its instance there, or run `imdsd detach` with that daemon's --run-dir"
    )]
    Occupied(String),
    /// The program was taken off, but runs on.
    #[error("the program still runs on interface {0}; look at `bpftool net show dev {0}`, and try again")]
    Stays(String),
    /// Another's XDP program hangs on it.
    #[error(
        "interface {interface} has an XDP program already, {program}, and takes no second one; take that off, or ask for tc"
    )]
    XdpTaken {
        /// The interface's name.
        interface: String,
        /// What hangs on it.
        program: String,
    },
    /// It takes no XDP of this mode.
    #[error("interface {interface} can't have {attach}: {reason}")]
    NoXdp {
        /// The interface's name.
        interface: String,
        /// What was asked for.
        attach: &'static str,
        /// Why not, and the way out.
        reason: &'static str,
    },
    /// The kernel says no.
    #[error("attaching to interface {interface}: {source}")]
    Attach {
        /// The interface's name.
        interface: String,
        /// What aya says.
        source: HookError,
    },
}

/// What aya says when a hook fails.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// Of the program.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Of its link.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Of the link's pin.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// Of tc.
    #[error(transparent)]
    Tc(#[from] TcError),
    /// The pin can't be put in another's place.
    #[error("its pin can't be renamed: {0}")]
    Rename(#[source] io::Error),
}

/// How a program hangs on its interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hook {
    /// A pinned tcx link.
    Tcx,
    /// A clsact filter; true if the qdisc was made for it.
    Clsact(bool),
}

/// The directory of the links' pins.
pub(super) fn directory(pins: &Path) -> PathBuf {
    pins.join("links")
}

fn pin_of(pins: &Path, ifindex: u32) -> PathBuf {
    directory(pins).join(ifindex.to_string())
}

/// Where a link is pinned until it takes the place of another.
fn next_pin_of(pins: &Path, ifindex: u32) -> PathBuf {
    // The kernel allows no dot in a pin's name.
    directory(pins).join(format!("{ifindex}_next"))
}

/// The interfaces that have a pinned link.
pub(super) fn pinned(pins: &Path) -> Vec<u32> {
    let entries = std::fs::read_dir(directory(pins)).into_iter().flatten().flatten();
    let interface = |name: &str| name.parse().ok().or_else(|| early::interface_of(name));
    entries.filter_map(|entry| interface(entry.file_name().to_str()?)).collect()
}

/// Whether a clsact filter with this priority and handle is one of ours.
pub(super) fn is_our_filter(priority: u16, handle: u32) -> bool {
    priority == PRIORITY && [HANDLE, STAND_IN].iter().any(|&ours| u32::from(ours) == handle)
}

/// Attaches `program` to the ingress of an interface, in place of an earlier build's if one is there. `ours` says
/// that this daemon's program may be there already; another daemon's is never replaced or joined.
pub(super) fn attach(
    program: &mut SchedClassifier,
    pins: &Path,
    interface: &str,
    ifindex: u32,
    ours: bool,
) -> Result<Hook, LinkFailure> {
    let failed = |source| LinkFailure::Attach { interface: interface.to_owned(), source };
    let pin = pin_of(pins, ifindex);
    // A link belongs to its device, whatever that is called by now.
    if ours && replace_pinned(program, &pin).map_err(failed)? {
        return Ok(Hook::Tcx);
    }
    if is_occupied(interface) {
        return Err(LinkFailure::Occupied(interface.to_owned()));
    }
    let hook = match attach_tcx(program, interface) {
        Ok(link) => {
            link.pin(&pin).map_err(|source| failed(source.into()))?;
            Hook::Tcx
        }
        Err(HookError::Program(error)) if lacks_tcx(&error) => attach_clsact(program, interface, ours)?,
        Err(error) => return Err(failed(error)),
    };
    // aya attaches by name: were it renamed meanwhile, the program would hang on another interface.
    if index_of(interface).is_ok_and(|index| index == Some(ifindex)) {
        Ok(hook)
    } else {
        detach(pins, ifindex, Some(interface));
        Err(LinkFailure::Vanished(interface.to_owned()))
    }
}

/// Brings `program`, which hangs on an interface behind another one, to the front. The interface is never without it:
/// tcx takes a program once only, so a `copy` holds its place until it hangs in front.
pub(super) fn put_first(
    program: &mut SchedClassifier,
    copy: &mut SchedClassifier,
    pins: &Path,
    interface: &str,
    ifindex: u32,
) -> Result<(), LinkFailure> {
    let failed = |source| LinkFailure::Attach { interface: interface.to_owned(), source };
    let pin = pin_of(pins, ifindex);
    if !replace_pinned(copy, &pin).map_err(failed)? {
        return renew_filter(program, interface).map_err(failed);
    }
    let link = attach_tcx(program, interface).map_err(failed)?;
    if !index_of(interface).is_ok_and(|index| index == Some(ifindex)) {
        return Err(LinkFailure::Vanished(interface.to_owned()));
    }
    let next = next_pin_of(pins, ifindex);
    let _ = std::fs::remove_file(&next);
    link.pin(&next).map_err(|source| failed(source.into()))?;
    std::fs::rename(&next, &pin).map_err(|source| failed(HookError::Rename(source)))
}

/// Makes our clsact filter anew: the newest of a priority comes first.
fn renew_filter(program: &mut SchedClassifier, interface: &str) -> Result<(), HookError> {
    for (new, old) in [(STAND_IN, HANDLE), (HANDLE, STAND_IN)] {
        let options = TcAttachOptions::Netlink(NlOptions { priority: PRIORITY, handle: new, classid: None });
        let id = program.attach_with_options(interface, TcAttachType::Ingress, options)?;
        // The filter stays when the daemon ends.
        std::mem::forget(program.take_link(id)?);
        delete_filter(interface, old);
    }
    Ok(())
}

/// Whether a tcx program of an imdsd hangs on the interface; where the kernel has no tcx, none does.
fn is_occupied(interface: &str) -> bool {
    let Ok((_, programs)) = SchedClassifier::query_tcx(interface, TcAttachType::Ingress) else { return false };
    programs.iter().any(|program| matches!(program.name_as_str(), Some(INGRESS | REPLY)))
}

/// Puts `program` into a pinned link. False if there is none, or only that of an interface that is gone.
fn replace_pinned(program: &mut SchedClassifier, pin: &Path) -> Result<bool, HookError> {
    let pinned = match PinnedLink::from_pin(pin) {
        Ok(pinned) => pinned,
        Err(LinkError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let link = SchedClassifierLink::try_from(FdLink::from(pinned))?;
    match program.attach_to_link(link) {
        Ok(id) => {
            // The pin holds the link; ours is only closed.
            drop(FdLink::try_from(program.take_link(id)?)?);
            Ok(true)
        }
        Err(error) if errno(&error) == Some(Errno::NOLINK) => {
            let _ = std::fs::remove_file(pin);
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// Attaches by tcx, before what is there.
pub(super) fn attach_tcx(program: &mut SchedClassifier, interface: &str) -> Result<FdLink, HookError> {
    let options = TcAttachOptions::TcxOrder(LinkOrder::first());
    let id = program.attach_with_options(interface, TcAttachType::Ingress, options)?;
    Ok(FdLink::try_from(program.take_link(id)?)?)
}

/// The errors of a kernel that has no tcx: before 6.6, and where it was left out, the attach type is unknown.
pub(super) fn lacks_tcx(error: &ProgramError) -> bool {
    matches!(errno(error), Some(Errno::INVAL | Errno::OPNOTSUPP))
}

pub(super) fn errno(error: &ProgramError) -> Option<Errno> {
    match error {
        ProgramError::SyscallError(error) => Errno::from_io_error(&error.io_error),
        ProgramError::TcError(TcError::NetlinkError(error)) => error.raw_os_error().map(Errno::from_raw_os_error),
        _ => None,
    }
}

/// Attaches by clsact, in place of our own filter if one may be there.
pub(super) fn attach_clsact(program: &mut SchedClassifier, interface: &str, ours: bool) -> Result<Hook, LinkFailure> {
    let failed = |source: HookError| LinkFailure::Attach { interface: interface.to_owned(), source };
    let made = match qdisc_add_clsact(interface) {
        Ok(()) => true,
        Err(TcError::AlreadyAttached) => false,
        // aya 0.14 hands the kernel's own error on.
        Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(EXISTS) => false,
        Err(error) => return Err(failed(error.into())),
    };
    let replaced = if ours { replace_filter(program, interface) } else { None };
    let id = match replaced {
        Some(id) => id,
        None => {
            let options = NlOptions { priority: PRIORITY, handle: HANDLE, classid: None };
            let options = TcAttachOptions::Netlink(options);
            program.attach_with_options(interface, TcAttachType::Ingress, options).map_err(|error| {
                // The filter is made anew or not at all: one of the same number is another daemon's.
                if is_exists(&error) { LinkFailure::Occupied(interface.to_owned()) } else { failed(error.into()) }
            })?
        }
    };
    // The filter stays when the daemon ends.
    std::mem::forget(program.take_link(id).map_err(|error| failed(error.into()))?);
    Ok(Hook::Clsact(made))
}

/// Puts `program` into our filter, if there is one.
fn replace_filter(program: &mut SchedClassifier, interface: &str) -> Option<SchedClassifierLinkId> {
    let filter = SchedClassifierLink::attached(interface, TcAttachType::Ingress, PRIORITY, HANDLE, None).ok()?;
    program.attach_to_link(filter).ok()
}

/// Whether the kernel's answer over netlink is `EEXIST`.
fn is_exists(error: &ProgramError) -> bool {
    matches!(error, ProgramError::TcError(TcError::NetlinkError(error)) if error.raw_os_error() == Some(EXISTS))
}

/// Takes our program off an interface: unpins its link, or deletes its filter where the interface still has a name.
/// What is gone already is fine. A link's program runs on until the kernel has noticed.
pub(super) fn detach(pins: &Path, ifindex: u32, name: Option<&str>) {
    let _ = std::fs::remove_file(early::pin_of(pins, ifindex));
    let _ = std::fs::remove_file(next_pin_of(pins, ifindex));
    if std::fs::remove_file(pin_of(pins, ifindex)).is_err()
        && let Some(name) = name
    {
        delete_filter(name, STAND_IN);
        delete_filter(name, HANDLE);
    }
}

/// Deletes a filter; one that isn't there is fine.
fn delete_filter(interface: &str, handle: TcHandle) {
    // Dropping the link deletes the filter.
    drop(SchedClassifierLink::attached(interface, TcAttachType::Ingress, PRIORITY, handle, None));
}
