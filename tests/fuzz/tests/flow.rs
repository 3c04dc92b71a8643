//! The model, played by properties: whatever comes, what must always hold does.

use imds_common::flow::{ACK, FIN, PSH, RST, SYN, URG};
use imds_common::options::OptionsWord;
use imds_fuzz::head::Word;
use imds_fuzz::model::events::Reached;
use imds_fuzz::model::requests::{self, TARGETS};
use imds_fuzz::model::world::HONEST;
use imds_fuzz::model::{Choice, PORTS, Step, World};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

/// A read that is always served, its answer short or longer than a segment.
fn served() -> impl Strategy<Value = String> {
    prop::sample::select(TARGETS.to_vec()).prop_map(requests::served)
}

/// A whole request.
fn request() -> impl Strategy<Value = String> {
    let mut all = requests::requests();
    let others = all.split_off(3);
    let [missing, bad, put] = all.try_into().expect("three");
    prop_oneof![
        6 => served(),
        3 => Just(missing),
        2 => Just(bad),
        3 => Just(put),
        1 => prop::sample::select(others),
    ]
}

/// What one write of a client's holds: a request, two, or a piece of one.
fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => request(),
        1 => (request(), request()).prop_map(|(first, second)| first + &second),
        1 => (request(), any::<prop::sample::Index>(), any::<bool>()).prop_map(|(request, cut, head)| {
            let (front, rest) = request.split_at(cut.index(request.len()));
            if head { front.to_owned() } else { rest.to_owned() }
        }),
    ]
    .prop_map(String::into_bytes)
}

fn choice() -> impl Strategy<Value = Choice> {
    prop_oneof![
        8 => Just(Choice::Right),
        1 => (-400..400i32).prop_map(Choice::Off),
        1 => any::<u8>().prop_map(Choice::Earlier),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let port = || prop_oneof![3 => Just(0), 1 => 1..PORTS];
    let isn = || prop_oneof![any::<u32>(), Just(u32::MAX - 50), Just(70_000)];
    let flags = prop_oneof![
        10 => Just(HONEST),
        2 => Just(ACK),
        2 => Just(HONEST | FIN),
        1 => Just(ACK | URG),
        1 => Just(RST | ACK),
        1 => Just(RST),
        1 => prop::sample::select(vec![PSH, 0, SYN | ACK, ACK | FIN | URG, FIN]),
    ];
    let maybe_empty = || prop_oneof![3 => content(), 1 => Just(Vec::new())];
    let send = (port(), maybe_empty(), choice(), choice(), flags, 0..120u32, any::<bool>(), prop::bool::weighted(0.1))
        .prop_map(|(port, text, seq, ack, flags, urgent, overwrites, lost)| Step::Send {
            port,
            text,
            seq,
            ack,
            flags,
            urgent,
            overwrites,
            lost,
        });
    let waits = prop_oneof![0..300u32, 2_000..7_000u32, 100_000..130_000u32];
    prop_oneof![
        1 => (port(), isn()).prop_map(|(port, isn)| Step::Open { port, isn }),
        1 => (port(), prop::option::of(isn()), prop::sample::select(vec![SYN, SYN, SYN, SYN | RST, SYN | FIN]))
            .prop_map(|(port, isn, flags)| Step::Syn { port, isn, flags }),
        8 => send,
        6 => (port(), content(), prop::option::weighted(0.15, 0..200usize))
            .prop_map(|(port, text, cut)| Step::Round { port, text, cut }),
        2 => (port(), 0..16usize, prop::option::of(content()), any::<bool>(), choice())
            .prop_map(|(port, index, other, fin, ack)| Step::Repeat { port, index, other, fin, ack }),
        3 => port().prop_map(|port| Step::Run { port }),
        3 => port().prop_map(|port| Step::Acknowledge { port }),
        3 => (port(), 1..1_600u32, any::<bool>(), any::<bool>())
            .prop_map(|(port, most, one, with_fin)| Step::Answer { port, most, one, with_fin }),
        2 => (port(), 0..600u32, 0..600u32).prop_map(|(port, from, length)| Step::Again { port, from, length }),
        1 => waits.prop_map(Step::Wait),
    ]
}

fn words() -> impl Strategy<Value = OptionsWord> {
    prop_oneof![4 => Just(Word::Required), 2 => Just(Word::Optional), 1 => Just(Word::Disabled)].prop_map(Word::word)
}

/// A connection with some reads, and then whatever comes.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let read = served().prop_map(|text| Step::Round { port: 0, text: text.into_bytes(), cut: None });
    (any::<u32>(), proptest::collection::vec(read, 0..4), proptest::collection::vec(step(), 1..40))
        .prop_map(|(isn, reads, steps)| [vec![Step::Open { port: 0, isn }], reads, steps].concat())
}

proptest! {
    /// Whatever comes: see `imds_fuzz::model`.
    #[test]
    fn what_must_always_hold(word in words(), steps in steps()) {
        let mut world = World::new(word);
        for step in steps {
            world.step(step);
        }
    }
}

/// A model that never gets anywhere proves nothing.
#[test]
fn the_model_reaches_what_it_is_about() {
    let mut runner = TestRunner::deterministic();
    let mut reached = Reached::default();
    for _ in 0..600 {
        let (word, steps) = (words(), steps()).new_tree(&mut runner).expect("nothing is rejected").current();
        let mut world = World::new(word);
        steps.into_iter().for_each(|step| world.step(step));
        reached.add(&world.reached);
    }
    let Reached { refused, refused_later, repeated, acknowledged, tokens, normal, taken } = reached;
    for count in [refused, refused_later, repeated, acknowledged, tokens, normal, taken] {
        assert!(count >= 10, "{reached:?}");
    }
}
