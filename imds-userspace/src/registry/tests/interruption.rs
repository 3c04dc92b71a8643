//! The executor is interrupted at each of its steps, and run again: it always comes to the same end.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use imds_common::options::HttpTokens;

use super::*;
use crate::registry::fake::Trouble;

const C: &str = "i-0000000c";
/// More steps than the executor takes.
const STEPS_MAX: usize = 200;

/// A host on which there is something of everything to do: options to be mended, a slot to be released whose record is
/// gone, and an interface that came back under another index.
async fn host() -> Host {
    let host = Host::new(&[("tap1", 11), ("tap2", 12), ("tap3", 13)]);
    let daemon = host.daemon().await;
    for (id, interface) in [(A, "tap1"), (B, "tap2"), (C, "tap3")] {
        daemon.create(id, &[interface]).await.expect("created");
    }
    host.kernel.count(2, Counter::Delivered);
    daemon.registry.store.remove(C).expect("removed");
    let required = MetadataOptions { http_tokens: HttpTokens::Required, ..MetadataOptions::default() };
    host.kernel.set_rules(1, &OptionsWord::new(&required, false).into());
    drop(daemon);
    host.kernel.set_link("tap2", Some(22));
    host
}

/// What everything comes to, but for the numbers of slots, of which any will do.
#[derive(Debug, PartialEq, Eq)]
struct End {
    instances: Vec<InstanceView>,
    served: Vec<String>,
    owned: Vec<(u32, OptionsWord)>,
    closed: Vec<u32>,
    delivered: Vec<u64>,
}

async fn end(host: &Host, daemon: &Daemon) -> End {
    // A slot that is released rests until the next plan, so that the last plan may need a free one.
    for _ in 0..2 {
        daemon.registry.reconcile().await.expect("fake");
    }
    let mut instances = daemon.registry.list().await.expect("fake");
    for view in &mut instances {
        for interface in &mut view.interfaces {
            assert_ne!(std::mem::take(&mut interface.slot), 0, "{view:?}");
        }
    }
    let statuses = host.kernel.status().expect("fake");
    let mut owned: Vec<_> = statuses.iter().map(|status| (status.ifindex, status.rules.options())).collect();
    owned.sort_by_key(|&(ifindex, _)| ifindex);
    let served = daemon.served();
    assert!(statuses.iter().all(|status| served.contains_key(&status.slot)), "{served:?}");
    let stats = daemon.registry.stats(None).await.expect("fake").instances;
    End {
        instances,
        served: served.into_values().collect::<std::collections::BTreeSet<_>>().into_iter().collect(),
        owned,
        closed: host.kernel.closed.lock().expect("not poisoned").iter().copied().collect(),
        delivered: stats.iter().map(|stats| stats.kernel["delivered"]).collect(),
    }
}

/// All that there is to do: a daemon's start, and its first run after that.
async fn run(host: &Host) -> Daemon {
    let daemon = host.daemon().await;
    daemon.registry.reconcile().await.expect("fake");
    daemon
}

async fn uninterrupted() -> End {
    let host = host().await;
    let daemon = host.daemon().await;
    let end = end(&host, &daemon).await;
    assert_eq!((end.served.as_slice(), end.delivered.as_slice()), (&[A.to_owned(), B.to_owned()][..], &[0, 1][..]));
    assert!(end.instances.iter().all(|view| view.metadata_options.state == "applied"), "{end:?}");
    end
}

/// The next daemon, as soon as the store is free: a transaction isn't cut off with whom it was for.
async fn next_daemon(host: &Host) -> Daemon {
    for _ in 0..1_000 {
        match host.start().await {
            Err(RegistryError::Store(StoreError::InUse { .. })) => tokio::time::sleep(Duration::from_millis(2)).await,
            started => return started.expect("started"),
        }
    }
    panic!("the store stays in use");
}

#[tokio::test]
async fn a_step_that_fails_is_done_by_the_next_run() {
    let expected = uninterrupted().await;
    for steps in 0..STEPS_MAX {
        let host = host().await;
        *host.kernel.trouble.lock().expect("not poisoned") = Some((steps, Trouble::Fails));
        let daemon = run(&host).await;
        let untroubled = host.kernel.trouble.lock().expect("not poisoned").take().is_some();
        assert_eq!(end(&host, &daemon).await, expected, "after {steps} steps");
        if untroubled {
            assert!(steps > 3, "{steps} steps are all there is");
            return;
        }
    }
    panic!("no end of steps");
}

#[tokio::test]
async fn a_daemon_that_ends_between_two_steps_leaves_the_rest_to_the_next() {
    let expected = uninterrupted().await;
    for steps in 0..STEPS_MAX {
        let host = host().await;
        *host.kernel.trouble.lock().expect("not poisoned") = Some((steps, Trouble::Ends));
        drop(run(&host).await);
        let left = host.kernel.trouble.lock().expect("not poisoned").take().map(|(steps, _)| steps);
        let daemon = next_daemon(&host).await;
        assert_eq!(end(&host, &daemon).await, expected, "after {steps} steps");
        if left != Some(0) {
            assert!(steps > 3, "{steps} steps are all there is");
            return;
        }
    }
    panic!("no end of steps");
}

#[tokio::test]
async fn a_run_that_is_dropped_while_it_waits_is_done_by_the_next() {
    let expected = uninterrupted().await;
    for polls in 0..STEPS_MAX {
        let host = host().await;
        let started = dropped_after(polls, run(&host)).await;
        let untroubled = started.is_some();
        drop(started);
        let daemon = next_daemon(&host).await;
        assert_eq!(end(&host, &daemon).await, expected, "after {polls} polls");
        if untroubled {
            assert!(polls > 3, "{polls} polls are all there is");
            return;
        }
    }
    panic!("no end of polls");
}

#[tokio::test]
async fn a_run_that_is_dropped_while_it_waits_is_done_again_by_the_same_daemon() {
    let expected = uninterrupted().await;
    for polls in 0..STEPS_MAX {
        let host = host().await;
        // It starts with nothing in place, so that everything is left to the run.
        let links = std::mem::take(&mut *host.kernel.links.lock().expect("not poisoned"));
        let daemon = host.daemon().await;
        *host.kernel.links.lock().expect("not poisoned") = links;
        let untroubled = dropped_after(polls, daemon.registry.reconcile()).await.is_some();
        let end = end(&host, &daemon).await;
        let count = |end: &End| (end.owned.clone(), end.delivered.clone(), end.served.clone());
        assert_eq!(count(&end), count(&expected), "after {polls} polls");
        assert_eq!(end.instances, expected.instances, "after {polls} polls");
        if untroubled {
            assert!(polls > 3, "{polls} polls are all there is");
            return;
        }
    }
    panic!("no end of polls");
}

/// Polls a future so many times, and drops it unless it is done by then.
async fn dropped_after<F: Future>(mut polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| {
        if polls == 0 {
            return Poll::Ready(None);
        }
        polls -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}
