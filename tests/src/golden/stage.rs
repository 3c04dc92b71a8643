//! Where cases are played: the pinned programs of two daemons, one that answers what it refuses and one that is silent,
//! and interfaces of instances with different options.

use super::case::{Case, Side};
use super::checksum;
use super::daemon::Daemon;
use super::pattern;
use super::place::{INSTANCES, Options, Place};
use crate::bpf::{self, Outcome, Table};
use crate::stats::{Counters, Stats};

/// What the daemon has in its config that refuses in silence.
const SILENT: &str = "on-refuse = \"drop\"\n";

/// Counts what comes out of the namespace for nobody.
const STRAY: &str = "dropped-reply-stray";

/// Counts events that weren't told.
const LOST: &str = "events-lost";

/// How often a case is played whose answer should have a date: a daemon that got no processor for a while has none
/// ready, which is right, too.
const TRIES: usize = 3;

/// What a program returns, by the name that cases call it by.
const VERDICTS: [(i32, &str); 3] = [(bpf::PASSED, "pass"), (bpf::DROPPED, "drop"), (bpf::REDIRECTED, "redirect")];

/// Two daemons, and interfaces of their instances.
#[derive(Debug)]
pub struct Stage {
    // Before the daemons, whose end removes what is attached to them.
    places: Vec<Place>,
    daemon: Daemon,
    silent: Daemon,
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
    /// Starts daemons, which attach as the test that runs wants it, and makes their instances.
    #[must_use]
    pub fn new() -> Self {
        let (daemon, silent) = (Daemon::start(""), Daemon::start(SILENT));
        let of_instance =
            |options: &Options| Place::of_instance(if options.silent { &silent } else { &daemon }, options);
        let mut places: Vec<_> = INSTANCES.iter().map(of_instance).collect();
        places.push(Place::of_nobody());
        let [optional, required] = [0, 1].map(|index| places[index].values.token.clone());
        for place in &mut places {
            place.values.foreign = if place.name == "optional" { &required } else { &optional }.clone();
        }
        Self { places, daemon, silent }
    }

    /// The daemon whose instance's interface it is.
    fn daemon(&self, place: &Place) -> &Daemon {
        if place.silent { &self.silent } else { &self.daemon }
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
        self.daemon(place).set(place.slot(), case.state);
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
            self.daemon(place).set(place.slot(), case.state);
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
        match side {
            Side::Ingress => self.daemon(place).ingress(frame, place.ifindex),
            Side::Reply => (self.daemon(place).reply(frame, place.ifindex), false),
        }
    }

    /// Empties the tables of a place's slot.
    pub fn clear(&self, place: &Place) {
        self.daemon(place).set(place.slot(), None);
    }

    /// The tables of a place's slot.
    #[must_use]
    pub fn tables(&self, place: &Place) -> Vec<u8> {
        self.daemon(place).tables.entry(place.slot())
    }

    /// Kills the daemon that answers what it refuses: what is written into its maps by hand stays from now on.
    pub fn kill_daemon(&mut self) {
        self.daemon.host.kill();
    }

    /// A map of that daemon's, which runs, with values of so many bytes.
    #[must_use]
    #[track_caller]
    pub fn map(&self, name: &str, value: usize) -> Table {
        Table::pinned(&self.daemon.host.service_namespace().pin(name), value)
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
        let stats = Stats::new(self.daemon(place).host.ask(&["stats"]));
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
