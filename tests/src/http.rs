//! Requests and answers byte by byte.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::namespace::Namespace;

/// The header that carries a token.
pub const TOKEN: &str = "X-aws-ec2-metadata-token";
/// The header that asks for a token's life in seconds.
pub const TTL: &str = "X-aws-ec2-metadata-token-ttl-seconds";

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its head, with the empty line.
    pub head: String,
    /// Its body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Splits an answer off the front of `bytes`: none as long as it isn't whole.
    ///
    /// `bodyless` is the answer to a HEAD.
    #[must_use]
    pub fn split_off(bytes: &mut Vec<u8>, bodyless: bool) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let mut answer = Self { status, head, body: Vec::new() };
        let length = answer.header("Content-Length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let length = if bodyless { 0 } else { length };
        if bytes.len() < end + length {
            return None;
        }
        answer.body = bytes[end..end + length].to_vec();
        bytes.drain(..end + length);
        Some(answer)
    }
}

/// A request: its line, `Host` and the given headers.
#[must_use]
pub fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: 169.254.169.254\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    (text + "\r\n").into_bytes()
}

/// A connection to the service.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    /// Connects from a namespace, over its family.
    ///
    /// # Errors
    ///
    /// The client's.
    pub fn open(namespace: &Namespace) -> io::Result<Self> {
        Ok(Self { stream: namespace.connect()?, received: Vec::new() })
    }

    /// Connects from a namespace to an address of the service's, within a time.
    ///
    /// # Errors
    ///
    /// The client's.
    pub fn open_to(namespace: &Namespace, service: &str, patience: Duration) -> io::Result<Self> {
        Ok(Self { stream: namespace.connect_to(service, patience)?, received: Vec::new() })
    }

    /// Sends bytes.
    ///
    /// # Errors
    ///
    /// The client's.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Waits for the next answer.
    ///
    /// # Errors
    ///
    /// The client's; `UnexpectedEof` when the connection ends before the answer does.
    pub fn receive(&mut self, bodyless: bool) -> io::Result<Answer> {
        loop {
            if let Some(answer) = Answer::split_off(&mut self.received, bodyless) {
                return Ok(answer);
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.received.extend_from_slice(&buffer[..count]),
            }
        }
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    ///
    /// As [`Connection::send`] and [`Connection::receive`].
    pub fn ask(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.send(request)?;
        self.receive(request.starts_with(b"HEAD "))
    }

    /// Whether the service has ended the connection after what was received.
    ///
    /// # Errors
    ///
    /// The client's.
    pub fn is_closed(&mut self) -> io::Result<bool> {
        Ok(self.received.is_empty() && self.stream.read(&mut [0; 1])? == 0)
    }

    /// The socket.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

impl Namespace {
    /// Sends bytes on a connection of their own; the first answer.
    #[must_use]
    #[track_caller]
    pub fn exchange(&self, bytes: &[u8]) -> Answer {
        let exchange = || Connection::open(self)?.ask(bytes);
        exchange().unwrap_or_else(|error| panic!("{}: {error}", String::from_utf8_lossy(bytes)))
    }

    /// Reads a path, with a token or without.
    #[must_use]
    #[track_caller]
    pub fn get(&self, path: &str, token: Option<&str>) -> Answer {
        let headers: Vec<_> = token.map(|token| (TOKEN, token)).into_iter().collect();
        self.exchange(&request("GET", path, &headers))
    }

    /// A token that lives 21,600 seconds.
    #[must_use]
    #[track_caller]
    pub fn token(&self) -> String {
        let answer = self.exchange(&request("PUT", "/latest/api/token", &[(TTL, "21600")]));
        assert_eq!(answer.status, 200, "{}", answer.head);
        answer.text()
    }
}
