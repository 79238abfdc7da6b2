//! Requests and responses over a socket, and when another may follow.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use super::*;
use crate::upstream::client_body::ClientBody;
use crate::upstream::incoming::Incoming;
use crate::upstream::interim::Interims;
use crate::upstream::piped;
use crate::upstream::piped::BodyFeed;

fn pair() -> (Box<Connection>, UnixStream) {
    let (mine, theirs) = UnixStream::pair().expect("a pair");
    (Box::new(Connection::new(StreamIo::Unix(mine), 4_000)), theirs)
}

fn get() -> Request<RequestBody> {
    let mut request = Request::new(RequestBody::Empty);
    *request.uri_mut() = "/a?b".parse().expect("a path");
    request
        .fields_mut()
        .insert(http::HeaderName::from_static("host"), HeaderValue::from_static("a.test"));
    request
}

fn post(length: Option<u64>) -> (BodyFeed, Request<RequestBody>) {
    let (feed, body) = piped::pipe(length);
    let mut request = get().map(|_| RequestBody::new(ClientBody::Http1(body)));
    *request.method_mut() = Method::POST;
    (feed, request)
}

async fn answer(
    connection: &mut Connection,
    mut request: Request<RequestBody>,
) -> Result<Response<()>, UpstreamError> {
    connection.begin(&mut request);
    let answered = std::future::poll_fn(|cx| connection.poll_response(cx, None));
    tokio::time::timeout(Duration::from_secs(5), answered).await.expect("in time")
}

async fn body(connection: Box<Connection>) -> (Option<Bytes>, Box<Connection>) {
    let mut incoming = Incoming::Http1(Some(connection));
    let collected = (&mut incoming).collect();
    let collected = tokio::time::timeout(Duration::from_secs(5), collected).await.expect("in time");
    let body = collected.ok().map(|body| body.to_bytes());
    (body, incoming.take_connection().expect("a connection"))
}

#[tokio::test]
async fn one_request_follows_the_other() {
    let (mut connection, mut peer) = pair();
    for (text, said) in [
        ("content-length: 5\r\n\r\nhello", "hello"),
        ("content-length: 0\r\n\r\n", ""),
        ("transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "hello"),
    ] {
        peer.write_all(format!("HTTP/1.1 200 OK\r\n{text}").as_bytes()).await.expect("sent");
        let head = answer(&mut connection, get()).await.expect("an answer");
        assert_eq!(head.status(), StatusCode::OK);
        let (read, it) = body(connection).await;
        connection = it;
        assert_eq!(read.expect("whole"), said);
        assert!(connection.is_reusable(), "{text}");
        connection.rest();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(connection.poll_unusable(&mut cx).is_pending());
    }
    let mut request = [0; 200];
    let count = peer.read(&mut request).await.expect("requests");
    assert_eq!(request[..count], *b"GET /a?b HTTP/1.1\r\nhost: a.test\r\n\r\n".repeat(3));
}

#[tokio::test]
async fn nothing_follows_what_says_so_or_is_not_over() {
    for (text, said) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello", Some("hello")),
        ("HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello", Some("hello")),
        ("HTTP/1.1 200 OK\r\n\r\nhello", Some("hello")),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello, more", Some("hello")),
        ("HTTP/1.1 204 None\r\n\r\nhello", Some("")),
        ("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello", None),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", None),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5,\r\nhello\r\n0\r\n\r\n", None),
    ] {
        let (mut connection, mut peer) = pair();
        peer.write_all(text.as_bytes()).await.expect("sent");
        peer.shutdown().await.expect("shut");
        answer(&mut connection, get()).await.expect("an answer");
        let (read, connection) = body(connection).await;
        assert_eq!(read.as_deref(), said.map(str::as_bytes), "{text}");
        assert!(!connection.is_reusable(), "{text}");
    }
}

#[tokio::test]
async fn an_unused_connection_is_dropped_when_something_happens_on_it() {
    let unusable = async |connection: &mut Connection| {
        let unusable = std::future::poll_fn(|cx| connection.poll_unusable(cx));
        tokio::time::timeout(Duration::from_secs(5), unusable).await.expect("noticed");
    };
    let (mut connection, peer) = pair();
    drop(peer);
    unusable(&mut connection).await;
    let (mut connection, mut peer) = pair();
    peer.write_all(b"\r").await.expect("sent");
    unusable(&mut connection).await;
}

/// SPEC PX-1
#[tokio::test]
async fn interim_responses_are_told_of_and_a_flood_is_an_error() {
    let (mut connection, mut peer) = pair();
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    let text = format!("{hints}{hints}HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    peer.write_all(text.as_bytes()).await.expect("sent");
    let interims = Arc::new(Interims::default());
    let hearing = interims.begin();
    let mut request = get();
    connection.begin(&mut request);
    let answered = std::future::poll_fn(|cx| connection.poll_response(cx, Some(&hearing))).await;
    assert_eq!(answered.expect("an answer").status(), StatusCode::OK);
    assert_eq!(interims.take().len(), 2);
    assert!(connection.is_reusable());
    peer.write_all(hints.repeat(40).as_bytes()).await.expect("sent");
    let flood = answer(&mut connection, get()).await;
    assert!(matches!(flood, Err(UpstreamError::InterimFlood)), "{flood:?}");
}

#[tokio::test]
async fn what_an_endpoint_says_before_it_closes_is_heard() {
    let (mut connection, mut peer) = pair();
    let text = b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n";
    peer.write_all(text).await.expect("sent");
    drop(peer);
    let (feed, request) = post(Some(100_000));
    feed.push(vec![b'x'; 100_000].into());
    feed.end(None);
    let head = answer(&mut connection, request).await.expect("an answer");
    assert_eq!(head.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(!connection.has_written() && !connection.is_reusable());
    // One that says nothing has closed it.
    let (mut connection, peer) = pair();
    drop(peer);
    let closed = answer(&mut connection, get()).await;
    assert!(matches!(closed, Err(UpstreamError::Closed(_))), "{closed:?}");
    assert!(!connection.has_written());
}

#[tokio::test]
async fn a_response_may_come_before_all_of_its_request_has_left() {
    let (mut connection, mut peer) = pair();
    let (feed, request) = post(None);
    feed.push(Bytes::from_static(b"some"));
    peer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.expect("sent");
    answer(&mut connection, request).await.expect("an answer");
    assert!(connection.has_ended() && !connection.has_sent() && !connection.is_reusable());
    feed.push(Bytes::from_static(b"more"));
    feed.end(None);
    std::future::poll_fn(|cx| connection.poll_request(cx)).await.expect("sent");
    assert!(connection.is_reusable());
    let text = until(&mut peer, "0\r\n\r\n").await;
    assert!(text.ends_with("\r\n\r\n4\r\nsome\r\n4\r\nmore\r\n0\r\n\r\n"), "{text}");
}

type Edit = fn(&mut Request<RequestBody>);

/// What endpoints were sent when hyper wrote it is what they are sent.
#[tokio::test]
async fn requests_are_written_as_hyper_writes_them() {
    let cases: [(Edit, Option<Option<u64>>, &str); 5] = [
        (|_| {}, None, "\r\n\r\n"),
        (
            |request| {
                let fields = request.fields_mut();
                fields.append(
                    http::HeaderName::from_static("content-length"),
                    HeaderValue::from_static("0"),
                );
                fields.append(http::HeaderName::from_static("x-a"), HeaderValue::from_static(""));
                // A map, as hyper has it, says a name once for all of its values.
                fields.append(http::HeaderName::from_static("x-a"), HeaderValue::from_static("2"));
                fields.append(http::HeaderName::from_static("x-b"), HeaderValue::from_static("1"));
                *request.uri_mut() = "/%2e//?".parse().expect("a path");
            },
            None,
            "\r\n\r\n",
        ),
        (|_| {}, Some(Some(8)), "somemore"),
        (
            |request| {
                let fields = request.fields_mut();
                fields.insert(
                    http::HeaderName::from_static("content-length"),
                    HeaderValue::from_static("8"),
                );
                fields.append(http::HeaderName::from_static("x-a"), HeaderValue::from_static("2"));
            },
            Some(Some(8)),
            "somemore",
        ),
        (|_| {}, Some(None), "0\r\n\r\n"),
    ];
    for (edit, length, end) in cases {
        let make = || {
            let (feed, mut request) = match length {
                None => (None, get()),
                Some(length) => {
                    let (feed, request) = post(length);
                    (Some(feed), request)
                }
            };
            edit(&mut request);
            (feed, request)
        };
        let (feed, request) = make();
        let (mut connection, peer) = pair();
        let mine = written(peer, feed, end, answer(&mut connection, request)).await;
        let (feed, mut request) = make();
        if length == Some(None) {
            let chunked = HeaderValue::from_static("chunked");
            request
                .fields_mut()
                .insert(http::HeaderName::from_static("transfer-encoding"), chunked);
        }
        let (io, peer) = UnixStream::pair().expect("a pair");
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(io));
        let (mut sender, connection) = handshake.await.expect("a connection");
        tokio::spawn(connection);
        let theirs = written(peer, feed, end, sender.send_request(request.into())).await;
        assert_eq!(mine, theirs);
    }
}

async fn written(
    mut peer: UnixStream,
    feed: Option<BodyFeed>,
    end: &str,
    asking: impl Future,
) -> String {
    let reading = async {
        if let Some(feed) = feed {
            feed.push(Bytes::from_static(b"some"));
            tokio::time::sleep(Duration::from_millis(20)).await;
            feed.push(Bytes::from_static(b"more"));
            tokio::time::sleep(Duration::from_millis(20)).await;
            feed.end(None);
        }
        let text = until(&mut peer, end).await;
        peer.write_all(b"HTTP/1.1 204 None\r\n\r\n").await.expect("sent");
        text
    };
    tokio::join!(reading, asking).0
}

/// What is read up to these bytes.
async fn until(peer: &mut UnixStream, end: &str) -> String {
    let mut text = BytesMut::new();
    while !text.ends_with(end.as_bytes()) {
        let read = tokio::time::timeout(Duration::from_secs(5), peer.read_buf(&mut text));
        assert_ne!(read.await.expect("in time").expect("read"), 0, "{text:?}");
    }
    String::from_utf8(text.to_vec()).expect("text")
}
