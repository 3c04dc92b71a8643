//! The target of the token codec: a token is minted of some of the bytes, and altered as the others say.

use arbitrary::{Result, Unstructured};
use imds_common::token::{self, Key, TOKEN_TEXT_LENGTH};

use crate::head::is_good;
use crate::model::requests::{GENERATION, KEYS, NOW_MS};

/// A token, and what of it is to be found out.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Its text, altered perhaps.
    pub text: Vec<u8>,
    /// When it expires, where it is as it was minted, with the good key, for the one instance.
    pub expiry_ms: Option<u64>,
}

/// Holds both ways to verify a token against what it was made of.
///
/// # Panics
///
/// Where something doesn't hold.
pub fn check(input: &[u8]) {
    let Trial { text, expiry_ms } = decode(input);
    let left = token::verify(&text, &KEYS, GENERATION, NOW_MS);
    let expected = expiry_ms.and_then(|expiry| expiry.checked_sub(NOW_MS)).filter(|&left| left > 0);
    assert_eq!(left, expected, "{}", text.escape_ascii());
    let kernel = text.as_slice().try_into().is_ok_and(is_good);
    assert_eq!(kernel, left.is_some(), "{}", text.escape_ascii());
}

/// The token that bytes stand for.
#[must_use]
pub fn decode(input: &[u8]) -> Trial {
    let mut bytes = Unstructured::new(input);
    // Where bytes are wanting, zeros stand in for them.
    build(&mut bytes).unwrap_or(Trial { text: Vec::new(), expiry_ms: None })
}

fn build(bytes: &mut Unstructured<'_>) -> Result<Trial> {
    let expiry_ms = match bytes.int_in_range(0..=3_u8)? {
        0 => bytes.arbitrary()?,
        1 => NOW_MS.wrapping_add_signed(bytes.int_in_range(-2..=2)?),
        _ => u64::MAX >> bytes.int_in_range(1..=16)?,
    };
    let other_key = bytes.ratio(1, 8)?;
    let [good, _] = [KEYS[1], Key::EMPTY];
    let key =
        if other_key { Key { number: bytes.int_in_range(0..=255)?, k0: bytes.arbitrary()?, ..good } } else { good };
    let generation = if bytes.ratio(1, 8)? { bytes.arbitrary()? } else { GENERATION };
    let minted = token::mint(&key, generation, expiry_ms, bytes.arbitrary()?);
    let mut text = minted.to_vec();
    for _ in 0..bytes.int_in_range(0..=3_u8)? {
        let at = bytes.int_in_range(0..=TOKEN_TEXT_LENGTH - 1)?;
        match bytes.int_in_range(0..=5_u8)? {
            0 => text.truncate(at),
            1 => text.insert(at.min(text.len()), bytes.arbitrary()?),
            _ => {
                if let Some(character) = text.get_mut(at) {
                    *character = bytes.arbitrary()?;
                }
            }
        }
    }
    let right = (key.number, key.k0, key.k1) == (good.number, good.k0, good.k1) && generation == GENERATION;
    let unaltered = text == minted;
    Ok(Trial { text, expiry_ms: (right && unaltered).then_some(expiry_ms) })
}
