//! What a client says, and what becomes of it. Rules that end a stream or a connection are tested row by row
//! in `tests/it/http2/rules`; here is what those cannot see.

use std::task::Poll;

use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::StatusCode;

use crate::http2::Code;
use crate::http2::Fault;
use crate::http2::StreamError;
use crate::http2::frame;
use crate::http2::frame::ACK;
use crate::http2::frame::END_HEADERS;
use crate::http2::frame::END_STREAM;
use crate::http2::frame::PADDED;
use crate::http2::frame::PREFACE;
use crate::http2::frame::kind;
use crate::http2::kit::*;
use crate::message::Fields;

#[test]
fn settings_and_a_window_are_said_at_once() {
    let mut lab = Lab::silent();
    let heard = lab.heard();
    let kinds: Vec<_> = heard.iter().map(|(head, _)| head.kind).collect();
    assert_eq!(kinds, [kind::SETTINGS, kind::WINDOW_UPDATE]);
    assert_eq!(frame::number_at(&heard[1].1, 0), Some((1 << 20) - 65_535));
    lab.say(PREFACE);
    lab.say(&frame(kind::SETTINGS, 0, 0, &[]));
    let acknowledged = lab.heard();
    assert_eq!(acknowledged.len(), 1);
    assert!(acknowledged[0].0.has(ACK));
}

#[test]
fn a_request_has_what_its_fields_say() {
    let mut lab = Lab::open(&[]);
    lab.say(&opened(1, END_STREAM, "GET", &[("x-a", "1"), ("cookie", "a=b"), ("x-a", "2")]));
    let (request, _reply) = lab.request();
    assert_eq!(request.method(), Method::GET);
    assert_eq!(request.uri().to_string(), "https://a.test/");
    let fields: Vec<_> = request.fields().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(fields, ["x-a", "cookie", "x-a"]);
    assert!(request.body().is_over());
}

#[test]
fn a_body_comes_as_it_was_sent_and_gives_room_back_when_it_is_taken() {
    let mut lab = Lab::open(&[]);
    lab.say(&post(1));
    let (mut request, _reply) = lab.request();
    for _ in 0..16 {
        lab.say(&data(1, 0, &[b'x'; 16 << 10]));
    }
    assert!(lab.heard().is_empty(), "nothing was taken");
    let (bytes, end) = taken(request.body_mut());
    assert_eq!((bytes.len(), end), (256 << 10, None));
    let heard = lab.heard();
    assert_eq!(
        heard.len(),
        1,
        "half of the stream's window, a quarter of the connection's: {heard:?}"
    );
    assert_eq!((heard[0].0.kind, heard[0].0.stream), (kind::WINDOW_UPDATE, 1));
    lab.say(&data(1, END_STREAM | PADDED, b"\x02end\0\0"));
    assert_eq!(taken(request.body_mut()), (b"end".to_vec(), Some(Ok(()))));
    assert!(request.body().is_over());
}

#[test]
fn trailers_follow_a_body() {
    let mut lab = Lab::open(&[]);
    lab.say(&post(1));
    let (mut request, _reply) = lab.request();
    lab.say(&[data(1, 0, b"some"), trailers(1, &[("x-sum", "1")])].concat());
    assert!(!request.body().is_over());
    assert_eq!(taken(request.body_mut()), (b"some".to_vec(), Some(Ok(()))));
    let Poll::Ready(Ok(Some(fields))) = request.body_mut().poll_trailers(&idle()) else {
        panic!("trailers")
    };
    assert_eq!(fields.get(HeaderName::from_static("x-sum")).expect("there"), "1");
    assert!(request.body().is_over());
}

#[test]
fn a_body_that_breaks_off_never_looks_whole() {
    type Break = (&'static str, fn(&mut Lab));
    let breaks: [Break; 4] = [
        ("reset", |lab| lab.say(&number(kind::RST_STREAM, 1, 0))),
        ("gone", |lab| lab.connection.machine().gone()),
        ("cut", |lab| lab.connection.machine().end(Fault::Pings)),
        ("too long", |lab| lab.say(&data(1, END_STREAM, b"too long"))),
    ];
    for (what, breaks) in breaks {
        let mut lab = Lab::open(&[]);
        lab.say(&opened(1, 0, "POST", &[("content-length", "10")]));
        let (mut request, mut reply) = lab.request();
        lab.say(&data(1, 0, b"some"));
        breaks(&mut lab);
        let (_, end) = taken(request.body_mut());
        assert!(matches!(end, Some(Err(_))), "{what}");
        assert!(!request.body().is_over(), "{what}");
        assert!(reply.poll_reset(&idle()).is_ready(), "{what}");
        assert!(reply.finish().is_err(), "{what}");
    }
}

#[test]
fn what_is_sent_on_a_stream_that_was_reset_is_no_fault_and_its_room_is_given_back() {
    let mut lab = Lab::open(&[]);
    lab.say(&post(1));
    let (_request, mut reply) = lab.request();
    reply.reset(Code::CANCEL);
    assert_eq!(lab.resets(), [(1, 8)]);
    for _ in 0..40 {
        lab.say(&data(1, 0, &[0; 16 << 10]));
    }
    lab.say(&trailers(1, &[("x", "y")]));
    let heard = lab.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!((heard[0].0.kind, heard[0].0.stream), (kind::WINDOW_UPDATE, 0));
    // It has ended: nothing more may come.
    lab.say(&data(1, 0, b"x"));
    assert_eq!(lab.resets(), [(1, 5)]);
}

#[test]
fn a_body_that_nobody_wants_costs_no_room() {
    let mut lab = Lab::open(&[]);
    lab.say(&post(1));
    let (request, mut reply) = lab.request();
    for _ in 0..20 {
        lab.say(&data(1, 0, &[0; 16 << 10]));
    }
    assert!(lab.heard().is_empty());
    drop(request);
    for _ in 0..12 {
        lab.say(&data(1, 0, &[0; 16 << 10]));
    }
    let heard = lab.heard();
    assert_eq!((heard[0].0.kind, heard[0].0.stream), (kind::WINDOW_UPDATE, 0));
    // Its response ends it.
    reply.respond(StatusCode::OK, &Fields::new(), true).expect("sent");
    assert_eq!(lab.resets(), [(1, 0)]);
}

#[test]
fn a_request_that_was_answered_early_is_refused_when_its_body_is_dropped() {
    let mut lab = Lab::open(&[]);
    lab.say(&post(1));
    let (request, mut reply) = lab.request();
    reply.respond(StatusCode::OK, &Fields::new(), true).expect("sent");
    drop(reply);
    assert!(lab.resets().is_empty(), "it is still read");
    drop(request);
    assert_eq!(lab.resets(), [(1, 0)]);
}

#[test]
fn a_reply_that_is_dropped_resets_its_stream() {
    let mut lab = Lab::open(&[]);
    lab.say(&get(1));
    drop(lab.request());
    assert_eq!(lab.resets(), [(1, 8)]);
}

#[test]
fn a_farewell_lets_in_what_was_sent_before_it_was_seen() {
    let mut lab = Lab::open(&[]);
    lab.say(&get(1));
    lab.connection.machine().warn();
    let heard = lab.heard();
    assert_eq!(frame::number_at(&heard[0].1, 0), Some(0x7fff_ffff));
    let ping = heard[1].1.clone();
    lab.say(&get(3));
    lab.say(&frame(kind::PING, ACK, 0, &ping));
    let heard = lab.heard();
    assert_eq!((heard[0].0.kind, frame::number_at(&heard[0].1, 0)), (kind::GOAWAY, Some(3)));
    lab.say(&[post(5), data(5, END_STREAM, b"late")].concat());
    assert!(lab.heard().is_empty(), "it is ignored");
    assert_eq!((lab.accepted.len(), lab.fault()), (2, None));
    for _ in 0..2 {
        assert!(!lab.connection.machine().is_done());
        let (_, mut reply) = lab.request();
        reply.respond(StatusCode::OK, &Fields::new(), true).expect("sent");
    }
    assert!(lab.connection.machine().is_done());
}

#[test]
fn a_client_that_leaves_is_served_to_the_end() {
    let mut lab = Lab::open(&[]);
    lab.say(&[get(1), frame(kind::GOAWAY, 0, 0, &[0; 8])].concat());
    let (_, mut reply) = lab.request();
    assert!(!lab.connection.machine().is_done());
    reply.respond(StatusCode::OK, &Fields::new(), true).expect("sent");
    assert!(lab.connection.machine().is_done());
    assert_eq!(lab.fault(), None);
}

#[test]
fn many_that_are_reset_before_they_are_looked_at_are_a_flood() {
    let mut lab = Lab::open(&[]);
    for number in 0..21 {
        assert_eq!(lab.fault(), None);
        let stream = number * 2 + 1;
        lab.say(&[get(stream), self::number(kind::RST_STREAM, stream, 8)].concat());
    }
    assert_eq!(lab.fault(), Some(Fault::Resets));
    let mut lab = Lab::open(&[]);
    for number in 0..100 {
        let stream = number * 2 + 1;
        lab.say(&[get(stream), self::number(kind::RST_STREAM, stream, 8)].concat());
        let (_, reply) = lab.request();
        assert_eq!(reply.poll_reset(&idle()), Poll::Ready(StreamError::Reset(Code::CANCEL)));
    }
    assert_eq!(lab.fault(), None, "they were looked at");
}

#[test]
fn more_fields_than_there_may_be_are_answered_and_crumbs_of_a_cookie_are_one() {
    let mut lab = Lab::open(&[]);
    lab.say(&opened(1, END_STREAM, "GET", &[("x-a", "1"); 101]));
    assert!(lab.accepted.is_empty());
    let heard = lab.heard();
    assert_eq!((heard.len(), heard[0].0.kind), (1, kind::HEADERS));
    assert!(heard[0].1.ends_with(b"431"));
    lab.say(&opened(3, END_STREAM, "GET", &[("cookie", "a=1"); 200]));
    assert_eq!(lab.accepted.len(), 1);
}

#[test]
fn a_client_that_shrinks_the_table_is_told_once_that_none_is_used() {
    let mut lab = Lab::open(&[(1, 100)]);
    lab.say(&[get(1), get(3)].concat());
    let blocks = [0, 1].map(|_| {
        let (_, mut reply) = lab.request();
        reply.respond(StatusCode::OK, &Fields::new(), true).expect("sent");
        lab.heard().remove(0).1
    });
    assert_eq!(blocks, [vec![0x20, 0x88], vec![0x88]]);
}

#[test]
fn a_head_that_is_too_long_for_a_frame_goes_on_in_others() {
    let mut lab = Lab::open(&[]);
    lab.say(&get(1));
    let (_, mut reply) = lab.request();
    let mut fields = Fields::new();
    let long = HeaderValue::from_str(&"v".repeat(10_000)).expect("a value");
    for name in ["x-a", "x-b", "x-c", "x-d"] {
        fields.append(HeaderName::from_static(name), long.clone());
    }
    reply.respond(StatusCode::OK, &fields, true).expect("sent");
    let heard = lab.heard();
    let kinds: Vec<_> = heard.iter().map(|(head, _)| (head.kind, head.flags)).collect();
    let expected =
        [(kind::HEADERS, END_STREAM), (kind::CONTINUATION, 0), (kind::CONTINUATION, END_HEADERS)];
    assert_eq!(kinds, expected);
    assert!(heard.iter().all(|(head, _)| head.length <= 16 << 10));
}

#[test]
fn fields_of_a_connection_are_not_sent() {
    let mut lab = Lab::open(&[]);
    lab.say(&get(1));
    let (_, mut reply) = lab.request();
    let name = HeaderName::from_static("keep-alive");
    let fields: Fields = [(name, HeaderValue::from_static("1"))].into_iter().collect();
    let refused = reply.respond(StatusCode::OK, &fields, true);
    assert_eq!(refused, Err(StreamError::Malformed));
    assert!(lab.heard().is_empty());
}

#[test]
fn frames_of_nothing_but_padding_are_a_flood() {
    let mut lab = Lab::open(&[]);
    lab.say(&post(1));
    let (_request, _reply) = lab.request();
    for number in 0..1000 {
        assert!(number > 900 || lab.fault().is_none());
        lab.say(&data(1, PADDED, b"\x02\0\0"));
    }
    assert_eq!(lab.fault(), Some(Fault::Data));
}

#[test]
fn a_small_head_may_come_in_some_pieces_and_not_in_any_number() {
    for (pieces, fault) in [(6, None), (7, Some(Fault::Continuations))] {
        let mut lab = Lab::open(&[]);
        let head = opened(1, END_STREAM, "GET", &[]);
        let (_, fragment) = frames(&head).remove(0);
        lab.say(&frame(kind::HEADERS, END_STREAM, 1, &[]));
        for piece in 1..=pieces {
            let (flags, bytes) = match piece == pieces {
                true => (END_HEADERS, &fragment[..]),
                false => (0, &[][..]),
            };
            lab.say(&frame(kind::CONTINUATION, flags, 1, bytes));
        }
        assert_eq!(lab.fault(), fault, "{pieces} CONTINUATION frames");
        if fault.is_none() {
            assert_eq!(lab.request().0.uri().path(), "/");
        }
    }
}
