//! What the service's segments look like where they arrive.

use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{io, thread};

use rustix::net::sockopt::{Timeout, set_socket_recv_buffer_size, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, eth, socket_with};

use crate::namespace::Namespace;
use crate::packet::Segment;
use crate::wait;

/// How often the reader looks whether it shall end.
const STEP: Duration = Duration::from_millis(50);

/// Room for what arrives while the reader doesn't run, in bytes.
const BUFFER: usize = 4 * 1024 * 1024;

/// A reader of all that the service sends to a namespace.
#[derive(Debug)]
pub struct Capture {
    segments: Arc<Mutex<Vec<Segment>>>,
    ended: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Capture {
    /// Begins to read.
    #[must_use]
    #[track_caller]
    pub fn start(namespace: &Namespace) -> Self {
        let socket = namespace.inside(|| -> io::Result<File> {
            let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, Some(eth::ALL))?;
            set_socket_timeout(&socket, Timeout::Recv, Some(STEP))?;
            set_socket_recv_buffer_size(&socket, BUFFER)?;
            Ok(File::from(socket))
        });
        let mut socket = socket.unwrap_or_else(|error| panic!("no packet socket: {error}"));
        let (segments, ended) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (into, end) = (segments.clone(), ended.clone());
        let reader = thread::spawn(move || {
            let mut frame = vec![0; 65_536];
            while !end.load(Ordering::Relaxed) {
                let Ok(length) = socket.read(&mut frame) else { continue };
                if let Some(segment) = Segment::of_service(&frame[..length]) {
                    into.lock().unwrap_or_else(PoisonError::into_inner).push(segment);
                }
            }
        });
        Self { segments, ended, reader: Some(reader) }
    }

    /// What came so far.
    #[must_use]
    pub fn segments(&self) -> Vec<Segment> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until what came satisfies `condition`.
    #[track_caller]
    pub fn until(&self, what: &str, condition: impl Fn(&[Segment]) -> bool) -> Vec<Segment> {
        wait::until(what, || self.segments(), |segments| condition(segments))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}
