//! One connection: requests in, answers out.

use std::io::{self, IoSlice};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::exchange::{self, Outcome, Then};
use super::inbox::{Inbox, Progress};
use super::settings::ServiceSettings;
use super::stream::Stream;
use super::tenant::Tenant;
use crate::registry::directory::Directory;

/// How much of what a client still sends is read after the last answer: unread bytes would turn the close into a reset
/// that kills the answer on its way. In bytes.
const LINGER_MAX: usize = 1024 * 1024;

/// An answer of no more bytes leaves in one segment, together with the FIN: from then on nothing that the client sends can
/// take it from it, as the kernel programs let no reset through behind a FIN ([`imds_common::flow::Daemon::Late`]). What a
/// link of 1,280 bytes, the least that IPv6 takes, carries besides headers with timestamps.
const SEGMENT: usize = 1_280 - 40 - 32;

/// How much room an answer's head takes, in bytes; a redirect may need more.
const HEAD_SIZE: usize = 512;

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// As TCP connections end.
    Close,
    /// At once: nothing more is to be sent.
    Reset,
}

/// A connection of an instance.
pub(super) struct Connection<'a, S, T> {
    /// Its bytes.
    pub(super) stream: S,
    /// Whose it is.
    pub(super) tenant: &'a T,
    /// Where the keys of the tokens are.
    pub(super) directory: &'a Directory,
    /// The time limits.
    pub(super) settings: &'a ServiceSettings,
    /// Cancelled when the service ends: the request in hand is the last one.
    pub(super) shutdown: &'a CancellationToken,
}

impl<S: Stream, T: Tenant> Connection<'_, S, T> {
    /// Answers requests until either side ends the connection.
    pub(super) async fn run(&mut self) -> Ending {
        let mut inbox = Inbox::new();
        let mut head = Vec::with_capacity(HEAD_SIZE);
        let mut idle_timeout = None;
        while let Some(progress) = self.next_head(&mut inbox, idle_timeout).await {
            head.clear();
            let ending = self.shutdown.is_cancelled();
            let keys = self.directory.keys();
            let tree = self.tenant.tree();
            let outcome = exchange::answer(self.tenant, &keys, &tree, (&inbox, progress), ending, &mut head).await;
            let Outcome::Answer { body, then } = outcome else {
                return Ending::Reset;
            };
            if then != Then::Keep {
                self.stream.last();
            }
            let written = timeout(self.settings.write_timeout, write_all(&mut self.stream, &head, &body)).await;
            if !matches!(written, Ok(Ok(()))) {
                return Ending::Reset;
            }
            inbox.advance();
            if then == Then::Keep {
                idle_timeout = Some(self.settings.idle_timeout);
                continue;
            }
            end(&mut self.stream).await;
            let left_with_its_end = head.len() + body.len() <= SEGMENT;
            if then == Then::Linger || !left_with_its_end || !inbox.is_empty() {
                linger(&mut self.stream, inbox.scratch(), self.settings.linger_timeout).await;
            }
            return Ending::Close;
        }
        Ending::Close
    }

    /// Reads until the head at the front of `inbox` can be judged; `None` if the client closed or took too long, or
    /// the service ends before a request has begun. Without `idle_timeout` the head's own limit runs from now on.
    async fn next_head(&mut self, inbox: &mut Inbox, idle_timeout: Option<Duration>) -> Option<Progress> {
        let head_timeout = self.settings.head_timeout;
        let first = idle_timeout.filter(|_| inbox.is_empty()).unwrap_or(head_timeout);
        let mut deadline = Instant::now() + first;
        loop {
            let progress = inbox.progress();
            if progress != Progress::Incomplete {
                return Some(progress);
            }
            let idle = inbox.is_empty();
            let read = timeout_at(deadline, self.stream.read(inbox.space()));
            let count = tokio::select! {
                // In this order, so that a request that has arrived is one in hand.
                biased;
                read = read => read.ok()?.ok().filter(|&count| count > 0)?,
                () = self.shutdown.cancelled(), if idle => return None,
            };
            inbox.took(count);
            if idle && idle_timeout.is_some() {
                deadline = Instant::now() + head_timeout;
            }
        }
    }
}

/// Writes an answer in as few segments as it takes: the kernel follows answers by segments.
async fn write_all(stream: &mut (impl AsyncWrite + Unpin), head: &[u8], body: &[u8]) -> io::Result<()> {
    let mut parts = [IoSlice::new(head), IoSlice::new(body)];
    let mut left = &mut parts[..];
    while !left.is_empty() {
        let count = stream.write_vectored(left).await?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut left, count);
    }
    Ok(())
}

/// Ends our side.
async fn end(stream: &mut impl Stream) {
    if let Err(error) = stream.shutdown().await {
        left(&error);
    }
}

fn left(error: &io::Error) {
    tracing::trace!(%error, "the client left before its connection was closed");
}

/// Reads on until the client has ended its side, within limits. It has its answer either way.
async fn linger(stream: &mut impl Stream, scratch: &mut [u8], limit: Duration) {
    let end = async {
        // Most clients close at once: by then they have, and the runtime need not be told to wait for it.
        tokio::task::yield_now().await;
        let mut total = 0;
        while total < LINGER_MAX {
            match stream.read(scratch).await? {
                0 => break,
                count => total += count,
            }
        }
        io::Result::Ok(())
    };
    if let Ok(Err(error)) = timeout(limit, end).await {
        left(&error);
    }
}

#[cfg(test)]
mod tests;
