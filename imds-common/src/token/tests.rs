use super::*;
use proptest::prelude::*;

const GENERATION: u64 = 0x1122_3344_5566_7788;
const NONCE: [u8; 12] = *b"nonce-nonce-";

fn keys() -> [Key; KEYS] {
    [Key { number: 2, k0: 3, k1: 4, ..Key::EMPTY }, Key { number: 1, k0: 5, k1: 6, ..Key::EMPTY }]
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
    let third = Key { number: 3, k0: 7, k1: 8, ..Key::EMPTY };
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
fn equal_faults_of_two_kinds_are_two_faults() {
    let key = keys()[0];
    let refused = |text: &[u8; TOKEN_TEXT_LENGTH], keys: &[Key; KEYS], what: &str| {
        assert_eq!(verify(text, keys, GENERATION, 0), None, "{what}");
    };
    // A token whose last byte is zero, so that its last two digits are, too.
    let good = (0..=u32::MAX)
        .map(|number| {
            let mut nonce = [0; 12];
            nonce[..4].copy_from_slice(&number.to_le_bytes());
            mint(&key, GENERATION, 10_000, nonce)
        })
        .find(|text| text[52..54] == *b"AA")
        .expect("one of 256 has it");
    assert!(verify(&good, &keys(), GENERATION, 0).is_some());
    assert_eq!(good[5], b'A', "of the expiry's zeros");
    for (first, second) in [(52, 53), (5, 52), (5, 53)] {
        let mut text = good;
        text[first] = b'!';
        text[second] = b'!';
        refused(&text, &keys(), "two bytes that are no digits");
    }
    for fault in 1..=u8::MAX {
        let mut text = good;
        text[54] ^= fault;
        text[55] ^= fault;
        refused(&text, &keys(), "the same fault in both characters of the padding");
    }
    let mut text = good;
    text[5] = b'!';
    text[54] ^= INVALID;
    refused(&text, &keys(), "no digit, and no padding");

    let mut token = read(&good);
    token.raw[1] = 6;
    token.sign(&key, GENERATION);
    refused(&encode(&token.raw), &[Key { number: 4, ..key }, keys()[1]], "a wrong key and a wrong form");
    let mut text = encode(&token.raw);
    let digit = VALUES[usize::from(text[53])] | 6;
    text[53] = ALPHABET[usize::from(digit)];
    refused(&text, &keys(), "a wrong form and a wrong spelling");
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

#[test]
fn each_key_is_newer_than_the_one_before_and_stands_at_the_other_place() {
    let number = |number: u8| Key { number: number.into(), ..Key::EMPTY };
    let mut now = 1;
    for _ in 0..600 {
        let next = Key::after(now);
        assert_ne!(Key::index_of(next), Key::index_of(now), "{now}");
        let keys = if Key::index_of(next) == 0 { [next, now] } else { [now, next] };
        assert_eq!(Key::newest(&keys.map(number)), next);
        now = next;
    }
    assert_eq!((Key::after(254), Key::after(255)), (255, 2));
}

#[test]
fn a_rotation_waits_for_the_tokens_that_it_ends() {
    let ttl_ms = u64::from(TTL_MAX_SECONDS) * 1_000;
    let key = |number, made_ms| Key { number, made_ms, ..Key::EMPTY };
    for keys in [[Key::EMPTY, key(1, 50)], [key(2, 50), Key::EMPTY], [Key::EMPTY; KEYS]] {
        assert_eq!(Key::rotation_wait(&keys, 60), 0, "no key is removed");
    }
    for (keys, newest_ms) in [([key(2, 5_000), key(1, 0)], 5_000), ([key(2, 5_000), key(3, 7_000)], 7_000)] {
        assert_eq!(Key::rotation_wait(&keys, newest_ms), ttl_ms);
        assert_eq!(Key::rotation_wait(&keys, newest_ms + ttl_ms - 1), 1);
        assert_eq!(Key::rotation_wait(&keys, newest_ms + ttl_ms), 0);
        assert_eq!(Key::rotation_wait(&keys, u64::MAX), 0);
    }
}

proptest! {
    #[test]
    fn a_minted_token_is_good(k0: u64, k1: u64, number in 1..=255u8, generation: u64, expiry in 1..u64::MAX, nonce: [u8; 12]) {
        let key = Key { number: u64::from(number), k0, k1, ..Key::EMPTY };
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
