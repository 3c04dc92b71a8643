mod attachment;
mod credentials;
mod deletion;
mod documents;
mod events;
mod generations;
mod identities;
mod interruption;
mod keys;
mod limits;
mod options;
mod reconciler;

use std::collections::BTreeMap;
use std::time::Duration;

use imds_common::counters::Counter;

use super::directory::KeyRing;
use super::fake::FakeKernel;
use super::*;
use crate::config::DefaultsTable;
use crate::metadata::field;
use crate::metadata::identity;
use crate::registry::request::CreateInstance;

const A: &str = "i-0000000a";
const B: &str = "i-0000000b";

/// A host: what outlives the daemon.
struct Host {
    kernel: Arc<FakeKernel>,
    state: tempfile::TempDir,
    /// How many slots it has, slot 0 among them.
    slots: u16,
}

/// A daemon on it.
struct Daemon {
    registry: Registry<FakeKernel>,
    directory: Arc<Directory>,
}

impl Host {
    fn new(links: &[(&str, u32)]) -> Self {
        let kernel = Arc::new(FakeKernel::with_links(links));
        Self { kernel, state: tempfile::tempdir().expect("scratch directory"), slots: 4 }
    }

    async fn daemon(&self) -> Daemon {
        self.start().await.expect("started")
    }

    async fn start(&self) -> Result<Daemon, RegistryError> {
        let directory = Arc::new(Directory::new(self.slots.into(), KeyRing::new(self.kernel.keys().expect("fake"))));
        *self.kernel.directory.lock().expect("not poisoned") = Some(Arc::clone(&directory));
        let store = Arc::new(Store::open(self.state.path())?);
        let contents = store.load()?;
        let DefaultsTable { availability_zone, account_id } = DefaultsTable::default();
        let defaults = Defaults { availability_zone, account_id };
        let authority = identity::sample::authority();
        let (refuse_silently, error_pages) = (false, false);
        let budgets = Budgets { packets: 0, requests: 0 };
        let settings = Settings { defaults, slots: self.slots, refuse_silently, budgets, error_pages, authority };
        let (issuer, _) = Issuer::open(self.state.path(), &[])?;
        let registry =
            Registry::start(Arc::clone(&self.kernel), Arc::clone(&directory), (store, contents), issuer, settings);
        Ok(Daemon { registry: registry.await?, directory })
    }

    fn log(&self) -> Vec<String> {
        std::mem::take(&mut *self.kernel.log.lock().expect("not poisoned"))
    }

    /// Slots that somebody owns.
    fn owned(&self) -> Vec<u16> {
        self.kernel.status().expect("fake").iter().map(|status| status.slot).collect()
    }
}

impl Daemon {
    async fn create(&self, id: &str, interfaces: &[&str]) -> Result<InstanceView, RegistryError> {
        self.registry.create(&request(id, interfaces)).await
    }

    fn served(&self) -> BTreeMap<u16, String> {
        (0..self.registry.settings.slots)
            .filter_map(|slot| Some((slot, self.directory.get(slot)?.instance_id.clone())))
            .collect()
    }
}

fn request(id: &str, interfaces: &[&str]) -> CreateInstance {
    CreateInstance {
        instance_id: Some(id.to_owned()),
        interfaces: interfaces.iter().map(|&name| name.to_owned()).collect(),
        ..CreateInstance::default()
    }
}

fn changes(json: &str) -> OptionChanges {
    serde_json::from_str(json).expect("test JSON")
}

fn statuses(view: &InstanceView) -> Vec<(u16, &str)> {
    view.interfaces.iter().map(|interface| (interface.slot, interface.status.as_str())).collect()
}

#[tokio::test]
async fn an_instance_is_created_shown_and_deleted() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12)]);
    let daemon = host.daemon().await;
    let view = daemon.create(A, &["tap1", "tap2"]).await.expect("created");
    assert_eq!(statuses(&view), [(1, "enforced"), (2, "enforced")]);
    assert_eq!(view.interfaces[0].ifindex, Some(11));
    assert_eq!(view.metadata_options.state, "applied");
    assert_eq!(daemon.registry.show(A).await.expect("there"), view);
    assert_eq!(daemon.registry.list().await.expect("there"), std::slice::from_ref(&view));
    assert_eq!(daemon.served(), BTreeMap::from([(1, A.to_owned()), (2, A.to_owned())]));

    let served = daemon.directory.get(1).expect("served");
    assert_eq!(daemon.registry.delete(A, false).await.expect("deleted"), view);
    assert!(served.gone.is_cancelled() && daemon.served().is_empty() && host.owned().is_empty());
    for error in [daemon.registry.show(A).await.err(), daemon.registry.delete(A, false).await.err()] {
        assert!(matches!(error, Some(RegistryError::NotFound(id)) if id == A));
    }
    // The freed slots rest, over a restart too.
    drop(daemon);
    let view = host.daemon().await.create(B, &["tap1"]).await.expect("created");
    assert_eq!(statuses(&view), [(3, "enforced")]);
}

#[tokio::test]
async fn an_id_that_is_left_out_is_made() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12)]);
    let daemon = host.daemon().await;
    let mut ids = Vec::new();
    for interface in ["tap1", "tap2"] {
        let request = CreateInstance { instance_id: None, ..request("", &[interface]) };
        ids.push(daemon.registry.create(&request).await.expect("created").instance_id);
    }
    assert!(ids.iter().all(|id| field::instance_id(id).is_ok() && id.len() == 19), "{ids:?}");
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn the_same_create_succeeds_again_and_another_is_refused() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1"]).await.expect("created");
    daemon.registry.set_options(Some(A), &changes(r#"{"HttpTokens":"required"}"#)).await.expect("set");
    drop(daemon);
    let daemon = host.daemon().await;
    host.log();
    let again = daemon.create(A, &["tap1"]).await.expect("the same");
    assert_eq!(again.metadata_options.http_tokens, "required");
    let other = daemon.create(A, &["tap2"]).await.expect_err("other content");
    assert!(matches!(other, RegistryError::OtherContent(id) if id == A));
    assert!(host.log().is_empty(), "nothing was done");
}

#[tokio::test]
async fn an_interface_has_one_instance() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12), ("alias-of-tap1", 11)]);
    let daemon = host.daemon().await;
    let twice = daemon.create(A, &["tap1", "alias-of-tap1"]).await.expect_err("one interface");
    assert!(matches!(twice, RegistryError::SameInterface { .. }), "{twice}");
    daemon.create(A, &["tap1"]).await.expect("created");
    for interfaces in [&["tap1"][..], &["alias-of-tap1"], &["tap2", "tap1"]] {
        let taken = daemon.create(B, interfaces).await.expect_err("taken");
        assert!(matches!(&taken, RegistryError::InterfaceTaken { instance_id, .. } if instance_id == A), "{taken}");
    }
    assert_eq!(host.owned(), [1]);
}

#[tokio::test]
async fn a_failure_in_the_middle_leaves_nothing_behind() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12), ("lo", 1)]);
    let daemon = host.daemon().await;
    *host.kernel.broken.lock().expect("not poisoned") = Some("tap2".to_owned());
    for interfaces in [&["tap1", "tap2"][..], &["tap1", "lo"], &["tap1", "tap9"]] {
        daemon.create(A, interfaces).await.expect_err("tap2 is broken, lo is no guest's, tap9 isn't there");
        assert!(daemon.served().is_empty() && host.owned().is_empty(), "{interfaces:?}");
        assert!(daemon.registry.list().await.expect("fake").is_empty(), "{interfaces:?}");
    }
    drop(daemon);
    assert!(host.daemon().await.registry.list().await.expect("fake").is_empty());
}

#[tokio::test]
async fn more_instances_than_slots_are_refused() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12), ("tap3", 13), ("tap4", 14)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1", "tap2"]).await.expect("created");
    let full = daemon.create(B, &["tap3", "tap4"]).await.expect_err("one slot is left");
    assert!(matches!(full, RegistryError::NoSlot(3)), "{full}");
    assert_eq!(host.owned(), [1, 2]);
}

#[tokio::test]
async fn a_restart_goes_on_with_the_same_slots() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    let before = daemon.create(A, &["tap1"]).await.expect("created");
    host.kernel.count(1, Counter::Delivered);
    drop(daemon);
    host.log();
    let daemon = host.daemon().await;
    assert_eq!(host.log(), ["keep 1"]);
    assert_eq!(daemon.registry.show(A).await.expect("there"), before);
    assert_eq!(daemon.served(), BTreeMap::from([(1, A.to_owned())]));
    assert_eq!(daemon.registry.stats(Some(A)).await.expect("fake").instances[0].kernel["delivered"], 1);
    daemon.registry.reconcile().await.expect("fake");
    assert!(host.log().is_empty(), "a second time there is nothing to do");
}

#[tokio::test]
async fn a_crash_between_kernel_and_record_is_repaired() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1"]).await.expect("created");
    daemon.create(B, &["tap2"]).await.expect("created");
    let required = OptionsWord::new(
        &MetadataOptions { http_tokens: imds_common::options::HttpTokens::Required, ..MetadataOptions::default() },
        false,
    );
    // A crash of `options set` before the record, and one of `delete` after it.
    host.kernel.set_rules(1, &required.into());
    daemon.registry.store.remove(B).expect("removed");
    drop(daemon);
    let daemon = host.daemon().await;
    assert_eq!(host.owned(), [1]);
    assert_eq!(host.kernel.options(1), Some(OptionsWord::new(&MetadataOptions::default(), false)));
    assert_eq!(daemon.directory.get(1).expect("served").options(), host.kernel.options(1).expect("owned"));
}

#[tokio::test]
async fn after_a_reboot_all_is_served_again_under_new_generations() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1"]).await.expect("created");
    let before = daemon.directory.get(1).expect("served").token_generation;
    drop(daemon);
    host.kernel.reboot();
    let daemon = host.daemon().await;
    let slot = daemon.registry.show(A).await.expect("there").interfaces[0].slot;
    assert_ne!(daemon.directory.get(slot).expect("served").token_generation, before);
}

#[tokio::test]
async fn an_interface_that_vanishes_is_served_again_when_it_comes_back() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1"]).await.expect("created");
    host.kernel.count(1, Counter::Delivered);
    daemon.directory.get(1).expect("served").counters.add(Counter::TokensIssued);
    let served = daemon.directory.get(1).expect("served");

    host.kernel.set_link("tap1", None);
    daemon.registry.reconcile().await.expect("fake");
    assert!(served.gone.is_cancelled() && daemon.served().is_empty() && host.owned().is_empty());
    let view = daemon.registry.show(A).await.expect("kept");
    assert_eq!((statuses(&view), view.interfaces[0].ifindex), (vec![(0, "absent")], None));
    assert_eq!(view.metadata_options.state, "applied");
    let taken = daemon.create(B, &["tap1"]).await.expect_err("still the other's");
    assert!(matches!(taken, RegistryError::InterfaceTaken { .. }), "{taken}");

    // Absent at a start as well.
    drop(daemon);
    let daemon = host.daemon().await;
    host.kernel.set_link("tap1", Some(21));
    daemon.registry.reconcile().await.expect("fake");
    let view = daemon.registry.show(A).await.expect("kept");
    assert_eq!((statuses(&view), view.interfaces[0].ifindex), (vec![(2, "enforced")], Some(21)));
    host.kernel.count(2, Counter::Delivered);
    let stats = daemon.registry.stats(Some(A)).await.expect("fake");
    assert_eq!((stats.instances[0].kernel["delivered"], stats.instances[0].tokens_issued), (2, 1));
}

#[tokio::test]
async fn a_change_of_links_is_seen_however_long_the_rest_is() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1"]).await.expect("created");
    let now = Instant::now();
    let links = host.kernel.link_changes();
    daemon.registry.state.lock().await.pace.looked(now - Duration::from_secs(60), now, links);
    host.kernel.set_link("tap1", None);
    daemon.registry.reconcile_when_due().await.expect("fake");
    assert!(daemon.served().is_empty());
}

#[tokio::test]
async fn an_interface_that_is_refused_keeps_nobody_else_from_being_served() {
    let host = Host::new(&[("tap1", 11), ("tap2", 12)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1"]).await.expect("created");
    daemon.create(B, &["tap2"]).await.expect("created");
    drop(daemon);
    host.kernel.reboot();
    *host.kernel.broken.lock().expect("not poisoned") = Some("tap1".to_owned());
    let daemon = host.daemon().await;
    let views = daemon.registry.list().await.expect("fake");
    assert_eq!((statuses(&views[0]), statuses(&views[1]).len()), (vec![(0, "absent")], 1));
    assert_eq!(daemon.served().into_values().collect::<Vec<_>>(), [B]);
    *host.kernel.broken.lock().expect("not poisoned") = None;
    daemon.registry.reconcile().await.expect("fake");
    assert_eq!(daemon.served().len(), 2);
}

#[tokio::test]
async fn stats_of_all_have_the_hosts() {
    let host = Host::new(&[("tap1", 11)]);
    let daemon = host.daemon().await;
    daemon.create(A, &["tap1"]).await.expect("created");
    host.kernel.count(0, Counter::DroppedUnowned);
    let stats = daemon.registry.stats(None).await.expect("fake");
    assert_eq!(stats.instances.len(), 1);
    assert_eq!(stats.host.expect("asked for all")["dropped-unowned"], 1);
    assert_eq!(daemon.registry.stats(Some(A)).await.expect("fake").host, None);
}
