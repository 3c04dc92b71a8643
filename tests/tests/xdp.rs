//! XDP before tc, where it is asked for: it drops early what tc would drop, and is reported, kept and removed as that is.

use std::fs;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::Command;

use imds_tests::bpf::{Hook, Program, XDP_PASSED};
use imds_tests::guest::{Bridge, Guest, ifindex_of};
use imds_tests::host::Host;
use imds_tests::packet::SERVICE;
use imds_tests::process;
use imds_tests::tap::Tap;
use imds_tests::wait;
use imds_tests::witness::Witness;

const ADDRESS: &str = "10.0.0.1";
const SOURCE: [u8; 4] = [10, 0, 0, 1];
const INSTANCE_ID: &str = "/latest/meta-data/instance-id";
const MODES: [&str; 2] = ["tc+xdp-generic", "tc+xdp-driver"];
const PACKETS: u16 = 20;

/// How the daemon says that it is attached to the instance's only interface.
fn attachment(host: &Host, id: &str) -> String {
    let view = host.ask(&["instance", "show", id]);
    view["interfaces"][0]["attachment"].as_str().unwrap_or_default().to_owned()
}

/// What `ip` says of the XDP program on an interface: none, or in which mode it runs.
fn xdp_on(interface: &str) -> Option<&'static str> {
    let output = process::run(Command::new("ip").args(["link", "show", "dev", interface]));
    let words: Vec<_> = output.stdout.split_whitespace().collect();
    ["xdpgeneric", "xdp"].into_iter().find(|word| words.contains(word))
}

/// The same mode in `ip`'s words.
fn in_ip_s_words(attachment: &str) -> Option<&'static str> {
    match attachment {
        "tc+xdp-generic" => Some("xdpgeneric"),
        "tc+xdp-driver" => Some("xdp"),
        _ => None,
    }
}

/// Sends datagrams to the service, which takes none.
fn send_datagrams(guest: &Guest) {
    guest.inside(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        for _ in 0..PACKETS {
            socket.send_to(b"x", "169.254.169.254:443").expect("sent");
        }
    });
}

/// Asserts that datagrams of the guest's are dropped, each counted once, and whether by XDP.
fn assert_dropped(host: &Host, guest: &Guest, id: &str, by_xdp: bool) {
    let witness = Witness::at(guest.interface());
    let before = host.stats(id).kernel("dropped-protocol");
    send_datagrams(guest);
    let all = before + u64::from(PACKETS);
    wait::until("the datagrams", || host.stats(id).kernel("dropped-protocol"), |&count| count >= all);
    assert_eq!(host.stats(id).kernel("dropped-protocol"), all, "each is counted once");
    let seen = witness.count(SERVICE);
    assert_eq!(seen, if by_xdp { 0 } else { usize::from(PACKETS) }, "behind XDP");
}

#[test]
fn what_nobody_serves_is_dropped_before_tc_sees_it() {
    let host = Host::start();
    let bridge = Bridge::new();
    for guest in [Guest::on_veth(ADDRESS), Guest::on_bridge(&bridge, ADDRESS)] {
        let id = host.create(guest.interface(), &["--metadata-options", "HttpTokens=required"]);
        assert_dropped(&host, &guest, &id, false);
        for mode in MODES {
            host.ask(&["interface", "attach", guest.interface(), mode]);
            assert_dropped(&host, &guest, &id, true);
            assert_eq!(guest.get(INSTANCE_ID, None).status, 401, "{mode}");
            assert_eq!(guest.get(INSTANCE_ID, Some(&guest.token())).text(), id, "{mode}");
        }
    }
}

#[test]
fn a_machine_s_frames_are_dropped_before_tc_sees_them() {
    let host = Host::start();
    for mode in MODES {
        let mut tap = Tap::new();
        let id = host.create(tap.interface(), &["--attach", mode, "--allow-address", ADDRESS]);
        assert_eq!(xdp_on(tap.interface()), in_ip_s_words(mode));
        let witness = Witness::at(tap.interface());
        let mut frames = Vec::new();
        let sent = [(SOURCE, SERVICE, 443), (SERVICE, [10, 0, 0, 2], 80), ([10, 0, 0, 3], SERVICE, 80)];
        for (source, destination, port) in sent {
            let mut frame = Vec::new();
            let syn = tap.frame().ipv4(source, destination, 64).tcp(10_000, port, 1, 1).syn();
            syn.write(&mut frame, &[]).expect("written");
            frames.push(frame);
        }
        frames.iter().for_each(|frame| tap.send(frame));
        let stats = wait::until("all", || host.stats(&id), |stats| stats.kernel_sum("dropped-") >= 3);
        assert_eq!(stats.kernel("dropped-port"), 1, "{mode}");
        assert_eq!(stats.kernel("dropped-impersonation"), 1, "{mode}");
        assert_eq!(stats.kernel("dropped-forged"), 1, "{mode}");
        assert_eq!(witness.count(SERVICE) + witness.count([10, 0, 0, 2]), 0, "{mode}");
    }
}

#[test]
fn a_packet_that_passes_xdp_is_charged_once() {
    const BUDGET: u16 = 40;
    let host = Host::with_whole_config(&format!("packet-budget = {BUDGET}\n"));
    for mode in MODES {
        let mut tap = Tap::new();
        let id = host.create(tap.interface(), &["--attach", mode]);
        for port in 0..BUDGET {
            let mut frame = Vec::new();
            let syn = tap.frame().ipv4(SOURCE, SERVICE, 64).tcp(10_000 + port, 80, 1, 1).syn();
            syn.write(&mut frame, &[]).expect("written");
            tap.send(&frame);
        }
        let all = u64::from(BUDGET);
        let seen =
            |stats: &imds_tests::stats::InstanceStats| stats.kernel("delivered") + stats.kernel_sum("dropped-") >= all;
        let stats = wait::until("every packet", || host.stats(&id), seen);
        assert_eq!(stats.kernel("dropped-budget"), 0, "{mode}");
        assert_eq!(stats.kernel("delivered"), all, "{mode}");
    }
}

#[test]
fn what_a_refusal_in_silence_leaves_is_dropped_early_too() {
    let host = Host::with_config("on-refuse = \"drop\"\n");
    for mode in ["tc", MODES[0], MODES[1]] {
        let guest = Guest::on_veth(ADDRESS);
        let id = host.create(guest.interface(), &["--attach", mode, "--metadata-options", "HttpTokens=required"]);
        let token = guest.token();
        assert_eq!(guest.get(INSTANCE_ID, Some(&token)).text(), id, "{mode}");
        let get = ["--max-time", "2", "http://169.254.169.254/latest/meta-data/instance-id"];
        assert!(!guest.run("curl", &[&["--silent", "--noproxy", "*"], &get[..]].concat()).success(), "{mode}");
        let stats = host.stats(&id);
        assert_eq!(stats.kernel("refused-token-missing"), 1, "{mode}: once, however often it is repeated");
        assert!(stats.kernel("dropped-silently") >= 2, "{mode}: repetitions");
        host.set(&id, &["--http-endpoint", "disabled"]);
        let witness = Witness::at(guest.interface());
        let before = host.stats(&id).kernel("answered");
        assert!(!guest.run("curl", &[&["--silent", "--noproxy", "*"], &get[..]].concat()).success(), "{mode}");
        let stats = host.stats(&id);
        assert!(stats.kernel("refused-endpoint-disabled") > 0, "{mode}");
        assert_eq!(stats.kernel("answered"), before, "{mode}: no connection begins");
        assert_eq!(witness.count(SERVICE) == 0, mode != "tc", "{mode}");
    }
}

#[test]
fn how_an_interface_is_attached_changes_while_it_runs_and_stays() {
    let mut host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let id = host.create(guest.interface(), &[]);
    assert_eq!(attachment(&host, &id), "tc", "by itself comes only what is free");
    assert_eq!(xdp_on(guest.interface()), None);
    for how in [MODES[0], MODES[1], MODES[0], "tc", MODES[1]] {
        host.ask(&["interface", "attach", guest.interface(), how]);
        assert_eq!((attachment(&host, &id).as_str(), xdp_on(guest.interface())), (how, in_ip_s_words(how)));
    }
    host.kill();
    assert_eq!(xdp_on(guest.interface()), Some("xdp"), "it stays there without a daemon");
    host.launch();
    assert_eq!(attachment(&host, &id), MODES[1]);
    assert_dropped(&host, &guest, &id, true);
    assert_eq!(guest.get(INSTANCE_ID, None).text(), id);
    let listed = host.ctl(&["instance", "list"]);
    assert!(listed.stdout.contains(MODES[1]), "{}", listed.stdout);
    host.ask(&["interface", "attach", guest.interface()]);
    assert_eq!((attachment(&host, &id).as_str(), xdp_on(guest.interface())), ("tc", None));
    let nobody_s = host.ctl(&["interface", "attach", "no-such-link", "tc"]);
    assert_ne!(nobody_s.code, Some(0));
    assert!(nobody_s.stderr.contains("belongs to no instance"), "{}", nobody_s.stderr);
}

#[test]
fn another_s_program_is_named_and_let_be() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let theirs = Program::returning(Hook::Xdp, XDP_PASSED).attach_xdp(ifindex_of(guest.interface())).expect("attached");
    for mode in MODES {
        let refused = host.ctl(&["instance", "create", "--interface", guest.interface(), "--attach", mode]);
        assert_ne!(refused.code, Some(0), "{mode}");
        assert!(refused.stderr.contains("has an XDP program already"), "{mode}: {}", refused.stderr);
        assert!(host.ask(&["instance", "list"]).as_array().is_some_and(Vec::is_empty), "{mode}");
        assert!(!host.leftovers().iter().any(|line| line.contains(guest.interface())), "{:?}", host.leftovers());
        assert_eq!(xdp_on(guest.interface()), Some("xdpgeneric"), "theirs");
    }
    let id = host.create(guest.interface(), &["--attach", "tc"]);
    let refused = host.ctl(&["interface", "attach", guest.interface(), MODES[0]]);
    assert!(refused.stderr.contains("has an XDP program already"), "{}", refused.stderr);
    assert_eq!(attachment(&host, &id), "tc");
    assert_eq!(guest.get(INSTANCE_ID, None).text(), id);
    drop(theirs);
    wait::until("theirs to go", || xdp_on(guest.interface()), Option::is_none);
    host.ask(&["interface", "attach", guest.interface(), MODES[0]]);
    assert_dropped(&host, &guest, &id, true);
}

/// Where the link of an interface's XDP program is pinned.
fn pin_of(host: &Host, interface: &str) -> PathBuf {
    let name = format!("{}_xdp", ifindex_of(interface));
    let layouts = fs::read_dir(host.pins().expect("pins")).expect("a directory").flatten();
    let pins = layouts.map(|layout| layout.path().join("links").join(&name));
    pins.into_iter().find(|pin| pin.exists()).expect("it is pinned")
}

#[test]
fn one_that_was_taken_off_is_attached_again() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let id = host.create(guest.interface(), &["--attach", MODES[0]]);
    fs::remove_file(pin_of(&host, guest.interface())).expect("removed");
    let told = |log: &String| log.contains("XDP program is not attached any more");
    wait::until("the log to tell", || host.log(), told);
    wait::until("it to be there", || xdp_on(guest.interface()), Option::is_some);
    assert!(pin_of(&host, guest.interface()).exists());
    assert_dropped(&host, &guest, &id, true);
}

#[test]
fn it_stays_on_a_closed_interface_and_goes_with_its_release() {
    let mut host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let id = host.create(guest.interface(), &["--attach", MODES[1]]);
    host.delete(&id);
    host.kill();
    host.launch();
    assert_eq!(xdp_on(guest.interface()), Some("xdp"));
    let before = host.host_counter("dropped-unowned");
    let witness = Witness::at(guest.interface());
    send_datagrams(&guest);
    let all = before + u64::from(PACKETS);
    wait::until("the datagrams", || host.host_counter("dropped-unowned"), |&count| count >= all);
    assert_eq!(witness.count(SERVICE), 0);
    host.ask(&["interface", "release", guest.interface()]);
    assert_eq!(xdp_on(guest.interface()), None);
    host.create(guest.interface(), &["--attach", MODES[0]]);
    assert_eq!(xdp_on(guest.interface()), Some("xdpgeneric"));
    host.kill();
    assert!(host.leftovers().contains(&format!("program on {}", guest.interface())), "{:?}", host.leftovers());
    assert!(host.detach().success());
    assert_eq!(xdp_on(guest.interface()), None);
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn frames_of_any_size_take_it() {
    let host = Host::start();
    for mode in MODES {
        let guest = Guest::on_veth(ADDRESS);
        process::ip(["link", "set", guest.interface(), "mtu", "9000"]);
        guest.ip(["link", "set", "eth0", "mtu", "9000"]);
        let id = host.create(guest.interface(), &["--attach", mode]);
        assert_eq!(attachment(&host, &id), mode);
        assert_eq!(guest.get(INSTANCE_ID, None).text(), id);
    }
}

#[test]
fn an_interface_that_comes_back_with_another_s_program_is_enforced_on_by_tc() {
    let mut host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let name = guest.interface().to_owned();
    let required = ["--attach", MODES[1], "--metadata-options", "HttpTokens=required"];
    let id = host.create(&name, &required);
    assert_eq!(attachment(&host, &id), MODES[1]);
    host.kill();
    drop(guest);
    let guest = Guest::on_veth_named(&name, ADDRESS);
    let theirs = Program::returning(Hook::Xdp, XDP_PASSED).attach_xdp(ifindex_of(&name)).expect("attached");
    host.launch();
    assert_eq!(attachment(&host, &id), "tc");
    assert_eq!(guest.get(INSTANCE_ID, None).status, 401);
    assert_eq!(guest.get(INSTANCE_ID, Some(&guest.token())).text(), id);
    assert_eq!(host.stats(&id).kernel("refused-token-missing"), 1);
    drop(theirs);
}
