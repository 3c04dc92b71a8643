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
async fn many_interfaces_that_come_at_once_lead_each_to_its_own_instance() {
    let names: Vec<String> = (1..=12).map(|number| format!("tap{number}")).collect();
    let links: Vec<(&str, u32)> = names.iter().map(String::as_str).zip(11..).collect();
    let mut host = Host::new(&links);
    host.slots = 40;
    let daemon = host.daemon().await;
    let mut owners = BTreeMap::new();
    for &(name, index) in &links {
        let id = format!("i-{index:08x}");
        daemon.create(&id, &[name]).await.expect("created");
        owners.insert(index, id);
    }
    drop(daemon);
    host.kernel.reboot();
    *host.kernel.broken.lock().expect("not poisoned") = Some("tap5".to_owned());
    let daemon = host.daemon().await;
    owners.remove(&15).expect("tap5");
    let served = daemon.served();
    let led = host.kernel.status().expect("fake").into_iter().map(|slot| (slot.ifindex, served[&slot.slot].clone()));
    assert_eq!(led.collect::<BTreeMap<_, _>>(), owners);
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
