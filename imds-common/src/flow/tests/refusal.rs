//! What keeps the kernel from refusing, and what becomes of a flow that it has refused.

use super::*;

/// After one read with its whole answer.
fn at_rest() -> Flow {
    let mut flow = open();
    let first = client_at(1, 1, ACK | PSH, 100);
    flow.client(first, NOW);
    flow.read(first, true);
    flow.daemon(daemon_at(1, 101, ACK | PSH, 300), NOW);
    flow
}

/// The request after it.
fn second(flags: u8) -> Segment {
    client_at(101, 301, flags, 50)
}

#[test]
fn a_request_is_refused_only_after_a_whole_answer() {
    assert_eq!(at_rest().client(second(ACK | PSH), NOW), AT_REST);
    assert_eq!(at_rest().client(second(ACK | FIN), NOW), AT_REST, "a FIN with it is fine");

    let mut flow = at_rest();
    flow.daemon(daemon_at(301, 101, ACK, 300), NOW);
    let mut whole = flow;
    assert_eq!(flow.client(client_at(101, 601, ACK, 50), NOW), IN_MOTION, "more of the answer will come");
    whole.daemon(daemon_at(601, 101, ACK | PSH, 9), NOW);
    whole.daemon(daemon_at(301, 101, ACK, 300), NOW);
    whole.daemon(daemon_at(610, 101, ACK, 0), NOW);
    assert_eq!(whole.client(client_at(101, 610, ACK, 50), NOW), AT_REST, "repetitions and ACKs change nothing");
}

#[test]
fn a_request_after_the_last_one_is_the_daemons() {
    let mut flow = open();
    let last = client_at(1, 1, ACK | PSH, 100);
    assert_eq!(flow.client(last, NOW), AT_REST);
    flow.read(last, false);
    flow.daemon(daemon_at(1, 101, ACK | PSH, 300), NOW);
    assert_eq!(flow.client(second(ACK), NOW), IN_MOTION, "the daemon closes after such a read");

    let mut flow = at_rest();
    flow.daemon(daemon_at(301, 101, ACK | PSH | FIN, 10), NOW);
    assert_eq!(flow.client(client_at(101, 312, ACK, 50), NOW), IN_MOTION, "the daemon has closed");

    let mut flow = at_rest();
    flow.client(client_at(101, 301, ACK | FIN, 0), NOW);
    assert_eq!(flow.client(second(ACK), NOW), IN_MOTION, "the client has closed");
    let mut flow = at_rest();
    flow.client(client_at(50, 301, ACK | FIN, 0), NOW);
    assert_eq!(flow.client(second(ACK), NOW), AT_REST, "that FIN nobody takes");
}

#[test]
fn what_the_daemons_kernel_takes_otherwise_is_not_judged() {
    for flags in [ACK | URG, ACK | SYN, PSH, 0] {
        let mut flow = at_rest();
        assert_eq!(flow.client(second(flags), NOW), Client::Deliver, "{flags:#x}");
        assert_eq!(flow.phase, MIXED, "{flags:#x}");
        let mut flow = at_rest();
        assert_eq!(flow.client(client_at(101, 301, flags, 0), NOW), Client::Deliver, "{flags:#x}");
        assert_eq!(flow.client(second(ACK), NOW), Client::Deliver, "{flags:#x} in an empty segment");
    }
}

/// A connection whose first request of 100 bytes is refused with an answer of 145 bytes.
fn refused(flags: u8) -> Flow {
    let mut flow = open();
    let request = client_at(1, 1, flags, 100);
    assert_eq!(flow.client(request, NOW), AT_REST);
    flow.refuse(request, 145, 2, false);
    flow
}

#[test]
fn a_refused_flow_is_the_kernels() {
    let mut flow = refused(ACK | PSH);
    assert_eq!((flow.answer, flow.sent), (DAEMON_ISN + 1, DAEMON_ISN + 1 + 145 + 1));
    assert_eq!((flow.boundary, flow.refusal, flow.limited), (ISN.wrapping_add(101), 2, 0));
    for flags in [RST | ACK, ACK, ACK | FIN, SYN | ACK] {
        assert_eq!(flow.daemon(daemon_at(1, 1, flags, 0), NOW), Daemon::Drop);
    }
    assert_eq!(flow.client(client_at(1, 1, ACK | PSH, 100), NOW), Client::RepeatAnswer, "its request again");
    assert_eq!(flow.client(client_at(101, 147, ACK, 0), NOW), Client::Swallow, "its ACK of the answer");
    assert_eq!(flow.client(client_at(101, 147, FIN | ACK, 0), NOW), Client::Acknowledge, "its FIN");
    assert_eq!((flow.phase, flow.boundary), (REFUSED_DONE, ISN.wrapping_add(102)));
    assert_eq!(flow.client(client_at(101, 147, FIN | ACK, 0), NOW), Client::Acknowledge, "its FIN again");
    assert_eq!(flow.boundary, ISN.wrapping_add(102), "counted once");
    assert_eq!(flow.client(client_at(102, 147, RST, 0), NOW), Client::Swallow);
}

#[test]
fn a_fin_before_the_answer_arrived_gets_the_answer_again() {
    let mut flow = refused(ACK | PSH);
    assert_eq!(flow.client(client_at(101, 1, FIN | ACK, 0), NOW), Client::RepeatAnswer);
    assert_eq!(flow.boundary, ISN.wrapping_add(102), "with its FIN acknowledged");
}

#[test]
fn a_request_with_its_fin_is_refused_whole() {
    let mut flow = refused(ACK | PSH | FIN);
    assert_eq!((flow.phase, flow.boundary), (REFUSED, ISN.wrapping_add(102)));
    assert_eq!(flow.client(client_at(102, 147, ACK, 0), NOW), Client::Swallow);
    assert_eq!(flow.phase, REFUSED_DONE, "only with the answer acknowledged");
}

#[test]
fn a_reset_ends_a_refused_flow() {
    let mut flow = refused(ACK);
    assert_eq!(flow.client(client_at(101, 147, RST, 0), NOW), Client::Swallow);
    assert_eq!(flow.phase, REFUSED_DONE);
}

#[test]
fn more_bytes_after_a_refusal_are_acknowledged_and_lost() {
    let mut flow = refused(ACK);
    assert_eq!(flow.client(client_at(101, 147, ACK, 10), NOW), Client::Acknowledge);
    assert_eq!(flow.boundary, ISN.wrapping_add(111));
    assert_eq!(flow.client(client_at(200, 147, ACK, 10), NOW), Client::Acknowledge);
    assert_eq!(flow.boundary, ISN.wrapping_add(111), "out of order");
}

#[test]
fn a_limited_refusal_stays_limited() {
    let mut flow = open();
    let request = client_at(1, 1, ACK, 100);
    flow.client(request, NOW);
    flow.refuse(request, 10, 0, true);
    assert_eq!(flow.limited, 1);
}

#[test]
fn only_a_reset_in_place_ends_a_refused_flow() {
    for seq in [1, 100, 102, 5_000] {
        let mut flow = refused(ACK);
        assert_eq!(flow.client(client_at(seq, 147, RST, 0), NOW), Client::Swallow);
        assert_eq!(flow.phase, REFUSED, "{seq}");
    }
}

#[test]
fn a_repetition_may_bring_the_fin() {
    let mut flow = refused(ACK | PSH);
    assert_eq!(flow.client(client_at(1, 147, ACK | FIN, 100), NOW), Client::Acknowledge);
    assert_eq!((flow.phase, flow.boundary), (REFUSED_DONE, ISN.wrapping_add(102)));
}

#[test]
fn an_old_syn_doesnt_end_a_refused_flow_and_a_new_one_does() {
    let mut flow = refused(ACK | PSH);
    flow.client_syn(KEY, segment(ISN, 0, SYN, 0), NOW);
    assert_eq!(flow.daemon(segment(9, ISN.wrapping_add(1), SYN | ACK, 0), NOW), Daemon::Drop);
    assert_eq!(flow.client(client_at(1, 1, ACK | PSH, 100), NOW), Client::RepeatAnswer);
    flow.client_syn(KEY, segment(ISN.wrapping_add(102), 0, SYN, 0), NOW);
    assert_eq!(flow.phase, HALF_OPEN);
}

#[test]
fn what_acknowledges_nothing_is_swallowed() {
    let mut flow = refused(ACK);
    for flags in [0, PSH, SYN | ACK, SYN | FIN] {
        assert_eq!(flow.client(client_at(101, 147, flags, 10), NOW), Client::Swallow, "{flags:#x}");
        assert_eq!((flow.phase, flow.boundary), (REFUSED, ISN.wrapping_add(101)), "{flags:#x}");
    }
}
