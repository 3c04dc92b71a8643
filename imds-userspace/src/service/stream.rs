//! The bytes of an accepted connection, in as few system calls and packets as they take.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, recv, sendmsg, shutdown};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// What a connection is held over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// Says that what is written from now on is the last: it may wait for the stream's end and leave with it.
    fn last(&mut self) {}
}

/// An accepted socket. The runtime learns of it when it has to be waited for and not before: a connection is accepted
/// with its first request there ([`super::socket::prepare`]), and many end with the answer to it.
pub(super) struct Accepted {
    socket: Socket,
    last: bool,
}

enum Socket {
    /// The runtime doesn't know it.
    Untold(std::net::TcpStream),
    /// The runtime tells when it is ready.
    Told(TcpStream),
    /// The runtime wouldn't take it.
    Lost,
}

impl Accepted {
    /// A socket that doesn't block.
    pub(super) const fn new(socket: std::net::TcpStream) -> Self {
        Self { socket: Socket::Untold(socket), last: false }
    }

    /// Tells the runtime.
    fn told(&mut self) -> io::Result<&mut TcpStream> {
        if let Socket::Untold(_) = self.socket
            && let Socket::Untold(socket) = std::mem::replace(&mut self.socket, Socket::Lost)
        {
            self.socket = Socket::Told(TcpStream::from_std(socket)?);
        }
        match &mut self.socket {
            Socket::Told(stream) => Ok(stream),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// The socket, unless it is lost.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.socket {
            Socket::Untold(socket) => Some(socket.as_fd()),
            Socket::Told(stream) => Some(stream.as_fd()),
            Socket::Lost => None,
        }
    }
}

impl Stream for Accepted {
    fn last(&mut self) {
        self.last = true;
    }
}

impl AsyncRead for Accepted {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Socket::Untold(socket) = &this.socket {
            match recv(socket, buffer.initialize_unfilled(), RecvFlags::DONTWAIT) {
                Err(Errno::AGAIN) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
                Ok((_, count)) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
            }
        }
        Pin::new(this.told()?).poll_read(context, buffer)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let last = this.last;
        if let Socket::Untold(socket) = &this.socket {
            match send(socket.as_fd(), parts, last) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
        let stream = this.told()?;
        loop {
            ready!(stream.poll_write_ready(context))?;
            match stream.try_io(Interest::WRITABLE, || send(stream.as_fd(), parts, last)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = self.descriptor().map_or(Ok(()), |socket| shutdown(socket, Shutdown::Write));
        Poll::Ready(ended.map_err(io::Error::from))
    }
}

/// Sends what goes at once. The last bytes wait for the FIN, which then needs no segment of its own.
fn send(socket: BorrowedFd<'_>, parts: &[IoSlice<'_>], last: bool) -> io::Result<usize> {
    let more = if last { SendFlags::MORE } else { SendFlags::empty() };
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL | more;
    Ok(sendmsg(socket, parts, &mut SendAncillaryBuffer::default(), flags)?)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv6Addr, TcpListener};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn pair() -> (TcpStream, Accepted) {
        let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).expect("loopback");
        let client = std::net::TcpStream::connect(listener.local_addr().expect("bound")).expect("listening");
        client.set_nonblocking(true).expect("a socket");
        let (accepted, _) = listener.accept().expect("a client");
        accepted.set_nonblocking(true).expect("a socket");
        (TcpStream::from_std(client).expect("a runtime"), Accepted::new(accepted))
    }

    #[tokio::test]
    async fn what_is_there_is_read_and_answered_without_the_runtime() {
        let (mut client, mut accepted) = pair();
        client.write_all(b"request").await.expect("connected");
        let mut bytes = [0; 7];
        // On loopback what was written has arrived.
        accepted.read_exact(&mut bytes).await.expect("bytes");
        assert_eq!(&bytes, b"request");
        accepted.write_all(b"answer").await.expect("room");
        assert!(matches!(accepted.socket, Socket::Untold(_)));
        client.read_exact(&mut bytes[..6]).await.expect("bytes");
        assert_eq!(&bytes[..6], b"answer");
    }

    #[tokio::test]
    async fn what_is_not_there_is_waited_for() {
        let (mut client, mut accepted) = pair();
        let mut bytes = [0; 1];
        let late = async {
            tokio::task::yield_now().await;
            client.write_all(b"a").await.expect("connected");
        };
        let (read, ()) = tokio::join!(accepted.read_exact(&mut bytes), late);
        assert_eq!((read.expect("bytes"), bytes), (1, *b"a"));
        assert!(matches!(accepted.socket, Socket::Told(_)));
        accepted.write_all(b"b").await.expect("room");
        client.read_exact(&mut bytes).await.expect("bytes");
        assert_eq!(bytes, *b"b");
    }

    #[tokio::test]
    async fn more_than_there_is_room_for_is_waited_for() {
        let (mut client, mut accepted) = pair();
        let sent = vec![7; 16 * 1024 * 1024];
        let mut received = Vec::new();
        let write = async {
            accepted.last();
            accepted.write_all(&sent).await.expect("room in time");
            accepted.shutdown().await.expect("connected");
        };
        let ((), read) = tokio::join!(write, client.read_to_end(&mut received));
        assert_eq!((read.expect("an end"), received == sent), (sent.len(), true));
    }

    #[tokio::test]
    async fn the_last_bytes_leave_with_the_end() {
        let (mut client, mut accepted) = pair();
        accepted.last();
        accepted.write_all(b"last").await.expect("room");
        tokio::task::yield_now().await;
        let nothing = client.try_read(&mut [0; 4]).expect_err("held back");
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        accepted.shutdown().await.expect("connected");
        let mut text = String::new();
        client.read_to_string(&mut text).await.expect("an end");
        assert_eq!(text, "last");
    }
}
