//! Bodies of requests: framed as they are said to be, and cut where they are not.

use std::task::Waker;

use bytes::BytesMut;
use http::HeaderValue;
use http::Method;
use proptest::prelude::*;

use super::*;
use crate::upstream::client_body::ClientBody;
use crate::upstream::http1::decoder::Decoder;
use crate::upstream::http1::decoder::Framing;
use crate::upstream::http1::decoder::Piece;
use crate::upstream::piped;
use crate::upstream::piped::BodyFeed;

fn request(length: Option<u64>) -> (BodyFeed, Request<RequestBody>) {
    let (feed, body) = piped::pipe(length);
    let mut request = Request::new(RequestBody::new(ClientBody::Http1(body)));
    *request.method_mut() = Method::POST;
    (feed, request)
}

/// What there is to be written, and whether that is all.
fn fill(upload: &mut Upload, text: &mut Vec<u8>) -> Result<bool, BodyError> {
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        let mut outbox = Outbox::default();
        let filled = upload.poll_fill(&mut cx, &mut outbox)?;
        let mut sink = &mut *text;
        assert!(outbox.poll_write(&mut cx, &mut sink).is_ready());
        match filled {
            Poll::Pending => return Ok(false),
            Poll::Ready(()) if upload.is_done() => return Ok(true),
            Poll::Ready(()) => {}
        }
    }
}

#[test]
fn the_head_says_where_the_body_ends() {
    let of = |request: &mut Request<RequestBody>| {
        let (upload, content) = Upload::begin(request);
        (content, upload.is_done())
    };
    let (_feed, mut known) = request(Some(5));
    assert_eq!(of(&mut known), (Content::Length(5), false));
    let (_feed, mut unknown) = request(None);
    assert_eq!(of(&mut unknown), (Content::Chunked, false));
    let (_feed, mut said) = request(Some(5));
    said.fields_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("5"));
    assert_eq!(of(&mut said), (Content::Said, false));
    let mut none = Request::new(RequestBody::Empty);
    assert_eq!(of(&mut none), (Content::Said, true));
    // One that has ended before it is sent.
    let (feed, mut ended) = request(None);
    feed.end(None);
    assert_eq!(of(&mut ended), (Content::Said, true));
}

#[test]
fn a_body_that_is_not_what_was_said_is_cut() {
    let more = (&b"123456"[..], None);
    let less = (&b"1234"[..], None);
    let broken = (&b"1234"[..], Some(BodyFault::TooSlow));
    for (bytes, fault) in [more, less, broken] {
        let (feed, mut request) = request(Some(5));
        let (mut upload, _) = Upload::begin(&mut request);
        feed.push(Bytes::from_static(bytes));
        match fault {
            Some(fault) => feed.fail(fault),
            None => feed.end(None),
        }
        assert!(fill(&mut upload, &mut Vec::new()).is_err(), "{bytes:?}");
    }
    let (feed, mut request) = request(None);
    let (mut upload, _) = Upload::begin(&mut request);
    feed.push(Bytes::from_static(b"some"));
    drop(feed);
    let mut text = Vec::new();
    assert!(fill(&mut upload, &mut text).is_err());
    assert!(!text.ends_with(b"0\r\n\r\n"));
}

#[test]
fn trailers_follow_if_they_were_announced() {
    for (announced, written) in [
        ("x-sum, x-not-sent", "4\r\nsome\r\n0\r\nx-sum: 1\r\n\r\n"),
        ("x-other", "4\r\nsome\r\n0\r\n\r\n"),
    ] {
        let (feed, mut request) = request(None);
        request.fields_mut().insert(header::TRAILER, HeaderValue::from_static(announced));
        let (mut upload, _) = Upload::begin(&mut request);
        feed.push(Bytes::from_static(b"some"));
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("1"));
        trailers.insert("x-more", HeaderValue::from_static("2"));
        feed.end(Some(trailers));
        let mut text = Vec::new();
        assert!(fill(&mut upload, &mut text).expect("fine"));
        assert_eq!(String::from_utf8_lossy(&text), written);
    }
}

proptest! {
    #[test]
    fn what_is_pushed_is_what_arrives(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..6_000), 1..6),
        is_known in any::<bool>(),
    ) {
        let whole = pieces.concat();
        let (feed, mut request) = request(is_known.then_some(whole.len() as u64));
        let (mut upload, _) = Upload::begin(&mut request);
        let mut text = Vec::new();
        for piece in &pieces {
            prop_assert!(!fill(&mut upload, &mut text).expect("fine"));
            feed.push(piece.clone().into());
        }
        feed.end(None);
        prop_assert!(fill(&mut upload, &mut text).expect("fine"));
        let framing = if is_known { Framing::Length(whole.len() as u64) } else { Framing::Chunked };
        let (mut decoder, mut input) = (Decoder::new(framing), BytesMut::from(&text[..]));
        let mut body = Vec::new();
        while let Some(piece) = decoder.decode(&mut input).expect("fine") {
            if let Piece::Data(data) = piece {
                body.extend_from_slice(&data);
            }
        }
        prop_assert!(decoder.has_ended() && input.is_empty());
        prop_assert_eq!(body, whole);
    }
}
