use std::collections::BTreeSet;

use super::*;

/// Interfaces that lead to nobody.
fn closed(host: &Host) -> Vec<u32> {
    host.kernel.closed.lock().expect("not poisoned").iter().copied().collect()
}

#[tokio::test]
async fn interfaces_stay_closed_unless_they_are_released() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12), ("tap3", 13)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1", "tap2"]).await.expect("created");
    daemon.create(B, &["tap3"]).await.expect("created");
    daemon.registry.delete(A, false).await.expect("deleted");
    assert_eq!(closed(&host), [11, 12]);
    daemon.registry.delete(B, true).await.expect("deleted");
    assert_eq!(closed(&host), [11, 12], "what is another's stays closed");

    let released = daemon.registry.release_interface("tap1").await.expect("closed");
    assert_eq!((released.name.as_str(), released.ifindex), ("tap1", 11));
    assert_eq!(closed(&host), [12]);
    for name in ["tap1", "tap3", "tap9"] {
        let refused = daemon.registry.release_interface(name).await.expect_err("not closed");
        assert!(matches!(&refused, RegistryError::NotClosed(interface) if interface == name), "{refused}");
    }
}

#[tokio::test]
async fn an_instances_interface_is_not_released() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12), ("alias-of-tap1", 11)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1", "tap2"]).await.expect("created");
    host.log();
    host.kernel.set_link("tap2", Some(22));
    for name in ["tap1", "alias-of-tap1", "tap2"] {
        let refused = daemon.registry.release_interface(name).await.expect_err("A's");
        assert!(matches!(&refused, RegistryError::InterfaceTaken { instance_id, .. } if instance_id == A), "{refused}");
    }
    assert!(host.log().is_empty(), "nothing was done");
}

#[tokio::test]
async fn an_interface_that_is_not_released_is_named_and_the_others_are() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1", "tap2"]).await.expect("created");
    *host.kernel.broken.lock().expect("not poisoned") = Some("tap1".to_owned());
    let outcome = daemon.registry.delete(A, true).await.expect_err("tap1 is broken");
    let message = outcome.to_string();
    assert!(message.contains("imdsctl interface release tap1") && message.contains("stays closed"), "{message}");
    assert_eq!(BTreeSet::from_iter(closed(&host)), BTreeSet::from([11]));
    assert!(daemon.registry.list().await.expect("fake").is_empty(), "the instance is gone");
    *host.kernel.broken.lock().expect("not poisoned") = None;
    daemon.registry.release_interface("tap1").await.expect("mended");
}
