use imds_common::sender::Sender;

use super::fake::Trouble;
use super::*;
use crate::dataplane::Rules;
use crate::registry::request::{BudgetChange, LimitChanges};

fn limit_changes(json: &str) -> LimitChanges {
    serde_json::from_str(json).expect("test JSON")
}

/// The rules of an instance with default options that lists these addresses.
fn rules(addresses: &str, packets: u32) -> Rules {
    let limits = Limits::default().changed(&limit_changes(&format!(r#"{{"allow-addresses":{addresses}}}"#)));
    let limits = limits.expect("addresses");
    let word = OptionsWord::new(&MetadataOptions::default(), false).with_packet_budget(packets);
    Rules::new(word, senders(&limits, &limits))
}

#[tokio::test]
async fn limits_hold_on_every_interface_and_over_a_restart() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12)]);
    let daemon = host.daemon().await;
    let mut created = request(A, &["tap1", "tap2"]);
    created.limits = limit_changes(r#"{"allow-addresses":["10.0.0.1"],"packet-budget":5}"#);
    let view = daemon.registry.create(&created).await.expect("created");
    assert_eq!((view.limits.allow_addresses, view.limits.packet_budget), (vec!["10.0.0.1".to_owned()], 5));
    let expected = rules(r#"["10.0.0.1"]"#, 5);
    assert_eq!([1, 2].map(|slot| host.kernel.rules(slot).expect("owned")), [expected.clone(), expected.clone()]);
    assert!(expected.options().lists_senders());

    drop(daemon);
    let daemon = host.daemon().await;
    assert_eq!(host.kernel.rules(1), Some(expected), "it goes on");
    let other = limit_changes(r#"{"allow-addresses":["10.0.0.2"],"packet-budget":"default"}"#);
    let view = daemon.registry.set_limits(A, &other).await.expect("set");
    assert_eq!(view.metadata_options.state, "applied");
    let expected = rules(r#"["10.0.0.2"]"#, 0);
    assert_eq!([1, 2].map(|slot| host.kernel.rules(slot).expect("owned")), [expected.clone(), expected.clone()]);
    drop(daemon);
    host.kernel.reboot();
    let daemon = host.daemon().await;
    let slots: Vec<u16> = daemon.served().into_keys().collect();
    assert!(slots.iter().all(|slot| host.kernel.rules(*slot) == Some(expected.clone())), "{slots:?}");
    // What it was created with is what it is found by.
    daemon.registry.create(&created).await.expect("the same");
    let again = CreateInstance { limits: other, ..created };
    let error = daemon.registry.create(&again).await.expect_err("other content");
    assert!(matches!(error, RegistryError::OtherContent(_)), "{error}");
}

#[tokio::test]
async fn between_two_lists_neither_s_own_pass() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    let mut created = request(A, &["tap1"]);
    created.limits = limit_changes(r#"{"allow-addresses":["10.0.0.0/24","10.1.0.1"]}"#);
    daemon.registry.create(&created).await.expect("created");
    let old = host.kernel.rules(1);
    // The first step is done, and then the daemon is dead.
    *host.kernel.trouble.lock().expect("not poisoned") = Some((1, Trouble::Ends));
    let other = limit_changes(r#"{"allow-addresses":["10.0.0.7","10.2.0.1"]}"#);
    daemon.registry.set_limits(A, &other).await.expect("recorded");
    assert_eq!(host.kernel.rules(1), Some(rules(r#"["10.0.0.7"]"#, 0)), "what both let through");
    *host.kernel.trouble.lock().expect("not poisoned") = None;
    assert_eq!(daemon.registry.show(A).await.expect("there").metadata_options.state, "pending");
    daemon.registry.reconcile().await.expect("fake");
    assert_eq!(host.kernel.rules(1), Some(rules(r#"["10.0.0.7","10.2.0.1"]"#, 0)));
    assert_ne!(host.kernel.rules(1), old);
}

#[tokio::test]
async fn limits_that_can_t_be_change_nothing() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1"]).await.expect("created");
    host.log();
    for json in [r#"{"allow-addresses":["10.0.0.1","x"]}"#, r#"{"allow-macs":["x"]}"#, r#"{"packet-budget":-1}"#] {
        let error = daemon.registry.set_limits(A, &limit_changes(json)).await.expect_err(json);
        assert!(matches!(error, RegistryError::Draft(_)), "{error}");
        let create = CreateInstance { limits: limit_changes(json), ..request(B, &["tap1"]) };
        let error = daemon.registry.create(&create).await.expect_err(json);
        assert!(matches!(error, RegistryError::Draft(_)), "{error}");
    }
    let unknown = daemon.registry.set_limits(B, &LimitChanges::default()).await.expect_err("unknown");
    assert!(matches!(unknown, RegistryError::NotFound(_)), "{unknown}");
    assert!(host.log().is_empty(), "nothing was done");
}

#[tokio::test]
async fn interfaces_of_an_instance_share_what_it_may_have_at_once() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12), ("tap3", 13)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1", "tap2"]).await.expect("created");
    daemon.create(B, &["tap3"]).await.expect("created");
    let allowance = |daemon: &Daemon, slot| Arc::clone(&daemon.directory.get(slot).expect("served").allowance);
    assert!(Arc::ptr_eq(&allowance(&daemon, 1), &allowance(&daemon, 2)));
    assert!(!Arc::ptr_eq(&allowance(&daemon, 1), &allowance(&daemon, 3)));
    let changes = LimitChanges { request_budget: Some(BudgetChange::Rate(1)), ..LimitChanges::default() };
    daemon.registry.set_limits(A, &changes).await.expect("set");
    let admitted = |slot| (0..9).filter(|_| allowance(&daemon, slot).admits_request(1)).count();
    assert_eq!([1, 2, 3].map(admitted), [2, 0, 9], "one budget for both");
    drop(daemon);
    let daemon = host.daemon().await;
    assert!(Arc::ptr_eq(&allowance(&daemon, 1), &allowance(&daemon, 2)), "after a restart, too");
    let admitted = (0..9).filter(|_| allowance(&daemon, 2).admits_request(1)).count();
    assert_eq!(admitted, 2, "as it is on record");
}

#[tokio::test]
async fn options_and_limits_leave_each_other_alone() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1"]).await.expect("created");
    let listed = limit_changes(r#"{"allow-addresses":["10.0.0.1"]}"#);
    daemon.registry.set_limits(A, &listed).await.expect("set");
    daemon.registry.set_options(Some(A), &changes(r#"{"HttpTokens":"required"}"#)).await.expect("set");
    let word = host.kernel.options(1).expect("owned");
    assert!(word.tokens_required() && word.lists_senders());
    assert_eq!(daemon.directory.get(1).expect("served").options(), word);
    let limits = Limits::default().changed(&listed).expect("an address");
    let senders = senders(&limits, &limits).expect("listed");
    assert!(senders.allows_address(&Sender::v4([10, 0, 0, 1])) && !senders.allows_address(&Sender::v4([10, 0, 0, 2])));
    daemon.registry.set_limits(A, &limit_changes(r#"{"allow-addresses":[]}"#)).await.expect("set");
    let word = host.kernel.options(1).expect("owned");
    assert!(word.tokens_required() && !word.lists_senders());
}
