//! The addresses of one client: IPv4, and of IPv6 the link's own, a ULA and a global one. Each is a place of its own,
//! whose connections are never mixed up with those of another, though their ports are the same.

use std::net::IpAddr;

use etherparse::{IpHeaders, PacketBuilderStep};
use imds_tests::host::Host;
use imds_tests::http::{Answer, TOKEN, TTL, request};
use imds_tests::in_each_attachment;
use imds_tests::packet::{SERVICE, SERVICE_V6, Segment};
use imds_tests::tap::{PATIENCE, Tap};
use imds_tests::tap_connection::TapConnection;

in_each_attachment!(every_address_of_a_client_is_a_place_of_its_own);

const PORT: u16 = 41_000;
const WINDOW: u16 = 64_000;
/// Each address, and what is read from it.
const CLIENTS: [(&str, &str, &str); 4] = [
    ("10.0.0.1", "instance-id", "i-0123456789abcdef0"),
    ("fe80::1", "ami-id", "ami-0abcdef1234567890"),
    ("fd00:1::1", "instance-type", "c7g.large"),
    ("2001:db8::1", "placement/availability-zone", "eu-west-1b"),
];
const ARGUMENTS: [&str; 6] = [
    "--instance-id=i-0123456789abcdef0",
    "--image-id=ami-0abcdef1234567890",
    "--instance-type=c7g.large",
    "--availability-zone=eu-west-1b",
    "--metadata-options",
    "HttpProtocolIpv6=enabled",
];

/// One connection.
struct Client {
    source: IpAddr,
    path: String,
    value: &'static str,
    seq: u32,
    ack: u32,
    received: Vec<u8>,
}

impl Client {
    fn new((source, name, value): (&str, &str, &'static str)) -> Self {
        let path = format!("/latest/meta-data/{name}");
        // The same numbers for all: nothing but the address tells one from another.
        Self { source: source.parse().expect("an address"), path, value, seq: 1_000, ack: 0, received: Vec::new() }
    }

    fn packet(&self, tap: &Tap) -> PacketBuilderStep<IpHeaders> {
        match self.source {
            IpAddr::V4(source) => tap.frame().ipv4(source.octets(), SERVICE, 64),
            IpAddr::V6(source) => tap.frame().ipv6(source.octets(), SERVICE_V6, 64),
        }
    }

    fn syn(&mut self, tap: &mut Tap) {
        let mut frame = Vec::new();
        let syn = self.packet(tap).tcp(PORT, 80, self.seq, WINDOW).syn();
        syn.write(&mut frame, &[]).expect("a Vec takes every frame");
        tap.send(&frame);
        self.seq += 1;
    }

    fn send(&mut self, tap: &mut Tap, payload: &[u8]) {
        let mut frame = Vec::new();
        let segment = self.packet(tap).tcp(PORT, 80, self.seq, WINDOW).ack(self.ack);
        segment.write(&mut frame, payload).expect("a Vec takes every frame");
        tap.send(&frame);
        self.seq += u32::try_from(payload.len()).expect("short");
    }

    /// Takes a segment of its own.
    fn take(&mut self, segment: &Segment) {
        assert!(!segment.rst && segment.checksums, "{}: {segment:?}", self.source);
        if segment.syn {
            assert_eq!(segment.ack, self.seq, "{}", self.source);
            self.ack = segment.seq.wrapping_add(1);
        } else if segment.seq == self.ack && segment.carries() {
            self.ack = self.ack.wrapping_add(u32::try_from(segment.payload.len()).expect("short"));
            self.received.extend_from_slice(&segment.payload);
        }
    }
}

/// Takes what comes, each client its own, until `done` holds of all.
#[track_caller]
fn receive(tap: &mut Tap, clients: &mut [Client], done: impl Fn(&Client) -> bool) {
    while !clients.iter().all(&done) {
        let segment = tap.receive_segment(PORT, PATIENCE).expect("more has to come");
        let owner = clients.iter_mut().find(|client| client.source == segment.destination);
        owner.unwrap_or_else(|| panic!("for nobody: {segment:?}")).take(&segment);
    }
}

/// Sends each client's request, in parts by turns, and takes all answers; their statuses.
#[track_caller]
fn ask(tap: &mut Tap, clients: &mut [Client], parts: usize, token: impl Fn(&Client) -> Option<String>) -> Vec<u16> {
    let request_of = |client: &Client| {
        let token = token(client);
        let headers: Vec<_> = token.as_deref().map(|token| (TOKEN, token)).into_iter().collect();
        request("GET", &client.path, &headers)
    };
    let requests: Vec<_> = clients.iter().map(request_of).collect();
    for part in 0..parts {
        for (client, bytes) in clients.iter_mut().zip(&requests) {
            client.send(tap, &bytes[bytes.len() * part / parts..bytes.len() * (part + 1) / parts]);
        }
    }
    receive(tap, clients, |client| Answer::split_off(&mut client.received.clone(), false).is_some());
    let answers = clients.iter_mut().map(|client| {
        let answer = Answer::split_off(&mut client.received, false).expect("it is whole");
        assert!(client.received.is_empty(), "{}: {:?}", client.source, client.received);
        let expected = if answer.status == 200 { client.value } else { "" };
        assert_eq!(answer.text(), expected, "{}", client.source);
        answer.status
    });
    answers.collect()
}

fn every_address_of_a_client_is_a_place_of_its_own() {
    let (host, mut tap) = (Host::start(), Tap::new());
    let id = host.create(tap.interface(), &ARGUMENTS);
    let mut connection = TapConnection::open(&mut tap, [10, 0, 0, 2], PORT + 1);
    connection.send(&request("PUT", "/latest/api/token", &[(TTL, "60")]));
    let mut answer = connection.receive_to_end();
    let token = Answer::split_off(&mut answer, false).expect("an answer").text();

    let mut clients = CLIENTS.map(Client::new);
    clients.iter_mut().for_each(|client| client.syn(&mut tap));
    receive(&mut tap, &mut clients, |client| client.ack != 0);
    clients.iter_mut().for_each(|client| client.send(&mut tap, &[]));
    assert_eq!(ask(&mut tap, &mut clients, 1, |_| None), [200; 4]);
    let before = host.stats(&id);
    host.set(&id, &["--http-tokens", "required"]);
    // The kernel programs refuse two, and deliver the others beside them.
    let with_token = |client: &Client| ["fe80::1", "2001:db8::1"].map(str::parse).contains(&Ok(client.source));
    let token_of = |client: &Client| with_token(client).then(|| token.clone());
    assert_eq!(ask(&mut tap, &mut clients, 1, token_of), [401, 200, 401, 200]);
    let after = host.stats(&id);
    assert_eq!(after.kernel("refused-token-missing"), before.kernel("refused-token-missing") + 2);
    assert_eq!(after.requests(), before.requests() + 2);
    let [_, link, _, global] = clients;
    let mut left = [link, global];
    assert_eq!(ask(&mut tap, &mut left, 3, token_of), [200, 200], "in parts by turns");
}
