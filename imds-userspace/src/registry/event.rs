//! What an event makes of an instance's document, and what of that stays.

use serde_json::{Map, Value};

use super::creation::random_digits;
use super::draft::DraftError;
use super::error::RegistryError;
use super::record::Record;
use crate::metadata::document::Time;
use crate::metadata::document::{
    Autoscaling, Document, DocumentError, LifecycleChange, LifecycleState, Line, MAINTENANCE_MAX, Maintenance,
    MaintenanceCode, MaintenanceState, Name, Spot,
};
use crate::registry::request::Event;

/// Parts of a document that events write.
const PARTS: [&str; 3] = ["autoscaling", "events", "spot"];

/// A document in the place of a record's, with what happens to the instance where the document doesn't say of it: a
/// description that is given again knows nothing of events since.
pub(super) fn kept(record: &Record, mut document: Value) -> Value {
    if document.is_null() {
        document = Value::Object(Map::new());
    }
    // Another form than an object is refused later.
    if let Value::Object(members) = &mut document {
        let mut former = record.instance.document.unpack().to_value();
        for part in PARTS {
            if let Some(former) = former.get_mut(part)
                && members.get(part).is_none_or(Value::is_null)
            {
                members.insert(part.to_owned(), former.take());
            }
        }
    }
    document
}

/// The document after an event at `now`.
pub(super) fn happen(document: &Document, event: &Event, now: Time) -> Result<Document, RegistryError> {
    let mut next = document.clone();
    match event {
        Event::SpotInterruption { seconds: 0, .. } => {
            let reason =
                "the instance would be interrupted before it could read of it; give a second or more (`--in 1s`)";
            return Err(DraftError::from(DocumentError::at("spot/time", reason)).into());
        }
        Event::SpotInterruption { seconds, action } => {
            next.spot = Spot { action: Some(*action), time: Some(now.plus(*seconds)), notice: None };
        }
        Event::Rebalance { seconds } => next.events.rebalance = Some(now.plus(*seconds)),
        Event::Maintenance { seconds: 0, duration: Some(0), .. } => {
            let reason = "it would be over before the instance could read of it; give a second or more (`--for 1s`)";
            return Err(DraftError::from(DocumentError::at("events/maintenance", reason)).into());
        }
        Event::Maintenance { seconds, duration, code, description } => {
            let not_before = now.plus(*seconds);
            let description = description.as_deref().unwrap_or_else(|| description_of(*code));
            let events = next.events.maintenance.get_or_insert_default();
            make_room(events, now)?;
            events.push(Maintenance {
                event_id: name(&format!("instance-event-{}", random_digits()?))?,
                code: *code,
                description: line(description)?,
                not_before,
                not_after: duration.map(|duration| not_before.plus(duration)),
                state: None,
            });
        }
        Event::Lifecycle { seconds, state } => lead(&mut next.autoscaling, *state, now.plus(*seconds), now)?,
        Event::Clear => {
            next.spot = Spot::default();
            next.events.rebalance = None;
            for event in next.events.maintenance.iter_mut().flatten() {
                if !event.is_over(now) {
                    event.state = Some(MaintenanceState::Canceled);
                }
            }
            settle(&mut next.autoscaling, now);
            next.autoscaling.changes = None;
        }
    }
    Ok(next)
}

/// Forgets the oldest of what is over, until there is room for one more.
fn make_room(events: &mut Vec<Maintenance>, now: Time) -> Result<(), RegistryError> {
    while events.len() >= MAINTENANCE_MAX {
        let end = |event: &Maintenance| event.not_after.unwrap_or(event.not_before);
        let over = events.iter().enumerate().filter(|(_, event)| event.is_over(now));
        let Some((oldest, _)) = over.min_by_key(|(_, event)| end(event)) else {
            return Err(too_many("events/maintenance", "maintenance events"));
        };
        events.remove(oldest);
    }
    Ok(())
}

fn lead(plan: &mut Autoscaling, state: LifecycleState, at: Time, now: Time) -> Result<(), RegistryError> {
    settle(plan, now);
    if at <= now {
        plan.target_lifecycle_state = Some(state);
        return Ok(());
    }
    let changes = plan.changes.get_or_insert_default();
    if changes.len() >= MAINTENANCE_MAX {
        return Err(too_many("autoscaling/changes", "changes of the state"));
    }
    changes.push(LifecycleChange { at, target_lifecycle_state: state });
    Ok(())
}

fn too_many(path: &str, what: &str) -> RegistryError {
    let reason = format!(
        "{MAINTENANCE_MAX} {what} are not over yet, and no more are taken; `imdsctl event clear ID` takes them back"
    );
    DraftError::from(DocumentError::at(path, reason)).into()
}

/// Makes the last state that is due the one that stands.
fn settle(plan: &mut Autoscaling, now: Time) {
    let Some(changes) = &mut plan.changes else { return };
    let due = changes.iter().filter(|change| change.at <= now).max_by_key(|change| change.at);
    plan.target_lifecycle_state = due.map(|change| change.target_lifecycle_state).or(plan.target_lifecycle_state);
    changes.retain(|change| change.at > now);
    if changes.is_empty() {
        plan.changes = None;
    }
}

const fn description_of(code: MaintenanceCode) -> &'static str {
    match code {
        MaintenanceCode::InstanceReboot | MaintenanceCode::SystemReboot => "scheduled reboot",
        MaintenanceCode::SystemMaintenance => "scheduled maintenance",
        MaintenanceCode::InstanceRetirement => "The instance is scheduled for retirement",
        MaintenanceCode::InstanceStop => "The instance is running on degraded hardware",
    }
}

fn name(text: &str) -> Result<Name, RegistryError> {
    text.to_owned().try_into().map_err(|error| wrong("event-id", &error))
}

fn line(text: &str) -> Result<Line, RegistryError> {
    text.to_owned().try_into().map_err(|error| wrong("description", &error))
}

fn wrong(member: &str, error: &dyn std::error::Error) -> RegistryError {
    DraftError::from(DocumentError::at(format!("events/maintenance/{member}"), error.to_string())).into()
}

#[cfg(test)]
mod tests;
