//! What a client says over HTTP/2 after its preface and settings: the same in one piece and in many, never
//! more than it has room for in return, and never a body that looks whole and is not.

use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use bytes::Bytes;
use http::StatusCode;
use portcullis::http::gate;
use portcullis::http2::Accepted;
use portcullis::http2::Bounds;
use portcullis::http2::Connection;
use portcullis::http2::Machine;
use portcullis::http2::Receiving;
use portcullis::http2::Sending;
use portcullis::http2::frame;
use portcullis::http2::frame::END_STREAM;
use portcullis::http2::frame::HEAD;
use portcullis::http2::frame::Head;
use portcullis::http2::frame::kind;
use portcullis::http2::request;
use portcullis::message::Fields;
use portcullis::message::Request;

pub(crate) fn check(bytes: &[u8]) {
    let whole = seen(bytes, bytes.len().max(1));
    for size in [1, 7, 30] {
        assert_eq!(whole, seen(bytes, size), "in pieces of {size}");
    }
    check_answers(bytes);
}

/// All that can be seen of a connection whose client has said this in pieces of this size.
fn seen(bytes: &[u8], size: usize) -> String {
    let (connection, mut accepted) = begun();
    for piece in bytes.chunks(size) {
        connection.machine().feed(piece, || 0, &mut accepted);
    }
    let mut requests: Vec<_> =
        accepted.into_iter().map(|accepted| connection.stream(accepted)).collect();
    let bodies: Vec<_> = requests
        .iter_mut()
        .map(|(request, _)| (format!("{:?}", request.head()), body(request.body_mut())))
        .collect();
    let mut machine = connection.machine();
    let frames = machine.outbox().bytes().to_vec();
    format!("{bodies:?} {:?} {frames:?}", machine.fault())
}

fn begun() -> (Connection, Vec<Accepted>) {
    let head = request::Bounds { size: 8 << 10, fields: 40 };
    let connection = Connection::new(Machine::new(Bounds { streams: 10, head, glitches: 100 }));
    let mut accepted = Vec::new();
    let mut preface = frame::PREFACE.to_vec();
    frame::settings(&mut preface, &[]);
    connection.machine().feed(&preface, || 0, &mut accepted);
    let mut machine = connection.machine();
    assert_eq!(machine.fault(), None);
    let length = machine.outbox().bytes().len();
    machine.outbox().wrote(length);
    drop(machine);
    (connection, accepted)
}

/// What has come of a body, and how it ended, if it has.
fn body(body: &mut Receiving) -> (usize, &'static str) {
    let mut count = 0;
    loop {
        match body.poll_data(&idle()) {
            Poll::Ready(Some(Ok(data))) => count += data.len(),
            Poll::Ready(Some(Err(_))) => return (count, "broken"),
            Poll::Ready(None) => return (count, "whole"),
            Poll::Pending => return (count, "open"),
        }
    }
}

/// Every request is answered while the client goes on; what it gets are frames, and none on a stream that
/// it has not opened.
fn check_answers(bytes: &[u8]) {
    let (connection, mut accepted) = begun();
    let mut open = Vec::new();
    let mut last = 0;
    for piece in bytes.chunks(50) {
        connection.machine().feed(piece, || 0, &mut accepted);
        for accepted in accepted.drain(..) {
            assert!(accepted.id > last && accepted.id % 2 == 1, "in order");
            last = accepted.id;
            let (request, reply) = connection.stream(accepted);
            open.push((request, reply, false));
        }
        open.retain_mut(|(request, reply, has_begun)| answer(request, reply, has_begun));
        check_frames(&connection, last);
    }
    let is_cut = connection.machine().fault().is_some();
    for (request, reply, _) in &mut open {
        assert!(!is_cut || reply.poll_reset(&idle()).is_ready(), "it is told");
        assert!(
            !is_cut
                || !request.body().is_over()
                || request.body_mut().poll_data(&idle()).is_ready()
        );
    }
}

/// Answers some more; whether there is more to come.
fn answer(request: &mut Request<Receiving>, reply: &mut Sending, has_begun: &mut bool) -> bool {
    if reply.poll_reset(&idle()).is_ready() {
        return false;
    }
    let mut copy = Request::from_parts(request.head().clone(), ());
    if let Ok(admitted) = gate::admit(&mut copy) {
        drop(admitted);
    }
    let _ = body(request.body_mut());
    if !std::mem::replace(has_begun, true) {
        reply.respond(StatusCode::OK, &Fields::new(), false).expect("it is open");
    }
    let mut piece = Bytes::from_static(&[b'x'; 3000]);
    !matches!(reply.poll_send(&idle(), &mut piece, false), Poll::Ready(Err(_)))
}

fn check_frames(connection: &Connection, last: u32) {
    let mut machine = connection.machine();
    let bytes = machine.outbox().bytes().to_vec();
    machine.outbox().wrote(bytes.len());
    machine.serve();
    let mut rest = &bytes[..];
    while let Some((head, behind)) = rest.split_first_chunk::<HEAD>() {
        let head = Head::parse(head);
        assert!(head.length as usize <= frame::MOST_PAYLOAD);
        if matches!(head.kind, kind::DATA | kind::HEADERS) {
            assert!(head.stream % 2 == 1, "{head:?}");
            assert!(head.stream <= last || head.has(END_STREAM), "{head:?}");
        }
        rest = &behind[head.length as usize..];
    }
    assert!(rest.is_empty(), "whole frames");
}

fn idle() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
