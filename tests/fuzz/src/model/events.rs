//! What happened in a [`World`](super::World).

use imds_common::flow::{Daemon, Flow, Segment};
use imds_common::verdict::Refusal;

use super::daemon::Packet;

/// How often something happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reached {
    /// A request was refused by the kernel, ...
    pub refused: u32,
    /// ... after others on its connection had been answered.
    pub refused_later: u32,
    /// The kernel gave its answer again.
    pub repeated: u32,
    /// It acknowledged something after it.
    pub acknowledged: u32,
    /// A token's bytes were sent.
    pub tokens: u32,
    /// Bytes were sent on a connection that carried only reads.
    pub normal: u32,
    /// An entry was taken from another connection.
    pub taken: u32,
}

/// What `imds_ingress` made of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It went to the daemon.
    Delivered,
    /// The kernel refused it.
    Refused(Refusal),
    /// The kernel repeated its answer.
    Repeated,
    /// The kernel acknowledged it.
    Acknowledged,
    /// Nothing was said.
    Swallowed,
}

/// A segment, and what one of the programs made of it.
#[derive(Clone, Debug)]
pub enum Event {
    /// One of a client's, and the flow afterwards.
    Client(usize, Packet, Taken, Option<Flow>),
    /// One of the daemon's, and the flow afterwards.
    Daemon(usize, Segment, Daemon, Option<Flow>),
}

impl Reached {
    /// Adds what happened in another run.
    pub fn add(&mut self, other: &Self) {
        self.refused += other.refused;
        self.refused_later += other.refused_later;
        self.repeated += other.repeated;
        self.acknowledged += other.acknowledged;
        self.tokens += other.tokens;
        self.normal += other.normal;
        self.taken += other.taken;
    }
}
