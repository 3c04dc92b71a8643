//! What happens to the instance at some time: `events`, `spot` and `autoscaling`.

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::json;

use super::written;
use crate::metadata::document::{Autoscaling, Document, Maintenance, MaintenanceState, Spot, SpotAction, Time};
use crate::metadata::json;
use crate::metadata::tree::Planting;

pub(super) fn plant(document: &Document, tree: &mut Planting) {
    maintenance(document.events.maintenance.as_deref().unwrap_or_default(), tree);
    if let Some(time) = document.events.rebalance {
        let notice = format!("{{\"noticeTime\": \"{time}\"}}");
        tree.text_during(&["meta-data", "events", "recommendations", "rebalance"], &notice, time.unix()..u64::MAX);
    }
    spot(&document.spot, tree);
    lifecycle(&document.autoscaling, tree);
}

/// The periods between these moments, from the first second to the last.
fn periods(moments: impl IntoIterator<Item = u64>) -> Vec<Range<u64>> {
    let ends: BTreeSet<u64> = moments.into_iter().chain([u64::MAX]).filter(|&moment| moment > 0).collect();
    let starts = [0].into_iter().chain(ends.iter().copied());
    starts.zip(&ends).map(|(start, &end)| start..end).collect()
}

/// An event's state at a time; none while it is active.
fn state_at(event: &Maintenance, second: u64) -> Option<MaintenanceState> {
    let is_over = event.is_over(Time::from_unix(second));
    event.state.or(is_over.then_some(MaintenanceState::Completed))
}

fn maintenance(events: &[Maintenance], tree: &mut Planting) {
    let open = events.iter().filter(|event| event.state.is_none());
    for period in periods(open.filter_map(|event| event.not_after).map(Time::unix)) {
        let (mut scheduled, mut history) = (Vec::new(), Vec::new());
        for event in events {
            let (list, state, prefix) = match state_at(event, period.start) {
                None => (&mut scheduled, "active", ""),
                Some(MaintenanceState::Completed) => (&mut history, "completed", "[Completed] "),
                Some(MaintenanceState::Canceled) => (&mut history, "canceled", "[Canceled] "),
            };
            list.push(maintenance_event(event, state, prefix));
        }
        for (name, events) in [("scheduled", scheduled), ("history", history)] {
            let path = ["meta-data", "events", "maintenance", name];
            tree.text_during(&path, &json::list(events.into_iter()), period.clone());
        }
    }
}

fn maintenance_event(event: &Maintenance, state: &str, prefix: &str) -> String {
    let mut members = vec![
        ("NotBefore", json!(event.not_before.in_words())),
        ("Code", json!(event.code)),
        ("Description", json!(format!("{prefix}{}", event.description))),
        ("EventId", json!(event.event_id)),
    ];
    members.extend(event.not_after.map(|end| ("NotAfter", json!(end.in_words()))));
    members.push(("State", json!(state)));
    json::object(&members)
}

/// The notice, from its time until the interruption itself.
fn spot(spot: &Spot, tree: &mut Planting) {
    let (Some(action), Some(time), Some(notice)) = (spot.action, spot.time, spot.notice) else { return };
    let period = notice.unix()..time.unix();
    let body = format!("{{\"action\": \"{}\", \"time\": \"{time}\"}}", written(&action));
    tree.text_during(&["meta-data", "spot", "instance-action"], &body, period.clone());
    if action == SpotAction::Terminate {
        tree.text_during(&["meta-data", "spot", "termination-time"], &time.to_string(), period);
    }
}

fn lifecycle(plan: &Autoscaling, tree: &mut Planting) {
    let changes = plan.changes.as_deref().unwrap_or_default();
    for period in periods(changes.iter().map(|change| change.at.unix())) {
        // Of several at one time the last one stands.
        let due = changes.iter().filter(|change| change.at.unix() <= period.start).max_by_key(|change| change.at);
        if let Some(state) = due.map(|change| change.target_lifecycle_state).or(plan.target_lifecycle_state) {
            tree.text_during(&["meta-data", "autoscaling", "target-lifecycle-state"], &written(&state), period);
        }
    }
}
