//! Where cases are played: a daemon's pinned programs, and interfaces of instances with different options.

use super::case::{Case, Side};
use super::checksum;
use super::pattern::{self, Values};
use crate::attachment::Attachment;
use crate::bpf::{self, Hook, Outcome, Program, Table};
use crate::guest::ifindex_of;
use crate::host::Host;
use crate::http;
use crate::packet::SERVICE;
use crate::stats::{Counters, Stats};
use crate::tap::Tap;
use crate::tap_connection::TapConnection;

/// Options by the name that cases call them by: those of the launch, and whether the endpoint is disabled then.
const INSTANCES: [(&str, &str, bool); 4] = [
    ("optional", "HttpTokens=optional,HttpProtocolIpv6=enabled,HttpPutResponseHopLimit=3", false),
    ("required", "HttpTokens=required,HttpProtocolIpv6=enabled,HttpPutResponseHopLimit=2", false),
    ("disabled", "HttpTokens=optional,HttpProtocolIpv6=enabled", true),
    ("ipv4-only", "HttpTokens=required,HttpProtocolIpv6=disabled", false),
];
/// An interface that no instance owns.
const NOBODY: &str = "nobody";

/// Where real clients of the stage's are, to get tokens.
const CLIENT: [u8; 4] = [10, 9, 8, 7];
const PORT: u16 = 50_000;

/// Bytes that a slot has in `IMDS_TABLES` and in `IMDS_BUDGETS`.
const TABLES: usize = 7_424;
const BUDGET: usize = 8;

/// Counts what comes out of the namespace for nobody.
const STRAY: &str = "dropped-reply-stray";

/// Counts events that weren't told.
const LOST: &str = "events-lost";

/// How often a case is played whose answer should have a date: a daemon that got no processor for a while has none
/// ready, which is right, too.
const TRIES: usize = 3;

/// What a program returns, by the name that cases call it by.
const VERDICTS: [(i32, &str); 3] = [(bpf::PASSED, "pass"), (bpf::DROPPED, "drop"), (bpf::REDIRECTED, "redirect")];

/// An instance's interface, and what the names stand for there.
#[derive(Debug)]
pub struct Place {
    name: &'static str,
    /// None of the one that nobody owns.
    id: Option<String>,
    ifindex: u32,
    values: Values,
    _tap: Tap,
}

/// The programs of a daemon and what stands around them.
#[derive(Debug)]
pub struct Stage {
    /// XDP, where that comes before tc.
    early: Option<Program>,
    ingress: Program,
    reply: Program,
    tables: Table,
    budgets: Table,
    places: Vec<Place>,
    // Last, as its end takes the programs away.
    host: Host,
}

/// What a case's steps were found to do.
#[derive(Clone, Debug)]
pub struct Played {
    /// The lines of verdict and output of each step.
    pub found: Vec<String>,
    /// What became of each step that was dropped, and whether XDP dropped it before tc saw it.
    pub dropped: Vec<(String, bool)>,
    /// What is otherwise than the case says.
    pub wrong: Vec<String>,
}

impl Stage {
    /// Starts a daemon, which attaches as the test that runs wants it, and makes its instances.
    #[must_use]
    pub fn new() -> Self {
        let host = Host::start();
        let namespace = host.service_namespace();
        let early = Attachment::current().and_then(Attachment::early);
        let ingress = Program::pinned(Hook::Tc, &namespace.pin("imds_ingress"));
        let of_instance = |(name, options, disabled)| Place::of_instance(&host, &ingress, name, options, disabled);
        let mut places: Vec<_> = INSTANCES.into_iter().map(of_instance).collect();
        places.push(Place::of_nobody());
        let [optional, required] = [0, 1].map(|index| places[index].values.token.clone());
        for place in &mut places {
            place.values.foreign = if place.name == "optional" { &required } else { &optional }.clone();
        }
        Self {
            early: early.map(|name| Program::pinned(Hook::Xdp, &namespace.pin(name))),
            reply: Program::pinned(Hook::Tc, &namespace.pin("imds_reply")),
            tables: Table::pinned(&namespace.pin("IMDS_TABLES"), TABLES),
            budgets: Table::pinned(&namespace.pin("IMDS_BUDGETS"), BUDGET),
            ingress,
            places,
            host,
        }
    }

    /// Plays a case.
    #[must_use]
    #[track_caller]
    pub fn play(&self, case: &Case) -> Played {
        let dated = case.steps.iter().any(|step| step.output.has_date());
        let mut played = self.try_to_play(case);
        for _ in 1..TRIES {
            if !dated || played.found.iter().any(|found| found.contains("{date}")) {
                break;
            }
            played = self.try_to_play(case);
        }
        played
    }

    fn try_to_play(&self, case: &Case) -> Played {
        let place = self.place(&case.instance);
        let mut played = Played { found: Vec::new(), dropped: Vec::new(), wrong: Vec::new() };
        self.clear(place);
        let mut before = self.counters(place);
        for step in &case.steps {
            let input = step.input.fill(&place.values);
            let (outcome, early) = self.run_in_turn(step.side, place, &input);
            let verdict =
                VERDICTS.iter().find(|(number, _)| *number == outcome.verdict).map_or("other", |known| known.1);
            let after = self.counters(place);
            let moved = moved(step.side, &before, &after);
            before = after;
            let verdict = [&[verdict.to_owned()], &moved[..]].concat().join(" ");
            if outcome.verdict == bpf::DROPPED {
                played.dropped.push((moved.join(" "), early));
            }
            let redirected = verdict.starts_with("redirect");
            let output = if redirected { pattern::describe(&outcome.frame, &place.values) } else { String::new() };
            let found = format!("-> {verdict}\n{output}");
            let name = format!("{}, {}", case.name, step.name);
            if verdict != step.verdict || redirected && !step.output.fits(&outcome.frame, &place.values) {
                played.wrong.push(format!("{name}:\n{found}"));
            }
            if redirected && !checksum::are_right(&outcome.frame) {
                played.wrong.push(format!("{name}: a checksum is wrong:\n{found}"));
            }
            if verdict.starts_with("pass") && outcome.frame != input {
                played.wrong.push(format!("{name}: it passes, but not untouched"));
            }
            played.found.push(found);
        }
        played
    }

    /// Plays a case so many times: how long its last step takes each time, in nanoseconds.
    #[must_use]
    pub fn time(&self, case: &Case, runs: usize) -> Vec<u32> {
        let place = self.place(&case.instance);
        let inputs: Vec<_> = case.steps.iter().map(|step| step.input.fill(&place.values)).collect();
        let mut nanoseconds = Vec::with_capacity(runs);
        for _ in 0..runs {
            self.clear(place);
            let mut last = 0;
            for (step, input) in case.steps.iter().zip(&inputs) {
                last = self.run(step.side, place, input).nanoseconds;
            }
            nanoseconds.push(last);
        }
        nanoseconds
    }

    /// Gives a frame to the programs of a side, as tc says what becomes of it.
    #[must_use]
    pub fn run(&self, side: Side, place: &Place, frame: &[u8]) -> Outcome {
        self.run_in_turn(side, place, frame).0
    }

    /// The same, and whether XDP dropped it before tc saw it.
    fn run_in_turn(&self, side: Side, place: &Place, frame: &[u8]) -> (Outcome, bool) {
        if side == Side::Reply {
            // It doesn't ask which interface it is on.
            return (self.reply.run(frame, place.ifindex), false);
        }
        if let Some(early) = &self.early {
            let outcome = early.run(frame, place.ifindex);
            assert_eq!(outcome.frame, frame, "XDP changes a frame");
            if outcome.verdict == bpf::XDP_DROPPED {
                return (Outcome { verdict: bpf::DROPPED, ..outcome }, true);
            }
            assert_eq!(outcome.verdict, bpf::XDP_PASSED);
        }
        (self.ingress.run(frame, place.ifindex), false)
    }

    /// Empties the tables of a place's slot.
    pub fn clear(&self, place: &Place) {
        self.tables.clear(place.slot());
        self.budgets.clear(place.slot());
    }

    /// The tables of a place's slot.
    #[must_use]
    pub fn tables(&self, place: &Place) -> Vec<u8> {
        self.tables.entry(place.slot())
    }

    /// Kills the daemon: what is written into its maps by hand stays from now on.
    pub fn kill_daemon(&mut self) {
        self.host.kill();
    }

    /// A map of the daemon's, which runs, with values of so many bytes.
    #[must_use]
    #[track_caller]
    pub fn map(&self, name: &str, value: usize) -> Table {
        Table::pinned(&self.host.service_namespace().pin(name), value)
    }

    /// The interface of an option set.
    #[must_use]
    #[track_caller]
    pub fn place(&self, name: &str) -> &Place {
        let found = self.places.iter().find(|place| place.name == name);
        found.unwrap_or_else(|| panic!("there is no {name:?}"))
    }

    /// What the kernel counted for a place, and for nobody.
    fn counters(&self, place: &Place) -> [Counters; 2] {
        let stats = Stats::new(self.host.ask(&["stats"]));
        let own = place.id.as_ref().map(|id| stats.instance(id).kernel_counters());
        [own.unwrap_or_default(), stats.host_counters()]
    }
}

/// The counters that moved; where none of the slot's did, those that are nobody's, with a mark.
fn moved(side: Side, [own_before, host_before]: &[Counters; 2], [own, host]: &[Counters; 2]) -> Vec<String> {
    let mut moved = own.moved_since(own_before);
    // What is told of a packet is budgeted, and so depends on those before it.
    moved.retain(|name| name != LOST);
    if !moved.is_empty() {
        return moved;
    }
    // The namespace's own kernel speaks, too, now and then.
    let mut host = host.moved_since(host_before);
    host.dedup();
    host.retain(|name| name != LOST && (side == Side::Reply || name != STRAY));
    host.into_iter().map(|name| format!("host:{name}")).collect()
}

impl Default for Stage {
    fn default() -> Self {
        Self::new()
    }
}

impl Place {
    /// The slot's number.
    #[must_use]
    pub fn slot(&self) -> u32 {
        u16::from_be_bytes(self.values.slot).into()
    }

    /// What the names of a case stand for here.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.values
    }

    fn of_instance(host: &Host, ingress: &Program, name: &'static str, options: &str, disabled: bool) -> Self {
        let mut tap = Tap::new();
        let id = host.create(tap.interface(), &["--metadata-options", options]);
        let ifindex = ifindex_of(tap.interface());
        let token = token(&mut tap);
        if disabled {
            host.set(&id, &["--http-endpoint", "disabled"]);
        }
        let identity = identity(&tap, ingress, ifindex);
        let [.., s0, s1, g0, g1] = identity;
        let values = Values { slot: [s0, s1], generation: [g0, g1], token, foreign: Vec::new() };
        Self { name, id: Some(id), ifindex, values, _tap: tap }
    }

    fn of_nobody() -> Self {
        let tap = Tap::new();
        let values = Values { slot: [0; 2], generation: [0; 2], token: Vec::new(), foreign: Vec::new() };
        Self { name: NOBODY, id: None, ifindex: ifindex_of(tap.interface()), values, _tap: tap }
    }
}

/// A token, got as any client gets one.
fn token(tap: &mut Tap) -> Vec<u8> {
    let mut connection = TapConnection::open(tap, CLIENT, PORT);
    connection.send(&http::request("PUT", "/latest/api/token", &[(http::TTL, "21600")]));
    let mut answer = connection.receive_to_end();
    let answer = http::Answer::split_off(&mut answer, false).expect("a whole answer");
    assert_eq!(answer.status, 200, "{}", answer.head);
    answer.body
}

/// The beginning of what a delivered packet's source is: prefix, slot and generation.
fn identity(tap: &Tap, ingress: &Program, ifindex: u32) -> [u8; 10] {
    let mut syn = Vec::new();
    let builder = tap.frame().ipv4(CLIENT, SERVICE, 64).tcp(PORT + 1, 80, 1, 64_000).syn();
    builder.write(&mut syn, &[]).expect("a Vec takes every frame");
    let delivered = ingress.run(&syn, ifindex).frame;
    *delivered.get(22..).and_then(|source| source.first_chunk()).expect("a source address")
}
