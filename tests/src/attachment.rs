//! How a test's daemons attach their programs: [`in_each_attachment`](crate::in_each_attachment) makes a test of each
//! way out of one function.

use std::cell::Cell;

/// A way that a daemon attaches its programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// tc alone.
    Tc,
    /// tc, and XDP before it in the mode that costs less.
    TcXdp,
}

thread_local! {
    static CURRENT: Cell<Option<Attachment>> = const { Cell::new(None) };
}

impl Attachment {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Tc, Self::TcXdp];

    /// What `--attach` takes for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tc => "tc",
            Self::TcXdp => "tc+xdp",
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

/// Makes tests of functions: one for each attachment, in a module of its name.
#[macro_export]
macro_rules! in_each_attachment {
    ($($test:ident),+ $(,)?) => {
        $crate::in_each_attachment!(by_tc Tc $($test)+);
        $crate::in_each_attachment!(by_tc_and_xdp TcXdp $($test)+);
    };
    ($module:ident $attachment:ident $($test:ident)+) => {
        mod $module {
            $(
                #[test]
                fn $test() {
                    $crate::attachment::Attachment::$attachment.run(super::$test);
                }
            )+
        }
    };
}
