//! The verdict table through whatever TCP allows a client to do to its segments.

use imds_tests::family::Family;
use imds_tests::host::Host;
use imds_tests::http::{TOKEN, TTL, request};
use imds_tests::names;
use imds_tests::over_both_families;
use imds_tests::packet::Segment;
use imds_tests::script::{Flaw, Script};
use imds_tests::tap::Tap;
use imds_tests::tap_connection::TapConnection;
use imds_tests::verdicts::{Arena, Case, Hops, INSTANCE_ID, Mode, Row, TOKEN_PATH, play_rows};

over_both_families!(
    each_segment_twice,
    the_last_segment_first,
    each_segment_over_the_one_before,
    the_clients_side_closed_with_the_request,
    half_a_request_and_the_end,
    a_segment_that_tcp_does_not_take,
    other_bytes_at_the_same_place,
    a_refusal_waits_for_the_rest_of_the_answer_before_it
);

/// Longer rows aren't sent byte by byte.
const LONG: usize = 700;
/// By so many bytes segments overlap.
const OVERLAP: usize = 20;

/// Two cuts, or as many as it takes.
fn some_cuts(row: &Row) -> Vec<usize> {
    let length = row.bytes().len();
    let least = row.least_cuts();
    if least.is_empty() { vec![length / 3, length * 2 / 3] } else { least }
}

fn each_segment_twice(family: Family) {
    play_rows(family, |row, mode| {
        let whole = Case::cut(row, mode, &row.least_cuts());
        // A repetition that comes before the acknowledgement might be anything.
        let hops = if whole.hops == Hops::Normal && mode != Mode::Disabled { Hops::Either } else { whole.hops };
        let cut = Case::cut(row, mode, &some_cuts(row));
        vec![
            whole.but("each segment twice", Script::repeated).travelling(hops),
            cut.but("each segment twice", Script::repeated),
        ]
    });
}

fn the_last_segment_first(family: Family) {
    play_rows(family, |row, mode| {
        let thirds = Case::cut(row, mode, &some_cuts(row)).but("the last first", Script::reversed);
        let bytes: Vec<_> = (1..row.bytes().len().min(LONG)).collect();
        let bytes = Case::cut(row, mode, &bytes).but("the last first", Script::reversed);
        // What comes first is no request's beginning.
        vec![thirds.travelling(Hops::Limited), bytes.travelling(Hops::Limited)]
    });
}

fn each_segment_over_the_one_before(family: Family) {
    play_rows(family, |row, mode| {
        let case = Case::cut(row, mode, &some_cuts(row)).but("overlapping", |script| script.overlapping(OVERLAP));
        vec![case.clone().but("the last first", Script::reversed).travelling(Hops::Limited), case]
    });
}

fn the_clients_side_closed_with_the_request(family: Family) {
    play_rows(family, |row, mode| {
        let closed = |cuts: &[usize]| Case::cut(row, mode, cuts).but("half-closed", Script::half_closed);
        let reversed = closed(&some_cuts(row)).but("the last first", Script::reversed).travelling(Hops::Limited);
        vec![closed(&row.least_cuts()), closed(&some_cuts(row)), reversed]
    });
}

fn half_a_request_and_the_end(family: Family) {
    let mut arena = Arena::new(family);
    for mode in Mode::ALL {
        let cases = |request: Vec<u8>| {
            (1..request.len()).map(move |end| Case {
                name: format!("{mode:?}, {:?} and no more", String::from_utf8_lossy(&request[..end])),
                script: Script::whole(&request[..end], &[false]).half_closed(),
                statuses: if mode == Mode::Disabled { vec![403] } else { Vec::new() },
                hops: Hops::Limited,
            })
        };
        let requests = [request("GET", INSTANCE_ID, &[]), request("PUT", TOKEN_PATH, &[(TTL, "60")])];
        arena.play(mode, &requests.into_iter().flat_map(cases).collect::<Vec<_>>());
    }
}

/// A segment that the kernel programs see and the service's TCP doesn't take must not move where they believe that
/// the next request begins.
fn a_segment_that_tcp_does_not_take(family: Family) {
    let mut arena = Arena::new(family);
    let token = arena.token(21_600);
    let read = request("GET", INSTANCE_ID, &[(TOKEN, &token)]);
    let mint = request("PUT", TOKEN_PATH, &[(TTL, "60")]);
    for mode in [Mode::Optional, Mode::Required] {
        let mut cases = Vec::new();
        for flaw in [Flaw::Checksum, Flaw::Acknowledgement] {
            let case = |name: &str, flawed: &[u8], then: &[u8], statuses: &[u16]| Case {
                name: format!("{mode:?}, {name}, {flaw:?}"),
                script: Script::whole(then, &vec![false; statuses.len()]).after_flawed(flawed, flaw),
                statuses: statuses.to_vec(),
                hops: Hops::Limited,
            };
            cases.push(case("a read, then a PUT in its place", &read, &mint, &[200]));
            cases.push(case("a PUT, then a read in its place", &mint, &read, &[200]));
            cases.push(case("a read, then it and a PUT", &read, &[&read[..], &mint].concat(), &[200, 200]));
            let shorter = request("GET", "/", &[(TOKEN, &token)]);
            cases.push(case("a read, then a PUT in its place and beyond", &shorter, &mint, &[200]));
            let plain = request("GET", INSTANCE_ID, &[]);
            let statuses = if mode == Mode::Required { [401] } else { [200] };
            cases.push(case("a read with a token, then one without", &read, &plain, &statuses));
        }
        arena.play(mode, &cases);
    }
}

/// What the service's TCP has taken is not replaced by what comes later at the same place.
fn other_bytes_at_the_same_place(family: Family) {
    let mut arena = Arena::new(family);
    let token = arena.token(21_600);
    let read = request("GET", INSTANCE_ID, &[(TOKEN, &token)]);
    let mint = request("PUT", TOKEN_PATH, &[(TTL, "60")]);
    let plain = request("GET", INSTANCE_ID, &[]);
    for mode in [Mode::Optional, Mode::Required] {
        let case = |name: &str, next: &[u8], statuses: [u16; 2]| {
            let mut script = Script::cut(&[&read[..], next].concat(), &[read.len()], &[false; 2]);
            // The second segment begins where the first did, with other bytes.
            let second = &mut script.pieces[1];
            second.bytes.splice(0..0, mint.iter().copied().cycle().take(second.at));
            second.at = 0;
            let name = format!("{mode:?}, {name}");
            Case { name, script, statuses: statuses.to_vec(), hops: Hops::Either }
        };
        let without = if mode == Mode::Required { 401 } else { 200 };
        let cases = [
            case("a PUT behind other bytes", &mint, [200, 200]),
            case("a read behind other bytes", &plain, [200, without]),
        ];
        arena.play(mode, &cases);
    }
}

/// A client that has acknowledged all that came, though not all that is to come, is not answered by the kernel: a
/// refusal would stand inside the answer before it.
fn a_refusal_waits_for_the_rest_of_the_answer_before_it(family: Family) {
    /// More than goes out before the first acknowledgement (RFC 6928: ten segments).
    const LENGTH: usize = 16 * 1024;
    const SOURCE: [u8; 4] = [10, 0, 0, 1];
    let (host, mut tap) = (Host::start().over(family), Tap::new().over(family));
    let file = names::file("user-data", &[b'x'; LENGTH], 0o600);
    let user_data = ["--user-data-file", file.to_str().expect("a name in UTF-8")];
    host.create(tap.interface(), &[&["--metadata-options", "HttpTokens=required"][..], &user_data].concat());
    let mut connection = TapConnection::open(&mut tap, SOURCE, 40_000);
    connection.send(&request("PUT", TOKEN_PATH, &[(TTL, "60")]));
    let token = String::from_utf8(connection.receive_to_end()).expect("text");
    let token = token.rsplit_once("\r\n\r\n").expect("a body").1;

    let mut connection = TapConnection::open(&mut tap, SOURCE, 40_001);
    connection.send(&request("GET", "/latest/user-data", &[(TOKEN, token)]));
    // When one comes again, all have come that may before they are acknowledged.
    let mut come: Vec<Segment> = Vec::new();
    loop {
        let segment = connection.receive_until("data", |segment| !segment.payload.is_empty());
        if come.iter().any(|earlier| earlier.seq == segment.seq) {
            break;
        }
        come.push(segment);
    }
    connection.take_data(come.last().expect("some data"));
    let received: usize = come.iter().map(|segment| segment.payload.len()).sum();
    assert!(received < LENGTH, "more is to come");
    connection.send(&request("GET", INSTANCE_ID, &[]));
    let rest = connection.receive_to_end();
    let refusal = rest.windows(b"HTTP/1.1 401".len()).position(|window| window == b"HTTP/1.1 401");
    let refusal = refusal.expect("the second request is refused");
    assert!(received + refusal > LENGTH, "refused after {received} and {refusal} bytes of the answer before");
    assert!(rest[..refusal].iter().all(|&byte| byte == b'x'));
}
