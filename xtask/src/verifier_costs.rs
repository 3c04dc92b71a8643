//! What the verifier walks and how long a load takes: the committed list, and what has grown since.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::workspace::Workspace;

/// Growth that is shown: below it are a compiler's changes of mood.
const SHOWN: f64 = 0.10;

const HEADING: &str = "\
# What the verifier walks of each program, and how long its load takes: by kernel series and object.
# Written by `cargo xtask bench --accept` for the running kernel, by `cargo xtask vm-test --accept` for the others.

";

/// What one program costs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cost {
    /// Instructions that the verifier walked.
    instructions: u32,
    /// How long the load took.
    milliseconds: f64,
}

/// The programs of one object.
type Programs = BTreeMap<String, Cost>;

/// The list.
pub(crate) struct List {
    path: PathBuf,
    /// By series and object.
    kernels: BTreeMap<String, BTreeMap<String, Programs>>,
}

/// What `imdsd check` says, by program; of several loads of one program the shortest.
pub(crate) fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Programs {
    let mut programs = Programs::new();
    for (program, cost) in lines.into_iter().filter_map(parse_line) {
        programs
            .entry(program.to_owned())
            .and_modify(|known| known.milliseconds = known.milliseconds.min(cost.milliseconds))
            .or_insert(cost);
    }
    programs
}

fn parse_line(line: &str) -> Option<(&str, Cost)> {
    let (program, rest) = line.split_once(": ")?;
    let (instructions, rest) = rest.split_once(" instructions verified, loaded in ")?;
    let milliseconds = rest.strip_suffix(" ms")?;
    Some((program, Cost { instructions: instructions.parse().ok()?, milliseconds: milliseconds.parse().ok()? }))
}

/// The series of a kernel's release: `6.18` of `6.18.44-cloud-amd64`.
pub(crate) fn series(release: &str) -> String {
    release.split('.').take(2).collect::<Vec<_>>().join(".")
}

impl List {
    /// Reads the list.
    pub(crate) fn read(workspace: &Workspace) -> Result<Self> {
        let path = workspace.verifier_costs();
        let text = fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
        let kernels = toml::from_str(&text).with_context(|| format!("{} isn't such a list", path.display()))?;
        Ok(Self { path, kernels })
    }

    /// Takes an object's costs on a kernel over into the list.
    pub(crate) fn accept(&mut self, series: &str, object: &str, programs: Programs) -> Result<()> {
        ensure!(!programs.is_empty(), "the {object} object was not checked on Linux {series}: nothing to accept");
        self.kernels.entry(series.to_owned()).or_default().insert(object.to_owned(), programs);
        let text = toml::to_string(&self.kernels).context("the list can't be written as TOML")?;
        fs::write(&self.path, format!("{HEADING}{text}"))
            .with_context(|| format!("can't write {}", self.path.display()))
    }

    /// A line for each program: its costs beside those of the list.
    pub(crate) fn compare(&self, series: &str, object: &str, programs: &Programs) -> String {
        let listed = self.kernels.get(series).and_then(|objects| objects.get(object));
        let mut lines = String::new();
        for (program, now) in programs {
            let Cost { instructions, milliseconds } = now;
            let beside = match listed.and_then(|programs| programs.get(program)) {
                Some(before) => compare(before, now),
                None => "not in the list".to_owned(),
            };
            // A String takes every write.
            let _ = writeln!(
                lines,
                "  {series} {object} {program}: {instructions} instructions, {milliseconds:.1} ms; {beside}"
            );
        }
        for gone in listed.into_iter().flatten().filter(|(program, _)| !programs.contains_key(*program)) {
            let _ = writeln!(lines, "  {series} {object} {}: in the list, not in the object", gone.0);
        }
        lines
    }
}

fn compare(before: &Cost, now: &Cost) -> String {
    let change = |before: f64, now: f64| {
        let word = if now > before * (1.0 + SHOWN) { " GROWN" } else { "" };
        format!("{:+.0} %{word}", (now / before - 1.0) * 100.0)
    };
    let instructions = change(before.instructions.into(), now.instructions.into());
    format!("against the list {instructions}, load {}", change(before.milliseconds, now.milliseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECK: &str = "\
a: 1000 instructions verified, loaded in 2.5 ms
b: ? instructions verified, loaded in 0.1 ms
nonsense
a: 1000 instructions verified, loaded in 2.0 ms
";

    fn list(programs: Programs) -> List {
        let objects = BTreeMap::from([("release".to_owned(), programs)]);
        List { path: PathBuf::new(), kernels: BTreeMap::from([("6.18".to_owned(), objects)]) }
    }

    #[test]
    fn what_check_prints_is_read_and_the_shortest_load_counts() {
        let programs = parse(CHECK.lines());
        assert_eq!(programs, Programs::from([("a".to_owned(), Cost { instructions: 1000, milliseconds: 2.0 })]));
    }

    #[test]
    fn growth_over_a_tenth_is_shown() {
        let now = |instructions, milliseconds| Programs::from([("a".to_owned(), Cost { instructions, milliseconds })]);
        let list = list(now(1000, 2.0));
        for (instructions, milliseconds, grown) in [(1100, 2.2, 0), (1101, 2.0, 1), (500, 2.3, 1), (2000, 4.0, 2)] {
            let line = list.compare("6.18", "release", &now(instructions, milliseconds));
            assert_eq!(line.matches("GROWN").count(), grown, "{line}");
        }
        assert!(list.compare("6.1", "release", &now(1, 1.0)).contains("not in the list"));
        assert!(list.compare("6.18", "release", &Programs::new()).contains("not in the object"));
    }

    #[test]
    fn the_series_is_the_first_two_numbers() {
        assert_eq!(series("6.1.0-56-cloud-amd64"), "6.1");
        assert_eq!(series("6.12"), "6.12");
    }
}
