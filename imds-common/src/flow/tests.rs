mod lifetime;
mod processors;
mod refusal;

use proptest::prelude::*;

use super::segment::at_or_before;
use super::*;

const NOW: u32 = 1_000;
const ISN: u32 = u32::MAX - 20;
const DAEMON_ISN: u32 = 5_000;
const KEY: u64 = key(3, 40_000);

fn segment(seq: u32, ack: u32, flags: u8, length: u32) -> Segment {
    Segment { seq, ack, flags, length }
}

/// A connection after its handshake: the next bytes are `ISN + 1` of the client and `DAEMON_ISN + 1` of the daemon.
fn open() -> Flow {
    let mut flow = Flow::EMPTY;
    flow.client_syn(KEY, segment(ISN, 0, SYN, 0), NOW);
    assert_eq!(flow.daemon(segment(DAEMON_ISN, ISN.wrapping_add(1), SYN | ACK, 0), NOW), Daemon::Normal);
    assert_eq!(flow.client(client_at(1, 1, ACK, 0), NOW), Client::Deliver);
    flow
}

fn client_at(offset: u32, acked: u32, flags: u8, length: u32) -> Segment {
    segment(ISN.wrapping_add(offset), DAEMON_ISN + acked, flags, length)
}

fn daemon_at(offset: u32, acked: u32, flags: u8, length: u32) -> Segment {
    segment(DAEMON_ISN + offset, ISN.wrapping_add(acked), flags, length)
}

const AT_REST: Client = Client::Judge { at_rest: true };
const IN_MOTION: Client = Client::Judge { at_rest: false };

#[test]
fn reads_on_one_connection_are_judged_at_rest_and_not_limited() {
    let mut flow = open();
    for round in 0..5 {
        let (asked, answered) = (1 + round * 100, 1 + round * 300);
        let request = client_at(asked, answered, ACK | PSH, 100);
        assert_eq!(flow.client(request, NOW), AT_REST);
        flow.read(request, true);
        assert_eq!(flow.daemon(daemon_at(answered, asked + 100, ACK | PSH, 300), NOW), Daemon::Normal);
    }
    assert_eq!(flow.limited, 0);
    assert_eq!(flow.daemon(daemon_at(1_501, 501, FIN | ACK, 0), NOW), Daemon::Normal);
}

#[test]
fn a_flow_is_unused_from_its_handshake_to_its_first_read() {
    let mut flow = Flow::EMPTY;
    flow.client_syn(KEY, segment(ISN, 0, SYN, 0), NOW);
    assert!(!flow.is_unused(), "nobody has answered the SYN");
    assert!(open().is_unused());
    let mut flow = open();
    let first = client_at(1, 1, ACK | PSH, 100);
    flow.client(first, NOW);
    flow.read(first, true);
    assert!(!flow.is_unused());
    flow.daemon(daemon_at(1, 101, ACK | PSH, 300), NOW);
    assert!(!flow.is_unused());
}

#[test]
fn a_request_is_in_motion_until_both_sides_have_everything() {
    let mut flow = open();
    let first = client_at(1, 1, ACK, 100);
    assert_eq!(flow.client(first, NOW), AT_REST);
    flow.read(first, true);
    assert_eq!(flow.client(client_at(101, 1, ACK, 50), NOW), IN_MOTION, "the daemon hasn't acknowledged the first");
    let mut flow = open();
    assert_eq!(flow.client(first, NOW), AT_REST);
    flow.read(first, true);
    flow.daemon(daemon_at(1, 101, ACK, 300), NOW);
    assert_eq!(flow.client(client_at(101, 200, ACK, 50), NOW), IN_MOTION, "the client hasn't acknowledged the answer");
}

#[test]
fn anything_but_reads_limits_all_that_follows() {
    let mut flow = open();
    let put = client_at(1, 1, ACK | PSH, 100);
    assert_eq!(flow.client(put, NOW), AT_REST);
    flow.mix();
    assert_eq!(flow.daemon(daemon_at(1, 101, ACK, 0), NOW), Daemon::Normal, "an empty ACK is never limited");
    assert_eq!(flow.daemon(daemon_at(1, 101, ACK | PSH, 200), NOW), Daemon::Limited);
    assert_eq!(flow.daemon(daemon_at(1, 101, ACK | PSH, 200), NOW), Daemon::Limited, "nor is its repetition normal");
    assert_eq!(flow.daemon(daemon_at(201, 101, ACK | FIN, 0), NOW), Daemon::Limited);
    assert_eq!(flow.client(client_at(101, 202, ACK | FIN, 0), NOW), Client::Deliver);
    assert_eq!(flow.phase, MIXED, "the daemon hasn't acknowledged that FIN");
    assert_eq!(flow.daemon(daemon_at(202, 102, ACK, 0), NOW), Daemon::Normal);
    assert_eq!(flow.phase, CLOSED);
    assert_eq!(flow.daemon(daemon_at(201, 101, ACK | FIN, 0), NOW), Daemon::Limited, "after the close too");
    assert_eq!(flow.daemon(daemon_at(202, 102, RST, 0), NOW), Daemon::Normal);
    assert_eq!(flow.client(client_at(102, 202, ACK, 10), NOW), Client::Deliver, "a closed flow is never judged");
}

#[test]
fn bytes_out_of_place_make_it_mixed() {
    for (seq, length) in [(2, 10), (50, 1), (0, 2), (u32::MAX - 5, 20)] {
        let mut flow = open();
        assert_eq!(flow.client(client_at(seq, 1, ACK, length), NOW), Client::Deliver, "{seq}");
        assert_eq!(flow.phase, MIXED, "{seq}");
        assert_eq!(flow.client(client_at(1, 1, ACK, 10), NOW), Client::Deliver, "its beginning isn't known any more");
    }
}

#[test]
fn what_the_daemon_has_already_changes_nothing() {
    let mut flow = open();
    let first = client_at(1, 1, ACK, 100);
    flow.client(first, NOW);
    flow.read(first, true);
    flow.daemon(daemon_at(1, 101, ACK, 300), NOW);
    assert_eq!(flow.client(first, NOW), Client::Deliver);
    assert_eq!(flow.client(client_at(100, 1, ACK, 1), NOW), Client::Deliver);
    assert_eq!(flow.phase, READS);
    assert_eq!(flow.client(client_at(100, 1, ACK, 2), NOW), Client::Deliver, "one byte of it is new");
    assert_eq!(flow.phase, MIXED);
}

#[test]
fn a_repetition_that_the_daemon_never_had_is_not_trusted() {
    // The first was lost behind us, and other bytes come in its place: they may be a PUT.
    let mut flow = open();
    let first = client_at(1, 1, ACK, 100);
    flow.client(first, NOW);
    flow.read(first, true);
    assert_eq!(flow.client(first, NOW), Client::Deliver);
    assert_eq!(flow.phase, MIXED);
}

#[test]
fn urgent_bytes_are_not_judged() {
    let mut flow = open();
    assert_eq!(flow.client(client_at(1, 1, ACK | URG, 100), NOW), Client::Deliver);
    assert_eq!(flow.phase, MIXED);
}

#[test]
fn before_the_handshake_is_over_nothing_is_judged() {
    let half_open = || {
        let mut flow = Flow::EMPTY;
        flow.client_syn(KEY, segment(ISN, 0, SYN, 0), NOW);
        flow
    };
    let answer = |flow: &mut Flow| {
        assert_eq!(flow.daemon(segment(DAEMON_ISN, ISN.wrapping_add(1), SYN | ACK, 0), NOW), Daemon::Normal);
    };
    for early in [client_at(1, 1, ACK, 100), client_at(0, 1, ACK, 1), client_at(1, 1, ACK | URG, 0)] {
        let mut flow = half_open();
        assert_eq!(flow.client(early, NOW), Client::Deliver);
        assert_eq!(flow.phase, HALF_OPEN);
        answer(&mut flow);
        assert_eq!(flow.client(client_at(1, 1, ACK, 0), NOW), Client::Deliver);
        assert_eq!((flow.phase, flow.limited), (MIXED, 1), "{early:?}");
    }
    let mut flow = half_open();
    flow.client(segment(ISN.wrapping_add(1), flow.sent, ACK, 0), NOW);
    assert_eq!((flow.phase, flow.limited), (HALF_OPEN, 1), "nobody has answered the SYN");
    let mut flow = half_open();
    assert_eq!(flow.daemon(segment(DAEMON_ISN, ISN, SYN | ACK, 0), NOW), Daemon::Normal);
    assert_eq!(flow.phase, HALF_OPEN, "that SYN-ACK answers another SYN");
    for other in [client_at(1, 2, ACK, 0), client_at(1, 2, ACK, 9), client_at(2, 1, ACK, 0), client_at(2, 1, ACK, 9)] {
        let mut flow = half_open();
        answer(&mut flow);
        assert_eq!(flow.client(other, NOW), Client::Deliver);
        assert_eq!(flow.phase, SYN_ANSWERED, "{other:?} doesn't end the handshake");
        assert_eq!(flow.limited, u16::from(other.length > 0), "{other:?}");
    }
    let mut flow = half_open();
    answer(&mut flow);
    assert_eq!(flow.client(client_at(1, 1, ACK | PSH, 100), NOW), AT_REST, "the first request may end it");
    assert_eq!((flow.phase, flow.limited), (READS, 0));
}

#[test]
fn a_half_open_flow_limits_whatever_carries_bytes() {
    let mut flow = Flow::EMPTY;
    flow.client_syn(KEY, segment(ISN, 0, SYN, 0), NOW);
    assert_eq!(flow.daemon(daemon_at(1, 1, ACK, 10), NOW), Daemon::Limited);
    assert_eq!(flow.daemon(daemon_at(1, 1, ACK | FIN, 0), NOW), Daemon::Limited);
    assert_eq!(flow.daemon(daemon_at(1, 1, ACK, 0), NOW), Daemon::Normal);
    assert_eq!(flow.phase, HALF_OPEN);
}

/// The kernel's answer must not stand where the daemon's answer to the request before it belongs.
#[test]
fn a_pipelined_request_is_never_refused_by_the_kernel() {
    let mut flow = open();
    let first = client_at(1, 1, ACK | PSH, 100);
    assert_eq!(flow.client(first, NOW), AT_REST);
    flow.read(first, true);
    flow.daemon(daemon_at(1, 101, ACK, 0), NOW);
    let second = client_at(101, 1, ACK | PSH, 100);
    assert_eq!(flow.client(second, NOW), IN_MOTION, "the daemon has the first, but hasn't answered it");
    flow.read(second, false);
    flow.daemon(daemon_at(1, 201, ACK, 300), NOW);
    let third = client_at(201, 301, ACK | PSH, 100);
    assert_eq!(flow.client(third, NOW), IN_MOTION, "whose answer that was, nobody knows");
    flow.read(third, false);
    assert_eq!(flow.limited, 0, "they are reads all the same");
}

#[test]
fn an_unknown_flow_is_limited_where_it_carries_anything() {
    assert_eq!(limit(daemon_at(1, 1, ACK, 1)), Daemon::Limited);
    assert_eq!(limit(daemon_at(1, 1, ACK | FIN, 0)), Daemon::Limited);
    assert_eq!(limit(daemon_at(1, 1, ACK, 0)), Daemon::Normal);
    assert_eq!(limit(daemon_at(1, 1, RST, 0)), Daemon::Normal);
    assert_eq!(limit(daemon_at(0, 1, SYN | ACK, 0)), Daemon::Normal);
}

#[test]
fn keys_are_never_zero_and_spread() {
    assert_ne!(key(0, 0), 0);
    assert_ne!(key(0, 1), key(1, 0));
    assert!(first_index(key(31, 65_535)) < FLOWS);
    let distinct: std::collections::HashSet<_> =
        (40_000u16..).take(FLOWS).map(|port| first_index(key(0, port))).collect();
    assert_eq!(distinct.len(), FLOWS, "ports counted up never meet");
}

proptest! {
    /// The hop limit's promise: once a segment was delivered that isn't one whole read at its known place, no byte
    /// of the daemon's leaves with the normal TTL any more, whatever else comes.
    #[test]
    fn nothing_is_normal_after_anything_but_reads(segments in proptest::collection::vec(
        (0..400u32, 0..400u32, any::<u8>(), 0..120u32, any::<bool>(), any::<bool>()), 1..40))
    {
        let mut flow = open();
        let mut tainted = false;
        for (seq, ack, flags, length, from_client, whole_read) in segments {
            if from_client {
                let flags = flags & !(SYN | RST) | ACK;
                let segment = client_at(seq, ack, flags, length);
                let foreseen = flow.foresee(segment, NOW);
                let outcome = flow.client(segment, NOW);
                prop_assert_eq!(foreseen, outcome);
                match outcome {
                    Client::Judge { at_rest } if whole_read => flow.read(segment, at_rest),
                    Client::Judge { .. } => {
                        flow.mix();
                        tainted = true;
                    }
                    Client::Deliver => {
                        let new = !at_or_before(segment.seq.wrapping_add(length), flow.acked);
                        tainted |= length > 0 && new;
                    }
                    _ => unreachable!("nothing was refused"),
                }
            } else {
                let flags = flags & !(SYN | RST) | ACK;
                let segment = daemon_at(seq, ack.min(1 + 400), flags, length);
                let class = flow.daemon(segment, NOW);
                let carries = length > 0 || flags & FIN != 0;
                prop_assert!(!(tainted && carries && class == Daemon::Normal));
            }
        }
    }
}
