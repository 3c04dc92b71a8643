//! By what programs can be attached to an interface: found out by attaching ones that let everything pass.

use std::io;

use aya::Ebpf;

use super::{Feature, State, reason};
use crate::dataplane::attach::{Attach, XdpMode};
use crate::dataplane::early;
use crate::dataplane::links::{self, HookError, LinkFailure};
use crate::dataplane::object::{self, TRIAL, TRIAL_EARLY};

/// What is tried, by name.
pub(super) const NAMES: [&str; 2] = ["attaching by tc", "attaching by XDP"];

/// What a kernel must be built with.
const TC: &str =
    "a kernel with CONFIG_NET_XGRESS (tcx), or with CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_BPF is needed";
const XDP: &str = "a kernel that attaches XDP by links is needed, or `--attach tc`";

/// How programs could be attached to this interface of a namespace that nobody else uses; `attach` says what of it is
/// needed.
pub(super) fn probe(interface: &str, ifindex: u32, attach: Attach) -> [Feature; 2] {
    let states = if object::is_built() {
        match object::trial() {
            Ok(mut ebpf) => [tc(&mut ebpf, interface), xdp(&mut ebpf, ifindex, attach)],
            Err(error) => [State::Lacking(error.to_string()), State::NotTried],
        }
    } else {
        // The start itself says that there is nothing to attach.
        [State::NotTried, State::NotTried]
    };
    let [tc, xdp] = states;
    [Feature::new(NAMES[0], tc), Feature::new(NAMES[1], xdp)]
}

fn tc(ebpf: &mut Ebpf, interface: &str) -> State {
    let Some(program) = object::classifier(ebpf, TRIAL) else { return State::NotTried };
    match links::attach_tcx(program, interface) {
        Ok(_) => State::There("tcx links"),
        Err(HookError::Program(error)) if links::lacks_tcx(&error) => {
            // It goes with the interface.
            match links::attach_clsact(program, interface, false) {
                Ok(_) => State::There("clsact filters, as there are no tcx links"),
                Err(LinkFailure::Attach { source, .. }) => State::Lacking(reason(&as_io(source), TC)),
                Err(error) => State::Lacking(error.to_string()),
            }
        }
        Err(error) => State::Lacking(reason(&as_io(error), TC)),
    }
}

fn xdp(ebpf: &mut Ebpf, ifindex: u32, attach: Attach) -> State {
    let mut attempt = |mode| {
        let program = object::early(ebpf, TRIAL_EARLY).ok_or_else(|| io::Error::other("no program"))?;
        early::attach_link(program, ifindex, mode).map(drop).map_err(as_io)
    };
    judge(attempt(XdpMode::Driver), attempt(XdpMode::Generic), attach)
}

/// What is lacking is an error only where it is asked for: on any interface else, whoever asks for it is told.
fn judge(driver: io::Result<()>, generic: io::Result<()>, attach: Attach) -> State {
    let there = match (&driver, &generic) {
        (Ok(()), Ok(())) => return State::There("in the driver and generic"),
        (Ok(()), Err(_)) => "in the driver only",
        (Err(_), Ok(())) => "generic only",
        (Err(_), Err(_)) => "neither in the driver nor generic, and not asked for",
    };
    for (mode, attempt) in [(XdpMode::Driver, driver), (XdpMode::Generic, generic)] {
        if let Err(error) = attempt
            && attach.may_be(mode)
        {
            return State::Lacking(format!("{}: {}", Attach::of(Some(mode)).as_str(), reason(&error, XDP)));
        }
    }
    State::There(there)
}

/// The system's error in aya's.
fn as_io(error: HookError) -> io::Error {
    let code = match &error {
        HookError::Program(error) => links::errno(error),
        _ => None,
    };
    code.map_or_else(|| io::Error::other(error), Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> io::Result<()> {
        Err(io::Error::from_raw_os_error(rustix::io::Errno::OPNOTSUPP.raw_os_error()))
    }

    #[test]
    fn only_the_modes_that_are_asked_for_must_be_there() {
        for attach in [Attach::Auto, Attach::Tc, Attach::TcXdp, Attach::TcXdpDriver, Attach::TcXdpGeneric] {
            assert_eq!(judge(Ok(()), Ok(()), attach), State::There("in the driver and generic"), "{attach:?}");
        }
        for attach in [Attach::Auto, Attach::Tc, Attach::TcXdp, Attach::TcXdpGeneric] {
            assert_eq!(judge(refused(), Ok(()), attach), State::There("generic only"), "{attach:?}");
        }
        for attach in [Attach::Auto, Attach::Tc] {
            assert!(matches!(judge(refused(), refused(), attach), State::There(_)), "{attach:?}");
        }
        let State::Lacking(reason) = judge(refused(), Ok(()), Attach::TcXdpDriver) else { panic!("it is asked for") };
        assert!(reason.starts_with("tc+xdp-driver: ") && reason.contains("`--attach tc`"), "{reason}");
        for attach in [Attach::TcXdp, Attach::TcXdpGeneric] {
            let State::Lacking(reason) = judge(Ok(()), refused(), attach) else { panic!("{attach:?} asks for it") };
            assert!(reason.starts_with("tc+xdp-generic: "), "{reason}");
        }
    }
}
