//! An instance on a tap, and connections to it whose answers are compared with what they should be.

use super::{Hops, Mode, Row, assert_well_formed, rows};
use crate::family::Family;
use crate::host::Host;
use crate::http::{TTL, request};
use crate::packet::Segment;
use crate::script::Script;
use crate::tap::Tap;
use crate::volley::{Ended, Talk, Volley};

const SOURCE: [u8; 4] = [10, 0, 0, 1];
/// The TTL of what isn't limited.
const NORMAL: u8 = 64;
/// `HttpPutResponseHopLimit` of the instance: no other packet's TTL.
const LIMIT: u8 = 7;
/// So many failures are told in full.
const SHOWN: usize = 8;

/// A connection and what should come of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// What is said of it when it fails.
    pub name: String,
    /// What the client sends.
    pub script: Script,
    /// The statuses of all answers.
    pub statuses: Vec<u16>,
    /// How far they travel.
    pub hops: Hops,
}

impl Case {
    /// A row whose segments, in order, end at each of `cuts`.
    #[must_use]
    pub fn cut(row: &Row, mode: Mode, cuts: &[usize]) -> Self {
        let name = format!("{}, {mode:?}, cut at {:?}", row.name, &cuts[..cuts.len().min(3)]);
        let (script, statuses) = (row.script(mode, cuts), row.statuses(mode).to_vec());
        Self { name, script, statuses, hops: row.hops(mode, cuts) }
    }

    /// The same, its segments changed.
    #[must_use]
    pub fn but(self, how: &str, change: impl FnOnce(Script) -> Script) -> Self {
        Self { name: format!("{}, {how}", self.name), script: change(self.script), ..self }
    }

    /// The same, travelling otherwise.
    #[must_use]
    pub fn travelling(self, hops: Hops) -> Self {
        Self { hops, ..self }
    }
}

/// Plays over a family, in each mode, what `cases` makes of each row.
#[track_caller]
pub fn play_rows(family: Family, cases: impl Fn(&Row, Mode) -> Vec<Case>) {
    let mut arena = Arena::new(family);
    let token = arena.token(21_600);
    let rows = rows(&token);
    for mode in Mode::ALL {
        let cases: Vec<_> = rows.iter().flat_map(|row| cases(row, mode)).collect();
        assert!(!cases.is_empty());
        arena.play(mode, &cases);
    }
}

/// An instance on a tap.
#[derive(Debug)]
pub struct Arena {
    /// Its host.
    pub host: Host,
    /// Its id.
    pub id: String,
    volley: Volley,
}

impl Arena {
    /// Makes one, reached over a family.
    #[must_use]
    #[track_caller]
    pub fn new(family: Family) -> Self {
        let (host, tap) = (Host::start().over(family), Tap::new().over(family));
        let id = host.create(tap.interface(), &[]);
        host.set(&id, &["--http-put-response-hop-limit", &LIMIT.to_string()]);
        Self { host, id, volley: Volley::new(tap, SOURCE) }
    }

    /// A token of so many seconds.
    #[must_use]
    #[track_caller]
    pub fn token(&mut self, seconds: u32) -> String {
        let bytes = request("PUT", super::TOKEN_PATH, &[(TTL, &seconds.to_string())]);
        let talks = self.volley.fire(&[Script::whole(&bytes, &[false])]);
        let answer = talks[0].answers.first().unwrap_or_else(|| panic!("no token: {talks:?}"));
        assert_eq!(answer.status, 200, "{}", answer.head);
        answer.text()
    }

    /// Changes the instance's options.
    #[track_caller]
    pub fn enter(&self, mode: Mode) {
        self.host.set(&self.id, mode.options());
    }

    /// Plays the cases in a mode and compares.
    #[track_caller]
    pub fn play(&mut self, mode: Mode, cases: &[Case]) {
        self.enter(mode);
        let scripts: Vec<_> = cases.iter().map(|case| case.script.clone()).collect();
        let talks = self.volley.fire(&scripts);
        let compared = cases.iter().zip(&talks).filter_map(|(case, talk)| self.compare(case, talk).err());
        let wrong: Vec<_> = compared.collect();
        let shown = &wrong[..wrong.len().min(SHOWN)];
        assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), cases.len(), shown.join("\n"));
    }

    /// What is wrong with what came.
    fn compare(&self, Case { name, statuses, hops, .. }: &Case, talk: &Talk) -> Result<(), String> {
        let segments = &talk.segments;
        let wrong = |what: &str| Err(format!("{name}: {what}: {segments:?}"));
        let came = (talk.statuses(), talk.rest.as_slice(), talk.ended);
        if came != (statuses.clone(), b"", Ended::Fin) {
            return wrong(&format!("{came:?} instead of {statuses:?}"));
        }
        for answer in &talk.answers {
            assert_well_formed(name, answer);
        }
        let id = self.id.as_bytes();
        let shows_id = |segment: &Segment| segment.payload.windows(id.len()).any(|window| window == id);
        if !statuses.contains(&200) && segments.iter().any(shows_id) {
            return wrong("metadata came with a refusal");
        }
        for segment in segments {
            let is_right = match hops {
                _ if !segment.carries() => segment.ttl == NORMAL,
                // No page ends so.
                _ if segment.payload.ends_with(b"==") => segment.ttl == LIMIT,
                Hops::Normal => segment.ttl == NORMAL,
                Hops::Limited => segment.ttl == LIMIT,
                Hops::Either => [NORMAL, LIMIT].contains(&segment.ttl),
            };
            if !is_right {
                return wrong(&format!("travels otherwise than {hops:?}"));
            }
            if !segment.checksums {
                return wrong("a wrong checksum");
            }
        }
        Ok(())
    }
}
