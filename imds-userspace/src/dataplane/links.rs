//! Attaching programs to interfaces so that they stay there: pinned tcx links where the kernel has them, else a
//! clsact filter of fixed priority and handle.

use std::io;
use std::path::{Path, PathBuf};

use aya::pin::PinError;
use aya::programs::links::{FdLink, LinkError, PinnedLink};
use aya::programs::tc::{NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle, qdisc_add_clsact};
use aya::programs::{LinkOrder, ProgramError, SchedClassifier, TcAttachType};
use rustix::io::Errno;

/// Of our clsact filters: before what an operator adds without a number of their own.
const PRIORITY: u16 = 1;
/// Of our clsact filters: fixed, so that a new daemon replaces the old one's and leaves no second.
const HANDLE: TcHandle = TcHandle::new(0, 0x1_3d5);

/// Why a program can't be attached.
#[derive(Debug, thiserror::Error)]
pub enum LinkFailure {
    /// The interface is gone, or its name means another one by now.
    #[error("interface {0} vanished while the program was attached to it")]
    Vanished(String),
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

/// The index that a name means now.
pub(super) fn index_of(name: &str) -> Option<u32> {
    let socket = rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::DGRAM, None).ok()?;
    rustix::net::netdevice::name_to_index(&socket, name).ok()
}

/// The name of an index, or nothing once the interface is gone.
pub(super) fn name_of(ifindex: u32) -> Option<String> {
    let socket = rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::DGRAM, None).ok()?;
    rustix::net::netdevice::index_to_name(&socket, ifindex).ok()
}

/// Attaches `program` to the ingress of an interface, in place of an earlier build's if one is there.
pub(super) fn attach(
    program: &mut SchedClassifier,
    pins: &Path,
    interface: &str,
    ifindex: u32,
) -> Result<Hook, LinkFailure> {
    let failed = |source| LinkFailure::Attach { interface: interface.to_owned(), source };
    let pin = pin_of(pins, ifindex);
    let hook = if replace_pinned(program, &pin).map_err(failed)? {
        Hook::Tcx
    } else {
        match attach_tcx(program, interface) {
            Ok(link) => {
                link.pin(&pin).map_err(|source| failed(source.into()))?;
                Hook::Tcx
            }
            Err(error) if lacks_tcx(&error) => Hook::Clsact(attach_clsact(program, interface).map_err(failed)?),
            Err(error) => return Err(failed(error)),
        }
    };
    // aya attaches by name: were it renamed meanwhile, the program would hang on another interface.
    if index_of(interface) == Some(ifindex) {
        Ok(hook)
    } else {
        detach(pins, ifindex, Some(interface));
        Err(LinkFailure::Vanished(interface.to_owned()))
    }
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

fn attach_tcx(program: &mut SchedClassifier, interface: &str) -> Result<FdLink, HookError> {
    let options = TcAttachOptions::TcxOrder(LinkOrder::first());
    let id = program.attach_with_options(interface, TcAttachType::Ingress, options)?;
    Ok(FdLink::try_from(program.take_link(id)?)?)
}

/// The errors of a kernel that has no tcx: before 6.6 the attach type is unknown.
fn lacks_tcx(error: &HookError) -> bool {
    let HookError::Program(error) = error else { return false };
    matches!(errno(error), Some(Errno::INVAL | Errno::OPNOTSUPP))
}

fn errno(error: &ProgramError) -> Option<Errno> {
    match error {
        ProgramError::SyscallError(error) => Errno::from_io_error(&error.io_error),
        _ => None,
    }
}

/// Attaches by clsact; true if the qdisc wasn't there.
fn attach_clsact(program: &mut SchedClassifier, interface: &str) -> Result<bool, HookError> {
    let made = match qdisc_add_clsact(interface) {
        Ok(()) => true,
        Err(TcError::AlreadyAttached) => false,
        Err(error) => return Err(error.into()),
    };
    let existing = SchedClassifierLink::attached(interface, TcAttachType::Ingress, PRIORITY, HANDLE, None);
    let id = match program.attach_to_link(existing.map_err(TcError::IoError)?) {
        Ok(id) => id,
        Err(_) => {
            let options = NlOptions { priority: PRIORITY, handle: HANDLE, classid: None };
            program.attach_with_options(interface, TcAttachType::Ingress, TcAttachOptions::Netlink(options))?
        }
    };
    // The filter stays when the daemon ends.
    std::mem::forget(program.take_link(id)?);
    Ok(made)
}

/// Takes our program off an interface: unpins its link, or deletes its filter where the interface still has a name.
/// What is gone already is fine.
pub(super) fn detach(pins: &Path, ifindex: u32, name: Option<&str>) {
    if std::fs::remove_file(pin_of(pins, ifindex)).is_ok() {
        return;
    }
    if let Some(name) = name
        && let Ok(filter) = SchedClassifierLink::attached(name, TcAttachType::Ingress, PRIORITY, HANDLE, None)
    {
        // Dropping the link deletes the filter.
        drop(filter);
    }
}
