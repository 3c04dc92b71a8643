//! When an entry is taken, kept, and free again.

use super::*;

#[test]
fn a_repeated_syn_changes_nothing_and_another_one_is_not_trusted() {
    let mut flow = open();
    let before = flow;
    flow.client_syn(KEY, segment(ISN, 0, SYN, 0), NOW);
    assert_eq!(flow, before);
    flow.client_syn(KEY, segment(ISN ^ 4, 0, SYN, 0), NOW + 1);
    assert_eq!((flow.phase, flow.limited, flow.touched), (MIXED, 1, NOW + 1));
    let mut half = Flow::EMPTY;
    half.client_syn(KEY, segment(ISN, 0, SYN, 0), NOW);
    half.client_syn(KEY, segment(ISN, 0, SYN, 0), NOW + 7);
    assert_eq!((half.phase, half.begins, half.touched), (HALF_OPEN, ISN.wrapping_add(1), NOW + 7));
    half.client_syn(KEY, segment(77, 0, SYN, 0), NOW);
    assert_eq!((half.phase, half.begins), (HALF_OPEN, 78), "a half-open one simply begins anew");
    let mut mixed = open();
    let put = client_at(1, 1, ACK, 100);
    mixed.client(put, NOW);
    mixed.mix();
    mixed.client_syn(KEY, segment(ISN, 0, SYN, 0), NOW);
    assert_eq!((mixed.phase, mixed.limited), (MIXED, 1));
}

#[test]
fn an_entry_of_another_key_begins_anew() {
    let mut flow = open();
    flow.mix();
    flow.client_syn(key(4, 40_000), segment(9, 0, SYN, 0), NOW);
    assert_eq!((flow.key, flow.phase, flow.limited, flow.begins), (key(4, 40_000), HALF_OPEN, 1, 10));
    for phase in [CLOSED, REFUSED, REFUSED_DONE] {
        let mut flow = Flow { phase, client_marks: 3, daemon_marks: 3, ..open() };
        let later = segment(flow.boundary.wrapping_add(9), 0, SYN, 0);
        flow.client_syn(KEY, later, NOW);
        assert_eq!((flow.phase, flow.limited), (HALF_OPEN, 1), "a port is used again");
        assert_eq!((flow.client_marks, flow.daemon_marks), (0, 0));
    }
}

#[test]
fn a_connection_is_closed_when_both_sides_are_or_one_resets() {
    let mut flow = open();
    flow.client(client_at(1, 1, FIN | ACK, 0), NOW);
    assert_eq!(flow.phase, READS);
    flow.daemon(daemon_at(1, 2, FIN | ACK, 0), NOW);
    assert_eq!(flow.phase, CLOSED);
    let mut flow = open();
    flow.daemon(daemon_at(1, 2, ACK, 0), NOW);
    assert_eq!(flow.client(client_at(1, 1, RST, 0), NOW), Client::Deliver);
    assert_eq!(flow.phase, CLOSED);
    for elsewhere in [0, 2, 1_000, u32::MAX / 2] {
        let mut flow = open();
        assert_eq!(flow.client(client_at(elsewhere, 1, RST, 0), NOW), Client::Deliver);
        assert_eq!(flow.phase, READS, "the daemon doesn't take that RST");
    }
    let mut flow = open();
    assert_eq!(flow.client(client_at(500, 1, FIN | ACK, 0), NOW), Client::Deliver);
    flow.daemon(daemon_at(1, 1, FIN | ACK, 0), NOW);
    assert_eq!(flow.phase, READS, "nor that FIN");
    let mut flow = open();
    flow.daemon(daemon_at(1, 2, ACK, 0), NOW);
    assert_eq!(flow.daemon(daemon_at(1, 1, RST, 0), NOW), Daemon::Normal);
    assert_eq!(flow.phase, CLOSED);
    assert_eq!(flow.client(client_at(1, 1, ACK, 10), NOW), Client::Deliver);
    assert_eq!((flow.phase, flow.limited), (CLOSED, 1), "nothing after the end is trusted");
}

/// The daemon doesn't wait for its client to close: what that one still sends must not cost it the answer.
#[test]
fn no_reset_follows_the_daemon_s_fin() {
    let mut flow = open();
    flow.client(client_at(1, 1, ACK | PSH, 100), NOW);
    flow.mix();
    flow.daemon(daemon_at(1, 101, ACK | PSH | FIN, 200), NOW);
    assert_eq!(flow.client(client_at(101, 1, ACK | PSH, 50), NOW), Client::Deliver);
    assert_eq!(flow.daemon(daemon_at(1, 0, RST, 0), NOW), Daemon::Late);
    assert!(!flow.is_free(NOW), "who has its place would be told of a reset again");
    assert_eq!(flow.client(client_at(151, 202, ACK | FIN, 0), NOW), Client::Deliver);
    assert_eq!(flow.daemon(daemon_at(1, 0, RST, 0), NOW), Daemon::Late, "of what it sent before it had the answer");
    assert!(flow.is_free(NOW), "the client is done, and the daemon knows of nothing");
    assert_eq!(flow.daemon(daemon_at(202, 0, RST, 0), NOW), Daemon::Normal, "it has everything");
    // Of the next connection with its port, the daemon may reset whatever it likes.
    for flow in [&mut flow, &mut fin_of_daemon_alone()] {
        flow.client_syn(KEY, segment(7_000, 0, SYN, 0), NOW);
        flow.daemon(segment(9_000, 7_001, SYN | ACK, 0), NOW);
        assert_eq!(flow.daemon(segment(9_001, 7_001, RST, 0), NOW), Daemon::Normal);
    }
}

fn fin_of_daemon_alone() -> Flow {
    let mut flow = open();
    flow.daemon(daemon_at(1, 1, ACK | FIN, 0), NOW);
    flow
}

/// A connection whose token answer the client doesn't acknowledge, and then a SYN of the same port.
#[test]
fn a_syn_on_top_of_a_token_answer_frees_nothing() {
    for end in [RST, FIN | ACK] {
        let mut flow = open();
        let put = client_at(1, 1, ACK | PSH, 100);
        flow.client(put, NOW);
        flow.mix();
        assert_eq!(flow.daemon(daemon_at(1, 101, ACK | PSH | FIN, 200), NOW), Daemon::Limited);
        flow.client(client_at(101, 1, end, 0), NOW);
        flow.daemon(daemon_at(202, 102, ACK, 0), NOW);
        flow.client_syn(KEY, segment(77, 0, SYN, 0), NOW);
        assert_eq!(flow.daemon(daemon_at(1, 101, ACK | PSH | FIN, 200), NOW), Daemon::Limited, "the old answer again");
        let mut reset = flow;
        reset.client(segment(78, 0, RST, 0), NOW);
        assert_eq!(reset.daemon(daemon_at(1, 101, ACK | PSH | FIN, 200), NOW), Daemon::Limited, "after a reset, too");
        flow.daemon(segment(9_000, 78, SYN | ACK, 0), NOW);
        assert_eq!(flow.phase, SYN_ANSWERED);
        assert_eq!(flow.daemon(daemon_at(1, 101, ACK | PSH | FIN, 200), NOW), Daemon::Limited, "and that late");
    }
}

/// A reset may not be one to the daemon's kernel, by its checksum for example; that one holds what is half-open for a
/// while, and nothing says so.
#[test]
fn what_is_reset_before_the_daemon_has_a_byte_keeps_its_entry_for_a_while() {
    let half_open = || {
        let mut flow = Flow::EMPTY;
        flow.client_syn(KEY, segment(ISN, 0, SYN, 0), NOW);
        flow
    };
    let answered = || {
        let mut flow = half_open();
        flow.daemon(segment(DAEMON_ISN, ISN.wrapping_add(1), SYN | ACK, 0), NOW);
        flow
    };
    let mut mixed = open();
    mixed.client(client_at(9, 1, ACK, 9), NOW);
    for flow in [half_open(), answered(), open(), mixed] {
        let (mut by_client, mut by_daemon) = (flow, flow);
        by_client.client(client_at(1, 1, RST, 0), NOW);
        by_daemon.daemon(segment(77, 0, RST, 0), NOW);
        for reset in [by_client, by_daemon] {
            assert_eq!(reset.phase, RESET, "{flow:?}");
            assert!(!reset.is_free(NOW + RESET_MS), "{flow:?}");
            assert!(reset.is_free(NOW + RESET_MS + 1), "{flow:?}");
        }
        let mut again = by_client;
        again.client_syn(KEY, segment(9, 0, SYN, 0), NOW);
        assert_eq!(again.phase, HALF_OPEN, "the client itself may begin anew");
    }
    let mut refused = half_open();
    refused.daemon(segment(0, ISN.wrapping_add(1), RST | ACK, 0), NOW);
    assert!(refused.is_free(NOW), "nobody listens: that is the answer to the SYN");
}

#[test]
fn an_idle_connection_gives_way_to_a_new_one_of_its_port() {
    let mut flow = Flow { limited: 1, phase: MIXED, ..open() };
    flow.client_syn(KEY, segment(77, 0, SYN, 0), NOW + IDLE_MS + 1);
    assert_eq!((flow.phase, flow.limited, flow.begins), (HALF_OPEN, 1, 78));
}

#[test]
fn idle_entries_are_free_and_live_ones_never() {
    let at = |phase, touched| Flow { key: KEY, phase, touched, ..Flow::EMPTY };
    assert!(Flow::EMPTY.is_free(0));
    assert!(at(CLOSED, NOW).is_free(NOW));
    assert!(at(REFUSED_DONE, NOW).is_free(NOW));
    for (phase, limit) in [
        (HALF_OPEN, HALF_OPEN_MS),
        (SYN_ANSWERED, HALF_OPEN_MS),
        (READS, IDLE_MS),
        (MIXED, IDLE_MS),
        (REFUSED, REFUSED_MS),
        (RESET, RESET_MS),
    ] {
        assert!(!at(phase, NOW).is_free(NOW + limit), "{phase}");
        assert!(at(phase, NOW).is_free(NOW + limit + 1), "{phase}");
        assert!(!at(phase, u32::MAX).is_free(5), "{phase}: the clock wraps");
    }
}

#[test]
fn only_the_client_keeps_a_half_open_flow_alive() {
    let mut flow = Flow::EMPTY;
    flow.client_syn(KEY, segment(ISN, 0, SYN, 0), NOW);
    for later in [0, 1_000, 3_000] {
        flow.daemon(segment(DAEMON_ISN, ISN.wrapping_add(1), SYN | ACK, 0), NOW + later);
    }
    assert_eq!((flow.phase, flow.touched), (SYN_ANSWERED, NOW));
    flow.client_syn(KEY, segment(ISN, 0, SYN, 0), NOW + 7);
    assert_eq!((flow.phase, flow.touched), (SYN_ANSWERED, NOW + 7));
}

#[test]
fn every_packet_keeps_a_flow_alive() {
    let mut flow = open();
    flow.client(client_at(1, 1, ACK, 0), NOW + 5);
    assert_eq!(flow.touched, NOW + 5);
    flow.daemon(daemon_at(1, 1, ACK, 0), NOW + 9);
    assert_eq!(flow.touched, NOW + 9);
}
