//! The service's addresses, and the identity that the source address of a delivered packet carries.

/// The service's IPv4 address, in network order.
pub const SERVICE_V4: [u8; 4] = [169, 254, 169, 254];
/// The service's IPv6 address, `fd00:ec2::254`, in network order.
pub const SERVICE_V6: [u8; 16] = [0xfd, 0, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54];
/// The service's port.
pub const SERVICE_PORT: u16 = 80;

/// The MAC that instances find behind both addresses when they ask for it on their own link.
pub const NEIGHBOUR_MAC: [u8; 6] = [2, 0, 0xa9, 0xfe, 0xa9, 0xfe];

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

/// Whether a host can have this IPv4 address: not one of 0/8 or 127/8 (RFC 1122, section 3.2.1.3), not a group's and not
/// everybody's. 240/4 is reserved, but Linux takes it as any, and there are networks of containers in it.
#[inline(always)]
#[must_use]
pub const fn is_host_v4(address: [u8; 4]) -> bool {
    let [first, ..] = address;
    first != 0 && first != 127 && first >> 4 != 0xe && u32::from_be_bytes(address) != u32::MAX
}

/// Whether a host can have this IPv6 address, given as [`halves`]: not `::`, `::1`, a group's, or a mapped IPv4 address
/// (RFC 4291, section 2.5).
#[inline(always)]
#[must_use]
pub const fn is_host_v6([high, low]: [u64; 2]) -> bool {
    let mapped = low >> 32 == 0xffff;
    high >> 56 != 0xff && (high != 0 || low > 1 && !mapped)
}

/// Whether a prefix of so many bits holds [`SERVICE_V6`]; the prefix of no bits, which a default route has, doesn't.
#[inline(always)]
#[must_use]
pub const fn covers_service(prefix: [u8; 16], bits: u8) -> bool {
    let [high, low] = halves(prefix);
    let [service_high, service_low] = halves(SERVICE_V6);
    if bits == 0 || bits > 128 {
        return false;
    }
    let (high_bits, low_bits) = if bits <= 64 { (bits as u32, 0) } else { (64, bits as u32 - 64) };
    // A shift by 64 is none: the low half doesn't count then.
    let differ_high = (high ^ service_high) >> (64 - high_bits);
    let differ_low = if low_bits == 0 { 0 } else { (low ^ service_low) >> (64 - low_bits) };
    differ_high | differ_low == 0
}

/// Whether a route information option (RFC 4191, section 2.3) of this length, in units of eight bytes, says of a prefix of
/// so many bits that the service's address is in it. A prefix longer than its option holds goes on in whatever follows,
/// for some hosts: it may be the service's.
#[inline(always)]
#[must_use]
pub const fn route_covers_service(length: u8, prefix: [u8; 16], bits: u8) -> bool {
    let held = match length {
        0 | 1 => 0,
        2 => 64,
        _ => 128,
    };
    bits > held || covers_service(prefix, bits)
}

/// An address as two numbers, the first bytes first.
#[inline(always)]
#[must_use]
pub const fn halves(address: [u8; 16]) -> [u64; 2] {
    let [a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3, b4, b5, b6, b7] = address;
    [u64::from_be_bytes([a0, a1, a2, a3, a4, a5, a6, a7]), u64::from_be_bytes([b0, b1, b2, b3, b4, b5, b6, b7])]
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

    #[test]
    fn hosts_have_addresses_of_their_own() {
        for (address, expected) in [
            ([0, 0, 0, 0], false),
            ([0, 1, 2, 3], false),
            ([1, 0, 0, 1], true),
            ([126, 0, 0, 1], true),
            ([127, 0, 0, 1], false),
            ([128, 0, 0, 1], true),
            ([169, 254, 1, 1], true),
            ([223, 255, 255, 254], true),
            ([224, 0, 0, 1], false),
            ([239, 255, 255, 255], false),
            ([240, 0, 0, 0], true),
            ([255, 0, 0, 1], true),
            ([255, 255, 255, 254], true),
            ([255; 4], false),
        ] {
            assert_eq!(is_host_v4(address), expected, "{address:?}");
        }
        for (address, expected) in [
            ("::", false),
            ("::1", false),
            ("::2", true),
            ("::ffff:10.0.0.1", false),
            ("::fffe:10.0.0.1", true),
            ("1::ffff:10.0.0.1", true),
            ("fe80::1", true),
            ("fd00::1", true),
            ("2001:db8::1", true),
            ("feff::1", true),
            ("ff00::", false),
            ("ff02::1", false),
        ] {
            let octets = address.parse::<std::net::Ipv6Addr>().expect("an address").octets();
            assert_eq!(is_host_v6(halves(octets)), expected, "{address}");
        }
    }

    #[test]
    fn every_prefix_of_the_service_covers_it_and_no_other() {
        assert!(!covers_service(SERVICE_V6, 0), "a default route is nobody's");
        assert!(!covers_service(SERVICE_V6, 129));
        for bits in 1..=128_u8 {
            assert!(covers_service(SERVICE_V6, bits), "{bits}");
            let mut other = SERVICE_V6;
            other[usize::from(bits - 1) / 8] ^= 0x80 >> ((bits - 1) % 8);
            assert!(!covers_service(other, bits), "{bits}");
            assert_eq!(covers_service(other, bits - 1), bits > 1, "{bits}");
        }
    }

    #[test]
    fn a_route_longer_than_its_option_may_be_the_service_s() {
        const OTHER: [u8; 16] = [0x20; 16];
        for (length, bits, expected) in [
            (1, 0, false),
            (1, 1, true),
            (1, 64, true),
            (2, 0, false),
            (2, 64, false),
            (2, 65, true),
            (2, 128, true),
            (3, 64, false),
            (3, 65, false),
            (3, 128, false),
            (3, 129, true),
            (4, 128, false),
        ] {
            assert_eq!(route_covers_service(length, OTHER, bits), expected, "{bits} in {length}");
        }
        assert!(route_covers_service(2, SERVICE_V6, 64) && route_covers_service(3, SERVICE_V6, 128));
        assert!(!route_covers_service(3, SERVICE_V6, 0), "a default route is nobody's");
    }

    proptest! {
        #[test]
        fn an_identity_survives_the_address(slot: u16, generation: u16, place: u16, client: [u8; 4]) {
            let identity = Identity { slot, generation, place, client };
            prop_assert_eq!(Identity::from_address(identity.to_address()), Some(identity));
        }
    }
}
