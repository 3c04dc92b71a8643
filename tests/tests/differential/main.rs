//! The fuzzer's corpus through the loaded programs: each segment gets the verdict, the answer and the flow that the same
//! rules come to as plain Rust, with XDP before tc and without.

mod player;

use imds_common::answer::DATES;
use imds_common::flow::{ACK, Daemon, PSH, RST, SYN, URG};
use imds_common::token;
use imds_fuzz::corpus;
use imds_fuzz::head::{WORDS, Word};
use imds_fuzz::model::events::{Event, Taken};
use imds_fuzz::model::requests::{GENERATION, KEYS};
use imds_fuzz::model::{Choice, Step, World};
use imds_tests::family::Family;
use imds_tests::golden::Stage;
use imds_tests::in_each_attachment;
use rustix::time::{ClockId, clock_gettime};

use player::{Found, Player};

in_each_attachment!(families: heads, flows, tokens, every_flag_byte);

/// Flows that are played besides the corpus, each of so many bytes.
const MORE_FLOWS: u64 = 150;
const FLOW_BYTES: usize = 400;

/// Programs whose daemon is gone, with instances that take the model's tokens. A daemon would mend what is changed by hand,
/// and tell dates.
fn stage() -> Stage {
    let mut stage = Stage::new();
    let keys = stage.map("IMDS_KEYS", 32);
    let slots = stage.map("IMDS_SLOTS", 16);
    let dates = stage.map("IMDS_DATES", 40);
    stage.kill_daemon();
    for (index, key) in (0..).zip(KEYS) {
        let words = [key.number, key.k0, key.k1, key.made_ms];
        keys.set(index, &words.map(u64::to_le_bytes).concat());
    }
    for name in ["required", "optional", "disabled"] {
        let slot = stage.place(name).slot();
        let mut entry = slots.entry(slot);
        entry[..8].copy_from_slice(&GENERATION.to_le_bytes());
        slots.set(slot, &entry);
    }
    (0..DATES).for_each(|index| dates.clear(index));
    stage
}

/// Plays steps in the model, and what came of them on the programs; that.
#[track_caller]
fn play(stage: &Stage, family: Family, name: &str, word: Word, steps: &[Step]) -> Vec<Event> {
    let mut world = World::with_room(word.word());
    // Time that only passes in the model is no time for the kernel.
    steps.iter().filter(|step| !matches!(step, Step::Wait(_))).for_each(|step| world.step(step.clone()));
    let played = Player::new(stage, family, word).play(&world.events);
    played.unwrap_or_else(|error| panic!("{name} while {word:?}: {error}"));
    world.events
}

fn open() -> Step {
    Step::Open { port: 0, isn: 1_000 }
}

fn send(text: &[u8]) -> Step {
    send_with(text, ACK | PSH)
}

fn send_with(text: &[u8], flags: u8) -> Step {
    Step::Send {
        port: 0,
        text: text.to_vec(),
        seq: Choice::Right,
        ack: Choice::Right,
        flags,
        urgent: 0,
        overwrites: false,
        lost: false,
    }
}

fn heads(family: Family) {
    let stage = stage();
    for (name, input) in corpus::of("head") {
        for word in WORDS {
            play(&stage, family, &name, word, &[open(), send(&input)]);
        }
    }
}

/// What becomes of a tokenless read with each combination of flags: on a connection that nobody knows, on one at rest,
/// and on one that was refused already.
fn every_flag_byte(family: Family) {
    let stage = stage();
    let read = b"GET / HTTP/1.1\r\n\r\n";
    for flags in 0..=u8::MAX {
        let flagged = || send_with(read, flags);
        let begins = flags & (SYN | ACK) == SYN;
        for (known, steps, expected) in [
            ("unknown", vec![flagged(), send(read)], "Delivered"),
            (
                "at rest",
                vec![open(), flagged(), send(read)],
                match flags & (SYN | RST | ACK | URG) {
                    ACK => "Refused",
                    _ => "Delivered",
                },
            ),
            (
                "refused",
                vec![open(), send(read), flagged()],
                match flags & (SYN | RST | ACK) {
                    ACK => "Acknowledged",
                    _ if begins => "Delivered",
                    _ => "Swallowed",
                },
            ),
        ] {
            let name = format!("flags {flags:#04x}, {known}");
            let events = play(&stage, family, &name, Word::Required, &steps);
            let carries = |event: &&Event| matches!(event, Event::Client(_, packet, ..) if !packet.bytes.is_empty());
            let taken: Vec<_> = events.iter().filter(carries).map(kind).collect();
            let at = usize::from(known == "refused");
            assert_eq!(taken[at], expected, "{name}: {taken:?}");
        }
    }
}

/// Bytes that differ from seed to seed, and are the same each time.
fn bytes_from(seed: u64) -> Vec<u8> {
    let mut state = seed;
    // A linear congruential generator (Knuth's MMIX).
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..FLOW_BYTES).map(|_| next()).collect()
}

/// What the programs make of segments.
const KINDS: [&str; 9] =
    ["Delivered", "Refused", "Repeated", "Acknowledged", "Swallowed", "Normal", "Limited", "Drop", "Late"];

fn kind(event: &Event) -> &'static str {
    match event {
        Event::Client(_, _, Taken::Delivered, _) => "Delivered",
        Event::Client(_, _, Taken::Refused(_), _) => "Refused",
        Event::Client(_, _, Taken::Repeated, _) => "Repeated",
        Event::Client(_, _, Taken::Acknowledged, _) => "Acknowledged",
        Event::Client(_, _, Taken::Swallowed, _) => "Swallowed",
        Event::Daemon(_, _, Daemon::Normal, _) => "Normal",
        Event::Daemon(_, _, Daemon::Limited, _) => "Limited",
        Event::Daemon(_, _, Daemon::Drop, _) => "Drop",
        Event::Daemon(_, _, Daemon::Late, _) => "Late",
    }
}

fn flows(family: Family) {
    let stage = stage();
    let mut seen = Vec::new();
    // The corpus is the least that reaches everything once.
    let more = (0..MORE_FLOWS).map(|seed| (format!("seed {seed}"), bytes_from(seed)));
    for (name, input) in corpus::of("flow").into_iter().chain(more) {
        let (word, steps) = imds_fuzz::flow::decode(&input);
        let word = WORDS.into_iter().find(|known| known.word() == word).expect("one of them");
        seen.extend(play(&stage, family, &name, word, &steps).iter().map(kind));
    }
    for kind in KINDS {
        let count = seen.iter().filter(|seen| **seen == kind).count();
        println!("{kind}: {count}");
        assert!(count >= 20, "{kind} was seen only {count} times");
    }
}

fn tokens(family: Family) {
    let stage = stage();
    let mut good = 0;
    for (name, input) in corpus::of("token") {
        let text = imds_fuzz::token::decode(&input).text;
        // What is no header's value is the grammar's business.
        if !text.iter().all(u8::is_ascii_graphic) {
            continue;
        }
        let head = [b"GET / HTTP/1.1\r\nX-aws-ec2-metadata-token: ", &text[..], b"\r\n\r\n"].concat();
        let mut world = World::with_room(Word::Optional.word());
        [open(), send(&head)].into_iter().for_each(|step| world.step(step));
        let player = Player::new(&stage, family, Word::Optional);
        let (last, before) = world.events.split_last().expect("some");
        player.play(before).unwrap_or_else(|error| panic!("{name}: {error}"));
        let Event::Client(port, packet, ..) = last else { panic!("{last:?}") };
        let now = clock_gettime(ClockId::Boottime);
        let now_ms = now.tv_sec.unsigned_abs() * 1_000 + now.tv_nsec.unsigned_abs() / 1_000_000;
        let expected = token::verify(&text, &KEYS, GENERATION, now_ms).is_some();
        assert_eq!(matches!(player.take(*port, packet), Found::Delivered), expected, "{name}");
        good += usize::from(expected);
    }
    assert!(good > 0, "no token of the corpus is good");
}
