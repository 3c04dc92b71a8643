//! A service of the host's own at the metadata address, as of a host that is itself a cloud's instance: what a guest
//! reaches when nothing of imdsd's stands in its way.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::family::Family;
use crate::guest::Guest;
use crate::process;

/// What it answers.
const BODY: &str = "the host's own";
/// How long it waits for a request.
const PATIENCE: Duration = Duration::from_secs(2);

/// The service, at the host's end of one guest's link. It ends with this value, its address with the link.
#[derive(Debug)]
pub struct Provider {
    address: SocketAddr,
    /// The address that the host can send answers to.
    guest: String,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Provider {
    /// Serves at the guest's link. It has a port of its own, since others may serve at theirs: no packet to the
    /// address passes an interface of imdsd's, whatever its port.
    #[must_use]
    pub fn at(guest: &Guest) -> Self {
        let inside = guest.address_for_the_host();
        let service: SocketAddr = guest.family.service().parse().expect("an address");
        let address = service.ip();
        let (text, interface) = (address.to_string(), guest.interface());
        match guest.family {
            Family::Ipv4 => process::ip(["address", "add", &text, "dev", interface]),
            Family::Ipv6 => process::ip(["address", "add", &text, "dev", interface, "nodad"]),
        }
        let listener = TcpListener::bind((address, 0)).unwrap_or_else(|error| panic!("can't listen: {error}"));
        let address = listener.local_addr().expect("bound");
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let thread = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                let _ = answer(stream);
            }
        });
        Self { address, guest: inside, ended, thread: Some(thread) }
    }

    /// Whether the guest reaches it, within a second.
    #[must_use]
    #[track_caller]
    pub fn is_reached(&self, guest: &Guest) -> bool {
        let url = format!("http://{}/", self.address);
        let output =
            guest.run("curl", &["--silent", "--noproxy", "*", "--max-time", "1", "--interface", &self.guest, &url]);
        match output.code {
            Some(0) => {
                assert_eq!(output.stdout, BODY);
                true
            }
            // Nobody answered.
            Some(28) => false,
            _ => panic!("curl said {output:?}"),
        }
    }
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let _ = stream.read(&mut [0; 4096])?;
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{BODY}", BODY.len())
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wakes the listener; its address may be gone with the link, then the thread goes with the process.
        if TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}
