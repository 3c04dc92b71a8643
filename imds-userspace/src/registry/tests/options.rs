use super::*;
use crate::metadata::tree::Lookup;

#[tokio::test]
async fn options_are_tightened_in_the_daemon_first_and_loosened_in_the_kernel_first() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1"]).await.expect("created");
    host.log();
    let cases = [
        (r#"{"HttpTokens":"required"}"#, vec!["options 1 daemon first"]),
        (r#"{"HttpTokens":"optional"}"#, vec!["options 1 kernel first"]),
        (r#"{"HttpPutResponseHopLimit":9}"#, vec!["options 1 kernel first"]),
        // Stricter and looser at once goes by way of the strictest.
        (
            r#"{"HttpTokens":"required","HttpProtocolIpv6":"enabled"}"#,
            vec!["options 1 daemon first", "options 1 kernel first"],
        ),
    ];
    for (json, order) in cases {
        let views = daemon.registry.set_options(Some(A), &changes(json)).await.expect("set");
        assert_eq!(views[0].metadata_options.state, "applied");
        assert_eq!(host.log(), order, "{json}");
        let word = daemon.directory.get(1).expect("served").options();
        assert_eq!(Some(word), host.kernel.options(1));
    }
    drop(daemon);
    let view = host.daemon().await.registry.show(A).await.expect("stored");
    assert_eq!(view.metadata_options.http_tokens, "required");
    assert_eq!(
        (view.metadata_options.http_put_response_hop_limit, &*view.metadata_options.http_protocol_ipv6),
        (9, "enabled")
    );
}

#[tokio::test]
async fn options_of_all_are_set_or_of_none() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1"]).await.expect("created");
    let mut tagged = request(B, &["tap2"]);
    tagged.document.0 = serde_json::json!({ "tags": { "a b": "c" } });
    daemon.registry.create(&tagged).await.expect("created");
    let both = changes(r#"{"HttpTokens":"required","InstanceMetadataTags":"enabled"}"#);
    let refused = daemon.registry.set_options(None, &both).await.expect_err("B's tag can't be shown");
    assert!(matches!(&refused, RegistryError::Options { instance_id, .. } if instance_id == B), "{refused}");
    assert_eq!(daemon.registry.show(A).await.expect("there").metadata_options.http_tokens, "optional");
    assert!(!host.kernel.options(1).expect("owned").tokens_required());

    // An endpoint that is disabled is in nobody's way but its own.
    let required = changes(r#"{"HttpTokens":"required"}"#);
    daemon.registry.set_options(Some(B), &changes(r#"{"HttpEndpoint":"disabled"}"#)).await.expect("set");
    daemon.registry.set_options(Some(B), &required).await.expect_err("B has no endpoint");
    let views = daemon.registry.set_options(None, &required).await.expect("set");
    assert_eq!(views.len(), 2);
    assert!(views.iter().all(|view| view.metadata_options.http_tokens == "required"));
    let unknown = daemon.registry.set_options(Some("i-0000000c"), &required).await.expect_err("unknown");
    assert!(matches!(unknown, RegistryError::NotFound(_)), "{unknown}");
}

#[tokio::test]
async fn tags_that_cannot_be_paths_keep_them_from_being_shown() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    let mut tagged = request(A, &["tap1"]);
    tagged.document.0 = serde_json::json!({ "tags": { "a b": "c" } });
    daemon.registry.create(&tagged).await.expect("created");
    let enabled = changes(r#"{"InstanceMetadataTags":"enabled"}"#);
    let refused = daemon.registry.set_options(Some(A), &enabled).await.expect_err("a key with a space");
    assert!(refused.to_string().contains("tag key \"a b\""), "{refused}");
}

#[tokio::test]
async fn the_tree_has_the_tags_when_the_options_say_so() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    let mut tagged = request(A, &["tap1"]);
    tagged.document.0 = serde_json::json!({ "tags": { "Name": "web" } });
    daemon.registry.create(&tagged).await.expect("created");
    let shown = || {
        let tree = daemon.directory.get(1).expect("served").tree();
        matches!(tree.lookup(b"/latest/meta-data/tags/instance/Name", 0), Lookup::Text(b"web"))
    };
    for (switch, there) in [("enabled", true), ("disabled", false), ("enabled", true)] {
        let change = changes(&format!(r#"{{"InstanceMetadataTags":"{switch}"}}"#));
        daemon.registry.set_options(Some(A), &change).await.expect("set");
        assert_eq!(shown(), there, "{switch}");
    }
}

#[tokio::test]
async fn options_are_pending_until_every_interface_has_them() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1", "tap2"]).await.expect("created");
    let required = changes(r#"{"HttpTokens":"required"}"#);
    *host.kernel.deaf.lock().expect("not poisoned") = Some(2);
    let told = daemon.registry.set_options(Some(A), &required).await.expect("set");
    let state = |view: &InstanceView| (view.metadata_options.state.clone(), view.metadata_options.http_tokens.clone());
    let pending = ("pending".to_owned(), "required".to_owned());
    assert_eq!(state(&told[0]), pending, "one interface hasn't got them");
    for _ in 0..2 {
        daemon.registry.reconcile().await.expect("fake");
        assert_eq!(state(&daemon.registry.show(A).await.expect("there")), pending);
    }
    // One that isn't there is not waited for.
    host.kernel.set_link("tap2", None);
    assert_eq!(state(&daemon.registry.show(A).await.expect("there")).0, "applied");
    host.kernel.set_link("tap2", Some(12));
    assert_eq!(state(&daemon.registry.show(A).await.expect("there")), pending);
    *host.kernel.deaf.lock().expect("not poisoned") = None;
    daemon.registry.reconcile().await.expect("fake");
    assert_eq!(state(&daemon.registry.show(A).await.expect("there")).0, "applied");
    assert_eq!(host.kernel.options(1), host.kernel.options(2));
    assert!(host.kernel.options(2).expect("owned").tokens_required());
}

#[tokio::test]
async fn a_write_that_is_missed_is_pending_wherever_it_is() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1", "tap2"]).await.expect("created");
    let state = async || daemon.registry.show(A).await.expect("there").metadata_options.state;
    let other = OptionsWord::new(&MetadataOptions::default(), true);
    for slot in [1, 2] {
        let right = host.kernel.options(slot).expect("owned");
        host.kernel.set_rules(slot, &other.into());
        assert_eq!(state().await, "pending", "slot {slot}");
        host.kernel.set_rules(slot, &right.into());
        assert_eq!(state().await, "applied", "slot {slot}");
    }
}
