use serde_json::json;

use super::super::fake::Trouble;
use super::*;
use crate::dataplane::attach::Attach;
use crate::registry::request::{ApplyOutcome, Described, Json, Part};

fn attachments(view: &InstanceView) -> Vec<Option<Attach>> {
    view.interfaces.iter().map(|interface| interface.attachment).collect()
}

#[tokio::test]
async fn each_interface_is_attached_as_was_said_of_it_over_restarts_too() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12)]);
    let daemon = host.daemon().await;
    let made = CreateInstance { attach: Some(Attach::TcXdpGeneric), ..request(A, &["tap1", "tap2"]) };
    let view = daemon.registry.create(&made).await.expect("created");
    assert_eq!(attachments(&view), [Some(Attach::TcXdpGeneric); 2]);
    let view = daemon.registry.attach_interface("tap2", Some(Attach::TcXdpDriver)).await.expect("attached");
    assert_eq!(attachments(&view), [Some(Attach::TcXdpGeneric), Some(Attach::TcXdpDriver)]);
    assert_eq!(daemon.registry.create(&made).await.expect("the same"), view, "a repetition changes nothing of it");
    drop(daemon);
    let daemon = host.daemon().await;
    assert_eq!(daemon.registry.show(A).await.expect("there"), view);
    let view = daemon.registry.attach_interface("tap2", None).await.expect("attached");
    assert_eq!(attachments(&view), [Some(Attach::TcXdpGeneric), Some(Attach::Tc)], "as the daemon does by itself");
    let nobody = daemon.registry.attach_interface("tap3", None).await.expect_err("nobody's");
    assert!(matches!(nobody, RegistryError::NoOwner(name) if name == "tap3"));
}

#[tokio::test]
async fn described_instances_are_attached_as_described() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12)]);
    let daemon = host.daemon().await;
    let described = |attach| Described {
        instance_id: A.into(),
        interfaces: vec!["tap1".into(), "tap2".into()],
        attach,
        metadata_options: OptionChanges::default(),
        limits: LimitChanges::default(),
        document: Json(json!({})),
    };
    let apply = async |attach, check| {
        let applied = daemon.registry.apply(&[described(attach)], check, &[]).await.expect("applied").remove(0);
        let view = daemon.registry.list().await.expect("fake").pop();
        (applied.outcome, applied.changed, view.as_ref().map(attachments).unwrap_or_default())
    };
    const GENERIC: Attach = Attach::TcXdpGeneric;
    const DRIVER: Attach = Attach::TcXdpDriver;
    let attach = || vec![Part::Attach];
    let both = |attach| vec![Some(attach); 2];
    assert_eq!(apply(Some(GENERIC), true).await, (ApplyOutcome::Created, vec![], vec![]));
    assert_eq!(apply(Some(GENERIC), false).await, (ApplyOutcome::Created, vec![], both(GENERIC)));
    for same in [Some(GENERIC), None] {
        assert_eq!(apply(same, false).await, (ApplyOutcome::Unchanged, vec![], both(GENERIC)), "{same:?}");
    }
    assert_eq!(apply(Some(DRIVER), true).await, (ApplyOutcome::Updated, attach(), both(GENERIC)));
    assert_eq!(apply(Some(DRIVER), false).await, (ApplyOutcome::Updated, attach(), both(DRIVER)));
    daemon.registry.attach_interface("tap2", Some(Attach::Tc)).await.expect("attached");
    assert_eq!(apply(Some(DRIVER), false).await, (ApplyOutcome::Updated, attach(), both(DRIVER)), "one of them");
    *host.kernel.trouble.lock().expect("not poisoned") = Some((0, Trouble::Fails));
    assert_eq!(apply(Some(GENERIC), false).await, (ApplyOutcome::Failed, vec![], both(DRIVER)));
}

#[tokio::test]
async fn what_the_kernel_refuses_is_not_recorded() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    let before = daemon.create(A, &["tap1"]).await.expect("created");
    *host.kernel.trouble.lock().expect("not poisoned") = Some((0, Trouble::Fails));
    daemon.registry.attach_interface("tap1", Some(Attach::TcXdpGeneric)).await.expect_err("it is in trouble");
    assert_eq!(daemon.registry.show(A).await.expect("there"), before);
    drop(daemon);
    assert_eq!(host.daemon().await.registry.show(A).await.expect("there"), before);
}

#[tokio::test]
async fn one_that_is_not_there_is_attached_so_when_it_comes() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1"]).await.expect("created");
    host.kernel.set_link("tap1", None);
    daemon.registry.reconcile().await.expect("fake");
    let view = daemon.registry.attach_interface("tap1", Some(Attach::TcXdpDriver)).await.expect("recorded");
    assert_eq!(attachments(&view), [None]);
    host.kernel.set_link("tap1", Some(12));
    daemon.registry.reconcile().await.expect("fake");
    assert_eq!(attachments(&daemon.registry.show(A).await.expect("there")), [Some(Attach::TcXdpDriver)]);
}
