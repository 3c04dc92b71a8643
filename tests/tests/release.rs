//! Interfaces whose instance was deleted: closed, until somebody says otherwise.

use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::provider::Provider;

const ADDRESS: &str = "10.0.0.1";
const INSTANCE_ID: &str = "/latest/meta-data/instance-id";

#[test]
fn a_closed_interface_keeps_its_guest_from_the_hosts_own_service_until_it_is_released() {
    let mut host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let provider = Provider::at(&guest);
    assert!(provider.is_reached(&guest), "before it is attached");
    let id = host.create(guest.interface(), &[]);
    assert!(!provider.is_reached(&guest), "an instance's interface leads to its own service only");
    let taken = host.ctl(&["interface", "release", guest.interface()]);
    assert_eq!(taken.code, Some(4), "{}", taken.stderr);
    assert!(taken.stderr.contains(&id), "{}", taken.stderr);

    host.delete(&id);
    for restarted in [false, true] {
        let before = host.host_counter("dropped-unowned");
        assert!(!provider.is_reached(&guest), "restarted: {restarted}");
        assert!(host.host_counter("dropped-unowned") > before, "restarted: {restarted}");
        host.kill();
        assert!(!provider.is_reached(&guest), "without a daemon");
        host.launch();
    }
    let program = format!("program on {}", guest.interface());
    assert!(host.leftovers().contains(&program));
    let released = host.ask(&["interface", "release", guest.interface()]);
    assert_eq!(released["name"], guest.interface());
    assert!(provider.is_reached(&guest));
    assert!(!host.leftovers().contains(&program));
    for name in [guest.interface(), "no-such-link"] {
        let again = host.ctl(&["interface", "release", name]);
        assert_eq!(again.code, Some(3), "{}", again.stderr);
        assert!(again.stderr.contains(name), "{}", again.stderr);
    }
}

#[test]
fn an_instance_can_go_with_its_interfaces_released() {
    let mut host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let provider = Provider::at(&guest);
    let id = host.create(guest.interface(), &[]);
    let deleted = host.ctl(&["instance", "delete", &id, "--release"]);
    assert_eq!(deleted.stdout, format!("deleted {id}\nreleased: {}\n", guest.interface()), "{}", deleted.stderr);
    assert!(provider.is_reached(&guest));
    let again = host.ctl(&["interface", "release", guest.interface()]);
    assert_eq!(again.code, Some(3), "{}", again.stderr);
    // Nothing of it comes back, and another instance can have it.
    host.kill();
    host.launch();
    assert!(provider.is_reached(&guest));
    let next = host.create(guest.interface(), &[]);
    assert!(!provider.is_reached(&guest));
    assert_eq!(guest.get(INSTANCE_ID, None).text(), next);
}
