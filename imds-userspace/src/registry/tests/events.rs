//! The last refusals and drops of an instance, and traces.

use std::time::Duration;

use imds_common::event::{CAPTURE_MAX, Event};

use super::*;

/// An event of a slot's owner, without a frame.
fn event(slot: u16, generation: u16, counter: Counter) -> Event {
    let counter = u16::try_from(counter as u32).expect("small");
    let frame = [0; CAPTURE_MAX];
    Event { time_ns: 0, frame_length: 0, slot, generation, counter, captured: 0, to_client: 0, reserved: 0, frame }
}

impl Daemon {
    fn tell(&self, slot: u16, counter: Counter) {
        let generation = self.directory.get(slot).expect("served").generation;
        self.directory.note(&event(slot, generation, counter));
    }

    async fn traced(&self, after: Option<u64>, end: bool) -> (Vec<String>, u64) {
        let view = self.registry.trace(A, after, end).await.expect("there");
        (view.events.into_iter().map(|event| event.reason).collect(), view.newest)
    }
}

#[tokio::test]
async fn an_instance_has_the_last_refusals_of_all_its_interfaces_in_their_order() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12), ("tap3", 13)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1", "tap2"]).await.expect("created");
    daemon.create(B, &["tap3"]).await.expect("created");
    for (slot, counter) in [
        (1, Counter::DroppedPort),
        (2, Counter::RefusedTokenMissing),
        (3, Counter::DroppedVlan),
        (1, Counter::Delivered),
        (1, Counter::DroppedTimeExceeded),
    ] {
        daemon.tell(slot, counter);
    }
    let other = daemon.directory.get(1).expect("served").generation.wrapping_add(1);
    daemon.directory.note(&event(1, other, Counter::DroppedFlows));
    host.kernel.count(2, Counter::EventsLost);

    let view = daemon.registry.explain(A, 10).await.expect("there");
    let reasons: Vec<_> = view.events.iter().map(|event| event.reason.as_str()).collect();
    assert_eq!(reasons, ["dropped-port", "refused-token-missing", "dropped-time-exceeded"]);
    assert_eq!(view.lost, 1);
    let advice = view.events[2].advice.as_deref().expect("there");
    assert!(advice.starts_with("HttpPutResponseHopLimit 1 is too small"), "{advice}");
    let last = daemon.registry.explain(A, 1).await.expect("there");
    assert_eq!(last.events, view.events[2..]);
    assert!(matches!(daemon.registry.explain("i-0000000c", 1).await, Err(RegistryError::NotFound(_))));
}

#[tokio::test]
async fn a_trace_shows_what_comes_and_ends_when_nobody_asks_on() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1"]).await.expect("created");
    host.log();
    daemon.tell(1, Counter::DroppedPort);
    let (nothing, newest) = daemon.traced(None, false).await;
    assert_eq!((nothing, host.log()), (vec![], vec!["trace 1".to_owned()]));
    daemon.tell(1, Counter::Delivered);
    let (first, newest) = daemon.traced(Some(newest), false).await;
    assert_eq!(first, ["delivered"]);
    daemon.tell(1, Counter::Answered);
    assert_eq!(daemon.traced(Some(newest), false).await.0, ["answered"]);
    host.log();

    let now = Instant::now();
    daemon.registry.end_stale_traces(now).await;
    assert!(host.log().is_empty(), "it was asked after just now");
    daemon.registry.end_stale_traces(now + Duration::from_secs(6)).await;
    daemon.registry.end_stale_traces(now + Duration::from_secs(12)).await;
    assert_eq!(host.log(), ["end trace 1"]);
    daemon.tell(1, Counter::Delivered);
    assert!(daemon.traced(Some(newest), true).await.0.is_empty());
    assert_eq!(host.log(), ["trace 1", "end trace 1"]);
}
