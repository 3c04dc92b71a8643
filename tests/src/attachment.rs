//! How a test's daemons attach their programs: [`in_each_attachment`](crate::in_each_attachment) makes a test of each
//! way out of one function.

use std::cell::Cell;

/// A way that a daemon attaches its programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// tc alone.
    Tc,
    /// tc, and XDP before it in the mode that costs less, which is the generic one so far.
    TcXdp,
    /// tc, and XDP before it in the interface's driver.
    TcXdpDriver,
}

thread_local! {
    static CURRENT: Cell<Option<Attachment>> = const { Cell::new(None) };
}

impl Attachment {
    /// What `--attach` takes for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tc => "tc",
            Self::TcXdp => "tc+xdp",
            Self::TcXdpDriver => "tc+xdp-driver",
        }
    }

    /// The program that sees a frame before tc does, by its pin.
    #[must_use]
    pub const fn early(self) -> Option<&'static str> {
        match self {
            Self::Tc => None,
            Self::TcXdp => Some("imds_xdp"),
            Self::TcXdpDriver => Some("imds_xdp_driver"),
        }
    }

    /// Runs a test whose daemons attach so.
    pub fn run(self, test: impl FnOnce()) {
        CURRENT.set(Some(self));
        test();
        CURRENT.set(None);
    }

    /// That of the test that runs, if it has one.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.get()
    }
}

/// Makes of each of these functions three tests: `name::by_tc`, `name::by_tc_and_xdp` and `name::by_tc_and_xdp_driver`.
/// After `families:`, of functions that take a [`Family`](crate::family::Family), six.
#[macro_export]
macro_rules! in_each_attachment {
    (families: $($name:ident),+ $(,)?) => {
        $(
            mod $name {
                use $crate::attachment::Attachment;
                use $crate::family::Family;

                #[test]
                fn ipv4_by_tc() {
                    Attachment::Tc.run(|| super::$name(Family::Ipv4));
                }

                #[test]
                fn ipv4_by_tc_and_xdp() {
                    Attachment::TcXdp.run(|| super::$name(Family::Ipv4));
                }

                #[test]
                fn ipv4_by_tc_and_xdp_driver() {
                    Attachment::TcXdpDriver.run(|| super::$name(Family::Ipv4));
                }

                #[test]
                fn ipv6_by_tc() {
                    Attachment::Tc.run(|| super::$name(Family::Ipv6));
                }

                #[test]
                fn ipv6_by_tc_and_xdp() {
                    Attachment::TcXdp.run(|| super::$name(Family::Ipv6));
                }

                #[test]
                fn ipv6_by_tc_and_xdp_driver() {
                    Attachment::TcXdpDriver.run(|| super::$name(Family::Ipv6));
                }
            }
        )+
    };
    ($($name:ident),+ $(,)?) => {
        $(
            mod $name {
                use $crate::attachment::Attachment;

                #[test]
                fn by_tc() {
                    Attachment::Tc.run(super::$name);
                }

                #[test]
                fn by_tc_and_xdp() {
                    Attachment::TcXdp.run(super::$name);
                }

                #[test]
                fn by_tc_and_xdp_driver() {
                    Attachment::TcXdpDriver.run(super::$name);
                }
            }
        )+
    };
}
