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
        duration: Some(10),
        code: MaintenanceCode::SystemReboot,
        description: Some("why".into()),
    };
    let mut document = Document::default();
    for number in 0..MAINTENANCE_MAX as u64 {
        document = after(&document, &event(1_000 - number), NOW);
    }
    let events = |document: &Document| document.events.maintenance.clone().expect("events");
    let error = happen(&document, &event(0), Time::from_unix(NOW)).expect_err("no room").to_string();
    let words = "document, at events/maintenance: 16 maintenance events are not over yet, and no more are taken; `imdsctl event clear ID`";
    assert!(error.starts_with(words), "{error}");
    // Only the last one is over by then.
    let full = after(&document, &event(0), NOW + 1_000 - 15 + 10);
    assert_eq!(events(&full).len(), MAINTENANCE_MAX);
    assert_eq!(events(&full)[..MAINTENANCE_MAX - 1], events(&document)[..MAINTENANCE_MAX - 1]);
    let ids: std::collections::BTreeSet<_> = events(&full).into_iter().map(|event| event.event_id).collect();
    assert_eq!(ids.len(), MAINTENANCE_MAX);
    let bad = Event::Maintenance {
        seconds: 0,
        duration: None,
        code: MaintenanceCode::InstanceStop,
        description: Some("\n".into()),
    };
    let error = happen(&Document::default(), &bad, Time::from_unix(NOW)).expect_err("a control character").to_string();
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
        Event::Maintenance { seconds: 0, duration: Some(1), code: MaintenanceCode::SystemReboot, description: None },
        Event::Maintenance { seconds: 60, duration: Some(1), code: MaintenanceCode::SystemReboot, description: None },
        Event::Maintenance { seconds: 0, duration: None, code: MaintenanceCode::InstanceStop, description: None },
    ] {
        document = after(&document, &event, NOW);
    }
    let cleared = after(&document, &Event::Clear, NOW + 10);
    assert_eq!((cleared.spot.time, cleared.events.rebalance), (None, None));
    let states: Vec<_> = cleared.events.maintenance.iter().flatten().map(|event| event.state).collect();
    assert_eq!(states, [None, Some(MaintenanceState::Canceled), Some(MaintenanceState::Canceled)]);
}

#[test]
fn what_no_guest_could_read_is_refused() {
    let maintenance = |seconds, duration| Event::Maintenance {
        seconds,
        duration: Some(duration),
        code: MaintenanceCode::SystemReboot,
        description: None,
    };
    for (event, words) in [
        (
            Event::SpotInterruption { seconds: 0, action: SpotAction::Stop },
            "document, at spot/time: the instance would",
        ),
        (maintenance(0, 0), "document, at events/maintenance: it would be over before"),
    ] {
        let error = happen(&Document::default(), &event, Time::from_unix(NOW)).expect_err(words).to_string();
        assert!(error.starts_with(words) && error.contains("a second or more"), "{error}");
    }
    for event in [maintenance(0, 1), maintenance(1, 0)] {
        after(&Document::default(), &event, NOW);
    }
}

#[test]
fn changes_of_the_state_beyond_the_last_are_refused_with_the_way_out() {
    let lifecycle = |seconds| Event::Lifecycle { seconds, state: LifecycleState::Standby };
    let mut document = Document::default();
    for number in 0..MAINTENANCE_MAX as u64 {
        document = after(&document, &lifecycle(1 + number), NOW);
    }
    let error = happen(&document, &lifecycle(99), Time::from_unix(NOW)).expect_err("no room").to_string();
    let words = "document, at autoscaling/changes: 16 changes of the state are not over yet, and no more are taken; `imdsctl event clear ID`";
    assert!(error.starts_with(words), "{error}");
    after(&document, &lifecycle(99), NOW + 1);
}
