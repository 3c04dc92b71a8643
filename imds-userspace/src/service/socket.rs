//! The options of the service's sockets, and the two short ways to end one.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use imds_common::options::OptionsWord;
use imds_common::verdict::Refusal;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, SocketFlags, acceptfrom_with, sockopt};

use super::response::Writer;
use crate::metadata::date;

/// A client that doesn't acknowledge for so long is gone: what it can't read must not pile up in the host's TCP memory.
/// In milliseconds.
const USER_TIMEOUT_MS: u32 = 5_000;

/// A connection without bytes is accepted all the same after so long, so that its time-outs begin. In seconds.
static DEFER_SECONDS: libc::c_int = 3;
#[expect(clippy::cast_possible_truncation, reason = "four")]
const DEFER_SIZE: libc::socklen_t = size_of::<libc::c_int>() as libc::socklen_t;

/// Sets what connections inherit from the listening socket, as they do on Linux, before their first byte arrives.
pub(super) fn prepare(listener: impl AsFd) -> io::Result<()> {
    let listener = listener.as_fd();
    sockopt::set_tcp_user_timeout(listener, USER_TIMEOUT_MS)?;
    sockopt::set_tcp_nodelay(listener, true)?;
    // The kernel programs see urgent bytes where they stand, so the daemon must as well.
    sockopt::set_socket_oobinline(listener, true)?;
    defer_accept(listener)
}

/// Leaves a connection to the kernel until its first bytes are there: one whose first request the kernel programs
/// refuse and reset never becomes a socket.
fn defer_accept(listener: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the option's value is an int that lives over the call, and its size is given.
    let result = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const DEFER_SECONDS).cast(),
            DEFER_SIZE,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Takes the next connection, which doesn't block, and its peer.
pub(super) fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = acceptfrom_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    let peer = peer.ok_or(Errno::AFNOSUPPORT)?;
    Ok((stream.into(), peer.try_into()?))
}

/// Lets a connection end with a RST when it is closed.
pub(super) fn reset(stream: impl AsFd) {
    if let Err(error) = sockopt::set_socket_linger(stream, Some(Duration::ZERO)) {
        tracing::debug!(%error, "a connection is closed instead of reset");
    }
}

/// Answers that the instance has too many connections, as far as that goes without waiting, and closes.
pub(super) fn refuse(stream: TcpStream, options: OptionsWord) {
    if options.refuses_silently() {
        return reset(stream);
    }
    let mut request = [0; 4096];
    // The first bytes are there, as they were waited for; what can't be read is answered as a GET is.
    let received = rustix::net::recv(&stream, &mut request, RecvFlags::DONTWAIT).map(|_| ());
    let head_only = request.trim_ascii_start().starts_with(b"HEAD ");
    let mut answer = Vec::new();
    let date = date::cached_http_date(date::unix_seconds());
    let writer = Writer { out: &mut answer, date, close: true, ttl_seconds: None };
    let refusal = Refusal::TooManyConnections;
    writer.refusal(refusal.answer(), options.has_error_pages() && refusal.has_page(), head_only);
    let end = || {
        // The buffer of a new connection is empty, so that this is the whole answer.
        rustix::net::send(&stream, &answer, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?;
        rustix::net::shutdown(&stream, Shutdown::Write)?;
        received
    };
    if let Err(error) = end() {
        tracing::trace!(%error, "a refused connection was not answered, or had sent nothing yet");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::ServiceSettings;
    use imds_common::options::MetadataOptions;
    use std::net::Ipv6Addr;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.expect("loopback");
        prepare(&listener).expect("TCP options");
        let client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("listening");
        (client, listener.accept().await.expect("a client").0)
    }

    #[test]
    fn the_service_gives_a_client_up_before_the_kernel_does() {
        let kernel = Duration::from_millis(USER_TIMEOUT_MS.into());
        assert!(ServiceSettings::default().write_timeout < kernel, "which tells the client nothing");
    }

    #[tokio::test]
    async fn connections_inherit_the_options() {
        let (_client, accepted) = pair().await;
        assert_eq!(sockopt::tcp_user_timeout(&accepted).expect("TCP"), USER_TIMEOUT_MS);
        assert!(sockopt::tcp_nodelay(&accepted).expect("TCP"));
        assert!(sockopt::socket_oobinline(&accepted).expect("a socket"));
    }

    #[tokio::test]
    async fn a_reset_is_one() {
        let (mut client, accepted) = pair().await;
        reset(accepted);
        let error = client.read(&mut [0; 1]).await.expect_err("reset");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn a_connection_too_many_reads_its_refusal() {
        let (mut client, accepted) = pair().await;
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("connected");
        accepted.readable().await.expect("a request");
        refuse(accepted.into_std().expect("a socket"), OptionsWord::new(&MetadataOptions::default(), false));
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("closed, not reset");
        assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"), "{answer}");
        assert!(answer.ends_with("Server: EC2ws\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n"), "{answer}");
    }

    #[tokio::test]
    async fn with_pages_a_connection_too_many_has_one() {
        let word = OptionsWord::new(&MetadataOptions::default(), false).with_error_pages(true);
        for (request, page) in [("GET / HTTP/1.1", true), ("HEAD / HTTP/1.1", false), ("\r\nHEAD / HTTP/1.1", false)] {
            let (mut client, accepted) = pair().await;
            client.write_all(format!("{request}\r\n\r\n").as_bytes()).await.expect("connected");
            accepted.readable().await.expect("a request");
            refuse(accepted.into_std().expect("a socket"), word);
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.expect("closed, not reset");
            let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
            assert!(
                head.starts_with("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Type: text/html\r\n")
            );
            assert_eq!(body.contains("<h1>503 - Service Unavailable</h1>"), page, "{request}: {answer}");
            assert_eq!(body.is_empty(), !page, "{request}: {answer}");
        }
    }

    #[tokio::test]
    async fn a_silent_refusal_is_a_reset() {
        let (mut client, accepted) = pair().await;
        refuse(accepted.into_std().expect("a socket"), OptionsWord::new(&MetadataOptions::default(), true));
        let error = client.read(&mut [0; 1]).await.expect_err("reset");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}
