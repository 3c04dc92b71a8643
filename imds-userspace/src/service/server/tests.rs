use std::net::Ipv6Addr;

use imds_common::counters::Counter;
use imds_common::options::{MetadataOptions, OptionsWord};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream as Socket;

use super::*;
use crate::dataplane::counters::{SlotCounter, Untold};
use crate::metadata::sample;
use crate::registry::allowance::{Allowance, CONNECTIONS};
use crate::registry::directory::Served;
use crate::service::sample::{GENERATION, KEY_RING, token_for};

const SLOT: u16 = 2;
const ADDRESS_GENERATION: u16 = 0x0102;

/// A directory with one instance in it.
fn directory() -> (Arc<Directory>, Arc<Served>) {
    let served = Arc::new(Served::new(
        "i-0123456789abcdef0".into(),
        (ADDRESS_GENERATION, GENERATION),
        (SlotCounter::anonymous(), Untold::anonymous()),
        OptionsWord::new(&MetadataOptions::default(), false),
        Arc::new(sample::tree(&sample::instance(), false, false)),
        Arc::new(Allowance::new(0)),
    ));
    let directory = Directory::new(4, KEY_RING);
    assert!(directory.set(SLOT, Some(served.clone())).is_none());
    (Arc::new(directory), served)
}

/// The address of a client behind a slot.
fn peer(slot: u16, generation: u16) -> SocketAddr {
    (Identity { slot, generation, place: 3, client: [10, 0, 0, 1] }.to_address(), 40_000).into()
}

async fn pair() -> (Socket, TcpStream) {
    let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).expect("loopback");
    let client = Socket::connect(listener.local_addr().expect("bound")).await.expect("listening");
    (client, socket::accept(&listener).expect("a client").0)
}

async fn expect_reset(client: &mut Socket) {
    let error = client.read(&mut [0; 1]).await.expect_err("reset");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn the_address_says_who_it_is_and_only_now() {
    let (directory, served) = directory();
    let found = client_of(peer(SLOT, ADDRESS_GENERATION), &directory).expect("there");
    assert!(Arc::ptr_eq(&found.served, &served));
    for (slot, generation) in
        [(SLOT, 0x0101), (SLOT, 0), (0, ADDRESS_GENERATION), (1, ADDRESS_GENERATION), (u16::MAX, 0)]
    {
        assert!(client_of(peer(slot, generation), &directory).is_none(), "{slot} {generation}");
    }
    assert!(client_of(([10, 0, 0, 1], 1).into(), &directory).is_none());
    directory.set(SLOT, None);
    assert!(client_of(peer(SLOT, ADDRESS_GENERATION), &directory).is_none());
}

#[tokio::test]
async fn a_stranger_is_reset_and_the_service_ends_when_told() {
    let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).expect("loopback");
    let address = listener.local_addr().expect("bound");
    let shutdown = CancellationToken::new();
    let service = tokio::spawn(serve(listener, directory().0, ServiceSettings::default(), shutdown.clone()));
    expect_reset(&mut Socket::connect(address).await.expect("listening")).await;
    shutdown.cancel();
    let ended = timeout(Duration::from_secs(5), service).await.expect("in time");
    ended.expect("no panic").expect("no error");
    Socket::connect(address).await.expect_err("nobody listens");
}

/// Accepts a connection as the instance's.
fn accept_known(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    socket::accept(listener).map(|(stream, _)| (stream, peer(SLOT, ADDRESS_GENERATION)))
}

#[tokio::test]
async fn requests_that_wait_to_be_accepted_are_served_at_the_end() {
    let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).expect("loopback");
    let address = listener.local_addr().expect("bound");
    let request =
        format!("GET /latest/meta-data/mac HTTP/1.1\r\nX-aws-ec2-metadata-token: {}\r\n\r\n", token_for(60_000));
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Socket::connect(address).await.expect("listening");
        client.write_all(request.as_bytes()).await.expect("connected");
        clients.push(client);
    }
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    let served = serve_by(accept_known, listener, directory().0, ServiceSettings::default(), shutdown);
    let service = tokio::spawn(served);
    for mut client in clients {
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("an answer, and no reset");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("Connection: close\r\n"), "{answer}");
    }
    timeout(Duration::from_secs(5), service).await.expect("in time").expect("no panic").expect("no error");
    Socket::connect(address).await.expect_err("nobody listens");
}

#[tokio::test]
async fn there_is_room_for_so_many_connections() {
    let (directory, served) = directory();
    let known = peer(SLOT, ADDRESS_GENERATION);
    let mut admitted = Vec::new();
    for _ in 0..CONNECTIONS {
        let (client, stream) = pair().await;
        admitted.push((client, admit(stream, known, &directory).expect("room")));
    }
    let (mut client, stream) = pair().await;
    assert!(admit(stream, known, &directory).is_none());
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.expect("closed, not reset");
    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
    assert_eq!(served.counters.read()[Refusal::TooManyConnections.counter().index()], 1);
    admitted.pop();
    assert!(admit(pair().await.1, known, &directory).is_some(), "there is room again");
}

#[tokio::test]
async fn a_connection_ends_with_its_instance() {
    let (directory, served) = directory();
    let (mut client, stream) = pair().await;
    let (stream, found, permit) = admit(stream, peer(SLOT, ADDRESS_GENERATION), &directory).expect("room");
    let settings = ServiceSettings::default();
    let task = tokio::spawn(attend(stream, found, permit, directory, settings, CancellationToken::new()));
    let token = token_for(60_000);
    let request = format!("GET /latest/meta-data/mac HTTP/1.1\r\nX-aws-ec2-metadata-token: {token}\r\n\r\n");
    client.write_all(request.as_bytes()).await.expect("connected");
    let mut answer = [0; 17];
    client.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200 OK\r\n");
    let mut rest = Vec::new();
    while !rest.ends_with(b"02:00:00:00:00:01") {
        assert_ne!(client.read_buf(&mut rest).await.expect("an answer"), 0);
    }
    assert_eq!(served.counters.read()[Counter::Requests.index()], 1);
    served.gone.cancel();
    expect_reset(&mut client).await;
    timeout(Duration::from_secs(5), task).await.expect("in time").expect("no panic");
    let permits: Vec<_> = (0..CONNECTIONS).filter_map(|_| served.allowance.connect()).collect();
    assert_eq!(permits.len(), CONNECTIONS, "its place is free again");
}
