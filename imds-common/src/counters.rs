//! The numbered counters of a slot: every verdict, refusal and drop has one.
//!
//! Numbers are never reused: a retired one keeps its place, so that a stored count never changes its meaning.
//! Slot 0 belongs to nobody and counts what no instance owns.

/// How many counters a slot has room for; a later build may use more of them without another map.
pub const COUNTERS: usize = 64;

/// The counters of one slot, by number.
pub type SlotCounters = [u64; COUNTERS];

// SAFETY: an array of integers.
unsafe impl crate::Shared for SlotCounters {}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident = $number:literal $text:literal,)*) => {
        /// What is counted. The number is its place in [`SlotCounters`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Counter {
            $($(#[$doc])* $name = $number,)*
        }

        impl Counter {
            /// Every counter, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name in outputs.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

counters! {
    /// Segments that the kernel delivered to the daemon.
    Delivered = 0 "delivered",
    /// Segments that the kernel sent to a client: the daemon's, and its own.
    Answered = 1 "answered",
    /// Segments among them whose TTL was limited.
    Limited = 2 "limited",
    /// Questions for the service's MAC that the kernel answered: ARP, and neighbour solicitations.
    AnsweredNeighbour = 3 "answered-neighbour",
    /// Packets that would have been told of, but were over the slot's budget of events or found no room.
    EventsLost = 4 "events-lost",

    /// Refused: the endpoint is disabled (403).
    RefusedEndpointDisabled = 8 "refused-endpoint-disabled",
    /// Refused: not HTTP/1.0 or 1.1, or two different token headers (400).
    RefusedMalformed = 9 "refused-malformed",
    /// Refused: `X-Forwarded-For` where a token is asked for or given (403).
    RefusedForwarded = 10 "refused-forwarded",
    /// Refused: a token's TTL is missing or outside 1 to 21,600 (400).
    RefusedTtlInvalid = 11 "refused-ttl-invalid",
    /// Refused: a method that the token path doesn't take (405).
    RefusedTokenPathMethod = 12 "refused-token-path-method",
    /// Refused: a PUT on another path (403).
    RefusedPutElsewhere = 13 "refused-put-elsewhere",
    /// Refused: a method that the tree doesn't take (405).
    RefusedTreeMethod = 14 "refused-tree-method",
    /// Refused: no token where one is required (401).
    RefusedTokenMissing = 15 "refused-token-missing",
    /// Refused: a token that is not good (401).
    RefusedTokenInvalid = 16 "refused-token-invalid",
    /// Refused: the head is too large (431).
    RefusedHeadTooLarge = 17 "refused-head-too-large",
    /// Refused: too many connections (503).
    RefusedTooManyConnections = 18 "refused-too-many-connections",
    /// Refused: more requests in a second than the instance may send (503).
    RefusedTooManyRequests = 19 "refused-too-many-requests",

    /// Dropped: the interface belongs to no instance.
    DroppedUnowned = 24 "dropped-unowned",
    /// Dropped: IPv6 to the service's address, where `HttpProtocolIpv6` is `disabled`.
    DroppedIpv6 = 25 "dropped-ipv6",
    /// Dropped: not TCP.
    DroppedProtocol = 26 "dropped-protocol",
    /// Dropped: another port than 80.
    DroppedPort = 27 "dropped-port",
    /// Dropped: a fragment.
    DroppedFragment = 28 "dropped-fragment",
    /// Dropped: a header with IP options.
    DroppedIpOptions = 29 "dropped-ip-options",
    /// Dropped: a header that is cut short or contradicts itself.
    DroppedTruncated = 30 "dropped-truncated",
    /// Dropped: a VLAN tag, or a SNAP header, in front of the header.
    DroppedVlan = 31 "dropped-vlan",
    /// Dropped: a further client behind the interface than there are places.
    DroppedPlaces = 32 "dropped-places",
    /// Dropped: a further connection than there are flows.
    DroppedFlows = 33 "dropped-flows",
    /// Dropped: a segment of a connection that the kernel has refused and still answers for.
    DroppedAfterRefusal = 34 "dropped-after-refusal",
    /// Dropped: a refusal that the host's config wants silent.
    DroppedSilently = 35 "dropped-silently",
    /// Dropped: the kernel could not change or send the packet.
    DroppedHelper = 36 "dropped-helper",
    /// Dropped on the way back: the source isn't the service, or no identity.
    DroppedReplyStray = 37 "dropped-reply-stray",
    /// Dropped on the way back: the slot has another generation now.
    DroppedReplyGeneration = 38 "dropped-reply-generation",
    /// Dropped on the way back: the place is empty.
    DroppedReplyPlace = 39 "dropped-reply-place",
    /// Dropped on the way back: the connection is the kernel's since it refused.
    DroppedReplyRefused = 40 "dropped-reply-refused",
    /// Dropped: a source address that no host can have.
    DroppedSource = 41 "dropped-source",
    /// Dropped: a frame from one of the service's addresses, or one that says who has it.
    DroppedImpersonation = 42 "dropped-impersonation",
    /// Dropped: an IPv6 extension header.
    DroppedExtension = 43 "dropped-extension",
    /// Dropped: more packets in a second than the instance may send to the service.
    DroppedBudget = 44 "dropped-budget",
    /// Dropped: a source address or a MAC that the instance doesn't list.
    DroppedForged = 45 "dropped-forged",
    /// Dropped, and told apart: a router behind the instance says that one of our answers reached its hop limit there.
    DroppedTimeExceeded = 46 "dropped-time-exceeded",
    /// Dropped on the way back: a reset behind the daemon's FIN, which would take the last answer from its client.
    DroppedReplyLate = 47 "dropped-reply-late",

    /// Requests that the daemon answered, refusals among them.
    Requests = 48 "requests",
    /// Tokens that the daemon minted.
    TokensIssued = 49 "tokens-issued",
    /// Reads without a token that the daemon served with 200 (CloudWatch's `MetadataNoToken`).
    NoToken = 50 "no-token",

    /// Packets that only a tracer would have been told of, but were over the slot's budget of events or found no room.
    TraceLost = 51 "trace-lost",
}

impl Counter {
    /// The counter with this number, if this build has it.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|&counter| counter as u32 == number)
    }

    /// Its place in [`SlotCounters`].
    #[inline(always)]
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize & (COUNTERS - 1)
    }
}

const _: () = {
    let mut i = 1;
    while i < Counter::ALL.len() {
        assert!((Counter::ALL[i - 1] as u32) < Counter::ALL[i] as u32, "numbers ascend and none is used twice");
        i += 1;
    }
    assert!((Counter::ALL[Counter::ALL.len() - 1] as usize) < COUNTERS);
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Refusal;
    use std::collections::HashSet;

    #[test]
    fn each_has_its_own_name_and_place() {
        let names: HashSet<_> = Counter::ALL.iter().map(|counter| counter.as_str()).collect();
        let places: HashSet<_> = Counter::ALL.iter().map(|counter| counter.index()).collect();
        assert_eq!(names.len(), Counter::ALL.len());
        assert_eq!(places.len(), Counter::ALL.len());
    }

    #[test]
    fn each_refusal_has_its_own_counter() {
        let counters: HashSet<_> = Refusal::ALL.iter().map(|refusal| refusal.counter()).collect();
        assert_eq!(counters.len(), Refusal::ALL.len());
        assert!(counters.iter().all(|counter| counter.as_str().starts_with("refused-")));
    }
}
