//! The daemon's end of the operator's socket: a connection, a request, a reply.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::protocol::{Command, Failure, FailureKind, MESSAGE_MAX, Payload, REPLY_MAX, Reply, VERSION};

/// How long a peer has to send its request, and then to take the reply.
const IO_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that are served at once; further ones wait to be accepted. Commands are done one after the other anyway.
const CONNECTIONS: usize = 16;
/// How long commands in hand may take after the end was asked for.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Wait after an accept that failed, as it does while the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Characters of an unknown command's name that an error repeats.
const NAME_SHOWN: usize = 64;

/// What does the commands.
pub trait Handler: Send + Sync + 'static {
    /// Does one command, to its end: a peer that hangs up doesn't stop it halfway.
    fn handle(&self, command: Command) -> impl Future<Output = Result<Payload, Failure>> + Send;
}

/// Serves commands on `listener` until `shutdown` is cancelled, then ends what is in hand within five seconds.
///
/// # Errors
///
/// The listener can't be used.
pub async fn serve<H: Handler>(
    listener: std::os::unix::net::UnixListener,
    handler: Arc<H>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let listener = UnixListener::from_std(listener)?;
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            next = next => next,
            () = shutdown.cancelled() => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                let handler = Arc::clone(&handler);
                connections.spawn(async move {
                    let _permit = permit;
                    if let Err(error) = converse(stream, &*handler).await {
                        tracing::debug!(%error, "control connection broke");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "control connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if timeout(DRAIN_TIMEOUT, async { while connections.join_next().await.is_some() {} }).await.is_err() {
        tracing::warn!(commands = connections.len(), "control commands cut off");
    }
    Ok(())
}

async fn converse(mut stream: UnixStream, handler: &impl Handler) -> io::Result<()> {
    let outcome = match admit(&stream)? {
        Ok(()) => match receive(&mut stream).await? {
            Ok(message) => match parse(&message) {
                Ok(command) => handler.handle(command).await,
                Err(failure) => Err(failure),
            },
            Err(failure) => Err(failure),
        },
        Err(failure) => Err(failure),
    };
    let mut reply = encode(outcome);
    reply.push(b'\n');
    timeout(IO_TIMEOUT, async {
        stream.write_all(&reply).await?;
        stream.shutdown().await?;
        // A socket that is closed with unread bytes resets, and the peer loses the reply.
        let mut rest = [0; 4096];
        while stream.read(&mut rest).await? > 0 {}
        Ok(())
    })
    .await?
}

/// Only root and the daemon's own user may command, whatever the socket's mode says.
fn admit(stream: &UnixStream) -> io::Result<Result<(), Failure>> {
    let peer = stream.peer_cred()?.uid();
    Ok(if peer == 0 || peer == rustix::process::geteuid().as_raw() {
        Ok(())
    } else {
        tracing::warn!(peer, "control connection of another user refused");
        Err(invalid(format!("user {peer} may not command imdsd; run imdsctl as root")))
    })
}

/// Reads one line, or what there is at the peer's end.
async fn receive(stream: &mut UnixStream) -> io::Result<Result<Vec<u8>, Failure>> {
    let mut message = Vec::new();
    let read = async {
        loop {
            let from = message.len();
            if stream.read_buf(&mut message).await? == 0 {
                break;
            }
            if let Some(end) = message[from..].iter().position(|&byte| byte == b'\n') {
                message.truncate(from + end + 1);
                break;
            }
            if message.len() > MESSAGE_MAX {
                break;
            }
        }
        Ok::<_, io::Error>(())
    };
    match timeout(IO_TIMEOUT, read).await {
        Ok(read) => read?,
        Err(_) => {
            let seconds = IO_TIMEOUT.as_secs();
            let message = format!("no whole request came within {seconds} seconds; send one JSON object and a newline");
            return Ok(Err(invalid(message)));
        }
    }
    if message.len() > MESSAGE_MAX {
        return Ok(Err(invalid(format!("the request is longer than {MESSAGE_MAX} bytes; give less at once"))));
    }
    Ok(Ok(message))
}

/// The command of a message. Errors name the command at most: its content may be secret.
fn parse(message: &[u8]) -> Result<Command, Failure> {
    let mut request: Value = serde_json::from_slice(message).map_err(|error| {
        invalid(format!("the request is not JSON (at byte {}); is it imdsctl that asks?", error.column()))
    })?;
    let version = request.get("version").and_then(Value::as_u64);
    if version != Some(u64::from(VERSION)) {
        let theirs = version.map_or_else(|| "none".to_owned(), |version| version.to_string());
        let message = format!(
            "imdsd speaks protocol version {VERSION}, the request has {theirs}; use the imdsctl that came with imdsd"
        );
        return Err(Failure { kind: FailureKind::Version, message });
    }
    let command = request.get_mut("command").map(Value::take).unwrap_or_default();
    let name = match &command {
        Value::String(name) => Some(name.as_str()),
        Value::Object(object) => object.keys().next().map(String::as_str),
        _ => None,
    };
    let name: String = name.unwrap_or("").chars().filter(|c| c.is_ascii_graphic()).take(NAME_SHOWN).collect();
    serde_json::from_value(command).map_err(|_| {
        invalid(format!(
            "the command \"{name}\" is unknown, or its content malformed; use the imdsctl that came with imdsd"
        ))
    })
}

fn encode(outcome: Result<Payload, Failure>) -> Vec<u8> {
    let internal = |message: String| Reply::Error(Failure { kind: FailureKind::Internal, message });
    let bytes = |reply: &Reply| serde_json::to_vec(reply);
    let reply = match outcome {
        Ok(payload) => Reply::Ok(payload),
        Err(failure) => Reply::Error(failure),
    };
    let fallback = match bytes(&reply) {
        Ok(line) if line.len() < REPLY_MAX => return line,
        Ok(line) => format!("the reply has {} bytes, more than {REPLY_MAX}; ask for one instance", line.len()),
        Err(error) => format!("the reply can't be written as JSON ({error})"),
    };
    bytes(&internal(fallback)).unwrap_or_default()
}

fn invalid(message: String) -> Failure {
    Failure { kind: FailureKind::Invalid, message }
}

#[cfg(test)]
mod tests;
