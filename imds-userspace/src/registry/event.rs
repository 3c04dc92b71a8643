//! What an event makes of an instance's document.

use super::creation::random_digits;
use super::draft::DraftError;
use super::error::RegistryError;
use crate::metadata::document::Time;
use crate::metadata::document::{
    Autoscaling, Document, DocumentError, LifecycleChange, LifecycleState, Line, MAINTENANCE_MAX, Maintenance,
    MaintenanceCode, MaintenanceState, Name, Spot,
};
use crate::registry::request::Event;

/// The document after an event at `now`.
pub(super) fn happen(document: &Document, event: &Event, now: Time) -> Result<Document, RegistryError> {
    let mut next = document.clone();
    match event {
        Event::SpotInterruption { seconds, action } => {
            next.spot = Spot { action: Some(*action), time: Some(now.plus(*seconds)), notice: None };
        }
        Event::Rebalance { seconds } => next.events.rebalance = Some(now.plus(*seconds)),
        Event::Maintenance { seconds, duration, code, description } => {
            let not_before = now.plus(*seconds);
            let description = description.as_deref().unwrap_or_else(|| description_of(*code));
            let events = next.events.maintenance.get_or_insert_default();
            make_room(events, now);
            events.push(Maintenance {
                event_id: name(&format!("instance-event-{}", random_digits()?))?,
                code: *code,
                description: line(description)?,
                not_before,
                not_after: not_before.plus(*duration),
                state: None,
            });
        }
        Event::Lifecycle { seconds, state } => lead(&mut next.autoscaling, *state, now.plus(*seconds), now),
        Event::Clear => {
            next.spot = Spot::default();
            next.events.rebalance = None;
            for event in next.events.maintenance.iter_mut().flatten() {
                if event.state.is_none() && event.not_after > now {
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
fn make_room(events: &mut Vec<Maintenance>, now: Time) {
    while events.len() >= MAINTENANCE_MAX {
        let over = |event: &Maintenance| event.state.is_some() || event.not_after <= now;
        let oldest =
            events.iter().enumerate().filter(|(_, event)| over(event)).min_by_key(|(_, event)| event.not_after);
        match oldest.map(|(place, _)| place) {
            Some(place) => drop(events.remove(place)),
            None => return,
        }
    }
}

fn lead(plan: &mut Autoscaling, state: LifecycleState, at: Time, now: Time) {
    settle(plan, now);
    if at <= now {
        plan.target_lifecycle_state = Some(state);
    } else {
        plan.changes.get_or_insert_default().push(LifecycleChange { at, target_lifecycle_state: state });
    }
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
