//! `imdsctl explain` and `imdsctl trace`: what an operator is told of an instance's packets, and what never.

use std::fs::{self, File};
use std::net::UdpSocket;
use std::process::{Child, Stdio};

use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::http::{Connection, TOKEN, request};
use imds_tests::in_each_attachment;
use imds_tests::packet::SERVICE;
use imds_tests::process;
use imds_tests::tap::Tap;
use imds_tests::wait;
use serde_json::Value;

in_each_attachment!(
    a_refusal_says_who_asked_for_what_and_what_to_change,
    the_next_owner_of_an_interface_sees_nothing_of_the_last_one,
    a_flood_of_drops_gives_a_few_events_and_counts_the_rest,
    a_trace_shows_each_verdict_and_ends_after_its_count,
    a_trace_ends_with_its_tracer_however_that_ends,
    no_token_is_shown_or_logged
);

const ADDRESS: &str = "10.0.0.1";
const PATH: &str = "/latest/meta-data/instance-id";
const AGENT: (&str, &str) = ("User-Agent", "tester/7");
const REQUIRED: [&str; 2] = ["--metadata-options", "HttpTokens=required"];

fn events(explained: &Value) -> &[Value] {
    explained["events"].as_array().map_or(&[], Vec::as_slice)
}

fn lost(explained: &Value) -> u64 {
    explained["lost"].as_u64().unwrap_or_else(|| panic!("no count in {explained}"))
}

/// Waits until the newest event has this reason, and returns it.
#[track_caller]
fn newest(host: &Host, id: &str, reason: &str) -> Value {
    let last = || events(&host.ask(&["explain", id, "--last", "1"])).first().cloned().unwrap_or_default();
    wait::until(reason, last, |event| event["reason"] == reason)
}

/// Sends one request on a connection of its own; its status.
#[track_caller]
fn ask(guest: &Guest, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    let mut connection = Connection::open(guest).expect("connects");
    connection.ask(&request(method, path, headers)).expect("an answer").status
}

fn a_refusal_says_who_asked_for_what_and_what_to_change() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let id = host.create(guest.interface(), &REQUIRED);
    assert_eq!(events(&host.ask(&["explain", &id])).len(), 0);

    assert_eq!(ask(&guest, "GET", PATH, &[AGENT]), 401);
    let event = newest(&host, &id, "refused-token-missing");
    for (field, value) in
        [("by", "kernel"), ("client", ADDRESS), ("method", "GET"), ("path", PATH), ("user_agent", AGENT.1)]
    {
        assert_eq!(event[field], value, "{event}");
    }
    assert!(event["advice"].as_str().is_some_and(|advice| advice.contains("use IMDSv2")), "{event}");

    assert_eq!(ask(&guest, "POST", "/latest/post", &[AGENT]), 405);
    let event = newest(&host, &id, "refused-tree-method");
    for (field, value) in
        [("by", "daemon"), ("client", ADDRESS), ("method", "POST"), ("path", "/latest/post"), ("user_agent", AGENT.1)]
    {
        assert_eq!(event[field], value, "{event}");
    }

    guest
        .inside(|| UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.send_to(b"x", "169.254.169.254:53")))
        .expect("sent");
    let event = newest(&host, &id, "dropped-protocol");
    assert!(event["packet"].as_str().is_some_and(|packet| packet.starts_with("UDP to port 53, ")), "{event}");

    let table = host.ctl(&["explain", &id]).stdout;
    for words in [ADDRESS, "GET /latest/meta-data/instance-id", AGENT.1, "refused-token-missing", "use IMDSv2"] {
        assert!(table.contains(words), "{words} is not in\n{table}");
    }
    let two = host.ask(&["explain", &id, "--last", "2"]);
    let reasons: Vec<_> = events(&two).iter().map(|event| event["reason"].as_str().unwrap_or_default()).collect();
    assert_eq!(reasons, ["refused-tree-method", "dropped-protocol"]);
}

fn the_next_owner_of_an_interface_sees_nothing_of_the_last_one() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let first = host.create(guest.interface(), &REQUIRED);
    assert_eq!(ask(&guest, "GET", PATH, &[]), 401);
    let _ = newest(&host, &first, "refused-token-missing");
    host.delete(&first);
    let second = host.create(guest.interface(), &REQUIRED);
    assert_eq!(events(&host.ask(&["explain", &second])).len(), 0);
    assert_eq!(host.ctl(&["explain", &first]).code, Some(3));
    assert_eq!(host.ctl(&["trace", &first, "--count", "1"]).code, Some(3));
}

/// Sends so many packets that are dropped.
fn send_drops(tap: &mut Tap, count: usize) {
    let mut frame = Vec::new();
    let builder = tap.frame().ipv4([10, 0, 0, 1], SERVICE, 64).tcp(41_000, 443, 1_000, 64_000).syn();
    builder.write(&mut frame, &[]).expect("a Vec takes every frame");
    (0..count).for_each(|_| tap.send(&frame));
}

fn a_flood_of_drops_gives_a_few_events_and_counts_the_rest() {
    const FLOOD: usize = 1_000;
    let host = Host::start();
    let mut tap = Tap::new();
    let id = host.create(tap.interface(), &[]);
    send_drops(&mut tap, FLOOD);
    let look = || host.stats(&id);
    wait::until("all drops", look, |stats| stats.kernel("dropped-port") == FLOOD as u64);
    let look = || host.ask(&["explain", &id, "--last", "64"]);
    // Each is either told of or counted as lost.
    let explained =
        wait::until("every event", look, |explained| events(explained).len() as u64 + lost(explained) == FLOOD as u64);
    assert!(lost(&explained) > FLOOD as u64 / 2, "{explained}");
    let event = &events(&explained)[0];
    assert_eq!((&event["reason"], &event["client"]), (&"dropped-port".into(), &ADDRESS.into()), "{event}");
    assert!(event["packet"].as_str().is_some_and(|packet| packet.starts_with("TCP SYN to port 443, ")), "{event}");
}

/// A tracer, and where it writes to. Killed with this value.
struct Tracer {
    child: Child,
    file: std::path::PathBuf,
}

impl Tracer {
    fn start(host: &Host, arguments: &[&str]) -> Self {
        let file = host.directory().join("trace");
        let output = File::create(&file).expect("writable");
        let child = host.imdsctl().args(arguments).stdin(Stdio::null()).stdout(output).spawn().expect("starts");
        Self { child, file }
    }

    fn lines(&self) -> String {
        fs::read_to_string(&self.file).unwrap_or_default()
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn a_trace_shows_each_verdict_and_ends_after_its_count() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let id = host.create(guest.interface(), &REQUIRED);
    let mut tracer = Tracer::start(&host, &["trace", &id, "--count", "60", "--output", "json"]);
    let mut tokens = Vec::new();
    while process::wait(&mut tracer.child, std::time::Duration::from_millis(300)).is_none() {
        assert!(tokens.len() < 100, "the trace doesn't end: {}", tracer.lines());
        tokens.push(guest.token());
        assert_eq!(ask(&guest, "GET", PATH, &[AGENT, (TOKEN, &tokens[tokens.len() - 1])]), 200);
        assert_eq!(ask(&guest, "GET", "/latest/refused", &[AGENT]), 401);
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

fn a_trace_ends_with_its_tracer_however_that_ends() {
    let host = Host::start();
    let mut tap = Tap::new();
    let id = host.create(tap.interface(), &[]);
    let tracer = Tracer::start(&host, &["trace", &id]);
    wait::until(
        "the trace's first line",
        || {
            send_drops(&mut tap, 1);
            tracer.lines()
        },
        |lines| lines.contains("  dropped-port  TCP SYN to port 443, "),
    );
    let before = lost(&host.ask(&["explain", &id]));
    send_drops(&mut tap, 200);
    let look = || tracer.lines().lines().count();
    wait::until("200 lines", look, |&lines| lines >= 200);
    assert_eq!(lost(&host.ask(&["explain", &id])), before, "a traced instance has the larger budget");
    drop(tracer);
    // Some 250 a second at most: only the small budget loses any.
    let look = || {
        send_drops(&mut tap, 5);
        lost(&host.ask(&["explain", &id]))
    };
    wait::until("the end of the trace", look, |&lost| lost > before);

    let ended = host.ctl(&["trace", &id, "--seconds", "1"]);
    assert!(ended.success(), "{}", ended.stderr);
}

fn no_token_is_shown_or_logged() {
    let host = Host::with_config("[log]\nlevel = \"trace\"\n");
    let guest = Guest::on_veth(ADDRESS);
    let id = host.create(guest.interface(), &REQUIRED);
    let token = guest.token();
    let mut altered = token.clone().into_bytes();
    altered[30] = if altered[30] == b'A' { b'B' } else { b'A' };
    let altered = String::from_utf8(altered).expect("ASCII");
    let headers = [AGENT, (TOKEN, altered.as_str())];
    assert_eq!(ask(&guest, "GET", PATH, &headers), 401);
    let _ = newest(&host, &id, "refused-token-invalid");
    // Where no token belongs, refused by the kernel and by the daemon.
    let path = format!("/latest/{token}");
    assert_eq!(ask(&guest, "GET", &path, &[("User-Agent", &token)]), 401);
    let event = newest(&host, &id, "refused-token-missing");
    assert_eq!(event["path"], "/latest/[hidden]", "{event}");
    assert_eq!(ask(&guest, "DELETE", &path, &[("User-Agent", &token), (TOKEN, &token)]), 405);
    let _ = newest(&host, &id, "refused-tree-method");
    // In pieces, none of which is a request.
    let mut connection = Connection::open(&guest).expect("connects");
    let pieces = [format!("GET {PATH} HTTP/1.1\r\n{TOKEN}: "), format!("{altered}\r\n"), "\r\n".to_owned()];
    for piece in &pieces {
        connection.send(piece.as_bytes()).expect("sent");
    }
    assert_eq!(connection.receive(false).expect("an answer").status, 401);
    let event = newest(&host, &id, "refused-token-invalid");
    assert_eq!((&event["by"], &event["path"]), (&"daemon".into(), &PATH.into()), "{event}");

    let said = [
        host.ctl(&["explain", &id, "--last", "64"]).stdout,
        host.ctl(&["explain", &id, "--last", "64", "--output", "json"]).stdout,
        host.log(),
    ];
    for text in said {
        for secret in [&token, &altered] {
            for part in secret.as_bytes().windows(12) {
                assert!(!text.contains(std::str::from_utf8(part).expect("ASCII")), "a token in\n{text}");
            }
        }
    }
}
