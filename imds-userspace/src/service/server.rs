//! The accept loop: whose connection it is, whether there is room for it, and a task for each.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use imds_common::address::Identity;
use imds_common::verdict::Refusal;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Ending};
use super::settings::ServiceSettings;
use super::socket;
use super::stream::Accepted;
use super::tenant::{Client, Tenant as _};
use crate::registry::directory::Directory;

/// How long accepting pauses when it fails, for want of descriptors or memory: trying again at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that are still accepted when the service ends: as many as Linux lets wait (`somaxconn`), so that a flood
/// doesn't put its end off.
const WAITING_MAX: usize = 4_096;

/// Serves the instances of `directory` on `listener` until `shutdown` is cancelled; then ends within the settings'
/// `drain_timeout`.
///
/// # Errors
///
/// The listening socket can't be prepared.
pub async fn serve(
    listener: TcpListener,
    directory: Arc<Directory>,
    settings: ServiceSettings,
    shutdown: CancellationToken,
) -> io::Result<()> {
    serve_by(socket::accept, listener, directory, settings, shutdown).await
}

/// Takes connections as `accept` does.
async fn serve_by(
    accept: fn(&TcpListener) -> io::Result<(TcpStream, SocketAddr)>,
    listener: TcpListener,
    directory: Arc<Directory>,
    settings: ServiceSettings,
    shutdown: CancellationToken,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    socket::prepare(&listener)?;
    // SAFETY: the listener keeps its descriptor open, one and the same, until it is dropped.
    let listener = unsafe { AsyncFd::register_with_interest(listener, Interest::READABLE) };
    let listener = listener.map_err(io::Error::from)?;
    let mut connections = JoinSet::new();
    let take = |connections: &mut JoinSet<()>, (stream, peer)| {
        if let Some((stream, client, permit)) = admit(stream, peer, &directory) {
            connections.spawn(attend(stream, client, permit, directory.clone(), settings, shutdown.clone()));
        }
    };
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(ended) = connections.join_next() => {
                report(ended);
                continue;
            }
            accepted = listener.async_io(Interest::READABLE, accept) => accepted,
        };
        match accepted {
            Ok(accepted) => take(&mut connections, accepted),
            Err(error) => accept_failed(&error).await,
        }
    }
    // Requests that wait to be accepted would be reset with the listener: they are served as those in hand are.
    let waiting = std::iter::from_fn(|| accept(listener.get_ref()).ok());
    waiting.take(WAITING_MAX).for_each(|accepted| take(&mut connections, accepted));
    drop(listener);
    let drained = timeout(settings.drain_timeout, async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    });
    if drained.await.is_err() {
        tracing::info!(connections = connections.len(), "connections are cut off at the end of the drain");
    }
    Ok(())
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "the task of a connection failed");
    }
}

async fn accept_failed(error: &io::Error) {
    if error.kind() == io::ErrorKind::ConnectionAborted {
        return;
    }
    tracing::warn!(%error, "no connection can be accepted; if files are short, raise their limit (LimitNOFILE)");
    sleep(ACCEPT_PAUSE).await;
}

/// Finds whose connection it is and takes a permit for it. An unknown one is reset, one too many refused.
fn admit(
    stream: TcpStream,
    peer: SocketAddr,
    directory: &Directory,
) -> Option<(TcpStream, Client, OwnedSemaphorePermit)> {
    let Some(client) = client_of(peer, directory) else {
        tracing::debug!(%peer, "reset: the peer is no instance of now");
        socket::reset(stream);
        return None;
    };
    match client.allowance.connect() {
        Some(permit) => Some((stream, client, permit)),
        None => {
            client.refuse(Refusal::TooManyConnections, &[]);
            socket::refuse(stream, client.served.options());
            None
        }
    }
}

/// The instance that the kernel wrote into the peer's address, if it still has its slot, and its client.
fn client_of(peer: SocketAddr, directory: &Directory) -> Option<Client> {
    let SocketAddr::V6(peer) = peer else {
        return None;
    };
    let identity = Identity::from_address(peer.ip().octets())?;
    let served = directory.get(identity.slot).filter(|served| served.generation == identity.generation)?;
    Some(Client { served, identity, port: peer.port() })
}

/// Holds one connection until it ends, or the instance does.
async fn attend(
    stream: TcpStream,
    client: Client,
    _permit: OwnedSemaphorePermit,
    directory: Arc<Directory>,
    settings: ServiceSettings,
    shutdown: CancellationToken,
) {
    let mut connection = Connection {
        stream: Accepted::new(stream),
        tenant: &client,
        directory: &directory,
        settings: &settings,
        shutdown: &shutdown,
    };
    let ending = tokio::select! {
        biased;
        () = client.gone.cancelled() => Ending::Reset,
        ending = connection.run() => ending,
    };
    if ending == Ending::Reset
        && let Some(socket) = connection.stream.descriptor()
    {
        socket::reset(socket);
    }
}

#[cfg(test)]
mod tests;
