//! The metadata options of an instance, under EC2's names, and the word that carries them to the kernel.
//!
//! Names, values and defaults: behaviour.md section 7 (EC2's `InstanceMetadataOptions`).

use core::fmt;
use core::str::FromStr;

use crate::budget;

/// Smallest `HttpPutResponseHopLimit`.
pub const HOP_LIMIT_MIN: u8 = 1;
/// Largest `HttpPutResponseHopLimit`; overlay networks need more than 2, so nothing below 64 is cut.
pub const HOP_LIMIT_MAX: u8 = 64;

/// A value outside of what an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionError {
    /// `HttpTokens` is neither of its two values.
    Tokens,
    /// A switch is neither `enabled` nor `disabled`.
    Switch,
    /// `HttpPutResponseHopLimit` is not an integer of 1 to 64.
    HopLimit,
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tokens => "specify either 'optional' or 'required'",
            Self::Switch => "specify either 'enabled' or 'disabled'",
            Self::HopLimit => "specify an integer from 1 to 64",
        })
    }
}

impl core::error::Error for OptionError {}

/// `HttpTokens`: whether a request needs a session token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpTokens {
    /// Requests without a token (IMDSv1) are served too.
    #[default]
    Optional,
    /// Only requests with a valid token (IMDSv2) are served.
    Required,
}

impl HttpTokens {
    /// The value as EC2 writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }
}

impl FromStr for HttpTokens {
    type Err = OptionError;
    fn from_str(value: &str) -> Result<Self, OptionError> {
        match value {
            "optional" => Ok(Self::Optional),
            "required" => Ok(Self::Required),
            _ => Err(OptionError::Tokens),
        }
    }
}

/// The value of `HttpEndpoint`, `HttpProtocolIpv6` and `InstanceMetadataTags`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// `enabled`
    Enabled,
    /// `disabled`
    Disabled,
}

impl Switch {
    /// The value as EC2 writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
        }
    }

    /// Whether it is on.
    #[must_use]
    pub const fn is_enabled(self) -> bool {
        matches!(self, Self::Enabled)
    }
}

impl FromStr for Switch {
    type Err = OptionError;
    fn from_str(value: &str) -> Result<Self, OptionError> {
        match value {
            "enabled" => Ok(Self::Enabled),
            "disabled" => Ok(Self::Disabled),
            _ => Err(OptionError::Switch),
        }
    }
}

/// `HttpPutResponseHopLimit`: the IP TTL of an answer to a PUT, 1 to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HopLimit(u8);

impl HopLimit {
    /// Takes a limit of 1 to 64.
    ///
    /// # Errors
    ///
    /// [`OptionError::HopLimit`] outside of that.
    pub const fn new(value: u8) -> Result<Self, OptionError> {
        if value >= HOP_LIMIT_MIN && value <= HOP_LIMIT_MAX { Ok(Self(value)) } else { Err(OptionError::HopLimit) }
    }

    /// The TTL to write.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl FromStr for HopLimit {
    type Err = OptionError;
    fn from_str(value: &str) -> Result<Self, OptionError> {
        value.parse().map_err(|_| OptionError::HopLimit).and_then(Self::new)
    }
}

/// All options of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetadataOptions {
    /// `HttpTokens`
    pub http_tokens: HttpTokens,
    /// `HttpPutResponseHopLimit`
    pub http_put_response_hop_limit: HopLimit,
    /// `HttpEndpoint`
    pub http_endpoint: Switch,
    /// `HttpProtocolIpv6`
    pub http_protocol_ipv6: Switch,
    /// `InstanceMetadataTags`
    pub instance_metadata_tags: Switch,
}

impl Default for MetadataOptions {
    /// EC2's defaults for a new instance.
    fn default() -> Self {
        Self {
            http_tokens: HttpTokens::Optional,
            http_put_response_hop_limit: HopLimit(HOP_LIMIT_MIN),
            http_endpoint: Switch::Enabled,
            http_protocol_ipv6: Switch::Disabled,
            instance_metadata_tags: Switch::Disabled,
        }
    }
}

/// The options of a slot in one 64-bit word, so that a change can't tear.
///
/// | bits | meaning |
/// |---|---|
/// | 0 | the slot is owned: set in every word but [`OptionsWord::CLOSED`] |
/// | 1 | `HttpTokens` is `required` |
/// | 2 | `HttpEndpoint` is `enabled` |
/// | 3 | `HttpProtocolIpv6` is `enabled` |
/// | 4 | `InstanceMetadataTags` is `enabled` |
/// | 5 | refusals are silent: dropped, not answered (`on-refuse = "drop"`) |
/// | 6 | every packet is told of, for as long as somebody traces the instance: no option of the instance's |
/// | 7 | refusals have pages, which only the daemon writes (`error-bodies = "xhtml"`) |
/// | 8..16 | `HttpPutResponseHopLimit` |
/// | 16 | the instance lists who may send ([`crate::sender`]) |
/// | 18 | which of the slot's two lists holds: the kernel's side changes the other one, and then this bit |
/// | 32..64 | nanoseconds from one packet of the budget to the next; 0 without a budget |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct OptionsWord(u64);

// SAFETY: transparent over a u64.
unsafe impl crate::Shared for OptionsWord {}

impl OptionsWord {
    /// The word of a slot that nobody owns: everything is dropped.
    pub const CLOSED: Self = Self(0);

    const OWNED: u64 = 1;
    const TOKENS_REQUIRED: u64 = 1 << 1;
    const ENDPOINT_ENABLED: u64 = 1 << 2;
    const IPV6_ENABLED: u64 = 1 << 3;
    const TAGS_ENABLED: u64 = 1 << 4;
    const REFUSE_SILENTLY: u64 = 1 << 5;
    const TRACED: u64 = 1 << 6;
    const ERROR_PAGES: u64 = 1 << 7;
    const HOP_LIMIT_SHIFT: u32 = 8;
    const LISTS_SENDERS: u64 = 1 << 16;
    const SENDERS_BANK_SHIFT: u32 = 18;
    const PACKET_INTERVAL_SHIFT: u32 = 32;

    /// The word for an owned slot; `refuse_silently` is the host's `on-refuse = "drop"`.
    #[must_use]
    pub const fn new(options: &MetadataOptions, refuse_silently: bool) -> Self {
        let mut word = Self::OWNED | (options.http_put_response_hop_limit.get() as u64) << Self::HOP_LIMIT_SHIFT;
        if matches!(options.http_tokens, HttpTokens::Required) {
            word |= Self::TOKENS_REQUIRED;
        }
        if options.http_endpoint.is_enabled() {
            word |= Self::ENDPOINT_ENABLED;
        }
        if options.http_protocol_ipv6.is_enabled() {
            word |= Self::IPV6_ENABLED;
        }
        if options.instance_metadata_tags.is_enabled() {
            word |= Self::TAGS_ENABLED;
        }
        if refuse_silently {
            word |= Self::REFUSE_SILENTLY;
        }
        Self(word)
    }

    /// The same word with a budget of so many packets a second, 0 for none.
    #[must_use]
    pub const fn with_packet_budget(self, packets_per_second: u32) -> Self {
        let others = self.0 & ((1 << Self::PACKET_INTERVAL_SHIFT) - 1);
        Self(others | (budget::interval_ns(packets_per_second) as u64) << Self::PACKET_INTERVAL_SHIFT)
    }

    /// The same word, of an instance that lists who may send, or doesn't.
    #[must_use]
    pub const fn with_senders(self, listed: bool) -> Self {
        let others = self.0 & !Self::LISTS_SENDERS;
        Self(if listed { others | Self::LISTS_SENDERS } else { others })
    }

    /// Whether the instance lists who may send.
    #[inline(always)]
    #[must_use]
    pub const fn lists_senders(self) -> bool {
        self.0 & Self::LISTS_SENDERS != 0
    }

    /// The same word with the list in that bank, 0 or 1.
    #[must_use]
    pub const fn with_senders_bank(self, bank: u32) -> Self {
        let bit = 1 << Self::SENDERS_BANK_SHIFT;
        Self(self.0 & !bit | (bank as u64) << Self::SENDERS_BANK_SHIFT & bit)
    }

    /// Which of a slot's two lists holds, 0 or 1.
    #[inline(always)]
    #[must_use]
    pub const fn senders_bank(self) -> u32 {
        (self.0 >> Self::SENDERS_BANK_SHIFT & 1) as u32
    }

    /// The same word, traced or not; one that nobody owns is never traced.
    #[must_use]
    pub const fn with_trace(self, traced: bool) -> Self {
        let others = self.0 & !Self::TRACED;
        Self(if traced && self.is_owned() { others | Self::TRACED } else { others })
    }

    /// Whether every packet is told of.
    #[inline(always)]
    #[must_use]
    pub const fn is_traced(self) -> bool {
        self.0 & Self::TRACED != 0
    }

    /// Nanoseconds from one packet of the budget to the next; 0 without a budget.
    #[inline(always)]
    #[must_use]
    pub const fn packet_interval_ns(self) -> u32 {
        (self.0 >> Self::PACKET_INTERVAL_SHIFT) as u32
    }

    /// The same word, with pages for refusals or without. A silent refusal has none.
    #[must_use]
    pub const fn with_error_pages(self, pages: bool) -> Self {
        if pages && !self.refuses_silently() {
            Self(self.0 | Self::ERROR_PAGES)
        } else {
            Self(self.0 & !Self::ERROR_PAGES)
        }
    }

    /// The word from the bits that a map holds.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits for a map.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether an instance owns the slot.
    #[inline(always)]
    #[must_use]
    pub const fn is_owned(self) -> bool {
        self.0 & Self::OWNED != 0
    }

    /// Whether a read needs a token.
    #[inline(always)]
    #[must_use]
    pub const fn tokens_required(self) -> bool {
        self.0 & Self::TOKENS_REQUIRED != 0
    }

    /// Whether the endpoint answers at all.
    #[inline(always)]
    #[must_use]
    pub const fn endpoint_enabled(self) -> bool {
        self.0 & Self::ENDPOINT_ENABLED != 0
    }

    /// Whether the service answers on its IPv6 address.
    #[inline(always)]
    #[must_use]
    pub const fn ipv6_enabled(self) -> bool {
        self.0 & Self::IPV6_ENABLED != 0
    }

    /// Whether the instance's tags are in its tree.
    #[inline(always)]
    #[must_use]
    pub const fn tags_enabled(self) -> bool {
        self.0 & Self::TAGS_ENABLED != 0
    }

    /// Whether a refusal is a drop instead of an answer.
    #[inline(always)]
    #[must_use]
    pub const fn refuses_silently(self) -> bool {
        self.0 & Self::REFUSE_SILENTLY != 0
    }

    /// Whether a refusal has a page.
    #[inline(always)]
    #[must_use]
    pub const fn has_error_pages(self) -> bool {
        self.0 & Self::ERROR_PAGES != 0
    }

    /// The TTL of limited segments. A word that holds none (never written by [`OptionsWord::new`]) gives 1.
    #[inline(always)]
    #[must_use]
    pub const fn hop_limit(self) -> u8 {
        let limit = (self.0 >> Self::HOP_LIMIT_SHIFT & 0xff) as u8;
        if limit == 0 { HOP_LIMIT_MIN } else { limit }
    }

    /// Whether going from `self` to `next` takes something away from the instance.
    ///
    /// Tightening is told to the daemon before the kernel; anything else, to the kernel first.
    #[must_use]
    pub const fn is_tightened_by(self, next: Self) -> bool {
        !self.tokens_required() && next.tokens_required()
            || self.endpoint_enabled() && !next.endpoint_enabled()
            || self.ipv6_enabled() && !next.ipv6_enabled()
            || self.tags_enabled() && !next.tags_enabled()
            || self.is_owned() && !next.is_owned()
    }
}

#[cfg(test)]
mod tests;
