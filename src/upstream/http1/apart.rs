//! A response that comes before all of its request has left: from then on the connection is a task's, so
//! that the one goes on whatever becomes of the other. A client may send all of its request before it
//! reads anything.

use std::sync::Weak;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use tokio::sync::mpsc;

use crate::upstream::connection_error::ConnectionError;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::error::BodyError;
use crate::upstream::http1::Connection;
use crate::upstream::patience::Patience;

/// The body of such a response.
#[derive(Debug)]
pub struct Apart {
    pieces: mpsc::Receiver<Message>,
    /// How much is to come, where that was said.
    left: Option<u64>,
}

/// `None`: all of it has come.
type Message = Option<Result<Frame<Bytes>, BodyError>>;

impl Apart {
    /// Leaves a connection to a task, which gives it back to its endpoint when both messages have ended.
    /// `limit` is how long the endpoint may take nothing of what is left of the request.
    pub fn begin(connection: Box<Connection>, endpoint: Weak<Endpoint>, limit: Duration) -> Self {
        let left = connection.length();
        let (feed, pieces) = mpsc::channel(1);
        tokio::spawn(async move {
            if let Some(connection) = run(connection, feed, limit).await
                && let Some(endpoint) = endpoint.upgrade()
            {
                endpoint.keep(connection);
            }
        });
        Self { pieces, left }
    }

    /// The next piece.
    pub fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.has_ended() {
            return Poll::Ready(None);
        }
        // A task that is gone has not said that this is all.
        let message = ready!(self.pieces.poll_recv(cx));
        let message = message.unwrap_or_else(|| Some(Err(ConnectionError::Ended.into())));
        match &message {
            Some(Ok(frame)) if frame.is_trailers() => self.left = Some(0),
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                self.left = self.left.map(|left| left.saturating_sub(bytes));
            }
            Some(Err(_)) | None => self.left = Some(0),
        }
        Poll::Ready(message)
    }

    /// Whether all of it has come, as far as that is known.
    pub fn has_ended(&self) -> bool {
        self.left == Some(0)
    }

    /// How many bytes are to come, where that was said.
    pub fn length(&self) -> Option<u64> {
        self.left
    }
}

/// Passes the response on, and the request. The connection, if it is still there in the end.
async fn run(
    mut connection: Box<Connection>,
    feed: mpsc::Sender<Message>,
    limit: Duration,
) -> Option<Box<Connection>> {
    let is_sized = connection.length().is_some();
    let mut is_over = connection.has_ended();
    while !is_over {
        let room = tokio::select! {
            room = feed.reserve() => room.ok()?,
            failed = failure(&mut connection) => {
                drop(feed.send(Some(Err(failed))).await);
                return None;
            }
        };
        let frame = tokio::select! {
            frame = next(&mut connection) => frame,
            () = feed.closed() => return None,
        };
        is_over = match &frame {
            Some(Ok(frame)) => frame.is_trailers() || is_sized && connection.has_ended(),
            Some(Err(_)) | None => true,
        };
        let is_broken = matches!(frame, Some(Err(_)));
        room.send(frame);
        if is_broken {
            return None;
        }
    }
    finish(&mut connection, limit).await.then_some(connection)
}

/// The next piece of the response, while the request goes on.
async fn next(connection: &mut Connection) -> Option<Result<Frame<Bytes>, BodyError>> {
    std::future::poll_fn(|cx| {
        if let Poll::Ready(Err(error)) = connection.poll_request(cx) {
            return Poll::Ready(Some(Err(error)));
        }
        connection.poll_frame(cx)
    })
    .await
}

/// Sends the request on; ready only if that fails.
async fn failure(connection: &mut Connection) -> BodyError {
    std::future::poll_fn(|cx| match connection.poll_request(cx) {
        Poll::Ready(Err(error)) => Poll::Ready(error),
        Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
    })
    .await
}

/// Sends what is left of the request behind its response; says whether all of it has left.
async fn finish(connection: &mut Connection, limit: Duration) -> bool {
    let mut patience = Patience::new(limit);
    std::future::poll_fn(|cx| {
        if let Poll::Ready(sent) = connection.poll_request(cx) {
            return Poll::Ready(sent.is_ok() && connection.is_reusable());
        }
        if connection.poll_unusable(cx).is_ready() {
            return Poll::Ready(false);
        }
        if connection.is_blocked() {
            return patience.poll_end(cx).map(|()| false);
        }
        patience.renew();
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWriteExt;
    use tokio::net::UnixStream;

    use super::*;
    use crate::message::Request;
    use crate::upstream::body::RequestBody;
    use crate::upstream::client_body::ClientBody;
    use crate::upstream::piped;
    use crate::upstream::piped::BodyFeed;
    use crate::upstream::stream_io::StreamIo;

    /// The head of an answer has come, and nothing of the request's body has been sent.
    async fn early(answer: &str) -> (Apart, BodyFeed, UnixStream) {
        let (mine, mut peer) = UnixStream::pair().expect("a pair");
        let mut connection = Box::new(Connection::new(StreamIo::Unix(mine), 4_000));
        let (feed, body) = piped::pipe(None);
        peer.write_all(answer.as_bytes()).await.expect("sent");
        connection.begin(&mut Request::new(RequestBody::new(ClientBody::Http1(body))));
        let answered = std::future::poll_fn(|cx| connection.poll_response(cx, None)).await;
        answered.expect("an answer");
        assert!(!connection.has_sent());
        (Apart::begin(connection, Weak::new(), Duration::from_secs(5)), feed, peer)
    }

    async fn read(apart: &mut Apart) -> Result<Vec<u8>, BodyError> {
        let mut body = Vec::new();
        while let Some(frame) = std::future::poll_fn(|cx| apart.poll_frame(cx)).await {
            body.extend_from_slice(&frame?.into_data().expect("data"));
        }
        Ok(body)
    }

    #[tokio::test]
    async fn a_request_is_sent_while_nobody_reads_its_response() {
        for answer in [
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        ] {
            let (mut apart, feed, mut peer) = early(answer).await;
            for piece in [&b"some"[..], b"more"] {
                feed.push(Bytes::from_static(piece));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            feed.end(None);
            let mut text = Vec::new();
            while !text.ends_with(b"0\r\n\r\n") {
                assert_ne!(peer.read_buf(&mut text).await.expect("read"), 0);
            }
            assert!(text.ends_with(b"4\r\nsome\r\n4\r\nmore\r\n0\r\n\r\n"));
            assert_eq!(read(&mut apart).await.expect("whole"), b"hello", "{answer}");
            assert!(apart.has_ended());
        }
    }

    #[tokio::test]
    async fn a_request_that_fails_ends_its_response() {
        let (mut apart, feed, _peer) = early("HTTP/1.1 200 OK\r\n\r\nhello").await;
        drop(feed);
        assert!(matches!(read(&mut apart).await, Err(BodyError::Client(_))));
    }

    #[tokio::test]
    async fn a_response_that_nobody_reads_ends_its_request() {
        let (apart, feed, mut peer) = early("HTTP/1.1 200 OK\r\n\r\nhello").await;
        drop(apart);
        let mut text = Vec::new();
        let end = tokio::time::timeout(Duration::from_secs(5), peer.read_to_end(&mut text));
        end.await.expect("in time").expect("read");
        assert!(feed.is_gone());
    }
}
