use super::*;
use crate::metadata::document::SpotAction;

const NOW: u64 = 1_900_000_000;

fn after(document: &Document, event: &Event, now: u64) -> Document {
    happen(document, event, Time::from_unix(now)).expect("it can be")
}

#[test]
fn times_are_counted_from_now() {
    let event = Event::SpotInterruption { seconds: 300, action: SpotAction::Stop };
    let document = after(&Document::default(), &event, NOW);
    assert_eq!(document.spot.time, Some(Time::from_unix(NOW + 300)));
    assert_eq!(document.spot.action, Some(SpotAction::Stop));
    let document = after(&document, &Event::Rebalance { seconds: 0 }, NOW);
    assert_eq!(document.events.rebalance, Some(Time::from_unix(NOW)));
    let again = Event::SpotInterruption { seconds: 120, action: SpotAction::Terminate };
    assert_eq!(after(&document, &again, NOW).spot.time, Some(Time::from_unix(NOW + 120)), "the last one counts");
}

#[test]
fn maintenance_finds_room_where_old_one_is_over() {
    let event = |seconds| Event::Maintenance {
        seconds,
        duration: 10,
        code: MaintenanceCode::SystemReboot,
        description: Some("why".into()),
    };
    let mut document = Document::default();
    for number in 0..MAINTENANCE_MAX as u64 {
        document = after(&document, &event(1_000 - number), NOW);
    }
    let events = |document: &Document| document.events.maintenance.clone().expect("events");
    assert_eq!(
        after(&document, &event(0), NOW).events.maintenance.map(|events| events.len()),
        Some(MAINTENANCE_MAX + 1)
    );
    // Only the last one is over by then.
    let full = after(&document, &event(0), NOW + 1_000 - 15 + 10);
    assert_eq!(events(&full).len(), MAINTENANCE_MAX);
    assert_eq!(events(&full)[..MAINTENANCE_MAX - 1], events(&document)[..MAINTENANCE_MAX - 1]);
    let ids: std::collections::BTreeSet<_> = events(&full).into_iter().map(|event| event.event_id).collect();
    assert_eq!(ids.len(), MAINTENANCE_MAX);
    let bad = Event::Maintenance {
        seconds: 0,
        duration: 0,
        code: MaintenanceCode::InstanceStop,
        description: Some("\n".into()),
    };
    let error = happen(&document, &bad, Time::from_unix(NOW)).expect_err("a control character").to_string();
    assert!(error.contains("events/maintenance/description: text \"\\n\" is malformed"), "{error}");
}

#[test]
fn states_settle_once_they_are_due() {
    let lifecycle = |seconds, state| Event::Lifecycle { seconds, state };
    let document = after(&Document::default(), &lifecycle(0, LifecycleState::InService), NOW);
    assert_eq!(document.autoscaling.target_lifecycle_state, Some(LifecycleState::InService));
    let document = after(&document, &lifecycle(60, LifecycleState::Standby), NOW);
    assert_eq!(document.autoscaling.target_lifecycle_state, Some(LifecycleState::InService));
    let document = after(&document, &lifecycle(60, LifecycleState::Terminated), NOW + 100);
    assert_eq!(document.autoscaling.target_lifecycle_state, Some(LifecycleState::Standby));
    assert_eq!(document.autoscaling.changes.as_ref().map(Vec::len), Some(1));
    let document = after(&document, &Event::Clear, NOW + 100);
    assert_eq!(document.autoscaling.target_lifecycle_state, Some(LifecycleState::Standby));
    assert_eq!(document.autoscaling.changes, None);
}

#[test]
fn clearing_takes_back_what_is_to_come() {
    let mut document = Document::default();
    for event in [
        Event::SpotInterruption { seconds: 300, action: SpotAction::Stop },
        Event::Rebalance { seconds: 5 },
        Event::Maintenance { seconds: 0, duration: 1, code: MaintenanceCode::SystemReboot, description: None },
        Event::Maintenance { seconds: 60, duration: 1, code: MaintenanceCode::InstanceRetirement, description: None },
    ] {
        document = after(&document, &event, NOW);
    }
    let cleared = after(&document, &Event::Clear, NOW + 10);
    assert_eq!((cleared.spot.time, cleared.events.rebalance), (None, None));
    let states: Vec<_> = cleared.events.maintenance.iter().flatten().map(|event| event.state).collect();
    assert_eq!(states, [None, Some(MaintenanceState::Canceled)]);
}
