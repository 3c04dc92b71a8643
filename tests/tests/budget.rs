//! Budgets: what an instance sends over them is dropped or refused, and counted, and nobody else notices.

use std::time::Duration;

use imds_tests::family::Family;
use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::http::{Answer, Connection, TOKEN, request};
use imds_tests::in_each_attachment;
use imds_tests::over_both_families;
use imds_tests::packet::virtio;
use imds_tests::stats::InstanceStats;
use imds_tests::tap::Tap;
use imds_tests::wait;

in_each_attachment!(
    families: a_flood_gets_its_budget_and_its_neighbour_everything,
    a_connection_that_is_reset_in_vain_keeps_its_place,
    the_default_is_ec2_s,
    an_instance_has_a_budget_of_its_own_that_changes_while_it_runs,
    a_virtual_machine_s_large_frame_costs_as_many_packets_as_it_is_cut_into
);

// Requests are counted by the daemon.
over_both_families!(
    requests_over_budget_are_told_to_come_again,
    interfaces_of_an_instance_share_its_budget_of_requests
);

const INSTANCE_ID: &str = "/latest/meta-data/instance-id";
const ADDRESS: &str = "10.0.0.1";
const SOURCE: [u8; 4] = [10, 0, 0, 1];
/// What EC2 allows, and a daemon that isn't told otherwise.
const DEFAULT: u64 = 1_024;
const BUDGET: u64 = 50;
const FLOOD: u16 = 2_000;
/// So long an answer is waited for that may not come.
const SILENCE: Duration = Duration::from_millis(5);

/// Sends a flood of packets that are dropped either way: how many were over budget, and how many weren't.
fn flood(host: &Host, id: &str, tap: &mut Tap) -> (u64, u64) {
    let dropped = |stats: &InstanceStats| stats.kernel_sum("dropped-");
    let counts = |stats: &InstanceStats| (stats.kernel("dropped-budget"), stats.kernel("dropped-port"));
    let before = host.stats(id);
    for port in 0..FLOOD {
        let mut frame = Vec::new();
        let syn = tap.packet(SOURCE, 64).tcp(10_000 + port, 443, 1, 1).syn();
        syn.write(&mut frame, &[]).expect("written");
        tap.send(&frame);
    }
    let all = dropped(&before) + u64::from(FLOOD);
    let after = wait::until("the flood", || host.stats(id), |stats| dropped(stats) >= all);
    let ((over, within), (over_before, within_before)) = (counts(&after), counts(&before));
    assert_eq!(dropped(&after), all, "each is counted once");
    (over - over_before, within - within_before)
}

fn a_flood_gets_its_budget_and_its_neighbour_everything(family: Family) {
    let host = Host::with_whole_config(&format!("packet-budget = {BUDGET}\n")).over(family);
    let mut tap = Tap::new().over(family);
    let guest = Guest::on_veth(ADDRESS).over(family);
    let flooding = host.create(tap.interface(), &[]);
    let id = host.create(guest.interface(), &[]);
    let (over, within) = flood(&host, &flooding, &mut tap);
    assert!(within >= BUDGET, "what a second allows may come at once: {within}");
    assert!(over >= u64::from(FLOOD) / 2, "{over}");
    assert_eq!(guest.get(INSTANCE_ID, None).text(), id);
    assert_eq!(host.stats(&id).kernel("dropped-budget"), 0);
}

/// What the service's TCP answers with a RST of its own, and holds its half on; or what it doesn't take, by its checksum.
fn a_connection_that_is_reset_in_vain_keeps_its_place(family: Family) {
    /// Connections that an interface may have, and more than those.
    const ROOM: usize = 128;
    const CONNECTIONS: u16 = 300;
    /// `TCP_SYN_RECV` (include/net/tcp_states.h).
    const HALF_OPEN: &str = "03";
    /// Where a TCP header's checksum stands.
    const CHECKSUM: usize = 16;
    const ISN: u32 = 1_000;
    let headers = match family {
        Family::Ipv4 => 34,
        Family::Ipv6 => 54,
    };
    let mut over = Vec::new();
    for (first, ends) in [(10_000, "nothing"), (20_000, "its handshake"), (30_000, "another")] {
        let (host, mut tap) = (Host::start().over(family), Tap::new().over(family));
        let _ = host.create(tap.interface(), &[]);
        for port in (first..).take(CONNECTIONS.into()) {
            let packet = |tap: &Tap| tap.packet(SOURCE, 64);
            let (mut frame, seq) = (Vec::new(), ISN + 1);
            packet(&tap).tcp(port, 80, ISN, 64_000).syn().write(&mut frame, &[]).expect("written");
            tap.send(&frame);
            frame.clear();
            let answer = tap.receive_segment(port, SILENCE);
            match ends {
                "nothing" => {}
                "its handshake" => {
                    let Some(answer) = answer else { continue };
                    let ack = answer.seq.wrapping_add(1);
                    packet(&tap).tcp(port, 80, seq, 64_000).ack(ack).write(&mut frame, &[]).expect("written");
                    tap.send(&frame);
                    frame.clear();
                }
                _ => {
                    packet(&tap).tcp(port, 80, seq, 64_000).ack(77).write(&mut frame, &[]).expect("written");
                    tap.send(&frame);
                    let _ = tap.receive_segment(port, SILENCE);
                    continue;
                }
            }
            packet(&tap).tcp(port, 80, seq, 64_000).rst().write(&mut frame, &[]).expect("written");
            frame[headers + CHECKSUM] ^= 1;
            tap.send(&frame);
        }
        let half_open = host.service_namespace().live_sockets().get(HALF_OPEN).copied().unwrap_or_default();
        if half_open > ROOM {
            over.push((ends, half_open));
        }
    }
    assert_eq!(over, [], "half-open connections, after that acknowledgement");
}

fn the_default_is_ec2_s(family: Family) {
    let host = Host::with_whole_config("").over(family);
    let mut tap = Tap::new().over(family);
    let id = host.create(tap.interface(), &[]);
    let limits = host.ask(&["limits", "show", &id]);
    assert_eq!((&limits["packet_budget"], &limits["request_budget"]), (&DEFAULT.into(), &DEFAULT.into()));
    let (_, within) = flood(&host, &id, &mut tap);
    assert!(within >= DEFAULT, "what a second allows may come at once: {within}");
    // However slow this host is, some time it sends faster.
    wait::until("a packet over budget", || flood(&host, &id, &mut tap).0, |&over| over > 0);
}

fn an_instance_has_a_budget_of_its_own_that_changes_while_it_runs(family: Family) {
    let host = Host::start().over(family);
    let mut tap = Tap::new().over(family);
    let id = host.create(tap.interface(), &["--packet-budget", &BUDGET.to_string()]);
    let (over, _) = flood(&host, &id, &mut tap);
    assert!(over >= u64::from(FLOOD) / 2, "{over}");
    host.ask(&["limits", "set", &id, "--packet-budget", "default"]);
    assert_eq!(flood(&host, &id, &mut tap), (0, u64::from(FLOOD)), "the config's, which is none");
    host.ask(&["limits", "set", &id, "--packet-budget", "1"]);
    let (over, within) = flood(&host, &id, &mut tap);
    assert!(over > within, "{over} {within}");
}

/// A frame of a virtual machine's to the service, which the kernel is to cut into segments of so many bytes.
fn large(tap: &Tap, family: Family, payload: usize, size: u16) -> Vec<u8> {
    let mut frame = virtio(family, size).to_vec();
    let segment = tap.packet(SOURCE, 64).tcp(10_000, 80, 1, 1).ack(1);
    segment.write(&mut frame, &vec![b'a'; payload]).expect("written");
    frame
}

fn a_virtual_machine_s_large_frame_costs_as_many_packets_as_it_is_cut_into(family: Family) {
    let host = Host::start().over(family);
    let mut tap = Tap::of_virtio().over(family);
    let id = host.create(tap.interface(), &["--packet-budget", "9"]);
    let counts = |stats: &InstanceStats| (stats.kernel("dropped-budget"), stats.kernel("delivered"));
    // Ten may come at once, which the one in eleven never is.
    let within = large(&tap, family, 300, 100);
    tap.send(&within);
    wait::until("the smaller one", || counts(&host.stats(&id)), |&counts| counts == (0, 1));
    let over = large(&tap, family, 1_000, 100);
    (0..3).for_each(|_| tap.send(&over));
    wait::until("the larger ones", || counts(&host.stats(&id)), |&counts| counts == (3, 1));
}

/// The answers to requests on connections of their own, one after the other.
fn answers<'g>(guest: &'g Guest, bytes: &'g [u8]) -> impl Iterator<Item = Answer> + 'g {
    std::iter::repeat_with(move || guest.exchange(bytes))
}

fn requests_over_budget_are_told_to_come_again(family: Family) {
    let host = Host::start().over(family);
    let (guest, other) = (Guest::on_veth(ADDRESS).over(family), Guest::on_veth(ADDRESS).over(family));
    let required = ["--metadata-options", "HttpTokens=required", "--request-budget", "2"];
    let id = host.create(guest.interface(), &required);
    let other_id = host.create(other.interface(), &[]);
    let token = guest.token();
    let read = request("GET", INSTANCE_ID, &[(TOKEN, &token)]);
    // Some are answered, until the budget is used up.
    let refused = answers(&guest, &read).take(100).find(|answer| answer.status != 200).expect("one over budget");
    assert_eq!((refused.status, refused.header("Retry-After")), (503, Some("1")));
    assert_eq!((refused.header("Connection"), refused.body.len()), (Some("close"), 0));
    // A refusal of the kernel's is none of the daemon's requests; nor does it get anybody past it.
    assert_eq!(guest.get(INSTANCE_ID, None).status, 401);
    assert_eq!(other.get(INSTANCE_ID, None).text(), other_id, "another instance isn't concerned");
    // Pipelined ones don't get around it: the connection ends with the first that is over.
    let pipelined = wait::until(
        "a refusal behind another request",
        || {
            let mut connection = Connection::open(&guest).expect("connects");
            connection.send(&read.repeat(10)).expect("sent");
            let statuses = std::iter::from_fn(|| connection.receive(false).ok().map(|answer| answer.status));
            statuses.collect::<Vec<_>>()
        },
        |statuses| statuses.len() > 1,
    );
    let (last, before) = pipelined.split_last().expect("answers");
    assert!(*last == 503 && before.len() < 10 && before.iter().all(|&status| status == 200), "{pipelined:?}");
    let stats = host.stats(&id);
    assert!(stats.daemon("refused-too-many-requests") >= 2);
    assert_eq!(host.stats(&other_id).daemon("refused-too-many-requests"), 0);
    // It comes back by itself, and at once if the budget does.
    wait::until("room", || guest.exchange(&read).status, |&status| status == 200);
    host.ask(&["limits", "set", &id, "--request-budget", "0"]);
    assert!(answers(&guest, &read).take(20).all(|answer| answer.status == 200));
}

fn interfaces_of_an_instance_share_its_budget_of_requests(family: Family) {
    let host = Host::start().over(family);
    let guests = [Guest::on_veth(ADDRESS).over(family), Guest::on_veth(ADDRESS).over(family)];
    let read = request("GET", INSTANCE_ID, &[]);
    // The very first request of the other is refused: if not in time, then of the next instance there.
    wait::until(
        "a refusal of the other's first request",
        || {
            let more = ["--interface", guests[1].interface(), "--request-budget", "1"];
            let id = host.create(guests[0].interface(), &more);
            assert!(answers(&guests[0], &read).take(100).any(|answer| answer.status == 503));
            let status = guests[1].exchange(&read).status;
            host.delete(&id);
            status
        },
        |&status| status == 503,
    );
}
