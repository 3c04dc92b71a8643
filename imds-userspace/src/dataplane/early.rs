//! The early program: XDP before tc, on interfaces that are to have it. tc gives every verdict without it, so that one
//! which can't be attached opens nothing.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aya::programs::links::{FdLink, LinkError, PinnedLink};
use aya::programs::xdp::XdpLink;
use aya::programs::{ProgramError, Xdp, XdpMode as AyaMode, loaded_programs};
use imds_common::slot::{XDP_DRIVER, XDP_GENERIC};
use rtnetlink::Handle;
use rustix::io::Errno;

use super::attach::{Attach, XdpMode};
use super::links::{self, HookError, LinkFailure, errno};
use super::{Dataplane, DataplaneError, host, netlink, object};

/// How the name of a link's pin ends, after the interface's index.
const SUFFIX: &str = "_xdp";

/// Where the link of an interface is pinned.
pub(super) fn pin_of(pins: &Path, ifindex: u32) -> PathBuf {
    links::directory(pins).join(format!("{ifindex}{SUFFIX}"))
}

/// The interface of a link that is pinned under this name.
pub(super) fn interface_of(pin: &str) -> Option<u32> {
    pin.strip_suffix(SUFFIX)?.parse().ok()
}

/// The mode of XDP that an interface is to have, by its value in the map.
pub(super) const fn mode_of(value: u32) -> Option<XdpMode> {
    match (value & XDP_DRIVER != 0, value & XDP_GENERIC != 0) {
        (true, _) => Some(XdpMode::Driver),
        (_, true) => Some(XdpMode::Generic),
        _ => None,
    }
}

/// The program of a mode.
pub(super) const fn program_of(mode: XdpMode) -> &'static str {
    match mode {
        XdpMode::Driver => object::EARLY_DRIVER,
        XdpMode::Generic => object::EARLY_GENERIC,
    }
}

const fn flag(mode: Option<XdpMode>) -> u32 {
    match mode {
        None => 0,
        Some(XdpMode::Driver) => XDP_DRIVER,
        Some(XdpMode::Generic) => XDP_GENERIC,
    }
}

/// How long the kernel may take to run a program no more whose link was unpinned: it is some milliseconds.
const PARTING: Duration = Duration::from_secs(2);
/// How often that is looked at.
const STEP: Duration = Duration::from_millis(2);

/// The XDP program on an interface, whoever's it is.
async fn on(netlink: &Handle, interface: &str) -> Result<Option<u32>, DataplaneError> {
    Ok(netlink::link(netlink, interface).await?.and_then(|link| link.xdp))
}

/// Takes our program off an interface, and waits until it sees no packet any more. None there is fine.
pub(super) async fn take_off(
    netlink: &Handle,
    pins: &Path,
    interface: &str,
    ifindex: u32,
) -> Result<(), DataplaneError> {
    let pin = pin_of(pins, ifindex);
    let failed = |source| LinkFailure::Attach { interface: interface.to_owned(), source };
    let Some(ours) = pinned_program(&pin).map_err(failed)? else { return Ok(()) };
    fs::remove_file(&pin).map_err(host(format!("removing {}", pin.display())))?;
    let deadline = Instant::now() + PARTING;
    while on(netlink, interface).await? == Some(ours) {
        if Instant::now() > deadline {
            return Err(LinkFailure::Stays(interface.to_owned()).into());
        }
        tokio::time::sleep(STEP).await;
    }
    Ok(())
}

/// Puts the program into the interface's link, which is of the same mode, or makes one.
fn attach(program: &mut Xdp, pins: &Path, ifindex: u32, mode: XdpMode) -> Result<(), HookError> {
    let pin = pin_of(pins, ifindex);
    if replace_pinned(program, &pin)? {
        return Ok(());
    }
    Ok(attach_link(program, ifindex, mode)?.pin(&pin).map(drop)?)
}

/// Attaches the program by a link.
pub(super) fn attach_link(program: &mut Xdp, ifindex: u32, mode: XdpMode) -> Result<FdLink, HookError> {
    let mode = match mode {
        XdpMode::Driver => AyaMode::Driver,
        XdpMode::Generic => AyaMode::Skb,
    };
    let id = program.attach_to_if_index(ifindex, mode)?;
    Ok(FdLink::try_from(program.take_link(id)?)?)
}

/// The program of a pinned link, if there is one.
fn pinned_program(pin: &Path) -> Result<Option<u32>, HookError> {
    match PinnedLink::from_pin(pin) {
        Ok(pinned) => Ok(Some(FdLink::from(pinned).info()?.program_id())),
        Err(LinkError::SyscallError(error)) if error.io_error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Puts the program into a pinned link. False if there is none, or only that of an interface that is gone.
fn replace_pinned(program: &mut Xdp, pin: &Path) -> Result<bool, HookError> {
    let pinned = match PinnedLink::from_pin(pin) {
        Ok(pinned) => pinned,
        Err(LinkError::SyscallError(error)) if error.io_error.kind() == ErrorKind::NotFound => {
            return Ok(false);
        }
        Err(error) => return Err(error.into()),
    };
    match program.attach_to_link(XdpLink::try_from(FdLink::from(pinned))?) {
        Ok(id) => {
            // The pin holds the link; ours is only closed.
            drop(FdLink::try_from(program.take_link(id)?)?);
            Ok(true)
        }
        Err(error) if errno(&error) == Some(Errno::NOLINK) => {
            let _ = fs::remove_file(pin);
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// Why the kernel doesn't attach the program to an interface, and the way out.
fn reason(error: &ProgramError) -> Option<&'static str> {
    match errno(error)? {
        Errno::OPNOTSUPP => Some("its driver has no XDP; ask for tc+xdp-generic, or for tc"),
        Errno::NOSPC => Some(
            "its other end has more transmit queues than it has receive queues; make it with as many, or ask for tc+xdp-generic or tc",
        ),
        Errno::RANGE => {
            Some("its other end's MTU is too large for it; make that smaller, or ask for tc+xdp-generic or tc")
        }
        Errno::NOTCONN => Some("it has no other end; ask for tc+xdp-generic, or for tc"),
        _ => None,
    }
}

/// What went wrong, as its operator is told.
async fn explain(netlink: &Handle, interface: &str, mode: XdpMode, source: HookError) -> LinkFailure {
    let interface = interface.to_owned();
    let HookError::Program(error) = &source else { return LinkFailure::Attach { interface, source } };
    if matches!(errno(error), Some(Errno::BUSY | Errno::EXIST)) {
        let id = on(netlink, &interface).await.ok().flatten();
        let program = id.map_or_else(|| "a program".to_owned(), name_of);
        return LinkFailure::XdpTaken { interface, program };
    }
    match reason(error) {
        Some(reason) => LinkFailure::NoXdp { interface, attach: Attach::of(Some(mode)).as_str(), reason },
        None => LinkFailure::Attach { interface, source },
    }
}

/// A program as people find it.
fn name_of(id: u32) -> String {
    let program = loaded_programs().flatten().find(|program| program.id() == id);
    let name = program.as_ref().and_then(|program| program.name_as_str()).filter(|name| !name.is_empty());
    name.map_or_else(|| format!("program {id}"), |name| format!("\"{name}\" (program {id})"))
}

impl Dataplane {
    /// Sees to it that an interface on record has XDP in this mode before tc, or none. Whatever happens between two
    /// steps, what is attached is on record.
    ///
    /// # Errors
    ///
    /// [`DataplaneError::Link`]; the interface is without XDP then.
    pub(super) async fn set_early(
        &self,
        name: &str,
        ifindex: u32,
        mode: Option<XdpMode>,
    ) -> Result<(), DataplaneError> {
        let before = self.recorded(ifindex)?.unwrap_or(0);
        if mode_of(before).is_none() && mode.is_none() {
            return Ok(());
        }
        let (netlink, pins) = (netlink::connect()?, self.names.layout());
        if mode_of(before) != mode {
            take_off(&netlink, &pins, name, ifindex).await?;
        }
        self.record_early(ifindex, mode)?;
        let Some(wanted) = mode else { return Ok(()) };
        let attached = self.with_programs(|programs| {
            let program = object::loaded_early(programs, &pins, program_of(wanted))?;
            Ok::<_, object::ObjectError>(attach(program, &pins, ifindex, wanted))
        });
        let failure: DataplaneError = match attached {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => explain(&netlink, name, wanted, error).await.into(),
            Err(error) => error.into(),
        };
        take_off(&netlink, &pins, name, ifindex).await?;
        self.record_early(ifindex, None)?;
        Err(failure)
    }

    /// The same as the interface has on record, of this build.
    pub(super) async fn renew_early(&self, name: &str, ifindex: u32) {
        let mode = self.recorded(ifindex).ok().flatten().and_then(mode_of);
        self.set_early_or_go_on(name, ifindex, mode).await;
    }

    /// Sees to XDP as far as that can be done: tc enforces without it.
    pub(super) async fn set_early_or_go_on(&self, interface: &str, ifindex: u32, mode: Option<XdpMode>) {
        if let Err(error) = self.set_early(interface, ifindex, mode).await {
            tracing::error!(interface, %error, "without XDP from now on; tc enforces");
        }
    }

    fn record_early(&self, ifindex: u32, mode: Option<XdpMode>) -> Result<(), DataplaneError> {
        let mut kernel = self.kernel();
        if let Some(value) = kernel.tables.interface(ifindex)? {
            kernel.tables.set_interface(ifindex, value & !(XDP_DRIVER | XDP_GENERIC) | flag(mode))?;
        }
        Ok(())
    }

    /// Attaches the early program again where it is missing.
    pub(super) async fn mend_early(
        &self,
        netlink: &Handle,
        interface: &str,
        ifindex: u32,
    ) -> Result<(), DataplaneError> {
        let Some(mode) = self.recorded(ifindex)?.and_then(mode_of) else { return Ok(()) };
        // One that isn't loaded hangs nowhere.
        let ours = self.with_programs(|programs| object::id(programs, program_of(mode)).ok());
        if ours.is_some() && on(netlink, interface).await? == ours {
            return Ok(());
        }
        tracing::error!(interface, "imdsd's XDP program is not attached any more; attaching it again");
        self.set_early_or_go_on(interface, ifindex, Some(mode)).await;
        Ok(())
    }
}
