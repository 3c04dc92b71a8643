//! Interfaces of instances with different options, where cases are played.

use super::daemon::Daemon;
use super::pattern::Values;
use crate::bpf::Program;
use crate::guest::ifindex_of;
use crate::http;
use crate::packet::SERVICE;
use crate::tap::Tap;
use crate::tap_connection::TapConnection;

/// How an instance is made that cases are played on.
pub(super) struct Options {
    /// What cases call it by.
    pub(super) name: &'static str,
    /// Those of the launch.
    metadata: &'static str,
    /// What `imdsctl` does with it once it has a token: its words, with the instance's id after the second.
    then: &'static [&'static str],
    /// Whether it is one of the daemon that refuses in silence.
    pub(super) silent: bool,
}

const REQUIRED: &str = "HttpTokens=required,HttpProtocolIpv6=enabled,HttpPutResponseHopLimit=2";
const OPTIONAL: &str = "HttpTokens=optional,HttpProtocolIpv6=enabled,HttpPutResponseHopLimit=3";
const DEFAULT: &str = "HttpTokens=optional,HttpProtocolIpv6=enabled";
const DISABLED: &[&str] = &["options", "set", "--http-endpoint", "disabled"];

/// All of them.
pub(super) const INSTANCES: [Options; 8] = [
    Options { name: "optional", metadata: OPTIONAL, then: &[], silent: false },
    Options { name: "required", metadata: REQUIRED, then: &[], silent: false },
    Options { name: "disabled", metadata: DEFAULT, then: DISABLED, silent: false },
    Options { name: "ipv4-only", metadata: "HttpTokens=required,HttpProtocolIpv6=disabled", then: &[], silent: false },
    Options {
        name: "listed",
        metadata: REQUIRED,
        then: &[
            "limits",
            "set",
            "--allow-address",
            "10.0.0.1",
            "--allow-address",
            "fd00::1",
            "--allow-mac",
            "02:00:00:00:00:10",
        ],
        silent: false,
    },
    Options { name: "budgeted", metadata: REQUIRED, then: &["limits", "set", "--packet-budget", "100"], silent: false },
    Options { name: "silent", metadata: REQUIRED, then: &[], silent: true },
    Options { name: "silent-disabled", metadata: DEFAULT, then: DISABLED, silent: true },
];
/// An interface that no instance owns.
const NOBODY: &str = "nobody";

/// Where real clients of the stage's are, to get tokens.
const CLIENT: [u8; 4] = [10, 9, 8, 7];
const PORT: u16 = 50_000;

/// An instance's interface, and what the names stand for there.
#[derive(Debug)]
pub struct Place {
    pub(super) name: &'static str,
    /// None of the one that nobody owns.
    pub(super) id: Option<String>,
    /// Whether it is one of the daemon that refuses in silence.
    pub(super) silent: bool,
    pub(super) ifindex: u32,
    pub(super) values: Values,
    _tap: Tap,
}

impl Place {
    /// The slot's number.
    #[must_use]
    pub fn slot(&self) -> u32 {
        u16::from_be_bytes(self.values.slot).into()
    }

    /// What the names of a case stand for here.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.values
    }

    pub(super) fn of_instance(daemon: &Daemon, options: &Options) -> Self {
        let Options { name, metadata, then, silent } = *options;
        let mut tap = Tap::new();
        let id = daemon.host.create(tap.interface(), &["--metadata-options", metadata]);
        let ifindex = ifindex_of(tap.interface());
        let token = token(&mut tap);
        let [.., s0, s1, g0, g1] = identity(&tap, &daemon.ingress, ifindex);
        if let Some((words, rest)) = then.split_at_checked(2) {
            daemon.host.ask(&[words, &[&id], rest].concat());
        }
        let values = Values { slot: [s0, s1], generation: [g0, g1], token, foreign: Vec::new() };
        Self { name, id: Some(id), silent, ifindex, values, _tap: tap }
    }

    pub(super) fn of_nobody() -> Self {
        let tap = Tap::new();
        let values = Values { slot: [0; 2], generation: [0; 2], token: Vec::new(), foreign: Vec::new() };
        Self { name: NOBODY, id: None, silent: false, ifindex: ifindex_of(tap.interface()), values, _tap: tap }
    }
}

/// A token, got as any client gets one.
fn token(tap: &mut Tap) -> Vec<u8> {
    let mut connection = TapConnection::open(tap, CLIENT, PORT);
    connection.send(&http::request("PUT", "/latest/api/token", &[(http::TTL, "21600")]));
    let mut answer = connection.receive_to_end();
    let answer = http::Answer::split_off(&mut answer, false).expect("a whole answer");
    assert_eq!(answer.status, 200, "{}", answer.head);
    answer.body
}

/// The beginning of what a delivered packet's source is: prefix, slot and generation.
fn identity(tap: &Tap, ingress: &Program, ifindex: u32) -> [u8; 10] {
    let mut syn = Vec::new();
    let builder = tap.frame().ipv4(CLIENT, SERVICE, 64).tcp(PORT + 1, 80, 1, 64_000).syn();
    builder.write(&mut syn, &[]).expect("a Vec takes every frame");
    let delivered = ingress.run(&syn, ifindex).frame;
    *delivered.get(22..).and_then(|source| source.first_chunk()).expect("a source address")
}
