//! By what programs can be attached to an interface.

use std::io;

use aya::programs::tc::{TcError, qdisc_add_clsact};
use aya::programs::{ProgramError, SchedClassifier, TcAttachType};

use super::{State, reason};
use crate::dataplane::links;

/// How a program could be attached to this interface of a namespace that nobody else uses.
pub(super) fn probe(interface: &str) -> State {
    match SchedClassifier::query_tcx(interface, TcAttachType::Ingress) {
        Ok(_) => State::There("tcx links"),
        Err(error) if links::lacks_tcx(&error) => match qdisc_add_clsact(interface) {
            Ok(()) => State::There("clsact filters, as there are no tcx links"),
            Err(TcError::NetlinkError(error)) => lacking(error.raw_os_error(), error.to_string()),
            Err(error) => lacking(None, error.to_string()),
        },
        Err(ProgramError::SyscallError(error)) => lacking(error.io_error.raw_os_error(), error.to_string()),
        Err(error) => lacking(None, error.to_string()),
    }
}

fn lacking(code: Option<i32>, text: String) -> State {
    let error = code.map_or_else(|| io::Error::other(text), io::Error::from_raw_os_error);
    let needs =
        "a kernel with CONFIG_NET_XGRESS (tcx), or with CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_BPF is needed";
    State::Lacking(reason(&error, needs))
}
