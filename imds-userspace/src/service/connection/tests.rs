use std::net::Ipv6Addr;
use std::pin::Pin;
use std::task::{Context, Poll};

use imds_common::options::{HttpTokens, MetadataOptions, OptionsWord};
use imds_common::token::TOKEN_TEXT_LENGTH;
use tokio::io::{AsyncRead, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::*;
use crate::service::sample::{Guest, KEY_RING, converse, let_run, read_answers, talk, token_for};
use crate::service::stream::Accepted;

const GET: &[u8] = b"GET /latest/meta-data/mac HTTP/1.1\r\nHost: a\r\n\r\n";
const PUT: &[u8] = b"PUT /latest/api/token HTTP/1.1\r\nX-aws-ec2-metadata-token-ttl-seconds: 60\r\n\r\n";

fn guest() -> Guest {
    Guest::new(&MetadataOptions::default())
}

fn required() -> OptionsWord {
    OptionsWord::new(&MetadataOptions { http_tokens: HttpTokens::Required, ..MetadataOptions::default() }, false)
}

/// How many answers there are, and whether the last one says that it is.
fn answers(text: &str) -> (usize, bool) {
    (text.matches("HTTP/1.1 ").count(), text.contains("Connection: close\r\n"))
}

#[tokio::test]
async fn where_a_request_is_cut_makes_no_difference() {
    let with_token = format!("GET / HTTP/1.1\r\nX-aws-ec2-metadata-token: {}\r\n\r\n", token_for(1_000_000));
    let guest = guest();
    let requests: [&[u8]; 4] = [GET, PUT, with_token.as_bytes(), b"PUT /latest HTTP/1.1\r\nX-Forwarded-For: a\r\n\r\n"];
    for request in requests {
        let masked = |answer: String| match answer.strip_suffix("==") {
            Some(token) => token[..token.len() + 2 - TOKEN_TEXT_LENGTH].to_owned(),
            None => answer,
        };
        let whole = masked(talk(&guest, &[request]).await.1);
        assert_eq!(answers(&whole).0, 1);
        for position in 1..request.len() {
            let (first, second) = request.split_at(position);
            assert_eq!(masked(talk(&guest, &[first, second]).await.1), whole, "cut at {position}");
        }
        let bytes: Vec<&[u8]> = request.chunks(1).collect();
        assert_eq!(masked(talk(&guest, &bytes).await.1), whole, "in single bytes");
    }
}

#[tokio::test]
async fn reads_follow_each_other_on_a_connection() {
    let guest = guest();
    let many = GET.repeat(200);
    for parts in [vec![GET; 200], vec![&many[..]]] {
        let (ending, answer) = talk(&guest, &parts).await;
        assert_eq!(ending, Ending::Close);
        assert_eq!(answers(&answer), (200, false));
        assert_eq!(answer.matches("02:00:00:00:00:01").count(), 200);
    }
}

#[tokio::test]
async fn a_connection_ends_after_what_must_be_the_last() {
    for last in [
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nConnection: Close\r\n\r\n",
        "GET / HTTP/1.1\r\nConnection: x, close\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n",
        "GET / HTTP/1.1\r\nX-aws-ec2-metadata-token: x\r\n\r\n",
        "POST / HTTP/1.1\r\n\r\n",
        "OPTIONS /latest/api/token HTTP/1.1\r\n\r\n",
        "\0",
        std::str::from_utf8(PUT).expect("ASCII"),
    ] {
        let (ending, answer) = talk(&guest(), &[GET, last.as_bytes(), GET]).await;
        assert_eq!(ending, Ending::Close);
        assert_eq!(answers(&answer), (2, true), "{last}: {answer}");
    }
}

#[tokio::test]
async fn options_count_from_the_next_whole_head_on() {
    let guest = guest();
    let client = async |mut client: DuplexStream| {
        client.write_all(GET).await.expect("a pipe");
        let mut answer = [0; 17];
        client.read_exact(&mut answer).await.expect("a pipe");
        assert_eq!(&answer, b"HTTP/1.1 200 OK\r\n");
        client.write_all(&GET[..GET.len() - 1]).await.expect("a pipe");
        let_run().await;
        guest.set_options(required());
        client.write_all(&GET[GET.len() - 1..]).await.expect("a pipe");
        read_answers(&mut client).await
    };
    let (_, answer) = converse(&guest, &ServiceSettings::default(), &CancellationToken::new(), client).await;
    assert!(answer.contains("HTTP/1.1 401 Unauthorized\r\n"), "{answer}");
}

/// What a client gets that sends `parts` so far apart, and how long the connection lives.
async fn paced(settings: ServiceSettings, parts: &[&[u8]], pause: Duration) -> (Duration, String) {
    let begin = Instant::now();
    let client = async |mut client: DuplexStream| {
        for part in parts {
            if client.write_all(part).await.is_err() {
                break;
            }
            sleep(pause).await;
        }
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("a pipe");
        answer
    };
    let (ending, answer) = converse(&guest(), &settings, &CancellationToken::new(), client).await;
    assert_eq!(ending, Ending::Close);
    (begin.elapsed(), answer)
}

#[tokio::test]
async fn a_head_has_its_time_and_no_more() {
    let limit = Duration::from_millis(300);
    let settings = ServiceSettings { head_timeout: limit, ..ServiceSettings::default() };
    let slowly: Vec<&[u8]> = GET.chunks(1).collect();
    for parts in [&slowly[..], &slowly[..1], &[]] {
        let (lived, answer) = paced(settings, parts, Duration::from_millis(20)).await;
        assert!(lived >= limit && lived < limit * 10, "{lived:?}");
        assert_eq!(answer, "");
    }
}

#[tokio::test]
async fn a_connection_idles_only_so_long() {
    let limit = Duration::from_millis(100);
    let settings = ServiceSettings { idle_timeout: limit, ..ServiceSettings::default() };
    let (lived, answer) = paced(settings, &[GET], Duration::ZERO).await;
    assert!(lived >= limit && lived < limit * 20, "{lived:?}");
    assert_eq!(answers(&answer), (1, false));
    let (first, second) = GET.split_at(10);
    let (_, answer) = paced(settings, &[GET, first, second], Duration::from_millis(60)).await;
    assert_eq!(answers(&answer).0, 2, "a request that has begun has a head's time");
    let settings = ServiceSettings { idle_timeout: Duration::from_secs(60), head_timeout: limit, ..settings };
    let (lived, answer) = paced(settings, &[&[GET, first].concat()], Duration::ZERO).await;
    assert!(lived < limit * 20, "{lived:?}");
    assert_eq!(answers(&answer).0, 1);
}

#[tokio::test]
async fn what_a_client_still_sends_is_read_within_bounds() {
    let settings = ServiceSettings { linger_timeout: Duration::from_millis(200), ..ServiceSettings::default() };
    let client = async |mut client: DuplexStream| {
        let head = b"PUT / HTTP/1.1\r\nContent-Length: 9000000\r\n\r\n";
        client.write_all(head).await.expect("a pipe");
        client.write_all(&[0; 1000 * 1024]).await.expect("read though it is not wanted");
        let too_much = client.write_all(&[0; 200 * 1024]).await;
        assert!(too_much.is_err(), "not read for ever");
        read_to_end(&mut client).await
    };
    let (ending, answer) = converse(&guest(), &settings, &CancellationToken::new(), client).await;
    assert_eq!(ending, Ending::Close);
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
}

#[tokio::test]
async fn our_side_ends_with_the_last_answer_and_the_rest_soon() {
    let (lived, answer) = paced(ServiceSettings::default(), &[PUT], Duration::ZERO).await;
    assert!(lived < ServiceSettings::default().linger_timeout, "{lived:?}");
    assert_eq!(answers(&answer), (1, true));
    let settings = ServiceSettings { linger_timeout: Duration::from_millis(100), ..ServiceSettings::default() };
    let client = async |mut client: DuplexStream| {
        client.write_all(PUT).await.expect("a pipe");
        read_to_end(&mut client).await;
        sleep(Duration::from_millis(400)).await;
        client.write_all(b"x").await.expect_err("a client that doesn't close is left");
    };
    let (ending, ()) = converse(&guest(), &settings, &CancellationToken::new(), client).await;
    assert_eq!(ending, Ending::Close);
}

/// What it still sends stays unread in the socket, and would turn the close into a reset.
#[tokio::test]
async fn a_client_that_may_send_more_is_waited_for() {
    let put = std::str::from_utf8(PUT).expect("text");
    for (request, waited) in [
        ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n", false),
        ("GET / HTTP/1.0\r\n\r\n", false),
        (put, false),
        ("GET / HTTP/1.1\r\nConnection: close\r\n\r\nG", true),
        ("GET / HTTP/1.1\r\nContent-Length: 9\r\n\r\n", true),
        ("PUT /latest/api/token HTTP/1.1\r\n\r\n", true),
        ("GET / HTTP/2.0\r\n\r\n", true),
    ] {
        let client = async |mut client: DuplexStream| {
            client.write_all(request.as_bytes()).await.expect("a pipe");
            assert_eq!(answers(&read_to_end(&mut client).await), (1, true), "{request}");
            let_run().await;
            client.write_all(b"x").await.is_ok()
        };
        let (ending, open) = converse(&guest(), &ServiceSettings::default(), &CancellationToken::new(), client).await;
        assert_eq!((ending, open), (Ending::Close, waited), "{request}");
    }
}

#[tokio::test]
async fn a_body_that_nobody_wants_does_not_kill_the_answer() {
    let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.expect("loopback");
    let mut client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("listening");
    let stream = Accepted::new(listener.accept().await.expect("a client").0.into_std().expect("a socket"));
    let (guest, settings, shutdown) = (guest(), ServiceSettings::default(), CancellationToken::new());
    let directory = Directory::new(1, KEY_RING);
    // More than one read takes: what stays unread when the socket is closed resets the connection.
    let request = [b"POST / HTTP/1.1\r\nContent-Length: 40000\r\n\r\n", &[b'x'; 40_000][..]].concat();
    client.write_all(&request).await.expect("connected");
    let service = async {
        Connection { stream, tenant: &guest, directory: &directory, settings: &settings, shutdown: &shutdown }
            .run()
            .await
    };
    let reader = async {
        sleep(Duration::from_millis(100)).await;
        client.shutdown().await.expect("connected");
        read_to_end(&mut client).await
    };
    let (ending, answer) = tokio::join!(service, reader);
    assert_eq!(ending, Ending::Close);
    assert!(answer.starts_with("HTTP/1.1 405 Not Allowed\r\n"), "{answer}");
}

async fn read_to_end(client: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.expect("a pipe");
    answer
}

#[tokio::test]
async fn an_answer_that_nobody_takes_resets() {
    let settings = ServiceSettings { write_timeout: Duration::from_millis(100), ..ServiceSettings::default() };
    let client = async |mut client: DuplexStream| {
        // The pipe holds some twelve answers; nobody reads them.
        client.write_all(&GET.repeat(50)).await.expect("a pipe");
        sleep(Duration::from_millis(300)).await;
    };
    let (ending, ()) = converse(&guest(), &settings, &CancellationToken::new(), client).await;
    assert_eq!(ending, Ending::Reset);
}

#[tokio::test]
async fn at_the_end_of_the_service_the_request_in_hand_is_the_last() {
    let shutdown = CancellationToken::new();
    let settings = ServiceSettings::default();
    let idle = async |mut client: DuplexStream| {
        client.write_all(GET).await.expect("a pipe");
        let_run().await;
        shutdown.cancel();
        read_to_end(&mut client).await
    };
    let (ending, answer) = converse(&guest(), &settings, &shutdown, idle).await;
    assert_eq!((ending, answers(&answer)), (Ending::Close, (1, false)));

    let shutdown = CancellationToken::new();
    let busy = async |mut client: DuplexStream| {
        let (first, second) = GET.split_at(20);
        client.write_all(first).await.expect("a pipe");
        let_run().await;
        shutdown.cancel();
        let_run().await;
        client.write_all(second).await.expect("a pipe");
        client.write_all(GET).await.expect("a pipe");
        read_answers(&mut client).await
    };
    let (ending, answer) = converse(&guest(), &settings, &shutdown, busy).await;
    assert_eq!((ending, answers(&answer)), (Ending::Close, (1, true)));
}

/// Takes so many bytes at once, and remembers each write.
struct Sheet {
    at_once: usize,
    writes: Vec<Vec<u8>>,
}

impl AsyncWrite for Sheet {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let count = bytes.len().min(self.at_once);
        self.writes.push(bytes[..count].to_vec());
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        self.poll_write(context, &bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn an_answer_is_one_write_where_the_socket_has_room() {
    for (at_once, writes, head, body) in
        [(100, 1, "head", "body"), (100, 1, "head", ""), (4, 2, "head", "body"), (3, 3, "head", "body")]
    {
        let mut sheet = Sheet { at_once, writes: Vec::new() };
        write_all(&mut sheet, head.as_bytes(), body.as_bytes()).await.expect("room");
        assert_eq!(sheet.writes.len(), writes);
        assert_eq!(sheet.writes.concat(), format!("{head}{body}").into_bytes());
    }
    write_all(&mut Sheet { at_once: 0, writes: Vec::new() }, b"head", b"").await.expect_err("no room for ever");
}
