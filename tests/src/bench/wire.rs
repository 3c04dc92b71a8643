//! How a guest hangs on the host whose traffic is measured: each kind of interface with an address at both ends.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::guest::{Bridge, Guest};
use crate::namespace::Namespace;
use crate::packet::SERVICE;
use crate::tap::Tap;
use crate::{names, process};

/// What nobody wants, and where it is sent: the service's own port, by UDP.
const UNWANTED: &[u8] = &[0; 18];
const UNWANTED_PORT: u16 = 80;

/// A kind of interface.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Veth,
    BridgedVeth,
    Tap,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Veth, Self::BridgedVeth, Self::Tap];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Veth => "veth",
            Self::BridgedVeth => "veth on a bridge",
            Self::Tap => "tap",
        }
    }
}

/// A guest at the end of a wire.
pub(super) struct Wire {
    end: End,
    /// The guest's address.
    pub(super) address: String,
}

enum End {
    Veth(Guest),
    Bridged(Guest, #[expect(dead_code, reason = "it is there as long as this value")] Bridge),
    Tap(Machine),
}

impl Wire {
    pub(super) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Veth => {
                let guest = Guest::on_veth("10.0.0.1");
                let (_, address) = guest.addresses_of_link();
                Self { end: End::Veth(guest), address }
            }
            Kind::BridgedVeth => {
                let bridge = Bridge::new();
                let guest = Guest::on_bridge(&bridge, "10.0.0.1");
                let address = join(bridge.name(), &guest, "eth0");
                Self { end: End::Bridged(guest, bridge), address }
            }
            Kind::Tap => {
                let machine = Machine::new();
                let address = join(machine.outer.interface(), &machine.namespace, machine.inner.interface());
                Self { end: End::Tap(machine), address }
            }
        }
    }

    /// The interface on the host that all of the guest's frames come by.
    pub(super) fn interface(&self) -> &str {
        match &self.end {
            End::Veth(guest) | End::Bridged(guest, _) => guest.interface(),
            End::Tap(machine) => machine.outer.interface(),
        }
    }

    /// Whoever sends from the guest's end what the service doesn't want.
    pub(super) fn sender(&self) -> Sender {
        let socket = |guest: &Guest| {
            guest.inside(|| {
                UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
                    socket.connect((Ipv4Addr::from(SERVICE), UNWANTED_PORT))?;
                    Ok(socket)
                })
            })
        };
        match &self.end {
            End::Veth(guest) | End::Bridged(guest, _) => {
                Sender::Socket(socket(guest).unwrap_or_else(|error| panic!("the guest sends nothing: {error}")))
            }
            // Past the machine's own stack: what stands in for that is slower than what is measured.
            End::Tap(machine) => Sender::Tap(machine.outer.file(), unwanted(&machine.outer)),
        }
    }

    /// Where the guest's programs run.
    pub(super) fn namespace(&self) -> &Namespace {
        match &self.end {
            End::Veth(guest) | End::Bridged(guest, _) => guest,
            End::Tap(machine) => &machine.namespace,
        }
    }
}

/// Sends the service UDP, a packet each time: what it drops in every option.
pub(super) enum Sender {
    Socket(UdpSocket),
    Tap(File, Vec<u8>),
}

impl Sender {
    pub(super) fn send(&mut self) {
        let sent = match self {
            Self::Socket(socket) => socket.send(UNWANTED),
            Self::Tap(tap, frame) => tap.write(frame),
        };
        sent.unwrap_or_else(|error| panic!("a frame can't be sent: {error}"));
    }
}

/// The frame that such a sender at a tap sends.
pub(super) fn unwanted(tap: &Tap) -> Vec<u8> {
    let mut frame = Vec::new();
    let packet = tap.frame().ipv4([10, 0, 0, 1], SERVICE, 64).udp(41_000, UNWANTED_PORT);
    packet.write(&mut frame, UNWANTED).expect("a Vec takes every frame");
    frame
}

/// Gives an interface of the host's and one of the guest's addresses side by side; the guest's.
fn join(host: &str, guest: &Namespace, link: &str) -> String {
    let (ours, theirs) = names::pair_of_addresses();
    let text = |[a, b, c, d]: [u8; 4]| format!("{a}.{b}.{c}.{d}");
    process::ip(["address", "add", &format!("{}/30", text(ours)), "dev", host]);
    guest.ip(["address", "add", &format!("{}/30", text(theirs)), "dev", link]);
    text(theirs)
}

/// How long a thread waits for a frame before it looks whether it shall end.
const STEP: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// What stands in for a virtual machine: a tap of the host's whose frames go, one by one, to and from another tap in a
/// namespace.
struct Machine {
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    inner: Tap,
    outer: Tap,
    namespace: Namespace,
}

impl Machine {
    fn new() -> Self {
        let (outer, inner, namespace) = (Tap::new(), Tap::new(), Namespace::new());
        process::ip(["link", "set", inner.interface(), "netns", namespace.name()]);
        namespace.ip(["link", "set", inner.interface(), "up"]);
        let ended = Arc::new(AtomicBool::new(false));
        let threads = [(&outer, &inner), (&inner, &outer)].map(|(from, to)| {
            let (from, to, ended) = (from.file(), to.file(), ended.clone());
            thread::spawn(move || carry(from, to, &ended))
        });
        Self { ended, threads: threads.into(), inner, outer, namespace }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        // It stands in the namespace, where its end would not find it.
        self.namespace.ip(["link", "set", self.inner.interface(), "netns", &std::process::id().to_string()]);
    }
}

fn carry(mut from: File, mut to: File, ended: &AtomicBool) {
    let mut frame = vec![0; 65_536];
    while !ended.load(Ordering::Relaxed) {
        let ready = poll(&mut [PollFd::new(&from, PollFlags::IN)], Some(&STEP));
        if ready == Ok(0) {
            continue;
        }
        if let Ok(length) = from.read(&mut frame) {
            // What finds no room is lost, as on any wire.
            let _ = to.write(&frame[..length]);
        }
    }
}
