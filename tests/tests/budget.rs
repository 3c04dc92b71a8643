//! The packet budget: what an interface sends over it is dropped and counted, and nobody else notices.

use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::in_each_attachment;
use imds_tests::packet::SERVICE;
use imds_tests::tap::Tap;
use imds_tests::wait;

in_each_attachment!(a_flood_gets_its_budget_and_its_neighbour_everything, there_is_no_budget_by_default);

const SOURCE: [u8; 4] = [10, 0, 0, 1];
const BUDGET: u64 = 50;
const FLOOD: u16 = 2_000;

fn a_flood_gets_its_budget_and_its_neighbour_everything() {
    let host = Host::with_config(&format!("packet-budget = {BUDGET}\n"));
    let mut tap = Tap::new();
    let guest = Guest::on_veth("10.0.0.1");
    let flooding = host.create(tap.interface(), &[]);
    let id = host.create(guest.interface(), &[]);
    for port in 0..FLOOD {
        let mut frame = Vec::new();
        let syn = tap.frame().ipv4(SOURCE, SERVICE, 64).tcp(10_000 + port, 443, 1, 1).syn();
        syn.write(&mut frame, &[]).expect("written");
        tap.send(&frame);
    }
    let dropped = |stats: &imds_tests::stats::InstanceStats| stats.kernel_sum("dropped-");
    let stats = wait::until("the flood", || host.stats(&flooding), |stats| dropped(stats) >= u64::from(FLOOD));
    let (over, within) = (stats.kernel("dropped-budget"), stats.kernel("dropped-port"));
    assert_eq!(over + within, u64::from(FLOOD), "each is counted once");
    assert!(within >= BUDGET, "what a second allows may come at once: {within}");
    assert!(over >= u64::from(FLOOD) / 2, "{over}");
    assert_eq!(guest.get("/latest/meta-data/instance-id", None).text(), id);
    assert_eq!(host.stats(&id).kernel("dropped-budget"), 0);
}

fn there_is_no_budget_by_default() {
    let host = Host::start();
    let mut tap = Tap::new();
    let id = host.create(tap.interface(), &[]);
    for port in 0..FLOOD {
        let mut frame = Vec::new();
        let syn = tap.frame().ipv4(SOURCE, SERVICE, 64).tcp(10_000 + port, 443, 1, 1).syn();
        syn.write(&mut frame, &[]).expect("written");
        tap.send(&frame);
    }
    let stats = wait::until("the flood", || host.stats(&id), |stats| stats.kernel("dropped-port") >= u64::from(FLOOD));
    assert_eq!(stats.kernel("dropped-budget"), 0);
}
