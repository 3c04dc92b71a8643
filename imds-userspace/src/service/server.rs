//! The accept loop: whose connection it is, whether there is room for it, and a task for each.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use imds_common::address::Identity;
use imds_common::verdict::Refusal;
use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Ending};
use super::settings::ServiceSettings;
use super::socket;
use crate::registry::directory::{Directory, Served};

/// How long accepting pauses when the host has no descriptors or memory left: trying again at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the instances of `directory` on `listener` until `shutdown` is cancelled; then ends within the settings'
/// `drain_timeout`.
///
/// # Errors
///
/// The listening socket can't be prepared.
pub async fn serve(
    listener: std::net::TcpListener,
    directory: Arc<Directory>,
    settings: ServiceSettings,
    shutdown: CancellationToken,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    socket::prepare(&listener)?;
    let listener = TcpListener::from_std(listener)?;
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(ended) = connections.join_next() => {
                report(ended);
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Some((stream, served, permit)) = admit(stream, peer, &directory) {
                    connections.spawn(attend(stream, served, permit, directory.clone(), settings, shutdown.clone()));
                }
            }
            Err(error) => accept_failed(&error).await,
        }
    }
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
    let errno = Errno::from_io_error(error);
    if matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)) {
        tracing::warn!(%error, "no connection can be accepted; raise the limit of open files (LimitNOFILE)");
        sleep(ACCEPT_PAUSE).await;
    } else {
        tracing::debug!(%error, "a connection ended before it was accepted");
    }
}

/// Finds whose connection it is and takes a permit for it. An unknown one is reset, one too many refused.
fn admit(
    stream: TcpStream,
    peer: SocketAddr,
    directory: &Directory,
) -> Option<(TcpStream, Arc<Served>, OwnedSemaphorePermit)> {
    let Some(served) = tenant_of(peer, directory) else {
        tracing::debug!(%peer, "reset: the peer is no instance of now");
        socket::reset(stream);
        return None;
    };
    match Arc::clone(&served.connections).try_acquire_owned() {
        Ok(permit) => Some((stream, served, permit)),
        Err(_) => {
            served.counters.add(Refusal::TooManyConnections.counter());
            socket::refuse(stream, served.options());
            None
        }
    }
}

/// The instance that the kernel wrote into the peer's address, if it still has its slot.
fn tenant_of(peer: SocketAddr, directory: &Directory) -> Option<Arc<Served>> {
    let SocketAddr::V6(peer) = peer else {
        return None;
    };
    let identity = Identity::from_address(peer.ip().octets())?;
    directory.get(identity.slot).filter(|served| served.generation == identity.generation)
}

/// Holds one connection until it ends, or the instance does.
async fn attend(
    mut stream: TcpStream,
    served: Arc<Served>,
    _permit: OwnedSemaphorePermit,
    directory: Arc<Directory>,
    settings: ServiceSettings,
    shutdown: CancellationToken,
) {
    let mut connection = Connection {
        stream: &mut stream,
        tenant: &*served,
        directory: &directory,
        settings: &settings,
        shutdown: &shutdown,
    };
    let ending = tokio::select! {
        biased;
        () = served.gone.cancelled() => Ending::Reset,
        ending = connection.run() => ending,
    };
    if ending == Ending::Reset {
        socket::reset(stream);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imds_common::token::{KEYS, Key};
    use std::net::Ipv6Addr;
    use tokio::io::AsyncReadExt as _;

    use crate::registry::directory::KeyRing;

    #[tokio::test]
    async fn a_stranger_is_reset_and_the_service_ends_when_told() {
        let listener = std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).expect("loopback");
        let address = listener.local_addr().expect("bound");
        let directory = Arc::new(Directory::new(4, KeyRing { keys: [Key::EMPTY; KEYS], current: 1 }));
        let shutdown = CancellationToken::new();
        let service = tokio::spawn(serve(listener, directory, ServiceSettings::default(), shutdown.clone()));
        let mut client = TcpStream::connect(address).await.expect("listening");
        let error = client.read(&mut [0; 1]).await.expect_err("reset");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        shutdown.cancel();
        let ended = timeout(Duration::from_secs(5), service).await.expect("in time");
        ended.expect("no panic").expect("no error");
        TcpStream::connect(address).await.expect_err("nobody listens");
    }

    #[test]
    fn a_peer_without_a_slot_is_nobody() {
        let directory = Directory::new(4, KeyRing { keys: [Key::EMPTY; KEYS], current: 1 });
        for slot in [0, 1, 3, 4, u16::MAX] {
            let identity = Identity { slot, generation: 1, place: 0, client: [10, 0, 0, 1] };
            assert!(tenant_of((identity.to_address(), 1).into(), &directory).is_none(), "{slot}");
        }
        assert!(tenant_of(([10, 0, 0, 1], 1).into(), &directory).is_none());
    }
}
