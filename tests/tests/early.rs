//! What XDP drops before tc sees it: each with a witness behind XDP, and the same counter as by tc.

use std::time::Duration;

use imds_tests::attachment::Attachment;
use imds_tests::family::Family;
use imds_tests::host::Host;
use imds_tests::http::{self, TOKEN, TTL};
use imds_tests::in_each_attachment;
use imds_tests::neighbour::{SOLICITED, about, arp, discovery};
use imds_tests::packet::{SERVICE, SERVICE_V6};
use imds_tests::stats::InstanceStats;
use imds_tests::tap::Tap;
use imds_tests::tap_connection::TapConnection;
use imds_tests::wait;
use imds_tests::witness::Witness;

in_each_attachment!(what_nobody_may_send);
in_each_attachment!(
    families: what_is_over_the_budget,
    the_first_request_of_a_connection,
    what_is_asked_after_the_endpoint_was_disabled,
    a_refusal_after_an_answer_is_begun_by_tc
);

const LISTED: [u8; 4] = [10, 0, 0, 1];
const OTHER: [u8; 4] = [10, 0, 0, 2];
const LISTED_V6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const OTHER_V6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
const LINK_LOCAL: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const ALL_NODES: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const PORT: u16 = 40_000;
const PATH: &str = "/latest/meta-data/instance-id";
/// Longer than the daemon waits for a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(12);
/// `TCP_ESTABLISHED` (include/net/tcp_states.h).
const ESTABLISHED: &str = "01";
const SILENT: &str = "on-refuse = \"drop\"\n";

/// Whether XDP comes before tc in the test that runs.
fn is_early() -> bool {
    Attachment::current().and_then(Attachment::early).is_some()
}

/// A SYN over IPv4.
fn v4(tap: &Tap, source: [u8; 4], destination: [u8; 4]) -> Vec<u8> {
    let mut frame = Vec::new();
    tap.frame().ipv4(source, destination, 64).tcp(PORT, 80, 1, 1).syn().write(&mut frame, &[]).expect("written");
    frame
}

/// A SYN over IPv6.
fn v6(tap: &Tap, source: [u8; 16], destination: [u8; 16]) -> Vec<u8> {
    let mut frame = Vec::new();
    tap.frame().ipv6(source, destination, 64).tcp(PORT, 80, 1, 1).syn().write(&mut frame, &[]).expect("written");
    frame
}

/// The same frame with other bytes at a place.
fn with<const N: usize>(mut frame: Vec<u8>, at: usize, bytes: [u8; N]) -> Vec<u8> {
    frame[at..at + N].copy_from_slice(&bytes);
    frame
}

/// Where an IPv6 frame says how much follows its header, and what.
const V6_LENGTH: usize = 18;
const V6_NEXT: usize = 20;
/// Where that follows.
const V6_END: usize = 54;

/// The same frame with an extension header of eight bytes.
fn behind(frame: Vec<u8>, kind: u8, [_, rest @ ..]: [u8; 8]) -> Vec<u8> {
    let next = frame[V6_NEXT];
    let length = u16::from_be_bytes([frame[V6_LENGTH], frame[V6_LENGTH + 1]]) + 8;
    let mut frame = with(with(frame, V6_NEXT, [kind]), V6_LENGTH, length.to_be_bytes());
    frame.splice(V6_END..V6_END, [next].into_iter().chain(rest));
    frame
}

/// A router's advertisement of the network that the service's address is in.
fn route(tap: &Tap) -> Vec<u8> {
    let mut body = vec![0x40, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    body.extend([3, 4, 64, 0xc0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
    body.extend(SERVICE_V6);
    discovery(tap, 134, LINK_LOCAL, ALL_NODES, &body)
}

/// Every kind of frame that is dropped whatever was there before, and what counts it.
fn nobody_s(tap: &Tap) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let (ours, ours_v6) = (v4(tap, LISTED, SERVICE), v6(tap, LISTED_V6, SERVICE_V6));
    let claim = |kind, body: &[u8]| discovery(tap, kind, LINK_LOCAL, ALL_NODES, body);
    let advertisement = claim(136, &about(SERVICE_V6, 0x20));
    let redirect = [about(OTHER_V6, 0), SERVICE_V6.to_vec()].concat();
    vec![
        ("a forged source", "dropped-forged", v4(tap, OTHER, SERVICE)),
        ("a forged source over IPv6", "dropped-forged", v6(tap, OTHER_V6, SERVICE_V6)),
        ("a forged MAC", "dropped-forged", with(ours.clone(), 6, [2, 0, 0, 0, 0, 0x11])),
        ("a forged MAC over IPv6", "dropped-forged", with(ours_v6.clone(), 6, [2, 0, 0, 0, 0, 0x11])),
        ("a forged ARP request", "dropped-forged", arp(1, OTHER, SERVICE)),
        ("a forged solicitation", "dropped-forged", discovery(tap, 135, OTHER_V6, SOLICITED, &about(SERVICE_V6, 0))),
        ("from the service", "dropped-impersonation", v4(tap, SERVICE, OTHER)),
        ("from the service over IPv6", "dropped-impersonation", v6(tap, SERVICE_V6, OTHER_V6)),
        ("ARP: a claim", "dropped-impersonation", arp(2, SERVICE, OTHER)),
        ("ARP: a claim in a question", "dropped-impersonation", arp(1, SERVICE, SERVICE)),
        ("an advertisement", "dropped-impersonation", advertisement.clone()),
        (
            "an advertisement behind options",
            "dropped-impersonation",
            behind(advertisement.clone(), 0, [0, 0, 1, 4, 0, 0, 0, 0]),
        ),
        (
            "an advertisement in a fragment",
            "dropped-impersonation",
            behind(advertisement, 44, [0, 0, 0, 0, 0, 0, 0, 1]),
        ),
        ("a router", "dropped-impersonation", route(tap)),
        ("a redirect", "dropped-impersonation", claim(137, &redirect)),
        ("a fragment", "dropped-fragment", with(ours.clone(), 20, [0x20])),
        ("a later fragment", "dropped-fragment", with(ours.clone(), 20, [0, 1])),
        ("a fragment over IPv6", "dropped-fragment", behind(ours_v6.clone(), 44, [0, 0, 0, 1, 0, 0, 0, 1])),
        ("IP options", "dropped-ip-options", with(ours.clone(), 14, [0x46])),
        ("an extension header", "dropped-extension", behind(ours_v6.clone(), 60, [0, 0, 1, 4, 0, 0, 0, 0])),
        ("half a TCP header", "dropped-truncated", with(ours.clone(), 16, [0, 30])),
        ("half a TCP header over IPv6", "dropped-truncated", with(ours_v6.clone(), V6_LENGTH, [0, 10])),
        ("less than its length", "dropped-truncated", ours[..ours.len() - 1].to_vec()),
        ("less than its length over IPv6", "dropped-truncated", ours_v6[..ours_v6.len() - 1].to_vec()),
        ("another port", "dropped-port", with(ours.clone(), 36, [1, 187])),
        ("another port over IPv6", "dropped-port", with(ours_v6.clone(), V6_END + 2, [1, 187])),
        ("another protocol", "dropped-protocol", with(ours, 23, [17])),
        ("another protocol over IPv6", "dropped-protocol", with(ours_v6, V6_NEXT, [17])),
    ]
}

fn what_nobody_may_send() {
    let host = Host::start();
    let mut tap = Tap::new();
    let lists = ["--allow-address", "10.0.0.1", "--allow-address", "fd00::1", "--allow-mac", "02:00:00:00:00:10"];
    let enabled = ["--metadata-options", "HttpProtocolIpv6=enabled"];
    let id = host.create(tap.interface(), &[&enabled[..], &lists].concat());
    let witness = Witness::at(tap.interface());
    for (name, counter, frame) in nobody_s(&tap) {
        let before = host.stats(&id);
        tap.send(&frame);
        let dropped = |stats: &InstanceStats| stats.kernel_sum("dropped-") - before.kernel_sum("dropped-");
        let after = wait::until(name, || host.stats(&id), |stats| dropped(stats) > 0);
        let moved = after.kernel_counters().moved_since(&before.kernel_counters());
        assert!(moved.contains(&counter.to_owned()) && dropped(&after) == 1, "{name}: {moved:?}");
        assert_eq!(witness.frames().contains(&frame), !is_early(), "{name}: behind XDP");
    }
}

fn what_is_over_the_budget(family: Family) {
    const SENT: u64 = 200;
    let host = Host::start().over(family);
    let mut tap = Tap::new();
    let id = host.create(tap.interface(), &["--packet-budget", "10"]);
    let witness = Witness::at(tap.interface());
    let frame = match family {
        Family::Ipv4 => v4(&tap, LISTED, SERVICE),
        Family::Ipv6 => v6(&tap, LISTED_V6, SERVICE_V6),
    };
    (0..SENT).for_each(|_| tap.send(&frame));
    let seen = |stats: &InstanceStats| stats.kernel("delivered") + stats.kernel("dropped-budget");
    let stats = wait::until("all", || host.stats(&id), |stats| seen(stats) >= SENT);
    assert!(stats.kernel("dropped-budget") >= SENT / 2);
    let passed = witness.frames().iter().filter(|seen| **seen == frame).count();
    let passing = if is_early() { stats.kernel("delivered") } else { SENT };
    assert_eq!(u64::try_from(passed).expect("few"), passing, "behind XDP");
}

/// A connection to a daemon that refuses in silence.
struct Silence<'a> {
    host: &'a Host,
    id: &'a str,
    witness: Witness,
    connection: TapConnection<'a>,
}

impl<'a> Silence<'a> {
    #[track_caller]
    fn open(host: &'a Host, tap: &'a mut Tap, id: &'a str) -> Self {
        let witness = Witness::at(tap.interface());
        let connection = TapConnection::open(tap, LISTED, PORT);
        Self { host, id, witness, connection }
    }

    /// Sends what is dropped without a word, by XDP if it can: the counters that move until then.
    #[track_caller]
    fn refuse(&mut self, request: &[u8], by_xdp: bool) -> Vec<String> {
        let before = self.host.stats(self.id).kernel_counters();
        self.connection.send(request);
        let moved = || self.host.stats(self.id).kernel_counters().moved_since(&before);
        let moved = wait::until("the drop", moved, |moved| moved.contains(&"dropped-silently".to_owned()));
        let seen = self.witness.frames().iter().filter(|frame| frame.ends_with(request)).count();
        assert_eq!(seen, usize::from(!by_xdp), "behind XDP");
        moved
    }
}

/// A daemon that refuses in silence, with an instance that requires tokens.
fn silent(family: Family, tap: &Tap) -> (Host, String) {
    let host = Host::with_config(SILENT).over(family);
    let id = host.create(tap.interface(), &["--metadata-options", "HttpTokens=required"]);
    (host, id)
}

fn the_first_request_of_a_connection(family: Family) {
    let mut tap = Tap::new().over(family);
    let (host, id) = silent(family, &tap);
    let get = http::request("GET", PATH, &[]);
    let established = || host.service_namespace().live_sockets().get(ESTABLISHED).copied().unwrap_or_default();
    let mut silence = Silence::open(&host, &mut tap, &id);
    assert_eq!(silence.refuse(&get, is_early()), ["dropped-silently", "refused-token-missing"]);
    silence.connection.send_again(&get);
    let twice = |stats: &InstanceStats| stats.kernel("dropped-silently") >= 2;
    let stats = wait::until("the repetition", || host.stats(&id), twice);
    assert_eq!(stats.kernel("refused-token-missing"), 1, "once");
    assert_eq!(silence.witness.frames().iter().any(|frame| frame.ends_with(&get)), !is_early());
    drop(silence);
    let view = host.ask(&["explain", &id]);
    let events = view["events"].as_array().expect("events");
    let told = |reason: &str| events.iter().filter(|event| event["reason"] == reason).count();
    assert_eq!([told("refused-token-missing"), told("dropped-silently")], [1, 2], "{view}");

    // The daemon's half is reset by tc, and else ends by itself; the client hears of neither.
    assert_eq!(tap.receive_segment(PORT, HEAD_TIMEOUT), None);
    wait::until("the daemon's half", established, |&count| count == 0);
    assert_eq!(host.stats(&id).kernel("dropped-reply-refused") > 0, is_early());
    assert_eq!(host.stats(&id).requests(), 0, "the daemon saw no request");
}

fn what_is_asked_after_the_endpoint_was_disabled(family: Family) {
    // Whatever it is, also what is no whole request.
    for request in [&http::request("GET", PATH, &[])[..], b"GET /"] {
        let mut tap = Tap::new().over(family);
        let (host, id) = silent(family, &tap);
        let mut silence = Silence::open(&host, &mut tap, &id);
        host.set(&id, &["--http-endpoint", "disabled"]);
        assert_eq!(silence.refuse(request, is_early()), ["dropped-silently", "refused-endpoint-disabled"]);
    }
}

/// The daemon waits long for a request after an answer, so tc resets its half.
fn a_refusal_after_an_answer_is_begun_by_tc(family: Family) {
    let mut tap = Tap::new().over(family);
    let (host, id) = silent(family, &tap);
    let mut connection = TapConnection::open(&mut tap, LISTED, PORT + 1);
    connection.send(&http::request("PUT", "/latest/api/token", &[(TTL, "60")]));
    let mut answer = connection.receive_to_end();
    let token = http::Answer::split_off(&mut answer, false).expect("a whole answer").text();
    let mut silence = Silence::open(&host, &mut tap, &id);
    silence.connection.send(&http::request("GET", PATH, &[(TOKEN, &token)]));
    let answer = silence.connection.receive_until("answer", |segment| !segment.payload.is_empty());
    silence.connection.take_data(&answer);
    let get = http::request("GET", PATH, &[]);
    assert_eq!(silence.refuse(&get, false), ["dropped-silently", "refused-token-missing"]);
    silence.connection.send_again(&get);
    let twice = |stats: &InstanceStats| stats.kernel("dropped-silently") >= 2;
    wait::until("the repetition", || host.stats(&id), twice);
    let repeated = silence.witness.frames().iter().any(|frame| frame.ends_with(&get));
    assert_eq!(repeated, !is_early(), "what follows a refusal needs no tc");
    let established = || host.service_namespace().live_sockets().get(ESTABLISHED).copied().unwrap_or_default();
    wait::until("the daemon's half", established, |&count| count == 0);
}
