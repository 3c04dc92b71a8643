//! Traffic that isn't imdsd's: numbered UDP packets from a guest to the host, and what of them arrives.

use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_recv_buffer_size_force;

use crate::guest::{Guest, mac_of};
use crate::wait;

/// A packet a millisecond.
const PERIOD: Duration = Duration::from_millis(1);
/// The receiver's buffer in bytes: over ten seconds of packets, so that it never drops any by itself.
const BUFFER: usize = 16 << 20;
/// How long the receiver waits for a packet before it looks whether it is to end.
const LULL: Duration = Duration::from_millis(200);

/// A stream of packets out of a guest, until it is ended.
#[derive(Debug)]
pub struct Numbered {
    ended: Arc<AtomicBool>,
    sender: JoinHandle<u64>,
    receiver: JoinHandle<Received>,
}

/// What arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// How many packets.
    pub count: u64,
    /// Where a packet came that wasn't the next one: the one expected, and the one that came.
    pub gaps: Vec<(u64, u64)>,
}

impl Numbered {
    /// Starts sending over the guest's link to the host.
    #[must_use]
    pub fn from(guest: &Guest) -> Self {
        let (host, _) = guest.addresses_of_link();
        // A neighbour that has to be asked for again would hold packets up, however the programs are.
        let mac = mac_of(guest.interface());
        guest.ip(["neighbour", "replace", &host, "lladdr", &mac, "dev", "eth0", "nud", "permanent"]);
        let receiver = UdpSocket::bind((host.as_str(), 0)).unwrap_or_else(|error| panic!("can't bind: {error}"));
        set_socket_recv_buffer_size_force(&receiver, BUFFER).expect("root may");
        receiver.set_read_timeout(Some(LULL)).expect("a time-out");
        let address = receiver.local_addr().expect("bound");
        let sender = guest.inside(|| UdpSocket::bind("0.0.0.0:0")).expect("bound");
        sender.connect(address).expect("an address");
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let sender = thread::spawn(move || send(&sender, &end));
        let receiver = thread::spawn(move || receive(&receiver));
        Self { ended, sender, receiver }
    }

    /// Ends it; how many packets were sent, and what arrived.
    #[must_use]
    #[track_caller]
    pub fn end(self) -> (u64, Received) {
        self.ended.store(true, Ordering::Relaxed);
        let sent = self.sender.join().expect("the sender doesn't panic");
        (sent, self.receiver.join().expect("the receiver doesn't panic"))
    }
}

/// Sends packets in time until it is ended; those that are late follow at once. The last one says that it is.
fn send(socket: &UdpSocket, ended: &AtomicBool) -> u64 {
    let start = Instant::now();
    let mut number: u64 = 0;
    while !ended.load(Ordering::Relaxed) {
        if let Err(error) = socket.send(&number.to_be_bytes()) {
            panic!("packet {number} can't be sent: {error}");
        }
        number += 1;
        let due = PERIOD * u32::try_from(number).unwrap_or(u32::MAX);
        thread::sleep(due.saturating_sub(start.elapsed()));
    }
    let _ = socket.send(&[]);
    number
}

fn receive(socket: &UdpSocket) -> Received {
    let mut received = Received::default();
    let mut next = 0;
    let mut last = Instant::now();
    loop {
        let mut bytes = [0; 8];
        match socket.recv(&mut bytes) {
            Ok(8) => {
                let number = u64::from_be_bytes(bytes);
                if number != next {
                    received.gaps.push((next, number));
                }
                next = number + 1;
                received.count += 1;
                last = Instant::now();
            }
            Ok(_) => return received,
            // The last packet may be the one that is lost.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && last.elapsed() < wait::LIMIT => {}
            Err(_) => return received,
        }
    }
}
