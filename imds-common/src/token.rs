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
}

const _: () = assert!(size_of::<Key>() == 24);
// SAFETY: repr(C) of three u64, which leaves no padding.
unsafe impl crate::Shared for Key {}

impl Key {
    /// An entry that verifies nothing.
    pub const EMPTY: Self = Self { number: 0, k0: 0, k1: 0 };

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
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GENERATION: u64 = 0x1122_3344_5566_7788;
    const NONCE: [u8; 12] = *b"nonce-nonce-";

    fn keys() -> [Key; KEYS] {
        [Key { number: 2, k0: 3, k1: 4 }, Key { number: 1, k0: 5, k1: 6 }]
    }

    fn read(text: &[u8; TOKEN_TEXT_LENGTH]) -> Presented {
        let mut token = Presented::EMPTY;
        token.read(text);
        token
    }

    #[test]
    fn a_token_looks_like_ec2s_and_is_good_until_it_expires() {
        for key in &keys() {
            let text = mint(key, GENERATION, 10_000, NONCE);
            assert!(text.starts_with(b"AQA"));
            assert!(text.ends_with(b"=="));
            assert_eq!(verify(&text, &keys(), GENERATION, 4_000), Some(6_000));
            assert_eq!(verify(&text, &keys(), GENERATION, 9_999), Some(1));
            assert_eq!(verify(&text, &keys(), GENERATION, 10_000), None);
            assert_eq!(verify(&text, &keys(), GENERATION, 10_001), None);
        }
    }

    #[test]
    fn the_bytes_are_the_documented_ones() {
        let key = keys()[0];
        let text = mint(&key, GENERATION, 0x0102_0304_0506_0708, NONCE);
        let Presented { raw, wrong } = read(&text);
        assert_eq!(wrong, 0);
        assert_eq!(raw[..4], [1, 0, 2, 0]);
        assert_eq!(raw[4..12], [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(raw[12..24], NONCE);
        let mut hasher = SipHasher24::new_with_keys(3, 4);
        hasher.write(&raw[..24]);
        hasher.write(&GENERATION.to_le_bytes());
        let hash = hasher.finish128();
        assert_eq!(raw[24..32], hash.h1.to_le_bytes());
        assert_eq!(raw[32..40], hash.h2.to_le_bytes());
    }

    #[test]
    fn another_generation_or_key_is_refused() {
        let [even, odd] = keys();
        let text = mint(&even, GENERATION, 10_000, NONCE);
        assert_eq!(verify(&text, &keys(), GENERATION ^ 1, 0), None);
        assert_eq!(verify(&text, &[Key { k0: 9, ..even }, odd], GENERATION, 0), None);
        assert_eq!(verify(&text, &[Key { k1: 9, ..even }, odd], GENERATION, 0), None);
        assert_eq!(verify(&text, &[Key::EMPTY, odd], GENERATION, 0), None);
        assert_eq!(verify(&text, &[Key { number: 4, ..even }, odd], GENERATION, 0), None);
    }

    #[test]
    fn an_empty_entry_verifies_nothing_even_with_its_own_secret() {
        let text = mint(&Key::EMPTY, GENERATION, 10_000, NONCE);
        assert_eq!(verify(&text, &[Key::EMPTY; KEYS], GENERATION, 0), None);
    }

    #[test]
    fn a_token_survives_one_rotation_and_dies_at_the_second() {
        let [second, first] = keys();
        let text = mint(&first, GENERATION, 10_000, NONCE);
        assert!(verify(&text, &[Key::EMPTY, first], GENERATION, 0).is_some());
        assert!(verify(&text, &[second, first], GENERATION, 0).is_some());
        let third = Key { number: 3, k0: 7, k1: 8 };
        assert_eq!(verify(&text, &[second, third], GENERATION, 0), None);
    }

    #[test]
    fn every_changed_bit_and_every_other_spelling_is_refused() {
        let text = mint(&keys()[0], GENERATION, u64::MAX, NONCE);
        for position in 0..TOKEN_TEXT_LENGTH {
            for byte in 0..=u8::MAX {
                let mut other = text;
                other[position] = byte;
                assert_eq!(verify(&other, &keys(), GENERATION, 0).is_some(), other == text, "{position} {byte}");
            }
        }
    }

    #[test]
    fn other_forms_are_refused_even_when_signed() {
        for (position, value) in [(0, 0), (0, 2), (1, 1), (3, 1)] {
            let key = keys()[0];
            let mut token = read(&mint(&key, GENERATION, 10_000, NONCE));
            token.raw[position] = value;
            token.sign(&key, GENERATION);
            assert_eq!(verify(&encode(&token.raw), &keys(), GENERATION, 0), None, "byte {position} = {value}");
        }
    }

    #[test]
    fn keys_stand_by_their_number() {
        assert_eq!([0, 1, 2, 3, 254, 255].map(Key::index_of), [0, 1, 0, 1, 0, 1]);
    }

    /// A token whose bytes are changed after it was signed, by what `change` does.
    fn forged(key: &Key, change: impl Fn(&mut [u8; TOKEN_LENGTH])) -> [u8; TOKEN_TEXT_LENGTH] {
        let mut token = read(&mint(key, GENERATION, 10_000, NONCE));
        change(&mut token.raw);
        encode(&token.raw)
    }

    /// Two faults that are the same number must not cancel each other.
    #[test]
    fn two_equal_faults_are_two_faults() {
        let key = keys()[0];
        let good = mint(&key, GENERATION, 10_000, [0; 12]);
        let zeros: Vec<_> = (0..DIGITS).filter(|&position| good[position] == b'A').collect();
        assert!(zeros.len() > 20);
        for &first in &zeros {
            for &second in &zeros {
                let mut text = good;
                text[first] = b'!';
                text[second] = b'!';
                assert_eq!(verify(&text, &keys(), GENERATION, 0), None, "{first} {second}");
            }
        }
        for spare in 1..16u8 {
            let mut text = good;
            text[53] = ALPHABET[usize::from(VALUES[usize::from(text[53])] | spare)];
            assert_eq!(verify(&text, &keys(), GENERATION, 0), None);
            text[54] = b'=' ^ spare;
            assert_eq!(verify(&text, &keys(), GENERATION, 0), None);
            text[55] = b'=' ^ spare;
            assert_eq!(verify(&text, &keys(), GENERATION, 0), None);
            let mut text = forged(&key, |raw| raw[24] ^= spare);
            text[53] = ALPHABET[usize::from(VALUES[usize::from(text[53])] | spare)];
            assert_eq!(verify(&text, &keys(), GENERATION, 0), None, "a wrong MAC and a wrong spelling");
        }
        for bit in 0..64 {
            let text = forged(&key, |raw| {
                raw[24 + bit / 8] ^= 1 << (bit % 8);
                raw[32 + bit / 8] ^= 1 << (bit % 8);
            });
            assert_eq!(verify(&text, &keys(), GENERATION, 0), None, "bit {bit} of both halves");
        }
        let renumbered = [Key { number: 4, ..key }, keys()[1]];
        assert_eq!(verify(&forged(&key, |raw| raw[24] ^= 2 ^ 4), &renumbered, GENERATION, 0), None);
        for (a, b) in [(0, 1), (0, 3), (1, 3)] {
            let mut token = read(&good);
            token.raw[a] ^= 5;
            token.raw[b] ^= 5;
            token.sign(&key, GENERATION);
            assert_eq!(verify(&encode(&token.raw), &keys(), GENERATION, 0), None, "bytes {a} and {b}");
        }
        let mut token = read(&good);
        token.raw[1] = 5;
        token.sign(&key, GENERATION);
        token.raw[24] ^= 5;
        assert_eq!(verify(&encode(&token.raw), &keys(), GENERATION, 0), None, "a wrong MAC and a wrong form");
    }

    #[test]
    fn a_token_of_the_empty_secret_is_refused() {
        let secretless = Key { number: 1, ..Key::EMPTY };
        let text = mint(&secretless, GENERATION, 10_000, NONCE);
        assert_eq!(verify(&text, &[Key::EMPTY; KEYS], GENERATION, 0), None);
    }

    #[test]
    fn the_newest_key_signs() {
        let number = |number| Key { number, ..Key::EMPTY };
        for (even, odd, newest) in [
            (0, 1, 1),
            (2, 0, 2),
            (2, 1, 2),
            (2, 3, 3),
            (4, 3, 4),
            (254, 255, 255),
            (2, 255, 2),
            (128, 127, 128),
            (128, 129, 129),
        ] {
            assert_eq!(u64::from(Key::newest(&[number(even), number(odd)])), newest, "{even} {odd}");
        }
        assert_eq!(Key::newest(&[number(130), number(2)]), 2, "half way round counts as before");
    }

    proptest! {
        #[test]
        fn a_minted_token_is_good(k0: u64, k1: u64, number in 1..=255u8, generation: u64, expiry in 1..u64::MAX, nonce: [u8; 12]) {
            let key = Key { number: u64::from(number), k0, k1 };
            let mut keys = [Key::EMPTY; KEYS];
            keys[Key::index_of(number) as usize] = key;
            let text = mint(&key, generation, expiry, nonce);
            prop_assert_eq!(verify(&text, &keys, generation, 0), Some(expiry));
            prop_assert_eq!(verify(&text, &keys, generation.wrapping_add(1), 0), None);
        }

        #[test]
        fn spelling_and_bytes_are_one_to_one(a: [u8; 32], b: [u8; 8]) {
            let mut raw = [0; TOKEN_LENGTH];
            raw[..32].copy_from_slice(&a);
            raw[32..].copy_from_slice(&b);
            let Presented { raw: read, wrong } = read(&encode(&raw));
            prop_assert_eq!((read, wrong), (raw, 0));
        }

        #[test]
        fn what_is_not_a_token_is_refused(text in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(verify(&text, &keys(), GENERATION, 0), None);
        }
    }
}
