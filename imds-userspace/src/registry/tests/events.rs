//! The last refusals and drops of an instance, and traces.

use std::time::Duration;

use imds_common::address::Identity;
use imds_common::event::{CAPTURE_MAX, Event};
use imds_common::place;

use super::*;
use crate::events::{Client, Seen};
use crate::registry::view::EventsView;

/// An event of a slot's owner, without a frame.
fn event(slot: u16, generation: u16, counter: Counter) -> Event {
    let counter = u16::try_from(counter as u32).expect("small");
    let frame = [0; CAPTURE_MAX];
    let (time_ns, frame_length, captured, to_client, reserved) = (0, 0, 0, 0, 0);
    Event { time_ns, lost: 0, frame_length, slot, generation, counter, captured, to_client, reserved, frame }
}

fn reasons(view: &EventsView) -> Vec<String> {
    view.events.iter().map(|event| event.reason.clone()).collect()
}

impl Daemon {
    fn tell(&self, slot: u16, counter: Counter) {
        let served = self.directory.get(slot).expect("served");
        self.directory.note(&Event { lost: served.untold.read(), ..event(slot, served.generation, counter) });
    }

    /// Counts events of a slot that aren't told, as the kernel does.
    fn lose(&self, slot: u16, count: usize) {
        let served = self.directory.get(slot).expect("served");
        (0..count).for_each(|_| served.untold.add());
    }

    async fn trace(&self, tracer: u64, after: Option<u64>, end: bool) -> EventsView {
        self.registry.trace(A, tracer, after, end).await.expect("there")
    }

    async fn traced(&self, after: Option<u64>, end: bool) -> (Vec<String>, u64) {
        let view = self.trace(1, after, end).await;
        (reasons(&view), view.newest)
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
    daemon.lose(2, 1);

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

#[tokio::test]
async fn what_was_lost_before_the_oldest_that_is_shown_is_not_told_again() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1", "tap2"]).await.expect("created");
    let lost = async |last| daemon.registry.explain(A, last).await.expect("there").lost;
    daemon.lose(1, 100);
    assert_eq!(lost(10).await, 100, "nothing was told");
    daemon.tell(1, Counter::DroppedPort);
    assert_eq!(lost(10).await, 0);
    daemon.lose(1, 7);
    daemon.tell(2, Counter::DroppedPort);
    assert_eq!(lost(10).await, 7);
    daemon.tell(1, Counter::DroppedVlan);
    daemon.lose(1, 3);
    daemon.lose(2, 2);
    assert_eq!((lost(10).await, lost(2).await, lost(1).await), (12, 5, 5));
    assert_eq!(lost(0).await, 5, "since the last of each interface");
    // What a trace loses is no refusal and no drop.
    host.kernel.count(1, Counter::TraceLost);
    assert_eq!(lost(1).await, 5);
}

#[tokio::test]
async fn a_client_that_the_daemon_refused_is_named_whole_as_long_as_it_has_its_place() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1"]).await.expect("created");
    let served = daemon.directory.get(1).expect("served");
    let address: std::net::Ipv6Addr = "fd00:1::a00:1".parse().expect("an address");
    let client = Client::Identity(Identity {
        slot: 1,
        generation: served.generation,
        place: 3,
        client: address.octets()[12..].try_into().expect("four bytes"),
    });
    served.recent.note(Seen::request(client, 7, b"", Counter::RefusedTreeMethod));
    let named = async || daemon.registry.explain(A, 1).await.expect("there").events[0].client.clone();
    assert_eq!(named().await.as_deref(), Some("10.0.0.1 or ...:0a00:0001"));
    let place = place::Client { address: address.octets(), mac: [2; 6], gateway: [4; 6], family: place::V6, vlan: 0 };
    host.kernel.clients.lock().expect("not poisoned").insert((1, 3), place);
    assert_eq!(named().await.as_deref(), Some("fd00:1::a00:1"));
}

#[tokio::test]
async fn tracers_of_one_instance_take_nothing_from_each_other() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1"]).await.expect("created");
    let first = daemon.trace(1, None, false).await.newest;
    let second = daemon.trace(2, None, false).await.newest;
    daemon.tell(1, Counter::Delivered);
    host.log();
    assert_eq!(reasons(&daemon.trace(1, Some(first), true).await), ["delivered"]);
    assert_eq!(host.log(), ["trace 1"], "the other one goes on");
    daemon.tell(1, Counter::Answered);
    let seen = daemon.trace(2, Some(second), false).await;
    assert_eq!((reasons(&seen), seen.lost), (vec!["delivered".to_owned(), "answered".to_owned()], 0));
    host.kernel.count(1, Counter::TraceLost);
    host.kernel.count(1, Counter::EventsLost);
    assert_eq!(daemon.trace(2, Some(seen.newest), true).await.lost, 2, "either is one packet less");
    assert_eq!(host.log(), ["trace 1", "trace 1", "end trace 1"]);

    for tracer in 10..18 {
        let _ = daemon.trace(tracer, None, false).await;
    }
    let refused = daemon.registry.trace(A, 18, None, false).await;
    assert!(matches!(refused, Err(RegistryError::TooManyTracers(_))), "{refused:?}");
    let _ = daemon.trace(10, None, true).await;
    let _ = daemon.trace(18, None, false).await;
}
