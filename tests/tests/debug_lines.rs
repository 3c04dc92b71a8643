//! The debug object's own lines, in the daemon's log.

use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::wait;

const INSTANCE_ID: &str = "/latest/meta-data/instance-id";

/// Whether the log has a line of the programs' about a slot's packet.
fn has_lines(log: &str) -> bool {
    log.lines().any(|line| line.contains("DEBUG") && line.contains("slot 1 counter ") && line.contains(" verdict "))
}

#[test]
fn are_in_the_log_where_it_holds_as_much() {
    for (level, expected) in [("debug", true), ("info", false)] {
        let mut host = Host::prepare_debug(&format!("[log]\nlevel = \"{level}\"\n"));
        host.launch();
        let guest = Guest::on_veth("10.0.0.1");
        let id = host.create(guest.interface(), &[]);
        assert_eq!(guest.get(INSTANCE_ID, None).text(), id);
        if expected {
            wait::until("a line of the programs'", || host.log(), |log| has_lines(log));
        }
        assert_eq!(has_lines(&host.log()), expected, "{}", host.log());
    }
}
