//! `HttpPutResponseHopLimit`: how far a token travels, in the TTLs of the packets that carry it.

use std::io::ErrorKind;

use imds_tests::capture::Capture;
use imds_tests::family::Family;
use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::http::{Connection, TOKEN, TTL, request};
use imds_tests::in_each_attachment;
use imds_tests::packet::Segment;
use imds_tests::wait;
use serde_json::Value;

in_each_attachment!(
    families: a_token_has_the_limit_and_the_handshake_has_not,
    a_token_asked_for_byte_by_byte_has_the_limit,
    a_token_after_reads_on_one_connection_has_the_limit,
    a_pipelined_put_does_not_travel_with_a_read,
    reads_have_the_normal_ttl,
    the_kernels_refusals_have_the_normal_ttl_but_those_of_a_put,
    at_one_a_token_does_not_reach_a_client_behind
);

const ADDRESS: &str = "10.0.0.1";
const INSTANCE_ID: &str = "/latest/meta-data/instance-id";
const NORMAL: u8 = 64;
/// Counts the answers that ended on their way, and what an operator is told of them.
const EXCEEDED: &str = "dropped-time-exceeded";
const TOO_SMALL: &str = "is too small for a client behind this instance";

fn put() -> Vec<u8> {
    request("PUT", "/latest/api/token", &[(TTL, "60")])
}

/// What belongs to the connection whose SYN came last: the FIN of one before may come late.
fn newest(segments: &[Segment]) -> impl Iterator<Item = &Segment> {
    let port = segments.iter().rfind(|segment| segment.syn).map(|segment| segment.port);
    segments.iter().filter(move |segment| Some(segment.port) == port)
}

/// The TTLs of the handshake, and of what carries data or a FIN, each without repetition.
fn ttls(segments: &[Segment]) -> (Vec<u8>, Vec<u8>) {
    let of = |chosen: fn(&Segment) -> bool| {
        let mut ttls: Vec<_> = newest(segments).filter(|segment| chosen(segment)).map(|segment| segment.ttl).collect();
        ttls.sort_unstable();
        ttls.dedup();
        ttls
    };
    (of(|segment| !segment.carries()), of(Segment::carries))
}

fn fin_has_come(segments: &[Segment]) -> bool {
    newest(segments).any(|segment| segment.fin)
}

fn a_token_has_the_limit_and_the_handshake_has_not(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let id = host.create(guest.interface(), &[]);
    for limit in [1_u8, 2, 64] {
        host.set(&id, &["--http-put-response-hop-limit", &limit.to_string()]);
        let capture = Capture::start(&guest);
        let _ = guest.token();
        let segments = capture.until("the token's FIN", fin_has_come);
        assert_eq!(ttls(&segments), (vec![NORMAL], vec![limit]), "{segments:?}");
    }
    assert!(host.stats(&id).kernel("limited") >= 3);
}

fn a_token_asked_for_byte_by_byte_has_the_limit(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let id = host.create(guest.interface(), &["--metadata-options", "HttpPutResponseHopLimit=3"]);
    let capture = Capture::start(&guest);
    let mut connection = Connection::open(&guest).expect("connects");
    for byte in put() {
        connection.send(&[byte]).expect("sent");
    }
    assert_eq!(connection.receive(false).expect("an answer").status, 200);
    let segments = capture.until("the token's FIN", fin_has_come);
    assert_eq!(ttls(&segments), (vec![NORMAL], vec![3]), "{segments:?}");
    assert_eq!(host.stats(&id).tokens_issued(), 1);
}

fn a_token_after_reads_on_one_connection_has_the_limit(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let _ = host.create(guest.interface(), &[]);
    let capture = Capture::start(&guest);
    let mut connection = Connection::open(&guest).expect("connects");
    assert_eq!(connection.ask(&request("GET", INSTANCE_ID, &[])).expect("an answer").status, 200);
    assert_eq!(connection.ask(&put()).expect("an answer").status, 200);
    let segments = capture.until("the token's FIN", fin_has_come);
    let data: Vec<_> = segments.iter().filter(|segment| segment.carries()).collect();
    assert_eq!(data.first().map(|segment| segment.ttl), Some(NORMAL), "{segments:?}");
    let token = data.iter().filter(|segment| segment.payload.windows(5).any(|window| window == b"Token"));
    assert!(token.clone().count() > 0 && token.clone().all(|segment| segment.ttl == 1), "{segments:?}");
    assert!(data.iter().filter(|segment| segment.fin).all(|segment| segment.ttl == 1), "{segments:?}");
}

fn a_pipelined_put_does_not_travel_with_a_read(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let _ = host.create(guest.interface(), &[]);
    for pipelined in [[put(), request("GET", INSTANCE_ID, &[])], [request("GET", INSTANCE_ID, &[]), put()]] {
        let capture = Capture::start(&guest);
        let mut connection = Connection::open(&guest).expect("connects");
        connection.send(&pipelined.concat()).expect("sent");
        let _ = connection.receive(false).expect("an answer");
        let segments = capture.until("a FIN", fin_has_come);
        assert_eq!(ttls(&segments), (vec![NORMAL], vec![1]), "{segments:?}");
    }
}

fn reads_have_the_normal_ttl(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let _ = host.create(guest.interface(), &[]);
    let token = guest.token();
    let capture = Capture::start(&guest);
    let headers = [(TOKEN, token.as_str()), ("Connection", "close")];
    assert_eq!(guest.exchange(&request("GET", INSTANCE_ID, &headers)).status, 200);
    let segments = capture.until("the answer's FIN", fin_has_come);
    assert_eq!(ttls(&segments), (vec![NORMAL], vec![NORMAL]), "{segments:?}");
}

fn the_kernels_refusals_have_the_normal_ttl_but_those_of_a_put(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let id = host.create(guest.interface(), &["--metadata-options", "HttpTokens=required"]);
    let forwarded = request("PUT", "/latest/api/token", &[(TTL, "60"), ("X-Forwarded-For", "10.0.0.9")]);
    for (request, status, ttl) in [
        (request("GET", INSTANCE_ID, &[]), 401, NORMAL),
        (request("HEAD", INSTANCE_ID, &[(TOKEN, "x")]), 401, NORMAL),
        (forwarded, 403, 1),
    ] {
        let capture = Capture::start(&guest);
        assert_eq!(guest.exchange(&request).status, status);
        let segments = capture.until("the refusal's FIN", fin_has_come);
        assert_eq!(ttls(&segments).1, vec![ttl], "{segments:?}");
    }
    let stats = host.stats(&id);
    assert_eq!(stats.requests(), 0, "the kernel refuses all of them");
    assert_eq!((stats.kernel("refused-forwarded"), stats.kernel("refused-token-invalid")), (1, 1));
}

fn at_one_a_token_does_not_reach_a_client_behind(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let id = host.create(guest.interface(), &[]);
    let behind = guest.client_behind();

    let mut connection = Connection::open(&behind).expect("connects: a handshake isn't limited");
    let short = Some(std::time::Duration::from_secs(2));
    connection.stream().set_read_timeout(short).expect("a time-out");
    let nothing = connection.ask(&put()).expect_err("no answer arrives");
    assert!(matches!(nothing.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{nothing}");
    wait::until("the token to be issued", || host.stats(&id).tokens_issued(), |&issued| issued == 1);

    // The guest, which forwards no further, says so, and whoever asks is told what it means.
    wait::until("a time exceeded", || host.stats(&id).kernel(EXCEEDED), |&count| count > 0);
    let stats = host.ctl(&["stats", &id]).stdout;
    assert!(stats.contains(&format!("answers ended on their way: HttpPutResponseHopLimit {TOO_SMALL}")), "{stats}");
    let explained = || host.ask(&["explain", &id])["events"].as_array().cloned().unwrap_or_default();
    let is_told = |events: &Vec<Value>| events.iter().any(|event| event["reason"] == EXCEEDED);
    let events = wait::until("its event", explained, is_told);
    let event = events.iter().find(|event| event["reason"] == EXCEEDED).expect("it was found");
    let advice = event["advice"].as_str().unwrap_or_default();
    assert!(advice.starts_with(&format!("HttpPutResponseHopLimit 1 {TOO_SMALL}")), "{event}");
    let table = host.ctl(&["explain", &id]).stdout;
    assert!(table.contains(advice), "{table}");

    assert_eq!(behind.get(INSTANCE_ID, Some(&guest.token())).status, 200, "a read isn't limited");
    host.set(&id, &["--http-put-response-hop-limit", "2"]);
    assert_eq!(behind.exchange(&put()).status, 200);
}
