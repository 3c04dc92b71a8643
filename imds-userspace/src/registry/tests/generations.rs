//! The token generation: one for all interfaces of an instance, and for no other instance.

use std::fs;

use super::*;

/// The token generations of everything that is served, by slot. The kernel's and the daemon's are the same.
#[track_caller]
fn generations(host: &Host, daemon: &Daemon) -> Vec<u64> {
    let statuses = host.kernel.status().expect("fake");
    let served = |slot| daemon.directory.get(slot).map(|served| (served.generation, served.token_generation));
    for status in &statuses {
        assert_eq!(served(status.slot), Some((status.generation, status.token_generation)));
    }
    let mut addresses: Vec<_> = statuses.iter().map(|status| status.generation).collect();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), statuses.len(), "of addresses, each slot has its own");
    statuses.into_iter().map(|status| status.token_generation).collect()
}

/// That of an instance that is served on so many interfaces.
#[track_caller]
fn only(host: &Host, daemon: &Daemon, interfaces: usize) -> u64 {
    let all = generations(host, daemon);
    assert!(all.len() == interfaces && all.iter().all(|generation| *generation == all[0]), "{all:?}");
    all[0]
}

#[tokio::test]
async fn all_interfaces_of_an_instance_have_one_and_another_instance_another() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12), ("tap3", 13)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1", "tap2"]).await.expect("created");
    let first = only(&host, &daemon, 2);
    daemon.create(B, &["tap3"]).await.expect("created");
    let [_, _, other] = generations(&host, &daemon)[..] else { panic!("three slots") };
    assert_ne!(other, first);
    daemon.registry.delete(B, false).await.expect("deleted");
    drop(daemon);
    let daemon = host.daemon().await;
    assert_eq!(only(&host, &daemon, 2), first, "over a restart");
    daemon.registry.delete(A, false).await.expect("deleted");
    daemon.create(A, &["tap1", "tap2"]).await.expect("created");
    assert_ne!(only(&host, &daemon, 2), first, "the same id is another instance");
}

#[tokio::test]
async fn an_interface_that_comes_back_has_that_of_those_that_stayed() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12)]);
    let mut daemon = host.daemon().await;
    daemon.create(A, &["tap1", "tap2"]).await.expect("created");
    let first = only(&host, &daemon, 2);
    for (name, index) in [("tap1", 21), ("tap2", 22), ("tap1", 31)] {
        host.kernel.set_link(name, None);
        daemon.registry.reconcile().await.expect("fake");
        assert_eq!(only(&host, &daemon, 1), first);
        if index == 22 {
            drop(daemon);
            daemon = host.daemon().await;
        }
        host.kernel.set_link(name, Some(index));
        daemon.registry.reconcile().await.expect("fake");
        assert_eq!(only(&host, &daemon, 2), first, "{name}");
    }
    // Another interface under the name, at once.
    host.kernel.set_link("tap2", Some(42));
    for _ in 0..2 {
        daemon.registry.reconcile().await.expect("fake");
    }
    assert_eq!(only(&host, &daemon, 2), first);
}

#[tokio::test]
async fn once_all_interfaces_were_gone_there_is_a_new_one() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1", "tap2"]).await.expect("created");
    let mut former = only(&host, &daemon, 2);
    let names = ["tap1", "tap2"];
    names.into_iter().for_each(|name| host.kernel.set_link(name, None));
    daemon.registry.reconcile().await.expect("fake");
    assert!(host.owned().is_empty());
    for indices in [[21, 22], [31, 32]] {
        // The second time in one look, so that nobody saw that they were gone.
        names.into_iter().zip(indices).for_each(|(name, index)| host.kernel.set_link(name, Some(index)));
        for _ in 0..2 {
            daemon.registry.reconcile().await.expect("fake");
        }
        let now = only(&host, &daemon, 2);
        assert_ne!(now, former);
        former = now;
    }
}

#[tokio::test]
async fn one_that_is_kept_but_not_served_yet_is_the_instances_all_the_same() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1", "tap2"]).await.expect("created");
    let first = only(&host, &daemon, 2);
    drop(daemon);
    host.kernel.set_link("tap2", Some(22));
    *host.kernel.broken.lock().expect("not poisoned") = Some("tap1".to_owned());
    let daemon = host.daemon().await;
    assert_eq!(daemon.served().len(), 1, "tap1 can't be kept now");
    *host.kernel.broken.lock().expect("not poisoned") = None;
    daemon.registry.reconcile().await.expect("fake");
    assert_eq!(only(&host, &daemon, 2), first);
}

#[tokio::test]
async fn a_restored_store_brings_none_back() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1", "tap2"]).await.expect("created");
    let first = only(&host, &daemon, 2);
    drop(daemon);
    let store = host.state.path().join("imdsd.redb");
    let backup = fs::read(&store).expect("there");
    let daemon = host.daemon().await;
    daemon.registry.delete(A, false).await.expect("deleted");
    daemon.create(A, &["tap1"]).await.expect("created");
    drop(daemon);
    fs::write(&store, &backup).expect("restored");
    let daemon = host.daemon().await;
    assert_ne!(only(&host, &daemon, 2), first);
    drop(daemon);
    host.kernel.reboot();
    fs::write(&store, &backup).expect("restored");
    let daemon = host.daemon().await;
    assert_ne!(only(&host, &daemon, 2), first);
}
