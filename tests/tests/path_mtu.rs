//! A client behind a link that takes 1,280 bytes, of which neither it nor the service knows.

use imds_tests::capture::Capture;
use imds_tests::family::Family;
use imds_tests::guest::{BEHIND_LINK, Guest};
use imds_tests::host::Host;
use imds_tests::http::{Connection, TOKEN, request};
use imds_tests::in_each_attachment;
use imds_tests::names;
use imds_tests::namespace::Namespace;

in_each_attachment!(
    families: large_answers_come_whole, large_requests_go_whole, refusals_come);

const ADDRESS: &str = "10.0.0.1";
const INSTANCE_ID: &str = "/latest/meta-data/instance-id";
/// What the link takes, in bytes: the least that each link of IPv6's does (RFC 8200, section 5).
const MTU: &str = "1280";
const MTU_BYTES: usize = 1_280;
/// As much user data as an instance may have.
const USER_DATA: usize = 16 * 1024;

/// Starts a daemon, an instance whose reads need a token, and the client.
fn stage(family: Family, arguments: &[&str]) -> (Host, Guest, Namespace, String) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let options = ["--metadata-options", "HttpTokens=required,HttpPutResponseHopLimit=2"];
    let id = host.create(guest.interface(), &[&options, arguments].concat());
    let client = guest.client_behind();
    // The guest's end of that link only: the client goes on offering what fits its own. Each packet is a segment, as on
    // links of other kinds.
    guest.ip(["link", "set", BEHIND_LINK, "mtu", MTU, "gso_max_segs", "1"]);
    (host, guest, client, id)
}

/// What the kernel counts for a namespace under that name, of packets in pieces or too long.
fn count(namespace: &Namespace, name: &str) -> u64 {
    let text = namespace.run("cat", &["/proc/net/snmp", "/proc/net/snmp6"]).stdout;
    // A line of names and a line of numbers, or a name and a number a line.
    let mut lines = text.lines().peekable();
    let (mut sum, mut found) = (0, false);
    while let Some(line) = lines.next() {
        let numbers = lines.peek().map(|numbers| numbers.split_whitespace()).into_iter().flatten();
        let of_table = line.split_whitespace().zip(numbers).find(|(of, _)| *of == name).map(|(_, number)| number);
        let of_line = line.strip_prefix("Ip6").and_then(|line| line.strip_prefix(name)).map(str::trim);
        if let Some(number) = of_table.or(of_line) {
            (sum, found) = (sum + number.parse::<u64>().unwrap_or_else(|_| panic!("{name}: {line}")), true);
        }
    }
    assert!(found, "no {name} in {text}");
    sum
}

fn large_answers_come_whole(family: Family) {
    let bytes: Vec<_> = (0..=250).cycle().take(USER_DATA).collect();
    let file = names::file("user-data", &bytes, 0o600);
    let (_host, guest, client, _) = stage(family, &["--user-data-file", file.to_str().expect("a name in UTF-8")]);
    let capture = Capture::start(&client);
    let read = request("GET", "/latest/user-data", &[(TOKEN, &client.token())]);
    let mut connection = Connection::open(&client).expect("connects");
    for _ in 0..3 {
        let answer = connection.ask(&read).expect("an answer");
        assert!(answer.status == 200 && answer.body == bytes, "{}: {} bytes", answer.head, answer.body.len());
    }
    let segments = capture.until("all of it", |segments| {
        segments.iter().map(|segment| segment.payload.len()).sum::<usize>() > 3 * USER_DATA
    });
    let longest = segments.iter().map(|segment| segment.length).max().expect("some");
    assert!(longest <= MTU_BYTES, "{longest}");
    assert!(longest > MTU_BYTES - 100, "the link is used: {longest}");
    assert!(segments.iter().all(|segment| !segment.may_be_cut), "{segments:?}");
    assert_eq!(count(&client, "ReasmReqds"), 0, "pieces came");
    assert_eq!((count(&guest, "FragCreates"), count(&guest, "FragFails")), (0, 0), "packets were too long");
}

fn large_requests_go_whole(family: Family) {
    let (_host, guest, client, id) = stage(family, &[]);
    let token = client.token();
    let long = request("GET", INSTANCE_ID, &[("X", &"x".repeat(12 * 1024)), (TOKEN, &token)]);
    let answer = client.exchange(&long);
    assert_eq!((answer.status, answer.text()), (200, id));
    assert_eq!((count(&guest, "ReasmReqds"), count(&client, "FragCreates")), (0, 0), "it went in pieces");
}

fn refusals_come(family: Family) {
    let (host, _guest, client, id) = stage(family, &[]);
    for read in [request("GET", INSTANCE_ID, &[]), request("GET", INSTANCE_ID, &[("X", &"x".repeat(4 * 1024))])] {
        assert_eq!(client.exchange(&read).status, 401);
    }
    let stats = host.stats(&id);
    assert_eq!((stats.kernel("refused-token-missing"), stats.daemon("refused-token-missing")), (1, 1));
}
