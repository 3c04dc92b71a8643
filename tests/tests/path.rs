//! The path of a packet: from guests of every kind to their own instance's answers and back.

use imds_tests::family::Family;
use imds_tests::guest::{Bridge, Guest};
use imds_tests::host::Host;
use imds_tests::http::{TOKEN, TTL, request};
use imds_tests::in_each_attachment;
use imds_tests::tap::Tap;
use imds_tests::tap_connection::TapConnection;

in_each_attachment!(
    families: a_token_and_a_read,
    instances_with_one_address_are_told_apart,
    a_token_is_good_on_its_own_instance_only,
    several_guests_share_a_bridge,
    a_client_behind_a_guest_is_that_guests_instance,
    an_instance_has_several_interfaces,
    a_routed_tap_is_served,
    a_routed_tap_is_refused_by_the_kernel
);

const ADDRESS: &str = "10.0.0.1";
const INSTANCE_ID: &str = "/latest/meta-data/instance-id";

fn a_token_and_a_read(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let id = host.create(guest.interface(), &[]);
    let token = guest.token();
    assert_eq!(token.len(), 56);
    let answer = guest.get(INSTANCE_ID, Some(&token));
    assert_eq!((answer.status, answer.text()), (200, id.clone()));
    let left: u32 = answer.header(TTL).and_then(|ttl| ttl.parse().ok()).expect("the token's life");
    assert!((21_000..=21_600).contains(&left), "{left}");
    let stats = host.stats(&id);
    assert_eq!((stats.tokens_issued(), stats.requests(), stats.no_token()), (1, 2, 0));
    assert!(stats.kernel("delivered") > 0 && stats.kernel("answered") > 0);
}

fn instances_with_one_address_are_told_apart(family: Family) {
    let host = Host::start().over(family);
    let bridge = Bridge::new();
    let (first, second) = (Guest::on_veth(ADDRESS).over(family), Guest::on_bridge(&bridge, ADDRESS).over(family));
    let first_id = host.create(first.interface(), &["--private-ip", ADDRESS]);
    let second_id = host.create(second.interface(), &["--private-ip", ADDRESS]);
    assert_ne!(first_id, second_id);
    for (guest, id) in [(&first, &first_id), (&second, &second_id)] {
        assert_eq!(&guest.get(INSTANCE_ID, None).text(), id);
        assert_eq!(&guest.get(INSTANCE_ID, Some(&guest.token())).text(), id);
    }
}

fn a_token_is_good_on_its_own_instance_only(family: Family) {
    let host = Host::start().over(family);
    let (first, second) = (Guest::on_veth(ADDRESS).over(family), Guest::on_veth(ADDRESS).over(family));
    let _ = host.create(first.interface(), &[]);
    let id = host.create(second.interface(), &[]);
    let token = first.token();
    assert_eq!(second.get(INSTANCE_ID, Some(&token)).status, 401);
    assert_eq!(first.get(INSTANCE_ID, Some(&token)).status, 200);
    assert_eq!(host.stats(&id).kernel("refused-token-invalid"), 1);
}

fn several_guests_share_a_bridge(family: Family) {
    let host = Host::start().over(family);
    let bridge = Bridge::new();
    let guests = [Guest::on_bridge(&bridge, ADDRESS).over(family), Guest::on_bridge(&bridge, "10.0.0.2").over(family)];
    let ids = guests.each_ref().map(|guest| host.create(guest.interface(), &[]));
    for (guest, id) in guests.iter().zip(&ids) {
        assert_eq!(&guest.get(INSTANCE_ID, Some(&guest.token())).text(), id);
    }
}

fn a_client_behind_a_guest_is_that_guests_instance(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let id = host.create(guest.interface(), &["--metadata-options", "HttpPutResponseHopLimit=2"]);
    let behind = guest.client_behind();
    assert_eq!(behind.get(INSTANCE_ID, Some(&behind.token())).text(), id);
    assert_eq!(guest.get(INSTANCE_ID, Some(&guest.token())).text(), id);
}

fn an_instance_has_several_interfaces(family: Family) {
    let host = Host::start().over(family);
    let (first, second) = (Guest::on_veth(ADDRESS).over(family), Guest::on_veth(ADDRESS).over(family));
    let id = host.create(first.interface(), &["--interface", second.interface()]);
    let token = first.token();
    assert_eq!(first.get(INSTANCE_ID, Some(&token)).text(), id);
    assert_eq!(second.get(INSTANCE_ID, Some(&second.token())).text(), id);
    host.set(&id, &["--http-tokens", "required"]);
    assert_eq!([&first, &second].map(|guest| guest.get(INSTANCE_ID, None).status), [401, 401]);
}

fn a_routed_tap_is_served(family: Family) {
    let host = Host::start().over(family);
    let mut tap = Tap::new().over(family);
    let id = host.create(tap.interface(), &[]);
    let source = [10, 0, 0, 1];

    let mut connection = TapConnection::open(&mut tap, source, 40_001);
    connection.send(&request("PUT", "/latest/api/token", &[(TTL, "60")]));
    let answer = String::from_utf8(connection.receive_to_end()).expect("text");
    assert!(connection.segments.iter().all(|segment| segment.checksums), "{:?}", connection.segments);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let token = answer.rsplit_once("\r\n\r\n").expect("a body").1;

    let mut connection = TapConnection::open(&mut tap, source, 40_002);
    connection.send(&request("GET", INSTANCE_ID, &[(TOKEN, token), ("Connection", "close")]));
    let answer = String::from_utf8(connection.receive_to_end()).expect("text");
    assert!(connection.segments.iter().all(|segment| segment.checksums), "{:?}", connection.segments);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with(&id), "{answer}");
}

fn a_routed_tap_is_refused_by_the_kernel(family: Family) {
    let host = Host::start().over(family);
    let mut tap = Tap::new().over(family);
    let id = host.create(tap.interface(), &["--metadata-options", "HttpTokens=required"]);
    let mut connection = TapConnection::open(&mut tap, [10, 0, 0, 1], 40_003);
    connection.send(&request("GET", INSTANCE_ID, &[]));
    let answer = String::from_utf8(connection.receive_to_end()).expect("text");
    assert!(answer.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{answer}");
    assert!(connection.segments.iter().all(|segment| segment.checksums), "{:?}", connection.segments);
    let stats = host.stats(&id);
    assert_eq!((stats.kernel("refused-token-missing"), stats.requests()), (1, 0));
}
