//! What became of an instance's packets and requests lately, for people: no byte of a token, of an answer or of
//! anything else that may be secret gets this far.
//!
//! | module | what it holds |
//! |---|---|
//! | `decode` | an event of the kernel's, read |
//! | [`head`] | what may be shown of a request's head |
//! | [`recent`] | the last ones of one slot |
//! | [`advice`] | what to change |

pub mod advice;
mod decode;
pub mod head;
pub mod recent;

use std::time::{SystemTime, UNIX_EPOCH};

use imds_common::counters::Counter;

use self::head::Head;

/// Who gave the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The kernel programs.
    Kernel,
    /// The daemon.
    Daemon,
}

impl By {
    /// Its name in outputs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Daemon => "daemon",
        }
    }
}

/// One packet or request, and its verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// Who gave the verdict.
    pub by: By,
    /// The client's address, as far as it is known.
    pub client: Option<String>,
    /// The client's port.
    pub port: Option<u16>,
    /// What kind of packet it was, such as `TCP SYN to port 443`; nothing where the daemon saw a request only.
    pub packet: Option<String>,
    /// What it asked for, as far as that stood in it.
    pub head: Head,
    /// What counted it: the verdict.
    pub counter: Counter,
}

/// The time of day in milliseconds since 1970.
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl Seen {
    /// A request that the daemon refused.
    #[must_use]
    pub fn request(client: Option<String>, port: u16, head: &[u8], counter: Counter) -> Self {
        let head = Head::read(head);
        Self { unix_ms: unix_ms(), by: By::Daemon, client, port: Some(port), packet: None, head, counter }
    }
}
