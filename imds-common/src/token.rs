//! The session token: 40 bytes in 56 characters, stateless, bound to one instance.
//!
//! | bytes | field |
//! |---|---|
//! | 0 | version, 1 |
//! | 1 | 0 |
//! | 2 | key number, 1 to 255 |
//! | 3 | 0 |
//! | 4..12 | expiry: milliseconds on `CLOCK_BOOTTIME`, big endian |
//! | 12..24 | nonce |
//! | 24..40 | SipHash-2-4-128 over bytes 0..24 and the instance's generation, little endian |
//!
//! Spelled in base64 with the URL alphabet and `==`, as EC2's are (behaviour.md section 2). One spelling is valid:
//! the four spare bits of the last character are zero, and nothing stands before or after.

use core::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

/// Length of a token's spelling, in characters.
pub const TOKEN_TEXT_LENGTH: usize = 56;
/// Length of a token, in bytes.
pub const TOKEN_LENGTH: usize = 40;
/// Shortest life of a token, in seconds.
pub const TTL_MIN_SECONDS: u16 = 1;
/// Longest life of a token, in seconds: six hours.
pub const TTL_MAX_SECONDS: u16 = 21_600;
/// How many keys are good at once: the one that signs, and the one before it.
pub const KEYS: usize = 2;

const _: () = assert!(KEYS == 2, "index_of takes one bit of the number");

const VERSION: u8 = 1;
/// Characters that carry bits; the two after them are padding.
const DIGITS: usize = 54;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// What [`VALUES`] holds for a byte outside the alphabet.
const INVALID: u8 = 0x80;

/// The six bits of each character, [`INVALID`] for a byte that is none.
static VALUES: [u8; 256] = {
    let mut values = [INVALID; 256];
    let mut i = 0;
    while i < ALPHABET.len() {
        #[expect(clippy::cast_possible_truncation, reason = "below 64")]
        let value = i as u8;
        values[ALPHABET[i] as usize] = value;
        i += 1;
    }
    values
};

/// A key of the MAC, as a map holds it. `Debug` is not there on purpose: it is a secret.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Key {
    /// The number that tokens name, 1 to 255; 0 marks an empty entry. It stands at index `number % KEYS`.
    pub number: u64,
    /// The first half of the secret.
    pub k0: u64,
    /// The second half.
    pub k1: u64,
    /// When it was made: milliseconds on `CLOCK_BOOTTIME`.
    pub made_ms: u64,
}

const _: () = assert!(size_of::<Key>() == 32);
// SAFETY: repr(C) of four u64, which leaves no padding.
unsafe impl crate::Shared for Key {}

impl Key {
    /// An entry that verifies nothing.
    pub const EMPTY: Self = Self { number: 0, k0: 0, k1: 0, made_ms: 0 };

    /// Where the key with this number stands.
    #[inline(always)]
    #[must_use]
    pub const fn index_of(number: u8) -> u32 {
        (number & 1) as u32
    }

    /// The number of the newest key, which signs. Numbers count up, and after 255 comes 2: the next is always at the
    /// other index.
    #[must_use]
    pub fn newest(keys: &[Self; KEYS]) -> u8 {
        let [a, b] = keys.map(|key| key.number.to_le_bytes()[0]);
        if b == 0 || a != 0 && a.wrapping_sub(b) < 128 { a } else { b }
    }

    /// The number of the key after `number`.
    #[must_use]
    pub const fn after(number: u8) -> u8 {
        if number == u8::MAX { 2 } else { number + 1 }
    }

    /// How long it takes until a rotation ends no good token, in milliseconds: 0 if it does so now. The key that it
    /// removes has signed nothing since the other one was made.
    #[must_use]
    pub fn rotation_wait(keys: &[Self; KEYS], now_ms: u64) -> u64 {
        const TTL_MAX_MS: u64 = TTL_MAX_SECONDS as u64 * 1_000;
        let [a, b] = keys;
        if a.number == 0 || b.number == 0 {
            return 0;
        }
        let newest = if a.number == u64::from(Self::newest(keys)) { a } else { b };
        (newest.made_ms + TTL_MAX_MS).saturating_sub(now_ms)
    }
}

/// A new token.
///
/// `expiry_ms` is on `CLOCK_BOOTTIME`; `nonce` is random; `generation` is the instance's.
#[must_use]
pub fn mint(key: &Key, generation: u64, expiry_ms: u64, nonce: [u8; 12]) -> [u8; TOKEN_TEXT_LENGTH] {
    let mut token = Presented { raw: [0; TOKEN_LENGTH], wrong: 0 };
    token.raw[0] = VERSION;
    token.raw[2] = key.number.to_le_bytes()[0];
    token.raw[4..12].copy_from_slice(&expiry_ms.to_be_bytes());
    token.raw[12..24].copy_from_slice(&nonce);
    token.sign(key, generation);
    encode(&token.raw)
}

fn encode(raw: &[u8; TOKEN_LENGTH]) -> [u8; TOKEN_TEXT_LENGTH] {
    let mut text = [b'='; TOKEN_TEXT_LENGTH];
    for (digit, character) in text[..DIGITS].iter_mut().enumerate() {
        let bit = digit * 6;
        let high = u16::from(raw[bit / 8]);
        let low = raw.get(bit / 8 + 1).copied().map_or(0, u16::from);
        let value = (high * 256 + low) >> (10 - bit % 8) & 0x3f;
        *character = ALPHABET[usize::from(value)];
    }
    text
}

/// A token's bytes, taken from a spelling, not yet verified.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub struct Presented {
    raw: [u8; TOKEN_LENGTH],
    /// What is wrong with the spelling: 0 of the one canonical spelling.
    wrong: u64,
}

impl Presented {
    /// A token that nobody presented.
    pub const EMPTY: Self = Self { raw: [0; TOKEN_LENGTH], wrong: 1 };

    /// Reads a spelling. Whether it was the canonical one is part of [`Presented::verify`]'s answer.
    #[inline(always)]
    pub fn read(&mut self, text: &[u8; TOKEN_TEXT_LENGTH]) {
        let mut wrong = 0u8;
        let mut group = 0;
        // Thirteen groups of four characters make three bytes each; two characters are left for the last byte.
        while group < 13 {
            let a = VALUES[text[group * 4] as usize];
            let b = VALUES[text[group * 4 + 1] as usize];
            let c = VALUES[text[group * 4 + 2] as usize];
            let d = VALUES[text[group * 4 + 3] as usize];
            wrong |= a | b | c | d;
            self.raw[group * 3] = a << 2 | b >> 4 & 0x03;
            self.raw[group * 3 + 1] = b << 4 | c >> 2 & 0x0f;
            self.raw[group * 3 + 2] = c << 6 | d & 0x3f;
            group += 1;
        }
        let a = VALUES[text[52] as usize];
        let b = VALUES[text[53] as usize];
        self.raw[39] = a << 2 | b >> 4 & 0x03;
        wrong = (wrong | a | b) & INVALID;
        let spare = b & 0x0f;
        let padding = (text[54] ^ b'=') | (text[55] ^ b'=');
        self.wrong = u64::from(wrong | spare | padding);
    }

    /// The eight bytes at `at`.
    #[inline(always)]
    const fn bytes(&self, at: usize) -> [u8; 8] {
        let raw = &self.raw;
        [raw[at], raw[at + 1], raw[at + 2], raw[at + 3], raw[at + 4], raw[at + 5], raw[at + 6], raw[at + 7]]
    }

    /// The number of the key that it says it was signed with.
    #[inline(always)]
    #[must_use]
    pub const fn key_number(&self) -> u8 {
        self.raw[2]
    }

    #[inline(always)]
    fn mac(&self, key: &Key, generation: u64) -> (u64, u64) {
        let mut hasher = SipHasher24::new_with_keys(key.k0, key.k1);
        hasher.write_u64(u64::from_le_bytes(self.bytes(0)));
        hasher.write_u64(u64::from_le_bytes(self.bytes(8)));
        hasher.write_u64(u64::from_le_bytes(self.bytes(16)));
        hasher.write_u64(generation);
        let hash = hasher.finish128();
        (hash.h1, hash.h2)
    }

    fn sign(&mut self, key: &Key, generation: u64) {
        let (h1, h2) = self.mac(key, generation);
        self.raw[24..32].copy_from_slice(&h1.to_le_bytes());
        self.raw[32..40].copy_from_slice(&h2.to_le_bytes());
    }

    /// How long it is still good, in milliseconds: `None` if it is altered, expired, not of this `generation`, or
    /// signed with another key. `key` is what the table holds for [`Presented::key_number`].
    ///
    /// Nothing but the whole comparison decides, so the time it takes tells nothing of the MAC.
    #[inline(always)]
    #[must_use]
    pub fn verify(&self, key: &Key, generation: u64, now_ms: u64) -> Option<u64> {
        let (h1, h2) = self.mac(key, generation);
        let different = (h1 ^ u64::from_le_bytes(self.bytes(24))) | (h2 ^ u64::from_le_bytes(self.bytes(32)));
        let wrong_key = (key.number ^ u64::from(self.key_number())) | u64::from(key.number == 0);
        let wrong_form = u64::from(self.raw[0] ^ VERSION | self.raw[1] | self.raw[3]);
        if different | wrong_key | wrong_form | self.wrong != 0 {
            return None;
        }
        let expiry = u64::from_be_bytes(self.bytes(4));
        if expiry > now_ms { Some(expiry - now_ms) } else { None }
    }
}

/// How long a token is still good, in milliseconds, or `None`: the daemon's way, with the header's bytes as they came.
#[must_use]
pub fn verify(text: &[u8], keys: &[Key; KEYS], generation: u64, now_ms: u64) -> Option<u64> {
    let mut presented = Presented::EMPTY;
    presented.read(text.try_into().ok()?);
    let key = keys.get(usize::try_from(Key::index_of(presented.key_number())).ok()?)?;
    presented.verify(key, generation, now_ms)
}

#[cfg(test)]
mod tests;
