//! Virtual machines as instances: a kernel and clients of their own, behind a real virtio network card.

use imds_tests::client::URL;
use imds_tests::guest::Bridge;
use imds_tests::host::Host;
use imds_tests::http::{TOKEN, TTL};
use imds_tests::machine::{Machine, Ran};
use imds_tests::names;

const INSTANCE_ID: &str = "/latest/meta-data/instance-id";
/// The most that user data may be: more than a frame, or than a segment of the virtio card's.
const USER_DATA: usize = 16 * 1024;
/// Longer than a frame: the machine's card leaves cutting it up to the host.
const LONG: usize = 3_000;
/// How the programs are attached, one way after the other.
const ATTACHMENTS: [&str; 3] = ["tc", "tc+xdp-generic", "tc+xdp-driver"];
/// curl's code for an operation that took too long.
const TIMED_OUT: &str = "28";

/// Reads by curl, with its arguments; prints the answer, and below it the status.
fn curl(arguments: &str, path: &str) -> String {
    format!("curl -sS --max-time 10 -w '\\n%{{http_code}}' {arguments} {URL}{path}")
}

fn put() -> String {
    curl(&format!("-X PUT -H '{TTL}: 21600'"), "/latest/api/token")
}

fn with(token: &str) -> String {
    format!("-H '{TOKEN}: {token}'")
}

/// What a curl printed that got an answer: the body, and the status.
#[track_caller]
fn answer(ran: &Ran) -> (&str, &str) {
    assert_eq!(ran.code, "0", "{ran:?}");
    ran.text.rsplit_once('\n').unwrap_or_else(|| panic!("{ran:?}"))
}

/// Everything that a machine must see of the service, however the programs are attached: it is booted once for all.
fn is_an_instance(bridge: Option<&Bridge>) {
    let host = Host::start();
    let mut machine = Machine::boot(bridge);
    let user_data = names::file("user-data", &[b'x'; USER_DATA], 0o600);
    let user_data = user_data.to_str().expect("a path in UTF-8");
    let id = host.create(machine.interface(), &["--user-data-file", user_data]);
    machine.put_client_behind();
    for attachment in ATTACHMENTS {
        println!("{attachment}");
        host.ask(&["interface", "attach", machine.interface(), attachment]);
        let attached = || host.ask(&["instance", "show", &id])["interfaces"][0]["attachment"].clone();
        assert_eq!(attached(), attachment);
        host.set(&id, &["--http-tokens", "optional", "--http-put-response-hop-limit", "1"]);
        let token = reads(&mut machine, &id);
        is_refused_without_a_token(&host, &mut machine, &id, &token);
        reaches_no_other_port(&host, &mut machine, &id);
        sees_the_hop_limit(&host, &mut machine, &id, &token);
        assert_eq!(attached(), attachment, "all of it ran so");
    }
}

/// Reads, with a token and without, answers and requests that are longer than a frame; the token.
fn reads(machine: &mut Machine, id: &str) -> String {
    assert_eq!(answer(&machine.run(&curl("", INSTANCE_ID))), (id, "200"));
    let asked = machine.run(&put());
    let (token, status) = answer(&asked);
    assert_eq!((token.len(), status), (56, "200"), "{asked:?}");
    assert_eq!(answer(&machine.run(&curl(&with(token), INSTANCE_ID))), (id, "200"));
    let wget = format!("wget -q -T 10 -t 1 -O - --header '{TOKEN}: {token}' {URL}{INSTANCE_ID}");
    assert_eq!(machine.must(&wget), id);
    let sizes = format!("{} -o /tmp/user-data -w '%{{size_download}}\\n%{{http_code}}'", with(token));
    assert_eq!(answer(&machine.run(&curl(&sizes, "/latest/user-data"))), (USER_DATA.to_string().as_str(), "200"));
    let long = format!("-H 'X: {}' {}", "x".repeat(LONG), with(token));
    assert_eq!(answer(&machine.run(&curl(&long, INSTANCE_ID))), (id, "200"));
    token.to_owned()
}

fn is_refused_without_a_token(host: &Host, machine: &mut Machine, id: &str, token: &str) {
    host.set(id, &["--http-tokens", "required"]);
    let before = host.stats(id);
    assert_eq!(answer(&machine.run(&curl("", INSTANCE_ID))), ("", "401"));
    let wget = machine.run(&format!("wget -q -T 10 -t 1 -O - {URL}{INSTANCE_ID}"));
    // wget's code for an authentication that failed.
    assert_eq!(wget, Ran { code: "6".to_owned(), text: String::new() });
    let after = host.stats(id);
    assert_eq!(after.requests(), before.requests(), "the kernel refuses by itself");
    assert_eq!(after.kernel("refused-token-missing"), before.kernel("refused-token-missing") + 2);
    assert_eq!(answer(&machine.run(&curl(&with(token), INSTANCE_ID))), (id, "200"));
}

/// What XDP drops where it is attached, and tc where it isn't.
fn reaches_no_other_port(host: &Host, machine: &mut Machine, id: &str) {
    let before = host.stats(id).kernel("dropped-port");
    let probe = machine.run(&format!("curl -sS --max-time 1 {URL}:8080/"));
    assert_eq!(probe.code, TIMED_OUT, "{probe:?}");
    assert!(host.stats(id).kernel("dropped-port") > before);
}

fn sees_the_hop_limit(host: &Host, machine: &mut Machine, id: &str, token: &str) {
    assert_eq!(answer(&machine.run_behind(&curl(&with(token), INSTANCE_ID))), (id, "200"));
    let lost = machine.run_behind(&format!("{} --max-time 3", put()));
    assert_eq!(lost.code, TIMED_OUT, "a token travelled too far: {lost:?}");
    assert!(lost.text.contains("0 bytes received"), "it was connected, and its request sent: {lost:?}");
    assert_eq!(answer(&machine.run(&put())).1, "200", "the machine itself is near enough");
    host.set(id, &["--http-put-response-hop-limit", "2"]);
    let asked = machine.run_behind(&put());
    let (token, status) = answer(&asked);
    assert_eq!(status, "200");
    assert_eq!(answer(&machine.run_behind(&curl(&with(token), INSTANCE_ID))), (id, "200"));
}

#[test]
fn on_a_routed_tap() {
    is_an_instance(None);
}

#[test]
fn on_a_bridged_tap() {
    is_an_instance(Some(&Bridge::new()));
}
