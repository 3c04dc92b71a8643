//! Several processors on one flow at once: each loads and stores fields one by one, some much later than the others.

use super::*;

/// Stores of another processor that come late: of each field that a SYN's taking writes, if its bit is set.
fn store_late(flow: &mut Flow, late: &Flow, fields: u16) {
    macro_rules! store {
        ($($bit:literal $field:ident),+) => {
            $(if fields >> $bit & 1 != 0 {
                flow.$field = late.$field;
            })+
        };
    }
    store!(0 key, 1 phase, 2 touched, 3 begins, 4 limited, 5 refusal, 6 client_marks, 7 daemon_marks, 8 mixed);
}

/// How far behind its SYN the client's stream goes in these tests.
const PUT: u32 = 100;

#[test]
fn only_the_first_syn_ack_of_a_connection_clears_what_limits() {
    let syn_ack = |isn: u32| segment(isn, ISN.wrapping_add(1), SYN | ACK, 0);
    let mut flow = Flow::EMPTY;
    flow.client_syn(KEY, segment(ISN, 0, SYN, 0), NOW);
    assert_eq!(flow.limited, 1);
    flow.daemon(syn_ack(DAEMON_ISN), NOW);
    assert_eq!(flow.limited, 0);
    // The client knows the daemon's number by now; another SYN, and the same again.
    flow.client_syn(KEY, segment(77, 0, SYN, 0), NOW);
    flow.client_syn(KEY, segment(ISN, 0, SYN, 0), NOW);
    flow.daemon(syn_ack(DAEMON_ISN), NOW);
    assert_eq!((flow.phase, flow.limited), (SYN_ANSWERED, 1));
    flow.client(client_at(1, 1, ACK, 0), NOW);
    assert_eq!(flow.phase, MIXED);
    flow.client_syn(KEY, segment(ISN, 0, SYN, 0), NOW + IDLE_MS + 1);
    flow.daemon(syn_ack(DAEMON_ISN + 9), NOW + IDLE_MS + 1);
    assert_eq!(flow.limited, 0, "a connection of its own");
}

#[test]
fn the_end_of_a_handshake_clears_nothing() {
    for field in [0, 1] {
        let mut flow = Flow::EMPTY;
        flow.client_syn(KEY, segment(ISN, 0, SYN, 0), NOW);
        flow.daemon(segment(DAEMON_ISN, ISN.wrapping_add(1), SYN | ACK, 0), NOW);
        // Another processor's, in the middle of it.
        if field == 0 {
            flow.limited = 1;
        } else {
            flow.mixed = 1;
        }
        flow.client(client_at(1, 1, ACK, 0), NOW);
        assert_eq!((flow.phase, flow.limited), (MIXED, 1));
    }
}

#[test]
fn a_syn_ack_of_another_connection_limits() {
    let mut flow = open();
    flow.daemon(segment(DAEMON_ISN, ISN.wrapping_add(1), SYN | ACK, 0), NOW);
    assert_eq!(flow.limited, 0, "the same again");
    flow.daemon(segment(DAEMON_ISN + 1_000, 78, SYN | ACK, 0), NOW);
    assert_eq!(flow.limited, 1);
}

#[test]
fn what_stands_before_the_syn_ack_is_an_earlier_connection_s() {
    let mut flow = open();
    let before = flow;
    let late = segment(DAEMON_ISN - 500, ISN.wrapping_add(50), ACK | PSH, 300);
    assert_eq!(flow.daemon(late, NOW + 1), Daemon::Limited);
    assert_eq!(flow, before);
}

/// The end of the longer one is new to who has the shorter one.
#[test]
fn two_that_are_judged_at_once_are_not_both_reads() {
    let mut flow = open();
    let (shorter, longer) = (client_at(1, 1, ACK | PSH, 20), client_at(1, 1, ACK | PSH, PUT));
    assert_eq!(flow.client(shorter, NOW), AT_REST);
    flow.beside_another(longer);
    assert_eq!(flow.client(longer, NOW), Client::Deliver);
    flow.read(shorter, true);
    assert_eq!(flow.daemon(daemon_at(1, 101, ACK | PSH, 200), NOW), Daemon::Limited);
    let mut flow = open();
    flow.beside_another(client_at(1, 1, ACK, 0));
    assert_eq!(flow.limited, 0, "an ACK changes nothing");
}

proptest! {
    /// However late a processor stores what it makes of another SYN, once the daemon has a PUT its answer is limited.
    #[test]
    fn a_late_processor_frees_nothing(
        earlier in any::<bool>(),
        same_key in any::<bool>(),
        other_isn in prop_oneof![any::<u32>(), Just(ISN), (0..300u32).prop_map(|near| ISN.wrapping_add(near))],
        when in proptest::collection::vec((0..6usize, any::<u16>()), 1..4),
        acknowledges in any::<bool>(),
    ) {
        let mut flow = if earlier { Flow { phase: CLOSED, ..open() } } else { Flow::EMPTY };
        let other = if same_key { KEY } else { key(9, 9) };
        let mut late = flow;
        late.client_syn(other, segment(other_isn, 0, SYN, 0), NOW);
        let daemon_isn = DAEMON_ISN + 70_000;
        let at = |offset: u32, flags, length| segment(ISN.wrapping_add(offset), daemon_isn + 1, flags, length);
        let syn_ack = segment(daemon_isn, ISN.wrapping_add(1), SYN | ACK, 0);
        let token = segment(daemon_isn + 1, ISN.wrapping_add(1 + PUT), ACK | PSH | FIN, 200);
        for step in 0..6 {
            for (_, fields) in when.iter().filter(|(then, _)| *then == step) {
                store_late(&mut flow, &late, *fields);
            }
            match step {
                0 => flow.client_syn(KEY, segment(ISN, 0, SYN, 0), NOW),
                1 => assert_eq!(flow.daemon(syn_ack, NOW), Daemon::Normal),
                2 if acknowledges => assert_eq!(flow.client(at(1, ACK, 0), NOW), Client::Deliver),
                3 => {
                    if let Client::Judge { .. } = flow.client(at(1, ACK | PSH, PUT), NOW) {
                        flow.mix();
                    }
                }
                4 => assert_eq!(flow.client(at(1, ACK, 0), NOW), Client::Deliver),
                5 => assert_eq!(flow.client(at(1 + PUT, RST, 0), NOW), Client::Deliver),
                _ => {}
            }
            if step >= 3 {
                prop_assert_ne!(flow.daemon(token, NOW), Daemon::Normal, "step {}: {:?}", step, flow);
                prop_assert_eq!(flow.daemon(syn_ack, NOW), Daemon::Normal, "the same once more");
            }
        }
    }
}
