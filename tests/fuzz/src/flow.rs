//! The target of the flow machine: bytes become steps of the model.

use arbitrary::{Result, Unstructured};
use imds_common::flow::{ACK, FIN, PSH, RST, SYN, URG};
use imds_common::options::OptionsWord;

use crate::head::WORDS;
use crate::model::requests::{TARGETS, requests, served};
use crate::model::{Choice, PORTS, Step, World};

/// More steps reach nothing that fewer don't.
const STEPS_MAX: usize = 60;
/// Flags of a segment, the usual ones more often.
const FLAGS: [u8; 16] = [
    ACK | PSH,
    ACK | PSH,
    ACK | PSH,
    ACK | PSH,
    ACK | PSH,
    ACK,
    ACK,
    ACK | PSH | FIN,
    ACK | PSH | FIN,
    ACK | URG,
    RST | ACK,
    RST,
    PSH,
    SYN | ACK,
    ACK | FIN | URG,
    FIN,
];

/// Plays the steps that the bytes stand for: see [`crate::model`].
///
/// # Panics
///
/// Where something doesn't hold.
pub fn check(input: &[u8]) {
    let (word, steps) = decode(input);
    let mut world = World::new(word);
    steps.into_iter().for_each(|step| world.step(step));
}

/// The options and steps that bytes stand for.
#[must_use]
pub fn decode(input: &[u8]) -> (OptionsWord, Vec<Step>) {
    let mut bytes = Unstructured::new(input);
    let word = WORDS[bytes.int_in_range(0..=WORDS.len() - 1).unwrap_or(0)].word();
    let mut steps = vec![Step::Open { port: 0, isn: bytes.arbitrary().unwrap_or(0) }];
    while !bytes.is_empty() && steps.len() < STEPS_MAX {
        match step(&mut bytes) {
            Ok(step) => steps.push(step),
            Err(_) => break,
        }
    }
    (word, steps)
}

fn step(bytes: &mut Unstructured<'_>) -> Result<Step> {
    let port = bytes.int_in_range(0..=PORTS + 1)?.saturating_sub(2);
    Ok(match bytes.int_in_range(0..=27_u8)? {
        0 => Step::Open { port, isn: bytes.arbitrary()? },
        1 => Step::Syn { port, isn: bytes.arbitrary()?, flags: *bytes.choose(&[SYN, SYN, SYN | RST, SYN | FIN])? },
        2..=8 => Step::Send {
            port,
            text: if bytes.ratio(1, 4)? { Vec::new() } else { content(bytes)? },
            seq: choice(bytes)?,
            ack: choice(bytes)?,
            flags: *bytes.choose(&FLAGS)?,
            urgent: bytes.int_in_range(0..=120)?,
            overwrites: bytes.arbitrary()?,
            lost: bytes.ratio(1, 10)?,
        },
        9..=14 => Step::Round {
            port,
            text: content(bytes)?,
            cut: if bytes.ratio(1, 6)? { Some(bytes.int_in_range(0..=200)?) } else { None },
        },
        15 | 16 => Step::Repeat {
            port,
            index: bytes.int_in_range(0..=15)?,
            other: if bytes.arbitrary()? { Some(content(bytes)?) } else { None },
            fin: bytes.arbitrary()?,
            ack: choice(bytes)?,
        },
        17..=19 => Step::Run { port },
        20..=22 => Step::Acknowledge { port },
        23 | 24 => Step::Answer {
            port,
            most: bytes.int_in_range(1..=1_600)?,
            one: bytes.arbitrary()?,
            with_fin: bytes.arbitrary()?,
        },
        25 | 26 => Step::Again { port, from: bytes.int_in_range(0..=600)?, length: bytes.int_in_range(0..=600)? },
        _ => Step::Wait(*bytes.choose(&[0, 299, 2_500, 5_001, 6_000, 120_001])?),
    })
}

fn choice(bytes: &mut Unstructured<'_>) -> Result<Choice> {
    Ok(match bytes.int_in_range(0..=9_u8)? {
        0 => Choice::Off(bytes.int_in_range(-400..=400)?),
        1 => Choice::Earlier(bytes.arbitrary()?),
        _ => Choice::Right,
    })
}

/// What one write of a client's holds: a request, two, or a piece of one.
fn content(bytes: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let first = request(bytes)?;
    let text = match bytes.int_in_range(0..=7_u8)? {
        0 => first + &request(bytes)?,
        1 => {
            let (front, rest) = first.split_at(bytes.int_in_range(0..=first.len())?);
            if bytes.arbitrary()? { front.to_owned() } else { rest.to_owned() }
        }
        _ => first,
    };
    Ok(text.into_bytes())
}

fn request(bytes: &mut Unstructured<'_>) -> Result<String> {
    if bytes.ratio(1, 3)? {
        return Ok(served(bytes.choose(&TARGETS)?));
    }
    let requests = requests();
    Ok(bytes.choose(&requests)?.clone())
}
