//! Cases, as their files hold them.

use super::pattern::Pattern;
use super::state::State;

/// Which program a frame is given to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `imds_ingress`: from the guest.
    Ingress,
    /// `imds_reply`: from the daemon.
    Reply,
}

/// One frame, and what becomes of it.
#[derive(Clone, Debug)]
pub struct Step {
    /// Which program gets it.
    pub side: Side,
    /// What it is.
    pub name: String,
    /// Its bytes.
    pub input: Pattern,
    /// `pass`, `drop` or `redirect`, and the counters that move, in alphabetical order.
    pub verdict: String,
    /// What the frame is then; nothing where it is as it was.
    pub output: Pattern,
    /// The lines of verdict and output, from one to before the other.
    pub(super) lines: (usize, usize),
}

/// Some steps.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// Whose interface.
    pub instance: String,
    /// What is there before them, if anything is.
    pub state: Option<State>,
    /// Its steps; the last one is what it is about.
    pub steps: Vec<Step>,
}

impl Case {
    /// Whether its last step is a request that the kernel refuses.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.steps.last().is_some_and(|step| step.verdict.contains(" refused-"))
    }
}

/// A file of cases.
#[derive(Clone, Debug)]
pub struct Script {
    /// Its cases.
    pub cases: Vec<Case>,
    /// Its lines.
    pub(super) lines: Vec<String>,
}

impl Script {
    /// Reads one of [`super::FILES`].
    #[must_use]
    #[track_caller]
    pub fn read((name, text): (&str, &str)) -> Self {
        Self::parse(text).unwrap_or_else(|error| panic!("{name}.golden:{error}"))
    }

    /// The cases of a text, or what is wrong with which line.
    fn parse(text: &str) -> Result<Self, String> {
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        let mut cases: Vec<Case> = Vec::new();
        for (number, line) in lines.iter().enumerate() {
            take(&mut cases, number, line).map_err(|error| format!("{}: {error}", number + 1))?;
        }
        let empty = cases.iter().find(|case| case.steps.iter().any(|step| step.verdict.is_empty()));
        match empty {
            Some(case) => Err(format!("a step of {} has no verdict", case.name)),
            None => Ok(Self { cases, lines }),
        }
    }

    /// The file's text with other lines for the verdict and output of each step, in order.
    #[must_use]
    pub fn with(&self, found: &[String]) -> String {
        let steps = self.cases.iter().flat_map(|case| &case.steps);
        let mut text = String::new();
        let mut at = 0;
        for (step, found) in steps.zip(found) {
            self.lines[at..step.lines.0].iter().for_each(|line| text += &format!("{line}\n"));
            text += found;
            at = step.lines.1;
        }
        self.lines[at..].iter().for_each(|line| text += &format!("{line}\n"));
        text
    }
}

fn take(cases: &mut Vec<Case>, number: usize, line: &str) -> Result<(), String> {
    let (word, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
    let rest = rest.trim();
    if word.is_empty() || word.starts_with('#') {
        return Ok(());
    }
    if word == "case" {
        cases.push(Case { name: rest.to_owned(), instance: String::new(), state: None, steps: Vec::new() });
        return Ok(());
    }
    let case = cases.last_mut().ok_or("no case has begun")?;
    match word {
        "on" => rest.clone_into(&mut case.instance),
        "with" => {
            case.state = Some(State::named(rest).ok_or_else(|| format!("{rest} is no state"))?);
        }
        "ingress" | "reply" => case.steps.push(Step {
            side: if word == "reply" { Side::Reply } else { Side::Ingress },
            name: rest.to_owned(),
            input: Pattern::default(),
            verdict: String::new(),
            output: Pattern::default(),
            lines: (0, 0),
        }),
        _ => {
            let step = case.steps.last_mut().ok_or("no step has begun")?;
            match word {
                "->" => (step.verdict, step.lines) = (rest.to_owned(), (number, number + 1)),
                _ if step.verdict.is_empty() => step.input.add(rest)?,
                _ => {
                    step.output.add(rest)?;
                    step.lines.1 = number + 1;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# A file.\ncase one\non required\nwith flows taken\ningress a frame\n  eth 01\n-> drop\n\ncase two\n\
                        on nobody\nreply b\n  eth 02\n-> redirect\n  eth 03\n";

    #[test]
    fn a_file_holds_cases_of_steps() {
        let script = Script::parse(TEXT).expect("a file");
        let [one, two] = &script.cases[..] else { panic!("{script:?}") };
        assert_eq!((one.instance.as_str(), one.steps[0].verdict.as_str()), ("required", "drop"));
        assert_eq!((one.state, two.state), (Some(State::FlowsTaken), None));
        assert_eq!((two.steps[0].side, two.steps[0].lines), (Side::Reply, (12, 14)));
        assert_eq!(one.steps[0].output, Pattern::default());
    }

    #[test]
    fn what_was_found_takes_the_place_of_what_was_said() {
        let script = Script::parse(TEXT).expect("a file");
        let found = ["-> pass\n".to_owned(), "-> redirect\n  eth 04\n".to_owned()];
        assert_eq!(script.with(&found), TEXT.replace("-> drop", "-> pass").replace("eth 03", "eth 04"));
    }

    #[test]
    fn errors_name_the_line() {
        for (text, error) in [
            ("eth 01", "1: no case has begun"),
            ("case a\neth 01", "2: no step has begun"),
            ("case a\nwith flows", "2: flows is no state"),
            ("case a\ningress b\neth x", "3: x is neither bytes nor a name"),
            ("case a\ningress b\neth 01\n", "a step of a has no verdict"),
        ] {
            assert_eq!(Script::parse(text).expect_err("wrong"), error);
        }
    }
}
