//! `imdsctl`'s end of the operator's socket: a connection, a request, a reply.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use thiserror::Error;

use super::protocol::{Command, Failure, MESSAGE_MAX, Payload, REPLY_MAX, Reply, Request, VERSION};

/// What a client waits for and takes at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The time for a whole exchange.
    pub timeout: Duration,
    /// The longest reply in bytes, its newline included.
    pub reply_max: usize,
}

impl Default for Limits {
    /// 30 seconds, since `options set --all` on 10,000 instances takes a while; replies of up to [`REPLY_MAX`].
    fn default() -> Self {
        Self { timeout: Duration::from_secs(30), reply_max: REPLY_MAX }
    }
}

/// Why there is no payload.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nothing listens there.
    #[error("no imdsd answers at {} ({}); start it with `imdsd`, or give --socket PATH", .socket.display(), reason(.source))]
    NotRunning {
        /// Where.
        socket: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The socket is somebody else's.
    #[error("no permission to open {} ({}); only root may talk to imdsd: run imdsctl as root", .socket.display(), reason(.source))]
    Permission {
        /// Where.
        socket: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It took longer than [`Limits::timeout`].
    #[error(
        "imdsd at {} has not answered within {} s; the command may still take effect: look at the result before repeating it, and at imdsd's log",
        .socket.display(),
        .timeout.as_secs_f32()
    )]
    TimedOut {
        /// Where.
        socket: PathBuf,
        /// How long it was waited for.
        timeout: Duration,
    },
    /// The connection ended before the reply did.
    #[error("imdsd at {} closed the connection without a whole answer; its log says why", .socket.display())]
    Closed {
        /// Where.
        socket: PathBuf,
    },
    /// The connection broke otherwise.
    #[error("the connection to imdsd at {} broke ({}); see imdsd's log", .socket.display(), reason(.source))]
    Broken {
        /// Where.
        socket: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The request is longer than the daemon takes.
    #[error("the request has {bytes} bytes, imdsd takes {MESSAGE_MAX} at most; give less at once")]
    RequestTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The request has no JSON form.
    #[error("the request can't be written as JSON ({0})")]
    Request(#[source] serde_json::Error),
    /// The reply is longer than [`Limits::reply_max`].
    #[error("the answer from {} is longer than {limit} bytes; is it imdsd's socket?", .socket.display())]
    ReplyTooLong {
        /// Where from.
        socket: PathBuf,
        /// How long it may be.
        limit: usize,
    },
    /// The reply isn't one of this protocol.
    #[error(
        "the answer from {} is not one of imdsd's protocol version {VERSION} ({source}); is it imdsd's socket, and are imdsd and imdsctl of the same release?",
        .socket.display()
    )]
    ReplyMalformed {
        /// Where from.
        socket: PathBuf,
        /// Where in the reply.
        source: serde_json::Error,
    },
    /// The daemon says no.
    #[error("{}", .0.message)]
    Refused(Failure),
}

/// An I/O error in words, without the number that std appends.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error").map_or(text.as_str(), |(words, _)| words).to_owned()
}

/// A daemon's socket.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
    limits: Limits,
}

impl Client {
    /// A client of the daemon that listens at `socket`; connects with each request.
    #[must_use]
    pub fn new(socket: &Path, limits: Limits) -> Self {
        Self { socket: socket.to_owned(), limits }
    }

    /// Sends one command and waits for what it yields.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] when the daemon says no; another [`ClientError`] when there was no exchange.
    pub fn ask(&self, command: Command) -> Result<Payload, ClientError> {
        let mut line = serde_json::to_vec(&Request { version: VERSION, command }).map_err(ClientError::Request)?;
        line.push(b'\n');
        if line.len() > MESSAGE_MAX {
            return Err(ClientError::RequestTooLong { bytes: line.len() });
        }
        let mut stream = self.connect()?;
        match stream.write_all(&line) {
            // A daemon that refuses this peer says so and closes before it has read anything.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => (),
            other => other.map_err(|source| self.broken(source))?,
        }
        let reply = self.receive(stream)?;
        let malformed = |source| ClientError::ReplyMalformed { socket: self.socket.clone(), source };
        match serde_json::from_slice(&reply).map_err(malformed)? {
            Reply::Ok(payload) => Ok(payload),
            Reply::Error(failure) => Err(ClientError::Refused(failure)),
        }
    }

    fn connect(&self) -> Result<Timed, ClientError> {
        let deadline = Instant::now() + self.limits.timeout;
        // std's connect knows no time-out, and a daemon that accepts nothing has a full backlog.
        let connected = || -> io::Result<UnixStream> {
            let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
            set_socket_timeout(&socket, Timeout::Send, Some(self.limits.timeout))?;
            connect(&socket, &SocketAddrUnix::new(&self.socket)?)?;
            Ok(socket.into())
        };
        let stream = connected().map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => self.broken(source),
            io::ErrorKind::PermissionDenied => ClientError::Permission { socket: self.socket.clone(), source },
            _ => ClientError::NotRunning { socket: self.socket.clone(), source },
        })?;
        Ok(Timed { stream, deadline })
    }

    /// The reply's line without its newline.
    fn receive(&self, stream: Timed) -> Result<Vec<u8>, ClientError> {
        let limit = self.limits.reply_max;
        let mut reply = Vec::new();
        let mut reader = BufReader::new(stream.take(u64::try_from(limit).unwrap_or(u64::MAX)));
        reader.read_until(b'\n', &mut reply).map_err(|source| self.broken(source))?;
        match reply.pop() {
            Some(b'\n') => Ok(reply),
            Some(_) if reply.len() + 1 == limit => {
                Err(ClientError::ReplyTooLong { socket: self.socket.clone(), limit })
            }
            _ => Err(ClientError::Closed { socket: self.socket.clone() }),
        }
    }

    fn broken(&self, source: io::Error) -> ClientError {
        let socket = self.socket.clone();
        match source.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                ClientError::TimedOut { socket, timeout: self.limits.timeout }
            }
            io::ErrorKind::ConnectionReset => ClientError::Closed { socket },
            _ => ClientError::Broken { socket, source },
        }
    }
}

/// A stream whose reads and writes all end by one deadline, however many there are.
struct Timed {
    stream: UnixStream,
    deadline: Instant,
}

impl Timed {
    fn remaining(&self) -> io::Result<Duration> {
        let remaining = self.deadline.saturating_duration_since(Instant::now());
        if remaining.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(remaining) }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.remaining()?))?;
        self.stream.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.remaining()?))?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests;
