//! `imdsctl trace`: every packet between an instance and the service, with its verdict.

use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::http::{Connection, TOKEN, request};
use imds_tests::neighbour::{SOLICITED, about, arp, discovery};
use imds_tests::packet::{SERVICE, SERVICE_V6};
use imds_tests::tap::Tap;
use imds_tests::tap_connection::TapConnection;
use imds_tests::told::{self, Tracer, events, lost};
use imds_tests::{in_each_attachment, process, wait};
use serde_json::Value;

in_each_attachment!(
    a_trace_shows_each_verdict_and_ends_after_its_count,
    a_trace_shows_questions_for_the_service_and_what_comes_after_a_refusal,
    a_trace_says_how_much_it_lost,
    a_trace_ends_with_its_tracer_however_that_ends
);

const PATH: &str = "/latest/meta-data/instance-id";
const AGENT: (&str, &str) = ("User-Agent", "tester/7");
const REQUIRED: [&str; 2] = ["--metadata-options", "HttpTokens=required"];

/// Sends one request on a connection of its own; its status.
#[track_caller]
fn ask(guest: &Guest, path: &str, headers: &[(&str, &str)]) -> u16 {
    let mut connection = Connection::open(guest).expect("connects");
    connection.ask(&request("GET", path, headers)).expect("an answer").status
}

fn a_trace_shows_each_verdict_and_ends_after_its_count() {
    let host = Host::start();
    let guest = Guest::on_veth("10.0.0.1");
    let id = host.create(guest.interface(), &REQUIRED);
    let mut tracer = Tracer::start(&host, &["trace", &id, "--count", "60", "--output", "json"]);
    let mut tokens = Vec::new();
    while process::wait(&mut tracer.child, std::time::Duration::from_millis(300)).is_none() {
        assert!(tokens.len() < 100, "the trace doesn't end: {}", tracer.lines());
        tokens.push(guest.token());
        assert_eq!(ask(&guest, PATH, &[AGENT, (TOKEN, &tokens[tokens.len() - 1])]), 200);
        assert_eq!(ask(&guest, "/latest/refused", &[AGENT]), 401);
    }
    let text = tracer.lines();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("a document a line")).collect();
    assert_eq!(lines.len(), 60);
    let seen = |reason: &str, field: &str, value: &str| {
        let of_field = |line: &Value| line[field].as_str().is_some_and(|text| text.contains(value));
        lines.iter().any(|line| line["reason"] == reason && of_field(line))
    };
    for (reason, field, value) in [
        ("delivered", "packet", "TCP SYN, "),
        ("delivered", "path", "/latest/api/token"),
        ("delivered", "path", PATH),
        ("delivered", "user_agent", AGENT.1),
        ("answered", "packet", "status 200, TTL 1, "),
        ("answered", "packet", "status 200, TTL 64, "),
        ("answered", "packet", "status 401, TTL 64, "),
        ("refused-token-missing", "path", "/latest/refused"),
    ] {
        assert!(seen(reason, field, value), "no {reason} with {field} {value} in\n{text}");
    }
    assert!(tokens.iter().all(|token| !text.contains(&token[..12])), "a token in\n{text}");
}

fn a_trace_shows_questions_for_the_service_and_what_comes_after_a_refusal() {
    const CLIENT_V6: [u8; 16] = [0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let host = Host::start();
    let mut tap = Tap::new();
    let id = host.create(tap.interface(), &["--metadata-options", "HttpTokens=required,HttpProtocolIpv6=enabled"]);
    let tracer = Tracer::start(&host, &["trace", &id, "--output", "json"]);
    tracer.wait_for_drops(&mut tap);
    tap.send(&arp(1, [10, 0, 0, 1], SERVICE));
    let solicitation = discovery(&tap, 135, CLIENT_V6, SOLICITED, &about(SERVICE_V6, 0));
    tap.send(&solicitation);
    let asked = request("GET", PATH, &[AGENT]);
    let mut connection = TapConnection::open(&mut tap, [10, 0, 0, 1], 41_500);
    connection.send(&asked);
    connection.receive_until("answer", |segment| segment.fin);
    connection.send_again(&asked);
    // It is taken, and the kernel acknowledges that the client ends its side, too.
    connection.receive_to_end();
    connection.receive_until("ACK", |segment| !segment.carries());

    let of_port = |line: &Value| line["port"].is_null() || line["port"] == 41_500;
    let shown = |lines: &str| -> Vec<String> {
        let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).filter(of_port);
        let verdict = |line: Value| {
            let packet = line["packet"].as_str().unwrap_or_default();
            let (kind, _) = packet.rsplit_once(", ").unwrap_or_default();
            let client = line["client"].as_str().unwrap_or_default();
            format!("{client} {} {kind}", line["reason"].as_str().unwrap_or_default())
        };
        lines.map(verdict).collect()
    };
    let expected = [
        "10.0.0.1 answered-neighbour ARP request",
        "fd00:1::1 answered-neighbour ICMPv6 neighbour solicitation",
        "10.0.0.1 delivered TCP SYN",
        "10.0.0.1 answered TCP SYN ACK, TTL 64",
        "10.0.0.1 delivered TCP ACK",
        "10.0.0.1 refused-token-missing TCP ACK",
        "10.0.0.1 answered TCP FIN PSH ACK, status 401, TTL 64",
        "10.0.0.1 answered TCP ACK",
        "10.0.0.1 answered TCP FIN PSH ACK, status 401, TTL 64",
        "10.0.0.1 answered TCP FIN ACK",
        "10.0.0.1 answered TCP ACK, TTL 64",
    ];
    let look = || shown(&tracer.lines());
    wait::until("each packet", look, |shown| *shown == expected);
    let kept = host.ask(&["explain", &id, "--last", "64"]);
    let refused = |event: &Value| event["reason"].as_str().is_some_and(|reason| !reason.starts_with("answered"));
    assert!(events(&kept).iter().all(refused), "{kept}");
}

fn a_trace_says_how_much_it_lost() {
    const FLOOD: usize = 3_000;
    let host = Host::start();
    let mut tap = Tap::new();
    let id = host.create(tap.interface(), &[]);
    let tracer = Tracer::start(&host, &["trace", &id, "--output", "json"]);
    tracer.wait_for_drops(&mut tap);
    let look = || {
        let lines = tracer.lines();
        let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let (gaps, packets): (Vec<_>, Vec<_>) = lines.partition(|line| line.get("lost").is_some());
        (packets.len() as u64, gaps.iter().map(lost).sum::<u64>())
    };
    // Until nothing comes any more of what the wait for it sent.
    let dropped = || host.stats(&id).kernel("dropped-port");
    let (before, sent) = (look(), dropped());
    told::send_drops(&mut tap, FLOOD);
    wait::until("the drops", dropped, |&dropped| dropped == sent + FLOOD as u64);
    let told = |(packets, lost): (u64, u64)| packets + lost;
    let after =
        wait::until("each packet or that it is lost", look, |&after| told(after) >= told(before) + FLOOD as u64);
    assert!(after.1 > before.1, "{after:?}");
}

fn a_trace_ends_with_its_tracer_however_that_ends() {
    let host = Host::start();
    let mut tap = Tap::new();
    let id = host.create(tap.interface(), &[]);
    let tracer = Tracer::start(&host, &["trace", &id]);
    tracer.wait_for_drops(&mut tap);
    let lost = || host.stats(&id).kernel("events-lost");
    let before = lost();
    told::send_drops(&mut tap, 200);
    let look = || tracer.lines().lines().count();
    wait::until("200 lines", look, |&lines| lines >= 200);
    assert!(tracer.lines().contains("  10.0.0.1:41000  dropped-port  TCP SYN to port 443, "), "{}", tracer.lines());
    assert_eq!(lost(), before, "a traced instance has the larger budget");
    drop(tracer);
    // Some 250 a second at most: only the small budget loses any.
    let look = || {
        told::send_drops(&mut tap, 5);
        lost()
    };
    wait::until("the end of the trace", look, |&lost| lost > before);

    let ended = host.ctl(&["trace", &id, "--seconds", "1"]);
    assert!(ended.success(), "{}", ended.stderr);
}
