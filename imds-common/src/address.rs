//! The service's addresses, and the identity that the source address of a delivered packet carries.

/// The service's IPv4 address, in network order.
pub const SERVICE_V4: [u8; 4] = [169, 254, 169, 254];
/// The service's IPv6 address, `fd00:ec2::254`, in network order.
pub const SERVICE_V6: [u8; 16] = [0xfd, 0, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54];
/// The service's port.
pub const SERVICE_PORT: u16 = 80;

/// The MAC of the service link's end in the namespace: a frame to any other is not taken there.
pub const SERVICE_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// The MAC that every client has inside the namespace.
pub const ROUTER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// The first 48 bits of every identity: `fd00:ec2:1::/48`, which holds no address of the service.
pub const IDENTITY_PREFIX: [u8; 6] = [0xfd, 0, 0x0e, 0xc2, 0, 1];
/// The prefix's length in bits.
pub const IDENTITY_PREFIX_BITS: u8 = 48;

/// Whose packet it is, as the kernel writes it into the IPv6 source address.
///
/// | bytes | field |
/// |---|---|
/// | 0..6 | [`IDENTITY_PREFIX`] |
/// | 6..8 | slot, big endian |
/// | 8..10 | generation, big endian |
/// | 10..12 | place, big endian |
/// | 12..16 | the client's IPv4 address; of an IPv6 client, its last four bytes |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The slot: one interface of one instance.
    pub slot: u16,
    /// The slot's generation: whose it is now.
    pub generation: u16,
    /// The place: the client behind the interface.
    pub place: u16,
    /// A part of the client's address, for people who read logs.
    pub client: [u8; 4],
}

impl Identity {
    /// The address that says so.
    #[inline(always)]
    #[must_use]
    pub const fn to_address(self) -> [u8; 16] {
        let [p0, p1, p2, p3, p4, p5] = IDENTITY_PREFIX;
        let [s0, s1] = self.slot.to_be_bytes();
        let [g0, g1] = self.generation.to_be_bytes();
        let [l0, l1] = self.place.to_be_bytes();
        let [c0, c1, c2, c3] = self.client;
        [p0, p1, p2, p3, p4, p5, s0, s1, g0, g1, l0, l1, c0, c1, c2, c3]
    }

    /// The identity that an address says, or `None` outside the prefix.
    #[inline(always)]
    #[must_use]
    pub const fn from_address(address: [u8; 16]) -> Option<Self> {
        let [p0, p1, p2, p3, p4, p5, s0, s1, g0, g1, l0, l1, c0, c1, c2, c3] = address;
        // One comparison: a byte-wise one is as many branches for the verifier.
        if u64::from_be_bytes([0, 0, p0, p1, p2, p3, p4, p5]) != PREFIX {
            return None;
        }
        Some(Self {
            slot: u16::from_be_bytes([s0, s1]),
            generation: u16::from_be_bytes([g0, g1]),
            place: u16::from_be_bytes([l0, l1]),
            client: [c0, c1, c2, c3],
        })
    }
}

const PREFIX: u64 = {
    let [p0, p1, p2, p3, p4, p5] = IDENTITY_PREFIX;
    u64::from_be_bytes([0, 0, p0, p1, p2, p3, p4, p5])
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_layout_is_the_documented_one() {
        let identity = Identity { slot: 0x0102, generation: 0x0304, place: 0x0506, client: [10, 0, 0, 7] };
        let address = [0xfd, 0, 0x0e, 0xc2, 0, 1, 1, 2, 3, 4, 5, 6, 10, 0, 0, 7];
        assert_eq!(identity.to_address(), address);
        assert_eq!(Identity::from_address(address), Some(identity));
    }

    #[test]
    fn every_bit_of_the_prefix_counts() {
        let address = Identity { slot: 1, generation: 2, place: 3, client: [4; 4] }.to_address();
        for bit in 0..48 {
            let mut other = address;
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Identity::from_address(other), None, "bit {bit}");
        }
        assert_eq!(Identity::from_address(SERVICE_V6), None);
    }

    proptest! {
        #[test]
        fn an_identity_survives_the_address(slot: u16, generation: u16, place: u16, client: [u8; 4]) {
            let identity = Identity { slot, generation, place, client };
            prop_assert_eq!(Identity::from_address(identity.to_address()), Some(identity));
        }
    }
}
