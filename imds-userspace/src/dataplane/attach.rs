//! How programs are attached: by tc on every interface, and by XDP before it where that is asked for or costs nothing.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::interface::Kind;

/// How programs are attached to an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
pub enum Attach {
    /// tc, with XDP where it costs no bulk traffic by what was measured
    #[serde(rename = "auto")]
    Auto,
    /// tc: tcx where the kernel has it, else a clsact filter
    #[serde(rename = "tc")]
    Tc,
    /// tc, and XDP before it in the mode that costs less on that kind of interface
    #[serde(rename = "tc+xdp")]
    #[value(name = "tc+xdp")]
    TcXdp,
    /// tc, and XDP before it in the interface's driver
    #[serde(rename = "tc+xdp-driver")]
    #[value(name = "tc+xdp-driver")]
    TcXdpDriver,
    /// tc, and XDP before it in the generic mode, which every interface has
    #[serde(rename = "tc+xdp-generic")]
    #[value(name = "tc+xdp-generic")]
    TcXdpGeneric,
}

/// What becomes of an interface that XDP is asked for on and can't be attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutXdp {
    /// It isn't taken: nobody depends on it yet.
    Refuse,
    /// tc alone enforces on it: its instance is there, and must not be left open.
    GoOn,
}

/// Where XDP runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpMode {
    /// In the interface's driver.
    Driver,
    /// Before tc, once the driver has made the kernel's own packet of the frame.
    Generic,
}

/// How much of the bulk traffic through an interface with nothing attached there is with tc and XDP, in the direction
/// that loses more, by `cargo xtask bench bulk`.
const MEASURED: &[(Kind, XdpMode, f64)] = &[
    (Kind::Veth, XdpMode::Driver, 0.43),
    (Kind::Veth, XdpMode::Generic, 0.85),
    (Kind::BridgedVeth, XdpMode::Driver, 0.42),
    (Kind::BridgedVeth, XdpMode::Generic, 0.88),
    (Kind::Tap, XdpMode::Driver, 0.89),
    (Kind::Tap, XdpMode::Generic, 0.91),
];

/// What of it costs nothing.
const FREE: f64 = 0.98;

/// The mode that costs less on a kind of interface, and what is left of bulk traffic with it: nothing of what nobody
/// has measured.
fn best(kind: Kind) -> (XdpMode, f64) {
    let measured = MEASURED.iter().filter(|(of, ..)| *of == kind).map(|&(_, mode, left)| (mode, left));
    measured.max_by(|(_, one), (_, other)| one.total_cmp(other)).unwrap_or((XdpMode::Generic, 0.0))
}

impl Attach {
    /// The mode of XDP on an interface of this kind, if it is attached.
    #[must_use]
    pub fn mode(self, kind: Kind) -> Option<XdpMode> {
        match self {
            Self::Auto => Some(best(kind)).filter(|&(_, left)| left >= FREE).map(|(mode, _)| mode),
            Self::Tc => None,
            Self::TcXdp => Some(best(kind).0),
            Self::TcXdpDriver => Some(XdpMode::Driver),
            Self::TcXdpGeneric => Some(XdpMode::Generic),
        }
    }

    /// Whether XDP is attached in this mode on an interface of any kind.
    #[must_use]
    pub fn may_be(self, mode: XdpMode) -> bool {
        Kind::ALL.iter().any(|&kind| self.mode(kind) == Some(mode))
    }

    /// What is attached with this mode of XDP, or none.
    #[must_use]
    pub const fn of(mode: Option<XdpMode>) -> Self {
        match mode {
            None => Self::Tc,
            Some(XdpMode::Driver) => Self::TcXdpDriver,
            Some(XdpMode::Generic) => Self::TcXdpGeneric,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Tc => "tc",
            Self::TcXdp => "tc+xdp",
            Self::TcXdpDriver => "tc+xdp-driver",
            Self::TcXdpGeneric => "tc+xdp-generic",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_has_one_name_everywhere() {
        for attach in Attach::value_variants() {
            let name = attach.as_str();
            assert_eq!(attach.to_possible_value().expect("shown").get_name(), name);
            assert_eq!(serde_json::to_value(attach).expect("JSON"), name);
        }
    }

    #[test]
    fn what_is_named_is_what_is_attached() {
        for kind in Kind::ALL {
            for mode in [None, Some(XdpMode::Driver), Some(XdpMode::Generic)] {
                assert_eq!(Attach::of(mode).mode(kind), mode, "{kind:?}");
            }
            assert!(Attach::TcXdp.mode(kind).is_some(), "{kind:?}");
        }
    }

    #[test]
    fn by_itself_comes_only_what_was_measured_to_be_free() {
        for kind in Kind::ALL {
            let free = MEASURED.iter().any(|&(of, _, left)| of == kind && left >= FREE);
            assert_eq!(Attach::Auto.mode(kind).is_some(), free, "{kind:?}");
        }
        assert_eq!(Attach::Auto.mode(Kind::Other), None, "nobody has measured it");
        assert_eq!(Attach::TcXdp.mode(Kind::Veth), Some(XdpMode::Generic), "the driver's halves it");
    }
}
