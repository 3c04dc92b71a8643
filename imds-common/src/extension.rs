//! IPv6 extension headers: what stands between a packet's header and what it carries.

/// The fragment header (RFC 8200, section 4.5).
pub const FRAGMENT: u8 = 44;
/// ESP, behind which nobody but its receiver reads (RFC 4303).
const ENCRYPTION: u8 = 50;
/// AH (RFC 4302).
const AUTHENTICATION: u8 = 51;
/// All others: hop-by-hop options, routing, ESP, AH, destination options, mobility.
const OTHERS: [u8; 6] = [0, 43, ENCRYPTION, AUTHENTICATION, 60, 135];

/// Headers that are looked behind: a packet has each at most once, and destination options twice (RFC 8200, section
/// 4.1). Senders must not send more; they hide what the packet is.
pub const CHAIN_MAX: usize = 7;

/// Whether this is an extension header other than [`FRAGMENT`], which hides what follows.
#[inline(always)]
#[must_use]
pub const fn is_extension(next: u8) -> bool {
    let mut i = 0;
    while i < OTHERS.len() {
        if OTHERS[i] == next {
            return true;
        }
        i += 1;
    }
    false
}

/// Whether it is followed by another that can be read: what is encrypted is its receiver's alone.
#[inline(always)]
#[must_use]
pub const fn can_look_behind(next: u8) -> bool {
    next != ENCRYPTION && (next == FRAGMENT || is_extension(next))
}

/// What stands behind a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// What it is.
    pub next: u8,
    /// So many bytes after the header's beginning.
    pub length: u32,
    /// Not 0 if more fragments follow, so that not all of it is here.
    pub cut: u8,
}

/// What stands behind the header of this kind with these first bytes: `None` behind that of a fragment other than the
/// first, which holds a part of something.
#[inline(always)]
#[must_use]
pub const fn behind(kind: u8, [next, length, o0, o1]: [u8; 4]) -> Option<Behind> {
    if kind == FRAGMENT {
        let offset = u16::from_be_bytes([o0, o1]) >> 3;
        return if offset == 0 { Some(Behind { next, length: 8, cut: o1 & 1 }) } else { None };
    }
    // AH counts words of four bytes, less two; the others words of eight, less one.
    let length = if kind == AUTHENTICATION { (length as u32 + 2) * 4 } else { (length as u32 + 1) * 8 };
    Some(Behind { next, length, cut: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTING: u8 = 43;
    const OPTIONS: u8 = 60;
    const ICMPV6: u8 = 58;

    #[test]
    fn the_longest_chain_is_one_of_each_and_options_twice() {
        let kinds = (0..=255).filter(|&kind| can_look_behind(kind)).count();
        assert_eq!(kinds + 1, CHAIN_MAX);
    }

    #[test]
    fn what_is_encrypted_hides_what_follows_and_is_not_looked_behind() {
        assert!(is_extension(ENCRYPTION) && !can_look_behind(ENCRYPTION));
        assert!(!is_extension(FRAGMENT) && can_look_behind(FRAGMENT), "a fragment is dropped as one");
        assert!(!is_extension(ICMPV6) && !can_look_behind(ICMPV6));
    }

    #[test]
    fn each_header_has_its_own_length() {
        for (kind, length, expected) in [(0, 0, 8), (ROUTING, 2, 24), (OPTIONS, 255, 2_048), (135, 1, 16)] {
            let found = behind(kind, [ICMPV6, length, 0xff, 0xff]);
            assert_eq!(found, Some(Behind { next: ICMPV6, length: expected, cut: 0 }), "{kind}");
        }
        for (length, expected) in [(1, 12), (4, 24), (255, 1_028)] {
            let found = behind(AUTHENTICATION, [ICMPV6, length, 0, 0]);
            assert_eq!(found, Some(Behind { next: ICMPV6, length: expected, cut: 0 }));
        }
    }

    #[test]
    fn only_the_first_fragment_says_what_it_is() {
        let whole = Behind { next: ICMPV6, length: 8, cut: 0 };
        assert_eq!(behind(FRAGMENT, [ICMPV6, 9, 0, 0]), Some(whole), "its second byte is reserved");
        assert_eq!(behind(FRAGMENT, [ICMPV6, 0, 0, 6]), Some(whole), "two bits are reserved");
        assert_eq!(behind(FRAGMENT, [ICMPV6, 0, 0, 1]), Some(Behind { cut: 1, ..whole }));
        for offset in [[0, 8], [0, 9], [1, 0], [0xff, 0xf8]] {
            assert_eq!(behind(FRAGMENT, [ICMPV6, 0, offset[0], offset[1]]), None, "{offset:?}");
        }
    }
}
