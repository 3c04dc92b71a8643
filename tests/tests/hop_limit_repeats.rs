//! The TTL of what is sent again, because a client's acknowledgements are lost or it sends its own segments again.

use imds_tests::family::Family;
use imds_tests::host::Host;
use imds_tests::http::{TOKEN, TTL, request};
use imds_tests::in_each_attachment;
use imds_tests::packet::Segment;
use imds_tests::tap::Tap;
use imds_tests::tap_connection::TapConnection;
use imds_tests::verdicts::{INSTANCE_ID, TOKEN_PATH};

in_each_attachment!(
    families:
    a_handshake_sent_again_has_the_normal_ttl,
    answers_that_nobody_acknowledges_keep_their_ttl,
    ends_that_nobody_acknowledges_keep_their_ttl,
    refusals_that_are_asked_for_again_keep_their_ttl,
    a_new_limit_counts_for_what_is_sent_again
);

const SOURCE: [u8; 4] = [10, 0, 0, 1];
const NORMAL: u8 = 64;
const LIMIT: u8 = 5;
/// `HttpPutResponseHopLimit` after a change.
const OTHER_LIMIT: u8 = 9;
/// So often everything is to come.
const TIMES: usize = 3;

fn stage(family: Family) -> (Host, Tap, String) {
    let (host, tap) = (Host::start().over(family), Tap::new().over(family));
    let id = host.create(tap.interface(), &["--metadata-options", "HttpTokens=required"]);
    host.set(&id, &["--http-put-response-hop-limit", &LIMIT.to_string()]);
    (host, tap, id)
}

fn put(life: &str) -> Vec<u8> {
    request("PUT", TOKEN_PATH, &[(TTL, life)])
}

fn token(tap: &mut Tap) -> String {
    let mut connection = TapConnection::open(tap, SOURCE, 40_000);
    connection.send(&put("21600"));
    let answer = String::from_utf8(connection.receive_to_end()).expect("text");
    answer.rsplit_once("\r\n\r\n").expect("a body").1.to_owned()
}

/// The TTLs of what carries data or a FIN, and of the rest, are those.
#[track_caller]
fn assert_ttls(name: &str, segments: &[Segment], carrying: u8) {
    for segment in segments {
        let expected = if segment.carries() { carrying } else { NORMAL };
        assert_eq!(segment.ttl, expected, "{name}: {segment:?} of {segments:?}");
        assert!(segment.checksums, "{name}: {segment:?}");
    }
}

fn a_handshake_sent_again_has_the_normal_ttl(family: Family) {
    let (_host, mut tap, _) = stage(family);
    // Before a connection's first bytes come, the service holds it for half-open.
    let mut connection = TapConnection::open(&mut tap, SOURCE, 41_000);
    connection.receive_until("second SYN-ACK", |segment| segment.syn);
    assert_ttls("SYN-ACK", &connection.segments, NORMAL);
}

fn answers_that_nobody_acknowledges_keep_their_ttl(family: Family) {
    let (_host, mut tap, _) = stage(family);
    let good = token(&mut tap);
    let get = |headers: &[(&str, &str)]| request("GET", INSTANCE_ID, headers);
    let good = (TOKEN, good.as_str());
    let rows = [
        ("a token", put("60"), LIMIT),
        ("a refused PUT", put("0"), LIMIT),
        ("a read", get(&[good]), NORMAL),
        ("a last read", get(&[good, ("Connection", "close")]), NORMAL),
        ("a body", get(&[good, ("Content-Length", "0")]), LIMIT),
    ];
    for (port, (name, request, ttl)) in (42_000..).zip(rows) {
        let mut connection = TapConnection::open(&mut tap, SOURCE, port);
        connection.send(&request);
        for _ in 0..TIMES {
            connection.receive_until(name, |segment| !segment.payload.is_empty());
        }
        assert_ttls(name, &connection.segments, ttl);
    }
}

fn ends_that_nobody_acknowledges_keep_their_ttl(family: Family) {
    let (_host, mut tap, _) = stage(family);
    let good = token(&mut tap);
    let get = |headers: &[(&str, &str)]| request("GET", INSTANCE_ID, headers);
    let rows = [
        ("a token", put("60"), LIMIT),
        ("a refused PUT", put("0"), LIMIT),
        ("a last read", get(&[(TOKEN, &good), ("Connection", "close")]), NORMAL),
        ("a last read of two tokens", get(&[(TOKEN, &good), (TOKEN, "x")]), NORMAL),
    ];
    for (port, (name, request, ttl)) in (43_000..).zip(rows) {
        let mut connection = TapConnection::open(&mut tap, SOURCE, port);
        connection.send(&request);
        let answer = connection.receive_until(name, |segment| !segment.payload.is_empty());
        connection.take_data(&answer);
        connection.send(&[]);
        for _ in 0..TIMES {
            connection.receive_until(name, |segment| segment.fin);
        }
        assert_ttls(name, &connection.segments, ttl);
    }
}

fn refusals_that_are_asked_for_again_keep_their_ttl(family: Family) {
    let (host, mut tap, id) = stage(family);
    let forwarded = ("X-Forwarded-For", "10.0.0.9");
    let rows = [
        ("a read without a token", request("GET", INSTANCE_ID, &[]), NORMAL),
        ("a read with a bad token", request("HEAD", INSTANCE_ID, &[(TOKEN, "x")]), NORMAL),
        ("a read with a body", request("GET", INSTANCE_ID, &[("Content-Length", "0")]), LIMIT),
        ("a PUT through a proxy", request("PUT", TOKEN_PATH, &[(TTL, "60"), forwarded]), LIMIT),
    ];
    for (port, (name, request, ttl)) in (44_000..).zip(rows) {
        let mut connection = TapConnection::open(&mut tap, SOURCE, port);
        connection.send(&request);
        let first = connection.receive_until(name, Segment::carries);
        for _ in 1..TIMES {
            connection.send_again(&request);
            let next = connection.receive_until(name, Segment::carries);
            assert_eq!((next.seq, next.fin), (first.seq, true), "{name}");
        }
        assert_ttls(name, &connection.segments, ttl);
    }
    assert_eq!(host.stats(&id).requests(), 0, "the kernel programs refuse all of them");
}

fn a_new_limit_counts_for_what_is_sent_again(family: Family) {
    let (host, mut tap, id) = stage(family);
    let mut connection = TapConnection::open(&mut tap, SOURCE, 45_000);
    connection.send(&put("60"));
    let first = connection.receive_until("token", |segment| !segment.payload.is_empty());
    assert_eq!(first.ttl, LIMIT);
    host.set(&id, &["--http-put-response-hop-limit", &OTHER_LIMIT.to_string()]);
    let again = |segment: &Segment| segment.seq == first.seq && segment.ttl == OTHER_LIMIT;
    connection.receive_until("token with the new limit", again);
}
