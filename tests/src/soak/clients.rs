//! The clients: polite ones, whose every answer is checked, and such as no one wants.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use std::{io, thread};

use super::document::{Document, Signatures};
use crate::http::{Connection, TOKEN, TTL, request};
use crate::namespace::Namespace;
use crate::wait;

const INSTANCE_ID: &str = "/latest/meta-data/instance-id";
/// How long a client rests after a connection that didn't come about or ended early.
const REST: Duration = Duration::from_millis(5);
/// How often a paused client looks whether it may go on.
const STEP: Duration = Duration::from_millis(20);
/// Requests that a polite client sends on one connection.
const REQUESTS: usize = 8;

/// A kind of client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Reads with a token on connections that it keeps.
    WithToken,
    /// Reads without one.
    WithoutToken,
    /// Asks for tokens, and for such as nobody gets.
    Asker,
    /// Sends half a request and leaves, or resets.
    Half,
    /// Sends several requests at once, and reads none of the answers.
    Deaf,
    /// Real curl.
    Curl,
    /// Reads what the operator changes of the document.
    Reader,
}

impl Kind {
    pub(super) const ALL: [Self; 7] =
        [Self::WithToken, Self::WithoutToken, Self::Asker, Self::Half, Self::Deaf, Self::Curl, Self::Reader];
}

/// All clients, and what they may do now.
#[derive(Default)]
pub(super) struct Crowd {
    ended: AtomicBool,
    paused: AtomicBool,
    active: AtomicUsize,
    /// Rounds that each kind has played with an answer, or whatever it wants instead.
    rounds: [AtomicU64; Kind::ALL.len()],
    silent: AtomicU64,
}

/// Ends the clients when it goes.
pub(super) struct End<'a>(&'a Crowd);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::SeqCst);
    }
}

impl Crowd {
    pub(super) fn end_on_drop(&self) -> End<'_> {
        End(self)
    }

    /// Lets every client end what it is at, and wait.
    pub(super) fn pause(&self) {
        self.paused.store(true, Ordering::SeqCst);
        wait::until("clients to pause", || self.active.load(Ordering::SeqCst), |&active| active == 0);
    }

    pub(super) fn resume(&self) {
        self.paused.store(false, Ordering::SeqCst);
    }

    /// Plays one client until the end: what a round's connection loses is nothing, what it answers must be right.
    pub(super) fn play(&self, kind: Kind, instance: &Instance<'_>) {
        let token = instance.guest.token();
        let client = Client { instance, token: &token };
        while !self.ended.load(Ordering::SeqCst) {
            self.active.fetch_add(1, Ordering::SeqCst);
            if self.paused.load(Ordering::SeqCst) {
                self.active.fetch_sub(1, Ordering::SeqCst);
                thread::sleep(STEP);
                continue;
            }
            let counted = match client.round(kind) {
                Ok(()) => &self.rounds[kind as usize],
                Err(_) => &self.silent,
            };
            counted.fetch_add(1, Ordering::Relaxed);
            self.active.fetch_sub(1, Ordering::SeqCst);
            if std::ptr::eq(counted, &raw const self.silent) {
                thread::sleep(REST);
            }
        }
    }

    #[track_caller]
    pub(super) fn assert_everybody_was_there(&self) {
        for kind in Kind::ALL {
            assert!(self.rounds[kind as usize].load(Ordering::Relaxed) > 0, "{kind:?} was no load: {self}");
        }
    }
}

impl fmt::Display for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for kind in Kind::ALL {
            write!(f, "{kind:?} {}, ", self.rounds[kind as usize].load(Ordering::Relaxed))?;
        }
        write!(f, "no answer {}", self.silent.load(Ordering::Relaxed))
    }
}

/// An instance, as its clients know it.
pub(super) struct Instance<'a> {
    pub(super) guest: &'a Namespace,
    pub(super) id: &'a str,
    /// Whether it never serves without a token.
    pub(super) required: bool,
    pub(super) document: &'a Document,
    pub(super) signatures: &'a Signatures,
}

/// A client of one guest.
struct Client<'a> {
    instance: &'a Instance<'a>,
    token: &'a str,
}

impl Client<'_> {
    fn round(&self, kind: Kind) -> io::Result<()> {
        match kind {
            Kind::WithToken => self.read_with_token(),
            Kind::WithoutToken => self.read_without_token(),
            Kind::Asker => self.ask_for_tokens(),
            Kind::Half => self.send_half(),
            Kind::Deaf => self.send_many_and_leave(),
            Kind::Curl => self.run_curl(),
            Kind::Reader => self.read_document(),
        }
    }

    fn read_with_token(&self) -> io::Result<()> {
        let mut connection = Connection::open(self.instance.guest)?;
        let read = request("GET", INSTANCE_ID, &[(TOKEN, self.token)]);
        for _ in 0..REQUESTS {
            let answer = connection.ask(&read)?;
            assert_eq!((answer.status, answer.text().as_str()), (200, self.instance.id), "with a token");
        }
        Ok(())
    }

    /// On the guest whose options flip, a read without a token is served or refused, as it happens; a served one is right.
    fn read_without_token(&self) -> io::Result<()> {
        let answer = Connection::open(self.instance.guest)?.ask(&request("GET", INSTANCE_ID, &[]))?;
        match answer.status {
            200 => assert!(
                !self.instance.required && answer.text() == self.instance.id,
                "served without a token: {answer:?}"
            ),
            status => assert_eq!(status, 401, "without a token: {answer:?}"),
        }
        Ok(())
    }

    fn ask_for_tokens(&self) -> io::Result<()> {
        for (headers, status) in [
            (&[(TTL, "60")][..], 200),
            (&[(TTL, "0")], 400),
            (&[], 400),
            (&[(TTL, "60"), ("X-Forwarded-For", "10.0.0.9")], 403),
        ] {
            let answer = Connection::open(self.instance.guest)?.ask(&request("PUT", "/latest/api/token", headers))?;
            assert_eq!(answer.status, status, "{headers:?}");
            if status == 200 {
                let read = request("GET", INSTANCE_ID, &[(TOKEN, &answer.text())]);
                assert_eq!(Connection::open(self.instance.guest)?.ask(&read)?.text(), self.instance.id);
            }
        }
        Ok(())
    }

    fn send_half(&self) -> io::Result<()> {
        let whole = request("GET", INSTANCE_ID, &[(TOKEN, self.token)]);
        for cut in [1, 10, whole.len() / 2, whole.len() - 1] {
            let mut connection = Connection::open(self.instance.guest)?;
            connection.send(&whole[..cut])?;
        }
        Ok(())
    }

    fn send_many_and_leave(&self) -> io::Result<()> {
        let read = request("GET", "/latest/meta-data/", &[(TOKEN, self.token)]);
        Connection::open(self.instance.guest)?.send(&read.repeat(REQUESTS))
    }

    fn run_curl(&self) -> io::Result<()> {
        let read = self.instance.guest.curl_with(self.token, INSTANCE_ID);
        if read.code != Some(0) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        assert_eq!((read.status, read.body.as_str()), (200, self.instance.id), "curl");
        Ok(())
    }
    fn read_document(&self) -> io::Result<()> {
        let mut connection = Connection::open(self.instance.guest)?;
        let get = |path: &str| {
            let answer = connection.ask(&request("GET", path, &[(TOKEN, self.token)]))?;
            assert_eq!(answer.status, 200, "{path}: {}", answer.head);
            Ok(answer.text())
        };
        self.instance.document.read(get, self.instance.signatures)
    }
}
