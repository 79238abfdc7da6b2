//! gRPC through the proxy, as tonic speaks it on either side.

use bytes::Bytes;
use futures_util::Stream;
use futures_util::StreamExt;
use futures_util::stream;
use http::uri::PathAndQuery;
use hyper::Method;
use tokio::sync::mpsc;
use tonic::Code;
use tonic::Request;
use tonic::Streaming;
use tonic::metadata::MetadataMap;
use tonic::metadata::MetadataValue;

use super::street_to;
use crate::kit::TwoSites;
use crate::kit::eventually;
use crate::kit::grpc;
use crate::kit::grpc::Calls;
use crate::kit::grpc::GrpcOrigin;
use crate::kit::grpc::Raw;
use crate::kit::http::pieces;
use crate::kit::raw_origin::unused_port;
use crate::kit::within;

/// SPEC PX-1.
#[tokio::test]
async fn a_unary_call_has_metadata_both_ways_and_a_status() {
    let mut house = House::start("").await;
    let mut request = Request::new(Bytes::from_static(b"one"));
    request.metadata_mut().insert("x-there", "a value".parse().unwrap());
    request.metadata_mut().insert_bin("x-there-bin", MetadataValue::from_bytes(&[0, 255, 13, 10]));
    let call = house.calls.unary(request, path("/calls/Join"), Raw);
    let reply = within("a unary call", call).await.unwrap();
    let metadata = reply.metadata();
    assert_eq!(metadata.get("x-back").unwrap(), "a value");
    let binary = metadata.get_bin("x-back-bin").unwrap().to_bytes().unwrap();
    assert_eq!(binary, Bytes::from_static(&[0, 255, 13, 10]));
    assert_eq!(metadata.get("x-messages").unwrap(), "1", "in the trailers");
    assert_eq!(reply.get_ref(), "one");
    assert_eq!(house.origin.last().get("te").unwrap(), "trailers");
}

/// SPEC PX-1.
#[tokio::test]
async fn a_client_stream_is_answered_once_it_ends() {
    let mut house = House::start("").await;
    let messages = (0..1000).map(|number| Bytes::from(format!("{number:04}")));
    let expected: String = (0..1000).map(|number| format!("{number:04}")).collect();
    let request = Request::new(stream::iter(messages));
    let call = house.calls.client_streaming(request, path("/calls/Join"), Raw);
    let reply = within("a client stream", call).await.unwrap();
    assert_eq!(reply.metadata().get("x-messages").unwrap(), "1000");
    assert_eq!(reply.get_ref(), expected.as_bytes());
}

/// SPEC PX-1.
#[tokio::test]
async fn a_server_stream_arrives_message_by_message() {
    let mut house = House::start("").await;
    let request = Request::new(Bytes::from_static(b"abc"));
    let call = house.calls.server_streaming(request, path("/calls/Split"), Raw);
    let mut replies = within("a server stream", call).await.unwrap().into_inner();
    for expected in ["a", "b", "c"] {
        assert_eq!(next(&mut replies).await.unwrap().unwrap(), expected);
    }
    assert!(next(&mut replies).await.unwrap().is_none());
    assert_eq!(trailers(&mut replies).await.get("x-messages").unwrap(), "1");
}

/// SPEC PX-1: neither side waits for the end of the other.
#[tokio::test]
async fn both_sides_of_a_call_stream_at_once() {
    let mut house = House::start("").await;
    let (sender, mut replies) = house.chat().await;
    for number in 0..20 {
        sender.send(Bytes::from(format!("message {number}"))).await.unwrap();
        let expected = format!("message {number}");
        assert_eq!(next(&mut replies).await.unwrap().unwrap(), expected.as_bytes());
    }
    drop(sender);
    assert!(next(&mut replies).await.unwrap().is_none());
    assert_eq!(trailers(&mut replies).await.get("x-messages").unwrap(), "20");
}

/// SPEC PX-1: a refusal has no body, and its status is in the only head there is.
#[tokio::test]
async fn a_status_without_a_response_arrives_with_message_and_metadata() {
    let mut house = House::start("").await;
    let call = house.calls.unary(Request::new(Bytes::new()), path("/calls/Refuse"), Raw);
    let status = within("a refusal", call).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(status.message(), "not today: 100 % of Grüße are gone");
    assert_eq!(status.metadata().get("x-why").unwrap(), "because");
}

/// SPEC PX-1
#[tokio::test]
async fn a_status_after_messages_arrives_in_the_trailers() {
    let mut house = House::start("").await;
    let call = house.calls.server_streaming(Request::new(Bytes::new()), path("/calls/Break"), Raw);
    let mut replies = within("a head", call).await.unwrap().into_inner();
    assert_eq!(next(&mut replies).await.unwrap().unwrap(), "the first");
    let status = next(&mut replies).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Aborted, "half-way"));
}

/// SPEC PX-1: before the head of a response and after it, on a connection that goes on.
#[tokio::test]
async fn a_server_sees_that_a_call_is_cancelled() {
    let mut house = House::start("").await;
    let call = house.calls.server_streaming(Request::new(Bytes::new()), path("/calls/Hang"), Raw);
    let replies = within("a head", call).await.unwrap();
    assert_eq!(house.origin.under_way(), 1);
    drop(replies);
    house.is_idle("a call that was cancelled in its stream").await;

    {
        let request = Request::new(Bytes::new());
        let call = house.calls.unary(request, path("/calls/Wait"), Raw);
        let begun = eventually("a call", async || (house.origin.under_way() == 1).then_some(()));
        tokio::select! {
            ended = call => panic!("an answer: {ended:?}"),
            () = begun => {}
        }
    }
    house.is_idle("a call that was cancelled before its head").await;

    let call = house.calls.unary(Request::new(Bytes::from_static(b"x")), path("/calls/Join"), Raw);
    assert_eq!(within("another call", call).await.unwrap().get_ref(), "x");
}

/// SPEC PX-1: the server is told how long the client waits, and what it says then is passed on.
#[tokio::test]
async fn a_deadline_passes_through_and_ends_the_call() {
    let mut house = House::start("").await;
    let mut request = Request::new(Bytes::new());
    request.metadata_mut().insert("grpc-timeout", "50m".parse().unwrap());
    let call = house.calls.unary(request, path("/calls/Wait"), Raw);
    let status = within("the deadline", call).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::DeadlineExceeded, "too late"));
    assert_eq!(house.origin.last().get("grpc-timeout").unwrap(), "50m");
    house.is_idle("a call whose time was over").await;
}

/// SPEC PX-1, PX-5.
#[tokio::test]
async fn an_endpoint_that_is_not_there_is_unavailable() {
    let nobody = format!("127.0.0.1:{}", unused_port().await);
    let street = street_to(&nobody, "protocol = \"http2\"", "").await;
    let mut calls = grpc::calls(&street.client("shop.test")).await;
    let call = calls.unary(Request::new(Bytes::from_static(b"one")), path("/calls/Join"), Raw);
    let status = within("a call to nobody", call).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "Bad Gateway"));
}

/// SPEC PX-1, PX-5: the limit on an endpoint's silence does not count while it is the client's turn.
/// The pauses are as long as it takes for another request, begun later, to run into that limit.
#[tokio::test]
async fn a_client_stream_with_pauses_is_not_cut() {
    let mut house = House::start("first_byte_timeout = \"200ms\"").await;
    let (sender, messages) = channel();
    let street = &house.street;
    let talking = async {
        let mut other = street.client("shop.test").http2().await;
        for word in ["one ", "two ", "three"] {
            sender.send(Bytes::from(word)).await.unwrap();
            let cut = other.get("/calls/Wait").await;
            assert_eq!(cut.status, 504, "a request that may not pause");
        }
        drop(sender);
    };
    let request = Request::new(messages);
    let call = house.calls.client_streaming(request, path("/calls/Join"), Raw);
    let both = Box::pin(async { tokio::join!(talking, call) });
    let ((), reply) = within("a client that pauses", both).await;
    assert_eq!(reply.unwrap().get_ref(), "one two three");
}

/// SPEC PX-5, from the other side: a call may be silent where a body may not.
#[tokio::test]
async fn a_stream_whose_client_is_silent_is_left_alone() {
    let mut house = House::with("", "[timeouts]\nrequest_body = \"200ms\"").await;
    let (sender, mut replies) = house.chat().await;
    let mut http = house.street.client("blog.test").http2().await;
    let (_silent, body) = pieces();
    let request = http.head(Method::POST, "/count").body(body).unwrap();
    let reply = http.send(request).await.unwrap();
    assert_eq!(reply.status, 408, "a body that is as silent");
    within("room for a message", sender.send(Bytes::from_static(b"after that"))).await.unwrap();
    assert_eq!(next(&mut replies).await.unwrap().unwrap(), "after that");
}

/// A service in front of a gRPC server, and a client of it.
struct House {
    origin: GrpcOrigin,
    calls: Calls,
    street: TwoSites,
}

impl House {
    /// With these keys of the pool.
    async fn start(keys: &str) -> Self {
        Self::with(keys, "").await
    }

    /// The same with more tables.
    async fn with(keys: &str, more: &str) -> Self {
        let origin = GrpcOrigin::start().await;
        let keys = format!("protocol = \"http2\"\n{keys}");
        let street = Box::pin(street_to(&origin.endpoint(), &keys, more)).await;
        let calls = grpc::calls(&street.client("shop.test")).await;
        Self { origin, calls, street }
    }

    /// A call that streams both ways.
    async fn chat(&mut self) -> (mpsc::Sender<Bytes>, Streaming<Bytes>) {
        let (sender, messages) = channel();
        let call = self.calls.streaming(Request::new(messages), path("/calls/Chat"), Raw);
        (sender, within("a head", call).await.unwrap().into_inner())
    }

    /// Waits until the server has nothing to do.
    async fn is_idle(&self, what: &str) {
        eventually(what, async || (self.origin.under_way() == 0).then_some(())).await;
    }
}

/// Messages that a test sends one by one.
fn channel() -> (mpsc::Sender<Bytes>, impl Stream<Item = Bytes> + Send + use<>) {
    let (sender, receiver) = mpsc::channel::<Bytes>(1);
    let messages = stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|message| (message, receiver))
    });
    (sender, messages.fuse())
}

async fn next(replies: &mut Streaming<Bytes>) -> Result<Option<Bytes>, tonic::Status> {
    within("a message", replies.message()).await
}

async fn trailers(replies: &mut Streaming<Bytes>) -> MetadataMap {
    within("the trailers", replies.trailers()).await.unwrap().expect("trailers")
}

fn path(path: &'static str) -> PathAndQuery {
    PathAndQuery::from_static(path)
}
