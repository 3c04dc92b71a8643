//! Who may send to the service behind an interface: the addresses and MACs that an instance lists.
//!
//! An instance that lists nothing may send from any. An address is an address: one that a host has beside those that are
//! listed, such as its link-local IPv6 address, is another, and is listed too if the host asks from it.

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

/// Addresses and networks that an instance may list: an address of each family, a link-local one, and delegated prefixes
/// fit several times, and a search through all of them is short.
pub const ADDRESSES: usize = 16;
/// MACs that an instance may list.
pub const MACS: usize = 8;

/// The family of a sender with an IPv4 address.
pub const V4: u64 = 4;
/// The family of a sender with an IPv6 address.
pub const V6: u64 = 6;

/// What isn't an address, a network or a MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SenderError {
    /// No address, or no length of a prefix.
    Address,
    /// A prefix longer than an address.
    Length,
    /// An address inside a network in the place of the network's.
    HostBits,
    /// No MAC.
    Mac,
    /// The MAC of a group, which nobody sends from.
    GroupMac,
}

impl fmt::Display for SenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "specify an IPv4 or IPv6 address, or a network like 10.0.0.0/24",
            Self::Length => "specify a prefix of at most 32 bits of IPv4, or 128 of IPv6",
            Self::HostBits => "specify the network with zeros behind its prefix, or the address without a prefix",
            Self::Mac => "specify six pairs of hexadecimal digits with colons between",
            Self::GroupMac => "specify the MAC of one host; this one is a group's",
        })
    }
}

impl core::error::Error for SenderError {}

/// A network, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// The network of an address's first bits.
    ///
    /// # Errors
    ///
    /// [`SenderError::Length`], [`SenderError::HostBits`].
    pub fn new(address: IpAddr, bits: u8) -> Result<Self, SenderError> {
        let network = Self { address, bits };
        if bits > network.width() {
            return Err(SenderError::Length);
        }
        let Words { address, mask, .. } = Words::of(&network);
        if address[0] & !mask[0] | address[1] & !mask[1] != 0 {
            return Err(SenderError::HostBits);
        }
        Ok(network)
    }

    /// The length of an address of its family, in bits.
    fn width(&self) -> u8 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }

    /// Whether every address of `other` is one of its own.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.bits <= other.bits && Words::of(self).holds(&Sender::of(other.address))
    }
}

impl FromStr for Network {
    type Err = SenderError;
    fn from_str(text: &str) -> Result<Self, SenderError> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| SenderError::Address)?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => whole,
            // "+24" is a number for the standard library.
            Some(bits) if !bits.bytes().all(|byte| byte.is_ascii_digit()) => return Err(SenderError::Address),
            Some("") => return Err(SenderError::Address),
            Some(bits) => bits.parse().map_err(|_| SenderError::Length)?,
        };
        Self::new(address, bits)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bits == self.width() { self.address.fmt(f) } else { write!(f, "{}/{}", self.address, self.bits) }
    }
}

/// A host's MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac([u8; 6]);

impl FromStr for Mac {
    type Err = SenderError;
    fn from_str(text: &str) -> Result<Self, SenderError> {
        let mut mac = [0; 6];
        let mut pairs = text.split(':');
        for byte in &mut mac {
            let pair = pairs.next().filter(|pair| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit()));
            *byte = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or(SenderError::Mac)?;
        }
        if pairs.next().is_some() {
            return Err(SenderError::Mac);
        }
        if mac[0] & 1 != 0 { Err(SenderError::GroupMac) } else { Ok(Self(mac)) }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Where a packet comes from, as its IP header says. Addresses are words as they stand in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Sender {
    /// Its address; one of IPv4 in the first four bytes, and zeros.
    pub address: [u64; 2],
    /// [`V4`] or [`V6`].
    pub family: u64,
}

impl Sender {
    /// The sender with these bytes of an IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn v4([a, b, c, d]: [u8; 4]) -> Self {
        Self { address: [u64::from_ne_bytes([a, b, c, d, 0, 0, 0, 0]), 0], family: V4 }
    }

    /// The sender with this IPv6 address.
    #[inline(always)]
    #[must_use]
    pub const fn v6(address: [u64; 2]) -> Self {
        Self { address, family: V6 }
    }

    fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::v4(address.octets()),
            IpAddr::V6(address) => Self::v6(words(address.to_bits())),
        }
    }
}

/// The bits of an IPv6 address as they stand in memory.
const fn words(bits: u128) -> [u64; 2] {
    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    let words = [((bits >> 64) as u64).to_be(), (bits as u64).to_be()];
    words
}

/// A network as the kernel compares with it: three words that are to be those of the sender. Zeros are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
struct Words {
    address: [u64; 2],
    mask: [u64; 2],
    family: u64,
}

impl Words {
    const NONE: Self = Self { address: [0; 2], mask: [0; 2], family: 0 };

    fn of(network: &Network) -> Self {
        let Sender { address, family } = Sender::of(network.address);
        // The bits of an IPv4 address are the first ones here, too.
        let mask = u128::MAX.checked_shl(128 - u32::from(network.bits)).unwrap_or(0);
        Self { address, mask: words(mask), family }
    }

    #[inline(always)]
    const fn holds(&self, sender: &Sender) -> bool {
        let [high, low] = self.address;
        let [high_mask, low_mask] = self.mask;
        (sender.address[0] ^ high) & high_mask | (sender.address[1] ^ low) & low_mask | (sender.family ^ self.family)
            == 0
    }
}

/// A MAC in one word, other than zero.
#[inline(always)]
const fn mac_word([a, b, c, d, e, f]: [u8; 6]) -> u64 {
    u64::from_ne_bytes([a, b, c, d, e, f, 0, 1])
}

/// Who may send: the table of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Senders {
    networks: [Words; ADDRESSES],
    macs: [u64; MACS],
    /// [`Self::BY_ADDRESS`], [`Self::BY_MAC`].
    limits: u64,
}

const _: () = assert!(size_of::<Senders>() == ADDRESSES * 40 + MACS * 8 + 8);
// SAFETY: repr(C) of words alone, which leaves no padding; every bit pattern is valid.
unsafe impl crate::Shared for Senders {}

impl Senders {
    /// Anybody may send.
    pub const ANY: Self = Self { networks: [Words::NONE; ADDRESSES], macs: [0; MACS], limits: 0 };

    /// Only senders with a listed address pass.
    const BY_ADDRESS: u64 = 1;
    /// Only frames with a listed MAC pass.
    const BY_MAC: u64 = 1 << 1;

    /// Those with one of these addresses and one of these MACs; `None` takes any. What is more than there is room for is
    /// not let through.
    #[must_use]
    pub fn new<'a>(
        networks: Option<impl IntoIterator<Item = &'a Network>>,
        macs: Option<impl IntoIterator<Item = &'a Mac>>,
    ) -> Self {
        let mut senders = Self::ANY;
        if let Some(networks) = networks {
            senders.limits |= Self::BY_ADDRESS;
            senders.networks.iter_mut().zip(networks).for_each(|(entry, network)| *entry = Words::of(network));
        }
        if let Some(macs) = macs {
            senders.limits |= Self::BY_MAC;
            senders.macs.iter_mut().zip(macs).for_each(|(entry, mac)| *entry = mac_word(mac.0));
        }
        senders
    }

    /// Whether a packet of this sender may pass, as far as its address goes.
    #[inline(always)]
    #[must_use]
    pub fn allows_address(&self, sender: &Sender) -> bool {
        self.limits & Self::BY_ADDRESS == 0 || self.networks.iter().any(|network| network.holds(sender))
    }

    /// Whether a frame with this MAC may pass.
    #[inline(always)]
    #[must_use]
    pub fn allows_mac(&self, mac: [u8; 6]) -> bool {
        let mac = mac_word(mac);
        self.limits & Self::BY_MAC == 0 || self.macs.contains(&mac)
    }
}

#[cfg(test)]
mod tests;
