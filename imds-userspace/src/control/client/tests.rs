use super::*;
use crate::control::protocol::FailureKind;
use crate::registry::view::StatsView;
use std::os::unix::net::UnixListener;
use std::thread::{self, JoinHandle};
use tempfile::TempDir;

const LIMITS: Limits = Limits { timeout: Duration::from_secs(10), reply_max: 4096 };

/// A daemon that takes one request and does with the connection what it is told to.
struct FakeDaemon {
    directory: TempDir,
    thread: JoinHandle<()>,
}

impl FakeDaemon {
    fn new(answer: impl FnOnce(String, UnixStream) + Send + 'static) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let listener = UnixListener::bind(directory.path().join("imdsd.sock")).expect("bound");
        set_socket_timeout(&listener, Timeout::Recv, Some(LIMITS.timeout)).expect("a client is not waited for forever");
        let thread = thread::spawn(move || {
            let (stream, _) = listener.accept().expect("a client");
            let mut request = String::new();
            BufReader::new(&stream).read_line(&mut request).expect("a request");
            answer(request, stream);
        });
        Self { directory, thread }
    }

    fn ask(self, limits: Limits) -> Result<Payload, ClientError> {
        let answer = Client::new(&self.directory.path().join("imdsd.sock"), limits).ask(Command::InstanceList);
        self.thread.join().expect("the daemon's end");
        answer
    }
}

fn answers(reply: &'static str) -> FakeDaemon {
    FakeDaemon::new(move |_, mut stream| stream.write_all(reply.as_bytes()).expect("written"))
}

#[test]
fn a_request_is_a_line_and_so_is_its_reply() {
    let daemon = FakeDaemon::new(|request, mut stream| {
        assert_eq!(request, "{\"version\":1,\"command\":\"instance_list\"}\n");
        for part in ["{\"ok\":{\"stats\":{\"instances\":[],", "\"host\":{\"requests\":7}}}}\n"] {
            stream.write_all(part.as_bytes()).expect("written");
        }
    });
    let Payload::Stats(StatsView { instances, host }) = daemon.ask(LIMITS).expect("a payload") else {
        panic!("another payload")
    };
    assert!(instances.is_empty());
    assert_eq!(host.expect("the host's").get("requests"), Some(&7));
}

#[test]
fn a_refusal_keeps_its_kind_and_message() {
    let error = answers("{\"error\":{\"kind\":\"version\",\"message\":\"imdsd speaks 2, imdsctl 1\"}}\n").ask(LIMITS);
    let Err(ClientError::Refused(failure)) = error else { panic!("{error:?}") };
    assert_eq!(failure.kind, FailureKind::Version);
    assert_eq!(failure.message, "imdsd speaks 2, imdsctl 1");
}

#[test]
fn a_refusal_that_comes_before_the_request_is_read_is_heard() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let socket = directory.path().join("imdsd.sock");
    let listener = UnixListener::bind(&socket).expect("bound");
    let daemon = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        stream.write_all(b"{\"error\":{\"kind\":\"invalid\",\"message\":\"no\"}}\n").expect("written");
    });
    // More than the socket's buffer takes, so that the write meets the closed connection.
    let interfaces = vec!["x".repeat(1000); 800];
    let create = crate::registry::request::CreateInstance { interfaces, ..Default::default() };
    let error = Client::new(&socket, LIMITS).ask(Command::InstanceCreate(Box::new(create)));
    daemon.join().expect("the daemon's end");
    assert!(matches!(&error, Err(ClientError::Refused(failure)) if failure.message == "no"), "{error:?}");
}

#[test]
fn what_is_no_reply_is_an_error() {
    for garbage in ["hello\n", "\n", "{}\n", "{\"ok\":{\"something\":1}}\n", "{\"ok\":1} {\"ok\":2}\n", "\u{0}\n"] {
        let error = answers(garbage).ask(LIMITS).expect_err(garbage);
        assert!(matches!(error, ClientError::ReplyMalformed { .. }), "{garbage}: {error:?}");
        let message = error.to_string();
        assert!(message.contains("imdsd.sock is not one of imdsd's protocol version 1 ("), "{message}");
    }
}

#[test]
fn a_connection_that_closes_early_is_an_error() {
    for part in ["", "{\"ok\":", "{\"ok\":{\"instances\":[]}}"] {
        let error = answers(part).ask(LIMITS).expect_err(part);
        assert!(matches!(error, ClientError::Closed { .. }), "{part}: {error:?}");
    }
}

#[test]
fn a_reply_is_taken_up_to_its_limit() {
    let reply = "{\"ok\":{\"instances\":[]}}\n";
    let limits = |reply_max| Limits { reply_max, ..LIMITS };
    assert!(matches!(answers(reply).ask(limits(reply.len())), Ok(Payload::Instances(all)) if all.is_empty()));
    let error = answers(reply).ask(limits(reply.len() - 1)).expect_err("one byte too long");
    assert!(matches!(error, ClientError::ReplyTooLong { limit, .. } if limit == reply.len() - 1), "{error:?}");
}

#[test]
fn a_daemon_that_trickles_does_not_prolong_the_wait() {
    let limits = Limits { timeout: Duration::from_millis(300), ..LIMITS };
    let started = Instant::now();
    let error = FakeDaemon::new(move |_, mut stream| {
        while started.elapsed() < Duration::from_secs(20) && stream.write_all(b" ").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    })
    .ask(limits)
    .expect_err("never a whole reply");
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error:?}");
    assert!(error.to_string().contains("has not answered within 0.3 s"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_daemon_that_accepts_nothing_is_not_waited_for_forever() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let socket = directory.path().join("imdsd.sock");
    let _listener = UnixListener::bind(&socket).expect("bound");
    let client = Client::new(&socket, Limits { timeout: Duration::from_millis(200), ..LIMITS });
    let error = client.ask(Command::InstanceList).expect_err("nobody reads");
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error:?}");
}

#[test]
fn a_full_backlog_is_not_waited_for_forever() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let socket = directory.path().join("imdsd.sock");
    let listener = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).expect("a socket");
    rustix::net::bind(&listener, &SocketAddrUnix::new(&socket).expect("short")).expect("bound");
    rustix::net::listen(&listener, 0).expect("listens");
    let _waiting = UnixStream::connect(&socket).expect("the backlog has room for one");
    let client = Client::new(&socket, Limits { timeout: Duration::from_millis(200), ..LIMITS });
    let started = Instant::now();
    let error = client.ask(Command::InstanceList).expect_err("no room");
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error:?}");
}

#[test]
fn no_daemon_is_told_with_the_way_out() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let absent = directory.path().join("imdsd.sock");
    let refusing = directory.path().join("dead.sock");
    drop(UnixListener::bind(&refusing).expect("bound"));
    let long = directory.path().join("x".repeat(200));
    for (socket, words) in
        [(absent, "No such file or directory"), (refusing, "Connection refused"), (long, "File name too long")]
    {
        let error = Client::new(&socket, LIMITS).ask(Command::InstanceList).expect_err("nobody");
        let expected =
            format!("no imdsd answers at {} ({words}); start it with `imdsd`, or give --socket PATH", socket.display());
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_lack_of_permission_says_that_root_is_needed() {
    let error =
        ClientError::Permission { socket: "/run/imdsd/imdsd.sock".into(), source: rustix::io::Errno::ACCESS.into() };
    assert_eq!(
        error.to_string(),
        "no permission to open /run/imdsd/imdsd.sock (Permission denied); only root may talk to imdsd: run imdsctl as root"
    );
}

#[test]
fn a_request_beyond_the_limit_is_not_sent() {
    let command = Command::InstanceShow { instance_id: "i".repeat(MESSAGE_MAX) };
    let error = Client::new(Path::new("/nonexistent"), LIMITS).ask(command).expect_err("too long");
    assert!(matches!(error, ClientError::RequestTooLong { bytes } if bytes > MESSAGE_MAX), "{error:?}");
}
