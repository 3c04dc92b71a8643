//! The service at `[fd00:ec2::254]:80`: the same answers and counters as over IPv4, and what is its own. What becomes of
//! packets, connections, tokens and options is tested over both families where that is; what answers hold (documents,
//! roles, identities) and how daemons start and end on a host are no family's, and tested over IPv4.

use std::time::Duration;

use etherparse::{PacketBuilderStep, TcpHeader};
use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::http::{Answer, Connection, TOKEN, TTL, request};
use imds_tests::in_each_attachment;
use imds_tests::namespace::{PATIENCE, SERVICE, SERVICE_V6};
use imds_tests::packet;
use imds_tests::tap::Tap;
use imds_tests::wait;

in_each_attachment!(
    it_answers_as_over_ipv4_in_every_mode,
    the_kernel_refuses_and_the_daemon_sees_nothing,
    it_is_dropped_and_counted_where_it_is_disabled,
    hostile_packets_are_dropped_and_counted
);

const INSTANCE_ID: &str = "/latest/meta-data/instance-id";
const ENABLED: [&str; 2] = ["--metadata-options", "HttpProtocolIpv6=enabled"];
const ULA: &str = "fd00:1::1";
/// So long a connection is tried that must not come about.
const SHORT: Duration = Duration::from_millis(500);
const SOURCE: [u8; 16] = [0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const PORT: u16 = 41_000;

fn ask(guest: &Guest, service: &str, bytes: &[u8]) -> Answer {
    let answer = Connection::open_to(guest, service, PATIENCE).and_then(|mut connection| connection.ask(bytes));
    answer.unwrap_or_else(|error| panic!("{service}: {error}"))
}

fn put() -> Vec<u8> {
    request("PUT", "/latest/api/token", &[(TTL, "60")])
}

/// Without what differs between two answers of one kind.
fn without_date(answer: &Answer) -> (u16, String, Vec<u8>) {
    let lines = answer.head.lines().filter(|line| !line.starts_with("Date: "));
    (answer.status, lines.collect::<Vec<_>>().join("\n"), answer.body.clone())
}

fn it_answers_as_over_ipv4_in_every_mode() {
    let host = Host::start();
    let guest = Guest::on_veth("10.0.0.1");
    guest.add_ipv6(ULA);
    let id = host.create(guest.interface(), &ENABLED);
    let token = guest.token();
    let requests = [
        request("GET", INSTANCE_ID, &[]),
        request("GET", INSTANCE_ID, &[(TOKEN, &token), ("Connection", "close")]),
        request("GET", INSTANCE_ID, &[(TOKEN, "x")]),
        request("HEAD", "/latest/user-data", &[]),
        request("PUT", "/latest/api/token", &[(TTL, "0")]),
        request("PUT", "/latest/api/token", &[(TTL, "60"), ("X-Forwarded-For", "a")]),
        request("PUT", "/latest", &[]),
        request("DELETE", "/latest", &[]),
        b"nonsense\r\n\r\n".to_vec(),
    ];
    for options in [
        ["--http-tokens", "optional", "--http-endpoint", "enabled"],
        ["--http-tokens", "required", "--http-endpoint", "enabled"],
        ["--http-tokens", "required", "--http-endpoint", "disabled"],
    ] {
        if options.contains(&"disabled") {
            host.set(&id, &options[2..]);
        } else {
            host.set(&id, &options);
        }
        for bytes in &requests {
            let (v4, v6) = (ask(&guest, SERVICE, bytes), ask(&guest, SERVICE_V6, bytes));
            assert_eq!(without_date(&v4), without_date(&v6), "{options:?} {}", String::from_utf8_lossy(bytes));
        }
    }
}

fn the_kernel_refuses_and_the_daemon_sees_nothing() {
    let host = Host::start();
    let guest = Guest::on_veth("10.0.0.1");
    guest.add_ipv6(ULA);
    let options = "HttpTokens=required,HttpProtocolIpv6=enabled";
    let id = host.create(guest.interface(), &["--metadata-options", options]);
    let token = ask(&guest, SERVICE_V6, &put()).text();
    let before = host.stats(&id);
    assert_eq!(ask(&guest, SERVICE_V6, &request("GET", INSTANCE_ID, &[])).status, 401);
    assert_eq!(ask(&guest, SERVICE_V6, &request("GET", INSTANCE_ID, &[(TOKEN, "x")])).status, 401);
    let after = host.stats(&id);
    assert_eq!(after.requests(), before.requests());
    assert_eq!(after.kernel("refused-token-missing"), before.kernel("refused-token-missing") + 1);
    assert_eq!(after.kernel("refused-token-invalid"), before.kernel("refused-token-invalid") + 1);
    // A token is the instance's, by whichever address it came.
    for service in [SERVICE, SERVICE_V6] {
        assert_eq!(ask(&guest, service, &request("GET", INSTANCE_ID, &[(TOKEN, &token)])).text(), id);
    }
}

fn it_is_dropped_and_counted_where_it_is_disabled() {
    let host = Host::start();
    let guest = Guest::on_veth("10.0.0.1");
    guest.add_ipv6(ULA);
    let id = host.create(guest.interface(), &ENABLED);
    assert_eq!(ask(&guest, SERVICE_V6, &request("GET", INSTANCE_ID, &[])).text(), id);
    host.set(&id, &["--http-protocol-ipv6", "disabled"]);
    let refused = Connection::open_to(&guest, SERVICE_V6, SHORT);
    assert!(refused.is_err(), "no connection comes about");
    wait::until("the drops", || host.stats(&id).kernel("dropped-ipv6"), |&count| count > 0);
    assert_eq!(ask(&guest, SERVICE, &request("GET", INSTANCE_ID, &[])).text(), id, "IPv4 goes on");
    host.set(&id, &["--http-protocol-ipv6", "enabled"]);
    assert_eq!(ask(&guest, SERVICE_V6, &request("GET", INSTANCE_ID, &[])).text(), id);
}

fn written(packet: PacketBuilderStep<TcpHeader>) -> Vec<u8> {
    let mut frame = Vec::new();
    packet.write(&mut frame, &[]).expect("a Vec takes every frame");
    frame
}

fn syn_from(tap: &Tap, source: [u8; 16], port: u16) -> Vec<u8> {
    written(tap.frame().ipv6(source, packet::SERVICE_V6, 64).tcp(PORT, port, 1_000, 64_000).syn())
}

/// Puts an extension header of eight bytes before the TCP header.
fn behind(tap: &Tap, extension: u8) -> Vec<u8> {
    let mut frame = syn_from(tap, SOURCE, 80);
    let tcp = std::mem::replace(&mut frame[20], extension);
    frame.splice(54..54, [tcp, 0, 1, 4, 0, 0, 0, 0]);
    frame[19] += 8;
    frame
}

fn hostile_packets_are_dropped_and_counted() {
    let host = Host::start();
    let mut tap = Tap::new();
    let id = host.create(tap.interface(), &ENABLED);
    let mut udp = Vec::new();
    tap.frame().ipv6(SOURCE, packet::SERVICE_V6, 64).udp(PORT, 80).write(&mut udp, b"x").expect("written");
    let mut echo = Vec::new();
    let ping = tap.frame().ipv6(SOURCE, packet::SERVICE_V6, 64).icmpv6_echo_request(1, 1);
    ping.write(&mut echo, b"x").expect("written");
    let mut longer = syn_from(&tap, SOURCE, 80);
    longer[18..20].copy_from_slice(&1_000_u16.to_be_bytes());
    let mut cut = syn_from(&tap, SOURCE, 80);
    cut.truncate(54 + 10);
    cut[18..20].copy_from_slice(&10_u16.to_be_bytes());
    let address = |text: &str| text.parse::<std::net::Ipv6Addr>().expect("an address").octets();
    let from = |text| syn_from(&tap, address(text), 80);
    let rows = [
        ("another port", syn_from(&tap, SOURCE, 443), "dropped-port"),
        ("UDP", udp, "dropped-protocol"),
        ("an ICMPv6 echo", echo, "dropped-protocol"),
        ("hop-by-hop options", behind(&tap, 0), "dropped-extension"),
        ("a routing header", behind(&tap, 43), "dropped-extension"),
        ("a fragment", behind(&tap, 44), "dropped-fragment"),
        ("destination options", behind(&tap, 60), "dropped-extension"),
        ("a length beyond the frame", longer, "dropped-truncated"),
        ("half a TCP header", cut, "dropped-truncated"),
        ("from nowhere", from("::"), "dropped-source"),
        ("from the loopback address", from("::1"), "dropped-source"),
        ("from a group", from("ff02::1"), "dropped-source"),
        ("from a mapped address", from("::ffff:10.0.0.1"), "dropped-source"),
        ("from the service", from("fd00:ec2::254"), "dropped-impersonation"),
    ];
    for (name, frame, counter) in rows {
        let before = host.stats(&id);
        tap.send(&frame);
        let after = wait::until(name, || host.stats(&id), |stats| stats.kernel(counter) > before.kernel(counter));
        assert_eq!(after.kernel_sum("dropped-"), before.kernel_sum("dropped-") + 1, "{name} moved another counter too");
        assert_eq!(after.kernel("delivered"), before.kernel("delivered"), "{name} reached the daemon");
    }
    tap.send(&syn_from(&tap, SOURCE, 80));
    let answer = tap.receive_segment(PORT, imds_tests::tap::PATIENCE).expect("a good SYN is answered");
    assert!(answer.syn && answer.checksums, "{answer:?}");
}
