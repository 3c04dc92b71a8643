use std::sync::Mutex;

use tokio::task::JoinHandle;

use super::*;
use crate::registry::view::StatsView;

/// Notes commands; `list` takes a while.
#[derive(Default)]
struct Fake {
    done: Mutex<Vec<String>>,
}

impl Handler for Fake {
    async fn handle(&self, command: Command) -> Result<Payload, Failure> {
        if matches!(command, Command::InstanceList) {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let name = format!("{command:?}");
        self.done.lock().expect("not poisoned").push(name);
        match command {
            Command::InstanceShow { instance_id } => {
                Err(Failure { kind: FailureKind::NotFound, message: format!("no {instance_id}") })
            }
            _ => Ok(Payload::Stats(StatsView { instances: Vec::new(), host: None })),
        }
    }
}

struct Server {
    scratch: tempfile::TempDir,
    handler: Arc<Fake>,
    shutdown: CancellationToken,
    task: JoinHandle<io::Result<()>>,
}

impl Server {
    fn start() -> Self {
        let scratch = tempfile::tempdir().expect("scratch directory");
        let listener = std::os::unix::net::UnixListener::bind(scratch.path().join("s")).expect("bound");
        listener.set_nonblocking(true).expect("a socket");
        let (handler, shutdown) = (Arc::new(Fake::default()), CancellationToken::new());
        let task = tokio::spawn(serve(listener, Arc::clone(&handler), shutdown.clone()));
        Self { scratch, handler, shutdown, task }
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(self.scratch.path().join("s")).await.expect("listening")
    }

    /// Sends bytes, with or without an end, and returns the reply's text.
    async fn ask(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // The server may have heard enough before the end.
        let _ = stream.write_all(bytes).await;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.expect("a reply");
        assert!(reply.ends_with('\n') && reply.matches('\n').count() == 1, "{reply}");
        reply
    }

    async fn refused(&self, bytes: &[u8]) -> Failure {
        match serde_json::from_str(&self.ask(bytes).await).expect("a reply") {
            Reply::Error(failure) => failure,
            Reply::Ok(payload) => panic!("{payload:?}"),
        }
    }

    fn done(&self) -> usize {
        self.handler.done.lock().expect("not poisoned").len()
    }
}

const STATS: &[u8] = b"{\"version\":1,\"command\":{\"stats\":{\"instance_id\":null}}}\n";
const LIST: &[u8] = b"{\"version\":1,\"command\":\"instance_list\"}\n";

#[tokio::test]
async fn a_command_is_done_and_answered() {
    let server = Server::start();
    assert_eq!(server.ask(STATS).await, "{\"ok\":{\"stats\":{\"instances\":[],\"host\":null}}}\n");
    let failure = server.refused(b"{\"version\":1,\"command\":{\"instance_show\":{\"instance_id\":\"i-1\"}}}\n").await;
    assert_eq!(failure, Failure { kind: FailureKind::NotFound, message: "no i-1".into() });
    assert_eq!(server.done(), 2);
}

#[tokio::test]
async fn only_the_first_line_counts() {
    let server = Server::start();
    server.ask(&[STATS, STATS].concat()).await;
    assert_eq!(server.done(), 1);
}

#[tokio::test]
async fn a_request_in_pieces_is_one_request() {
    let server = Server::start();
    let mut stream = server.connect().await;
    for piece in STATS.chunks(7) {
        stream.write_all(piece).await.expect("sent");
        tokio::task::yield_now().await;
    }
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.expect("a reply");
    assert!(reply.starts_with("{\"ok\""), "{reply}");
}

#[tokio::test]
async fn another_version_is_refused_by_both() {
    let server = Server::start();
    for (request, theirs) in [
        (&b"{\"version\":2,\"command\":\"what_ever\"}\n"[..], "has 2"),
        (b"{\"command\":\"instance_list\"}\n", "has none"),
        (b"[]\n", "has none"),
        (b"{\"version\":-1}\n", "has none"),
    ] {
        let failure = server.refused(request).await;
        assert_eq!(failure.kind, FailureKind::Version);
        assert!(failure.message.contains("version 1") && failure.message.contains(theirs), "{}", failure.message);
    }
    assert_eq!(server.done(), 0);
}

#[tokio::test]
async fn garbage_is_refused_without_repeating_it() {
    let server = Server::start();
    for (request, expected) in [
        (&b"GET / HTTP/1.1\n"[..], "is not JSON"),
        (b"\n", "is not JSON"),
        (b"{\"version\":1,\"command\":\"secret\x1b\n", "is not JSON"),
        (b"{\"version\":1}\n", "the command \"\" is unknown"),
        (b"{\"version\":1,\"command\":{\"instance_move\":{}}}\n", "\"instance_move\" is unknown"),
        (b"{\"version\":1,\"command\":{\"instance_create\":{\"credentials\":\"secret\"}}}\n", "\"instance_create\""),
        (b"{\"version\":1,\"command\":{\"options_set\":{\"changes\":{\"HttpSecret\":1}}}}\n", "\"options_set\""),
        (b"{\"version\":1,\"command\":{\"stats\":{}, \"stats\":{\"instance_id\":7}}}\n", "\"stats\""),
    ] {
        let failure = server.refused(request).await;
        assert_eq!(failure.kind, FailureKind::Invalid);
        assert!(failure.message.contains(expected), "{}", failure.message);
        assert!(
            !failure.message.contains("ecret") && !failure.message.contains(char::is_control),
            "{}",
            failure.message
        );
    }
    assert_eq!(server.done(), 0);
}

#[tokio::test]
async fn too_long_a_request_is_refused_and_the_longest_is_taken() {
    let server = Server::start();
    let request = |length: usize| {
        let (head, tail) = (b"{\"version\":1,\"command\":{\"stats\":{\"instance_id\":\"", b"\"}}}\n");
        [&head[..], &vec![b'i'; length - head.len() - tail.len()], tail].concat()
    };
    server.ask(&request(MESSAGE_MAX)).await;
    assert_eq!(server.done(), 1);
    for longer in [request(MESSAGE_MAX + 1), vec![b' '; 3 * MESSAGE_MAX]] {
        let failure = server.refused(&longer).await;
        assert_eq!(failure.kind, FailureKind::Invalid);
        assert!(failure.message.contains("longer than 1048576 bytes"), "{}", failure.message);
    }
    assert_eq!(server.done(), 1);
}

#[tokio::test]
async fn a_silent_peer_is_told_and_let_go() {
    let server = Server::start();
    let failure = server.refused(b"{\"version\":1,").await;
    assert!(failure.message.contains("within 5 seconds"), "{}", failure.message);
}

#[tokio::test]
async fn silent_peers_do_not_keep_others_out_for_long() {
    let server = Server::start();
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS - 1 {
        silent.push(server.connect().await);
    }
    timeout(Duration::from_secs(2), server.ask(STATS)).await.expect("one is left");
    assert_eq!(server.done(), 1);
}

#[tokio::test]
async fn a_command_in_hand_is_ended_and_no_other_begun() {
    let server = Server::start();
    let mut stream = server.connect().await;
    stream.write_all(LIST).await.expect("sent");
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.shutdown.cancel();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.expect("a reply");
    assert!(reply.starts_with("{\"ok\""), "{reply}");
    drop(stream);
    server.task.await.expect("no panic").expect("ended");
    UnixStream::connect(server.scratch.path().join("s")).await.expect_err("nobody listens");
}

#[tokio::test]
async fn a_peer_that_hangs_up_does_not_stop_its_command() {
    let server = Server::start();
    let mut stream = server.connect().await;
    stream.write_all(LIST).await.expect("sent");
    drop(stream);
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if server.done() == 1 {
            return;
        }
    }
    panic!("the command was stopped");
}
