//! Tokenless reads with every combination of TCP's flags, on connections that there are and on such as there are not:
//! whatever the service's TCP makes of them, nothing of the metadata comes, and its other clients are served.

use std::time::Duration;

use imds_tests::family::Family;
use imds_tests::host::Host;
use imds_tests::http::request;
use imds_tests::in_each_attachment;
use imds_tests::packet::Segment;
use imds_tests::script::Script;
use imds_tests::tap::Tap;
use imds_tests::tap_connection::TapConnection;
use imds_tests::verdicts::INSTANCE_ID;
use imds_tests::volley::Volley;

in_each_attachment!(families: on_unknown_connections, on_known_connections);

const SOURCE: [u8; 4] = [10, 0, 0, 1];
const FIRST_PORT: u16 = 41_000;
const WINDOW: u16 = 64_000;
/// So long anything more is waited for.
const SILENCE: Duration = Duration::from_millis(200);
/// Connections at once: well below what one instance may have.
const AT_ONCE: usize = 64;
/// Combinations of ACK with those of FIN, PSH, ECE and CWR: what is neither a SYN nor a RST, and has no urgent byte.
const REFUSABLE: u64 = 16;

/// A daemon, and an instance whose reads need a token.
fn stage(family: Family) -> (Host, Tap, String) {
    let (host, tap) = (Host::start().over(family), Tap::new().over(family));
    let id = host.create(tap.interface(), &["--metadata-options", "HttpTokens=required"]);
    (host, tap, id)
}

fn port(flags: u8) -> u16 {
    FIRST_PORT + u16::from(flags)
}

/// A read without a token, with those flags.
fn read(tap: &Tap, flags: u8, seq: u32, ack: u32) -> Vec<u8> {
    let mut header = etherparse::TcpHeader::new(port(flags), 80, seq, WINDOW);
    header.acknowledgment_number = ack;
    let bits = [0, 1, 2, 3, 4, 5, 6, 7].map(|bit| flags >> bit & 1 != 0);
    [header.fin, header.syn, header.rst, header.psh, header.ack, header.urg, header.ece, header.cwr] = bits;
    let mut frame = Vec::new();
    let packet = tap.packet(SOURCE, 64).tcp_header(header);
    packet.write(&mut frame, &request("GET", INSTANCE_ID, &[])).expect("a Vec takes every frame");
    frame
}

/// The statuses of all answers that come until nothing does.
fn statuses(tap: &mut Tap, family: Family) -> Vec<String> {
    let mut statuses = Vec::new();
    while let Some(frame) = tap.receive(SILENCE) {
        let Some(segment) = Segment::of_service(&frame) else { continue };
        assert_eq!(segment.destination, family.address(SOURCE), "{segment:?}");
        assert!(segment.checksums, "{segment:?}");
        if !segment.payload.is_empty() {
            let text = String::from_utf8_lossy(&segment.payload).into_owned();
            statuses.push(text.split(' ').nth(1).unwrap_or(&text).to_owned());
        }
    }
    statuses
}

/// Another client is served.
#[track_caller]
fn assert_served(tap: Tap) {
    let talks = Volley::new(tap, [10, 0, 0, 2]).fire(&[Script::whole(&request("GET", INSTANCE_ID, &[]), &[false])]);
    assert_eq!(talks[0].statuses(), [401], "{talks:?}");
}

fn on_unknown_connections(family: Family) {
    let (host, mut tap, id) = stage(family);
    for flags in 0..=u8::MAX {
        let frame = read(&tap, flags, 1_000, 2_000);
        tap.send(&frame);
    }
    assert_eq!(statuses(&mut tap, family), Vec::<String>::new());
    let stats = host.stats(&id);
    assert_eq!((stats.requests(), stats.kernel_sum("refused-")), (0, 0));
    // Nobody knows what they carried before: the daemon's TCP judges them, each.
    assert!(stats.kernel("delivered") >= 256, "{}", stats.kernel("delivered"));
    assert_served(tap);
}

fn on_known_connections(family: Family) {
    let (host, mut refused, mut requests) = (Host::start().over(family), 0, 0);
    let all: Vec<_> = (0..=u8::MAX).collect();
    for some in all.chunks(AT_ONCE) {
        let mut tap = Tap::new().over(family);
        let id = host.create(tap.interface(), &["--metadata-options", "HttpTokens=required"]);
        for &flags in some {
            let (seq, ack) = TapConnection::open(&mut tap, SOURCE, port(flags)).numbers();
            let frame = read(&tap, flags, seq, ack);
            tap.send(&frame);
        }
        for status in statuses(&mut tap, family) {
            assert!(["400", "401", "403", "405"].contains(&status.as_str()), "{status}");
        }
        let stats = host.stats(&id);
        refused += stats.kernel("refused-token-missing");
        requests += stats.requests();
        assert_eq!((stats.no_token(), stats.tokens_issued()), (0, 0));
        assert_served(tap);
    }
    assert_eq!(refused, REFUSABLE);
    // Those with an urgent byte, which is no part of the stream.
    assert!(requests <= REFUSABLE, "{requests}");
}
