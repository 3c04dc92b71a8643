use std::sync::atomic::Ordering;

use super::*;

#[tokio::test]
async fn a_lookup_that_fails_says_nothing_of_the_interface() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    let before = daemon.create(A, &["tap1"]).await.expect("created");
    host.log();
    host.kernel.unsure.store(true, Ordering::Relaxed);
    let error = daemon.registry.reconcile().await.expect_err("no file descriptors");
    assert!(matches!(&error, RegistryError::Lookup { interface, .. } if interface == "tap1"), "{error}");
    assert!(host.log().is_empty(), "nothing was released");
    assert_eq!(daemon.served(), BTreeMap::from([(1, A.to_owned())]));
    host.kernel.unsure.store(false, Ordering::Relaxed);
    daemon.registry.reconcile().await.expect("fake");
    assert_eq!(daemon.registry.show(A).await.expect("there"), before);
}

#[tokio::test]
async fn an_interface_that_is_refused_again_and_again_uses_no_slots_up() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1"]).await.expect("created");
    host.kernel.reboot();
    *host.kernel.broken.lock().expect("not poisoned") = Some("tap1".to_owned());
    host.log();
    for _ in 0..3 {
        daemon.registry.reconcile().await.expect("fake");
        assert_eq!(host.log()[0], "prepare 2");
    }
    let view = daemon.registry.show(A).await.expect("there");
    assert_eq!(view.metadata_options.state, "pending", "it is there, without its options");
}

#[tokio::test]
async fn a_kept_slot_is_served_once_its_programs_are_this_daemon_s() {
    let host = Host::new(&[("tap1", 11)]);
    host.daemon().await.create(A, &["tap1"]).await.expect("created");
    let daemon = host.daemon().await;
    assert_eq!(daemon.served(), BTreeMap::from([(1, A.to_owned())]));
    drop(daemon);

    *host.kernel.broken.lock().expect("not poisoned") = Some("tap1".to_owned());
    let daemon = host.daemon().await;
    assert!(daemon.served().is_empty(), "its interface has another daemon's");
    *host.kernel.broken.lock().expect("not poisoned") = None;
    daemon.registry.reconcile().await.expect("fake");
    assert_eq!(daemon.served(), BTreeMap::from([(1, A.to_owned())]));
}
