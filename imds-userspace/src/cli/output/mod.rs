//! What the daemon says, as tables or as JSON.

mod documents;
mod events;
mod instances;
mod keys;
mod limits;
mod options;
mod stats;
mod table;

use clap::ValueEnum;
use serde::Serialize;
use serde_json::json;

use table::Look;
pub(super) use table::printable;

use super::error::Error;
use super::invocation::View;
use crate::control::protocol::Payload;
use crate::metadata::patch;
use crate::registry::view::CertificatesView;

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Table,
    /// For programs: one document
    Json,
}

/// Turns payloads into text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Printer {
    pub(super) format: Format,
    /// Whether tables have colours.
    pub(super) colour: bool,
}

impl Printer {
    /// The text of a payload, ending with a newline.
    pub(super) fn render(self, view: &View, payload: Payload) -> Result<String, Error> {
        let look = Look { colour: self.colour };
        match (view, payload) {
            (View::Instance, Payload::Instance(instance)) => self.either(&instance, || instances::one(look, &instance)),
            (&View::Deletion { released }, Payload::Instance(instance)) => {
                self.either(&instance, || instances::deleted(&instance, released))
            }
            (View::Release, Payload::Interface(interface)) => {
                self.either(&interface, || format!("released {}\n", printable(&interface.name)))
            }
            (View::Change, Payload::Instance(instance)) => {
                self.either(&instance, || format!("changed {}\n", printable(&instance.instance_id)))
            }
            (View::Document(None), Payload::Document(document)) => {
                let document = document.to_value();
                self.either(&document, || documents::value(&document))
            }
            (View::Document(Some(path)), Payload::Document(document)) => {
                let document = document.to_value();
                let value = patch::get(&document, path).ok_or_else(|| Error::NoValue(path.clone()))?;
                self.either(&value, || documents::value(value))
            }
            (View::Applied { check }, Payload::Applied(applied)) => {
                self.either(&applied, || documents::applied(&applied, *check))
            }
            (View::Instances, Payload::Instances(all)) => self.either(&all, || instances::list(look, &all)),
            (View::OptionsOfOne, Payload::Instance(instance)) => {
                self.either(&instance.metadata_options, || options::list(look, std::slice::from_ref(&instance)))
            }
            (View::OptionsOfEach, Payload::Instances(changed)) => {
                self.either(&changed, || options::list(look, &changed))
            }
            (View::Limits, Payload::Instance(instance)) => {
                self.either(&instance.limits, || limits::one(look, &instance))
            }
            (View::Certificate { dsa }, Payload::Certificates(certificates)) => self.either(&certificates, || {
                let CertificatesView { rsa, dsa: other } = &certificates;
                if *dsa { other.clone() } else { rsa.clone() }
            }),
            (View::Stats, Payload::Stats(stats)) => self.either(&stats, || stats::table(look, &stats)),
            (View::Events, Payload::Events(view)) => self.either(&view, || events::table(look, &view)),
            (View::Trace, Payload::Events(view)) => match self.format {
                Format::Table => Ok(view.events.iter().map(events::line).chain(events::gap(view.lost)).collect()),
                Format::Json => {
                    let gap = (view.lost > 0).then(|| json_line(&json!({ "lost": view.lost })));
                    view.events.iter().map(json_line).chain(gap).collect()
                }
            },
            (View::Keys, Payload::Keys(keys)) => self.either(&keys, || keys::rotated(&keys)),
            (View::StatsOverTime, Payload::Stats(stats)) => match self.format {
                Format::Table => Ok(stats::table(look, &stats)),
                Format::Json => json_line(&stats),
            },
            _ => Err(Error::Payload),
        }
    }

    /// The text that says which signatures are good.
    pub(super) fn verified(self, good: &[&str]) -> Result<String, Error> {
        self.either(&json!({ "good": good }), || good.iter().map(|name| format!("{name}: good\n")).collect())
    }

    fn either(self, payload: &impl Serialize, table: impl FnOnce() -> String) -> Result<String, Error> {
        match self.format {
            Format::Table => Ok(table()),
            Format::Json => serde_json::to_string_pretty(payload).map(|text| text + "\n").map_err(Error::Json),
        }
    }
}

/// A document in one line.
fn json_line(document: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(document).map(|line| line + "\n").map_err(Error::Json)
}

#[cfg(test)]
mod tests;
