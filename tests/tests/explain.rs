//! `imdsctl explain`: what an operator is told of an instance's refusals and drops, and what never.

use std::net::UdpSocket;

use imds_tests::family::Family;
use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::http::{Connection, TOKEN, request};
use imds_tests::neighbour::arp;
use imds_tests::packet::SERVICE;
use imds_tests::tap::{PATIENCE, Tap};
use imds_tests::told::{self, Tracer, events, lost, newest};
use imds_tests::{in_each_attachment, namespace, wait};
use rustix::process::{Pid, Signal, kill_process};

in_each_attachment!(
    a_refusal_says_who_asked_for_what_and_what_to_change,
    a_client_is_named_whole_whichever_address_it_asks_from,
    a_forger_is_told_by_its_mac,
    a_flood_of_drops_gives_a_few_events_and_counts_the_rest,
    one_that_floods_costs_no_other_an_event
);
in_each_attachment!(families:
    the_next_owner_of_an_interface_sees_nothing_of_the_last_one,
    no_token_is_shown_or_logged
);

const ADDRESS: &str = "10.0.0.1";
const PATH: &str = "/latest/meta-data/instance-id";
const AGENT: (&str, &str) = ("User-Agent", "tester/7");
const REQUIRED: [&str; 2] = ["--metadata-options", "HttpTokens=required"];

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

fn a_client_is_named_whole_whichever_address_it_asks_from() {
    const V6: &str = "fd00:1::a00:1";
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    guest.add_ipv6(V6);
    let id = host.create(guest.interface(), &["--metadata-options", "HttpTokens=required,HttpProtocolIpv6=enabled"]);
    for (service, client) in [(namespace::SERVICE, ADDRESS), (namespace::SERVICE_V6, V6)] {
        for (by, method, reason) in
            [("kernel", "GET", "refused-token-missing"), ("daemon", "POST", "refused-tree-method")]
        {
            let mut connection = Connection::open_to(&guest, service, PATIENCE).expect("connects");
            connection.ask(&request(method, PATH, &[])).expect("an answer");
            let event = newest(&host, &id, reason);
            assert_eq!((&event["by"], &event["client"]), (&by.into(), &client.into()), "{event}");
            // What the daemon knows of a connection has no frame.
            assert_eq!(event["mac"].is_string(), by == "kernel", "{event}");
        }
    }
}

fn a_forger_is_told_by_its_mac() {
    const OTHER_MAC: &str = "02:00:00:00:00:50";
    /// Where the sender's MAC ends in a frame, and in an ARP packet behind its header.
    const LAST_BYTE_AT: [usize; 2] = [11, 27];
    let host = Host::start();
    let mut tap = Tap::new();
    let list = ["--allow-address", ADDRESS, "--allow-mac", "02:00:00:00:00:10"];
    let id = host.create(tap.interface(), &list);
    let mut frame = Vec::new();
    let builder = tap.frame().ipv4([10, 0, 0, 1], SERVICE, 64).tcp(41_000, 80, 1_000, 64_000).syn();
    builder.write(&mut frame, &[]).expect("a Vec takes every frame");
    let question = arp(1, [10, 0, 0, 1], SERVICE);
    let with_mac = |frame: &[u8], at: usize| {
        let mut frame = frame.to_vec();
        frame[at] = 0x50;
        frame
    };
    for (frame, mac, packet) in [
        (with_mac(&frame, LAST_BYTE_AT[0]), OTHER_MAC, "TCP SYN, 54 bytes"),
        (with_mac(&question, LAST_BYTE_AT[0]), OTHER_MAC, "ARP request of 02:00:00:00:00:10, 42 bytes"),
        (with_mac(&question, LAST_BYTE_AT[1]), "02:00:00:00:00:10", "ARP request of 02:00:00:00:00:50, 42 bytes"),
        (arp(1, [10, 0, 0, 2], SERVICE), "02:00:00:00:00:10", "ARP request, 42 bytes"),
    ] {
        let client = if packet == "ARP request, 42 bytes" { "10.0.0.2" } else { ADDRESS };
        tap.send(&frame);
        let last = || events(&host.ask(&["explain", &id, "--last", "1"])).first().cloned().unwrap_or_default();
        let event = wait::until(packet, last, |event| event["packet"] == packet);
        for (field, value) in [("reason", "dropped-forged"), ("client", client), ("mac", mac)] {
            assert_eq!(event[field], value, "{event}");
        }
    }
    let table = host.ctl(&["explain", &id]).stdout;
    assert!(table.contains("10.0.0.1 (02:00:00:00:00:50)"), "no MAC in\n{table}");
}

fn the_next_owner_of_an_interface_sees_nothing_of_the_last_one(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let first = host.create(guest.interface(), &REQUIRED);
    assert_eq!(ask(&guest, "GET", PATH, &[]), 401);
    let _ = newest(&host, &first, "refused-token-missing");
    host.delete(&first);
    let second = host.create(guest.interface(), &REQUIRED);
    assert_eq!(events(&host.ask(&["explain", &second])).len(), 0);
    assert_eq!(host.ctl(&["explain", &first]).code, Some(3));
    assert_eq!(host.ctl(&["trace", &first, "--count", "1"]).code, Some(3));
}

fn a_flood_of_drops_gives_a_few_events_and_counts_the_rest() {
    const FLOOD: usize = 1_000;
    let host = Host::start();
    let mut tap = Tap::new();
    let id = host.create(tap.interface(), &[]);
    told::send_drops(&mut tap, FLOOD);
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

    // What is over is over: the next one has nothing to do with it.
    let look = || {
        told::send_drops(&mut tap, 1);
        lost(&host.ask(&["explain", &id, "--last", "1"]))
    };
    wait::until("a drop that is told of, and none lost since", look, |&lost| lost == 0);
}

fn one_that_floods_costs_no_other_an_event() {
    /// What each may tell of at once.
    const AT_ONCE: usize = 11;
    let host = Host::with_config("max-slots = 16\n");
    let mut flooding = Tap::new();
    let id = host.create(flooding.interface(), &[]);
    let mut others: Vec<_> = (0..12).map(|_| Tap::new()).collect();
    let ids: Vec<_> = others.iter().map(|tap| host.create(tap.interface(), &[])).collect();
    let tracer = Tracer::start(&host, &["trace", &id]);
    tracer.wait_for_drops(&mut flooding);

    // The daemon takes nothing out of the ring meanwhile.
    let pid = host.pid().and_then(|pid| Pid::from_raw(pid.try_into().ok()?)).expect("it runs");
    kill_process(pid, Signal::STOP).expect("stopped");
    told::send_drops(&mut flooding, 3_000);
    others.iter_mut().for_each(|tap| told::send_drops(tap, AT_ONCE));
    kill_process(pid, Signal::CONT).expect("goes on");

    for id in &ids {
        let look = || host.ask(&["explain", id]);
        let told = wait::until("every event", look, |explained| events(explained).len() == AT_ONCE);
        assert_eq!(lost(&told), 0, "{told}");
        assert_eq!(host.stats(id).kernel("events-lost"), 0);
    }
    assert!(host.stats(&id).kernel("events-lost") > 0, "it was no flood");
}

fn no_token_is_shown_or_logged(family: Family) {
    let host = Host::with_config("[log]\nlevel = \"trace\"\n").over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
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
