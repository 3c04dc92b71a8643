//! A place: one client behind a slot.

/// Clients that one interface may have at once. A further one is dropped; a power of two.
pub const PLACES: usize = 32;

/// After so long without a packet a place may be given to another client. Longer than any idle flow of it lives
/// ([`crate::flow::IDLE_MS`]), so that a live connection keeps its place. In milliseconds.
pub const IDLE_MS: u32 = 300_000;

/// `state` of a place that nobody has.
pub const EMPTY: u32 = 0;
/// `state` of a place that is being written.
pub const CLAIMED: u32 = 1;
/// `state` of a place that is whole.
pub const READY: u32 = 2;

/// Who a client is: all that tells one behind an interface from another, and how to reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Client {
    /// Its address: IPv4 in the first four bytes and zeros, or IPv6.
    pub address: [u8; 16],
    /// Its MAC, or that of the router in front of it.
    pub mac: [u8; 6],
    /// The MAC that it sends to: ours in answers.
    pub gateway: [u8; 6],
    /// [`V4`] or [`V6`].
    pub family: u16,
    /// The VLAN tag, 0 without.
    pub vlan: u16,
}

const _: () = assert!(size_of::<Client>() == 32);

/// `family` of a client with an IPv4 address.
pub const V4: u16 = 4;
/// `family` of a client with an IPv6 address.
pub const V6: u16 = 6;

impl Client {
    /// The part of its address that its identity carries.
    #[inline(always)]
    #[must_use]
    pub const fn tag(&self) -> [u8; 4] {
        let [a0, a1, a2, a3, _, _, _, _, _, _, _, _, b0, b1, b2, b3] = self.address;
        if self.family == V4 { [a0, a1, a2, a3] } else { [b0, b1, b2, b3] }
    }
}

/// One entry of a slot's table of clients.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Place {
    /// [`EMPTY`], [`CLAIMED`] or [`READY`].
    pub state: u32,
    /// When its last packet came, in milliseconds since boot, wrapping.
    pub touched: u32,
    /// Who has it.
    pub client: Client,
}

const _: () = assert!(size_of::<Place>() == 40);
// SAFETY: repr(C), 4 + 4 + 32 bytes without padding, every bit pattern valid.
unsafe impl crate::Shared for Place {}

impl Place {
    /// Whether another client may take it.
    #[inline(always)]
    #[must_use]
    pub const fn is_free(&self, now_ms: u32) -> bool {
        self.state == EMPTY || self.state == READY && now_ms.wrapping_sub(self.touched) > IDLE_MS
    }

    /// Who has it, if that is the client whose identity has this part of its address.
    #[must_use]
    pub fn client(&self, tag: [u8; 4]) -> Option<&Client> {
        (self.state == READY && self.client.tag() == tag).then_some(&self.client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(state: u32, touched: u32) -> Place {
        Place { state, touched, client: Client { address: [0; 16], mac: [0; 6], gateway: [0; 6], family: V4, vlan: 0 } }
    }

    #[test]
    fn a_tag_is_the_address_s_most_telling_part() {
        let address = core::array::from_fn(|index| u8::try_from(index).expect("below 16"));
        let client = |family| Client { address, mac: [0; 6], gateway: [0; 6], family, vlan: 0 };
        assert_eq!(client(V4).tag(), [0, 1, 2, 3]);
        assert_eq!(client(V6).tag(), [12, 13, 14, 15]);
    }

    #[test]
    fn a_place_says_who_has_it_to_those_who_know_the_tag() {
        let mut place = place(READY, 0);
        place.client.address[..4].copy_from_slice(&[10, 0, 0, 1]);
        assert_eq!(place.client([10, 0, 0, 1]), Some(&place.client));
        assert_eq!(place.client([10, 0, 0, 2]), None, "another has it now");
        for state in [EMPTY, CLAIMED] {
            assert_eq!(Place { state, ..place }.client([10, 0, 0, 1]), None);
        }
    }

    #[test]
    fn a_place_is_free_when_empty_or_long_idle() {
        assert!(place(EMPTY, 5).is_free(5));
        assert!(!place(CLAIMED, 0).is_free(u32::MAX / 2));
        assert!(!place(READY, 1_000).is_free(1_000 + IDLE_MS));
        assert!(place(READY, 1_000).is_free(1_001 + IDLE_MS));
        assert!(!place(READY, u32::MAX).is_free(10), "the clock wraps");
    }
}
