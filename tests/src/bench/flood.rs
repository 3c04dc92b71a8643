//! What a flooding instance costs another one: against the same flood to an address of the host's that isn't the service's.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use etherparse::IpNumber;

use super::cores::Cores;
use super::round::{Extent, Pairs};
use super::wrk::{self, Outcome, Request};
use crate::client::URL;
use crate::guest::Guest;
use crate::host::Host;
use crate::http::TOKEN;
use crate::packet::SERVICE;
use crate::tap::Tap;
use crate::{names, process};

const PATH: &str = "/latest/meta-data/instance-id";
const AIM: f64 = 1.2;
/// The addresses of the guest that is measured, and of the one that floods by requests.
const ADDRESS: &str = "10.0.0.1";
const FLOODER: &str = "10.0.0.2";
/// Where the host is flooded: on this port of an address of its own.
const PORT: u16 = 80;
/// Different frames of a flood.
const FRAMES: u16 = 4_096;
/// The first of their ports.
const FIRST_PORT: u16 = 1_024;
/// Frames a second.
const RATE: f64 = 50_000.0;
/// Bytes of garbage in a packet, fewer than.
const GARBAGE_MAX: u16 = 1_400;
const WITHOUT_TOKEN: Request<'_> = Request { method: "GET", path: PATH, headers: &[] };
/// How long a flood goes on before anything is measured.
const WARM_UP: Duration = Duration::from_millis(200);
/// What a refusal is answered by on the host's own address, as the service refuses.
const REFUSAL: &[u8] = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
/// No budget, which would end a flood early.
const CONFIG: &str = "[log]\nlevel = \"warn\"\n";

/// Who is measured, and who floods.
struct Arena {
    guest: Guest,
    flooder: Guest,
    tap: Mutex<Tap>,
    /// The address of the guest behind the tap.
    source: [u8; 4],
    /// An address of the host's on the flooder's link, and one on the tap.
    elsewhere: (String, [u8; 4]),
    _host: Host,
}

/// A load and the flood that went on meanwhile, a second.
type Flooded = (Outcome, f64);

/// Prints the row.
pub(super) fn measure(extent: &Extent) {
    let cores = Cores::of_this_process();
    // What a thread starts is kept where the thread is.
    thread::scope(|scope| {
        let measured = scope.spawn(|| {
            cores.stay_on_the_last();
            Arena::new().measure(*extent, cores);
        });
        measured.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

impl Arena {
    fn new() -> Self {
        let host = Host::with_config(CONFIG);
        let (guest, flooder, tap) = (Guest::on_veth(ADDRESS), Guest::on_veth(FLOODER), Tap::new());
        for interface in [guest.interface(), flooder.interface(), tap.interface()] {
            let _ = host.create(interface, &["--metadata-options", "HttpTokens=required"]);
        }
        let (on_tap, source) = names::pair_of_addresses();
        let [a, b, c, d] = on_tap;
        process::ip(["address", "add", &format!("{a}.{b}.{c}.{d}/30"), "dev", tap.interface()]);
        let elsewhere = (flooder.address_on_host(), on_tap);
        Self { guest, flooder, tap: Mutex::new(tap), source, elsewhere, _host: host }
    }

    fn measure(&self, extent: Extent, cores: Cores) {
        let token = self.guest.token();
        let load =
            || wrk::load(&self.guest, &Request { method: "GET", path: PATH, headers: &[(TOKEN, &token)] }, extent);
        let calm = load();
        println!(
            "flood: an instance's GETs with a token, 16 connections kept, on one core, while another instance floods from \
             another core: the service, and an address of the host's that isn't the service's"
        );
        println!("  no flood: p99 {:.2} ms, {:.0}/s", calm.p99, calm.rate);

        let server = Server::start(&self.elsewhere.0, cores);
        let host = format!("http://{}", self.elsewhere.0);
        // A second more than what it is to disturb.
        let flood = |url| wrk::load_at(url, &self.flooder, &WITHOUT_TOKEN, extent.seconds() + 1).rate;
        let pairs = extent.alternate(|| under(cores, load, |_| flood(URL)), || under(cores, load, |_| flood(&host)));
        drop(server);
        print("GETs without a token", &pairs);

        for (name, frame) in [("SYNs", Self::syn as fn(&Self, [u8; 4], u16) -> Vec<u8>), ("garbage", Self::garbage)] {
            let flood = |destination| {
                let frames: Vec<_> = (0..FRAMES).map(|number| frame(self, destination, number)).collect();
                under(cores, load, |ended| self.send(&frames, ended))
            };
            let pairs = extent.alternate(|| flood(SERVICE), || flood(self.elsewhere.1));
            print(name, &pairs);
        }
    }

    fn syn(&self, destination: [u8; 4], number: u16) -> Vec<u8> {
        let mut frame = Vec::new();
        let packet = self.tap().frame().ipv4(self.source, destination, 64);
        let packet = packet.tcp(FIRST_PORT + number, PORT, number.into(), 64_000).syn();
        packet.write(&mut frame, &[]).expect("written");
        frame
    }

    /// A packet of one protocol or another, and bytes that mean nothing.
    fn garbage(&self, destination: [u8; 4], number: u16) -> Vec<u8> {
        let mut state = u32::from(number) + 1;
        let mut next = || {
            // Marsaglia's xorshift.
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[0]
        };
        let protocol = [IpNumber::TCP, IpNumber::UDP, IpNumber::ICMP, IpNumber(next())][usize::from(number % 4)];
        let payload: Vec<_> = (0..number % GARBAGE_MAX).map(|_| next()).collect();
        let mut frame = Vec::new();
        let packet = self.tap().frame().ipv4(self.source, destination, 64);
        packet.write(&mut frame, protocol, &payload).expect("written");
        frame
    }

    fn tap(&self) -> MutexGuard<'_, Tap> {
        self.tap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends frames over and over, no more a second than [`RATE`]; how many.
    fn send(&self, frames: &[Vec<u8>], ended: &AtomicBool) -> f64 {
        let (mut tap, start, mut sent) = (self.tap(), Instant::now(), 0_u32);
        for frame in frames.iter().cycle() {
            if ended.load(Ordering::Relaxed) {
                break;
            }
            // Whatever it comes to cost, neither side gets more of it than the other.
            while start.elapsed().as_secs_f64() * RATE < f64::from(sent) {
                std::hint::spin_loop();
            }
            tap.send(frame);
            sent += 1;
        }
        f64::from(sent) / start.elapsed().as_secs_f64()
    }
}

/// Loads under a flood, which goes on until it is ended.
fn under(cores: Cores, load: impl Fn() -> Outcome, flood: impl FnOnce(&AtomicBool) -> f64 + Send) -> Flooded {
    /// Ends it, also where the load panics.
    struct End<'a>(&'a AtomicBool);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let flood = scope.spawn(|| {
            cores.stay_on_the_first();
            flood(&ended)
        });
        let end = End(&ended);
        thread::sleep(WARM_UP);
        let outcome = load();
        drop(end);
        (outcome, flood.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

fn print(name: &str, pairs: &Pairs<Flooded>) {
    let (p99, flood) = (pairs.compare(|(outcome, _)| outcome.p99), pairs.compare(|(_, flood)| *flood));
    println!(
        "  {name}: p99 {:.2} ms, elsewhere {:.2} ms; {}; {:.0}/s of them, elsewhere {:.0}/s",
        p99.ours,
        p99.theirs,
        p99.beside_at_most(AIM),
        flood.ours,
        flood.theirs
    );
    let wrong = |(outcome, _): &Flooded| outcome.refused + outcome.errors;
    let wrong: u64 = pairs.0.iter().map(|(ours, theirs)| wrong(ours) + wrong(theirs)).sum();
    println!("    refusals and socket errors {wrong}");
}

/// Whoever refuses on an address of the host's. Ended with this value.
struct Server {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(address: &str, cores: Cores) -> Self {
        let listener = TcpListener::bind((address, PORT)).unwrap_or_else(|error| panic!("no {address}: {error}"));
        let address = listener.local_addr().expect("bound");
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let thread = thread::spawn(move || {
            cores.stay_on_the_first();
            for stream in listener.incoming().flatten() {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                let _ = refuse(stream);
            }
        });
        Self { address, ended, thread: Some(thread) }
    }
}

fn refuse(mut stream: TcpStream) -> io::Result<()> {
    let _ = stream.read(&mut [0; 1_024])?;
    stream.write_all(REFUSAL)
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wakes the listener.
        if TcpStream::connect(self.address).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}
