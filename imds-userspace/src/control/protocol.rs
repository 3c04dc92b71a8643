//! What `imdsctl` and `imdsd` say to each other: one JSON object a line, over the control socket.
//!
//! A connection carries one request and one reply. Names and values of options are EC2's. The replies' payloads are
//! also what `imdsctl --output json` prints, so fields are only ever added.

use serde::{Deserialize, Serialize};

use crate::dataplane::attach::Attach;
use crate::metadata::document::Document;
use crate::registry::request::{Applied, Change, CreateInstance, Described, LimitChanges, OptionChanges};
use crate::registry::view::{CertificatesView, EventsView, InstanceView, KeysView, ReleasedInterface, StatsView};

/// The version of this protocol. A daemon answers a request of another version with an error that names both.
pub const VERSION: u32 = 1;

/// The longest request that the daemon takes, in bytes: user data of 16 KiB in base64, credentials and tags fit many
/// times.
pub const MESSAGE_MAX: usize = 1024 * 1024;

/// The longest reply that `imdsctl` takes, in bytes: an instance in each of the 65,536 slots there can be, with its
/// counters or its options in under 2 KiB.
pub const REPLY_MAX: usize = 65_536 * 2048;

/// A request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// [`VERSION`] of the sender.
    pub version: u32,
    /// What to do.
    pub command: Command,
}

/// A reply: exactly one of the two.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It was done.
    Ok(Payload),
    /// It was not, and nothing was changed.
    Error(Failure),
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// The broken condition and the way out.
    pub message: String,
}

/// The kinds of failures; each has an exit code of `imdsctl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The request itself is wrong: a malformed id, a value out of range, options that exclude each other.
    Invalid,
    /// No such instance, or no such closed interface.
    NotFound,
    /// What there is stands against it: the id or the interface is taken, the keys were rotated a short time ago.
    Conflict,
    /// The host can't do it: no such interface, a kind that doesn't work, a kernel's no.
    Unsupported,
    /// The other side speaks another version.
    Version,
    /// Something inside failed; the message says what.
    Internal,
}

/// What to do.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Creates an instance, or finds it there with the same content.
    InstanceCreate(Box<CreateInstance>),
    /// Lists all instances.
    InstanceList,
    /// Shows one instance.
    InstanceShow {
        /// Its id.
        instance_id: String,
    },
    /// Deletes one instance.
    InstanceDelete {
        /// Its id.
        instance_id: String,
        /// Whether its interfaces are let go; else they stay closed.
        #[serde(default)]
        release: bool,
    },
    /// Lets an interface go that is closed since its instance was deleted.
    InterfaceRelease {
        /// Its name on the host.
        interface: String,
    },
    /// Attaches to an interface of an instance in another way.
    InterfaceAttach {
        /// Its name on the host.
        interface: String,
        /// How; left out: as the daemon does by itself.
        attach: Option<Attach>,
    },
    /// Restarts one instance: its identity document is made and signed anew.
    InstanceRestart {
        /// Its id.
        instance_id: String,
    },
    /// Gives the certificates that identity documents are checked with.
    IdentityCertificates,
    /// Changes options of one instance, or of all.
    OptionsSet {
        /// Its id, or all instances.
        instance_id: Option<String>,
        /// What to change; what is left out keeps its value.
        changes: OptionChanges,
    },
    /// Changes limits of one instance.
    LimitsSet {
        /// Its id.
        instance_id: String,
        /// What to change; what is left out keeps its value.
        changes: LimitChanges,
    },
    /// Changes the document of one instance.
    DocumentChange {
        /// Its id.
        instance_id: String,
        /// How.
        change: Box<Change>,
    },
    /// Reads the document of one instance, with everything that is derived, without its secrets.
    DocumentGet {
        /// Its id.
        instance_id: String,
    },
    /// Brings instances to a described state.
    Apply {
        /// Each once.
        instances: Vec<Described>,
        /// Whether only to say what would be done.
        check: bool,
        /// Indexes of interfaces that instances take which are described in requests before this one, and not yet made.
        claimed: Vec<u32>,
    },
    /// Reads the counters of one instance, or of all and of the host.
    Stats {
        /// Its id, or all.
        instance_id: Option<String>,
    },
    /// Reads the last refusals and drops of one instance.
    Explain {
        /// Its id.
        instance_id: String,
        /// How many at most.
        last: usize,
    },
    /// Traces one instance from now on, for as long as this is asked again within some seconds.
    Trace {
        /// Its id.
        instance_id: String,
        /// A number that tells those who trace at once apart: a random one, the same in each request.
        #[serde(default)]
        tracer: u64,
        /// The number of the last event that was shown; left out by the first request, which shows none.
        after: Option<u64>,
        /// Whether this is the last request: the trace ends at once.
        #[serde(default)]
        end: bool,
    },
    /// Makes a new key, which signs tokens from now on.
    KeysRotate {
        /// Whether tokens may end before their time by it.
        force: bool,
    },
}

/// A reply's payload.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payload {
    /// Of create, show, restart, delete, `InterfaceAttach` and changes of a document or of limits: the instance (as it was,
    /// when deleted).
    Instance(Box<InstanceView>),
    /// Of list and of `OptionsSet`: the instances.
    Instances(Vec<InstanceView>),
    /// Of `InterfaceRelease`: the interface.
    Interface(ReleasedInterface),
    /// Of reading a document.
    Document(Box<Document>),
    /// Of apply.
    Applied(Vec<Applied>),
    /// Of stats.
    Stats(StatsView),
    /// Of `Explain` and `Trace`.
    Events(EventsView),
    /// Of `KeysRotate`.
    Keys(KeysView),
    /// Of `IdentityCertificates`.
    Certificates(CertificatesView),
}

#[cfg(test)]
mod tests;
