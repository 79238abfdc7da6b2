//! Section 8: requests as frames carry them, and what would become of them as HTTP/1.1.
//!
//! White space around a value is the gate's to refuse; an endpoint of HTTP/1.1 would not see it, because
//! there it is none of the value (RFC 9110, section 5.5).

use super::Row;
use super::Then::Malformed;
use super::Then::Status;
use super::Then::Stream;
use super::row;
use crate::kit::frames::*;

pub(super) const ROWS: &[Row] = &[
    row("8.1", "trailers", || upload(&[], &[b"some"], Some(&[("x-sum", "1")])), Status(200)),
    row(
        "8.1",
        "trailers that do not end the stream",
        || [upload(&[], &[b"some"], None), headers(0, 1, &[("x-sum", "1")])].concat(),
        Stream(PROTOCOL_ERROR),
    ),
    row(
        "8.1",
        "pseudo-fields in trailers",
        || upload(&[], &[b"some"], Some(&[(":path", "/never")])),
        Malformed,
    ),
    row(
        "8.1.1",
        "less than was said",
        || upload(&[("content-length", "5")], &[b"some"], Some(&[])),
        Malformed,
    ),
    row(
        "8.1.1",
        "more than was said",
        || upload(&[("content-length", "3")], &[b"some"], None),
        Malformed,
    ),
    row(
        "8.1.1",
        "a body where none was said",
        || upload(&[("content-length", "0")], &[b"some"], None),
        Malformed,
    ),
    row("8.1.1", "no body where one was said", || with(&[("content-length", "4")]), Malformed),
    row("8.1.1", "a length that is no number", || with(&[("content-length", "x")]), Malformed),
    row("8.1.1", "a length with a sign", || with(&[("content-length", "+0")]), Malformed),
    row(
        "8.1.1",
        "two lengths",
        || with(&[("content-length", "0"), ("content-length", "1")]),
        Malformed,
    ),
    row("8.2.1", "an uppercase name", || with(&[("X-Upper", "y")]), Malformed),
    row("8.2.1", "a name with a space", || with(&[("x y", "z")]), Malformed),
    row("8.2.1", "a name with a colon", || with(&[("x:y", "z")]), Malformed),
    row("8.2.1", "a name with a line break", || with(&[("x\r\ny", "z")]), Malformed),
    row("8.2.1", "a name with NUL", || with(&[("x\0y", "z")]), Malformed),
    row("8.2.1", "a name beyond ASCII", || with(&[("x\u{e9}", "z")]), Malformed),
    row("8.2.1", "no name", || with(&[("", "z")]), Malformed),
    row("8.2.1", "a value with a line break", || with(&[("x", "y\r\nevil: 1")]), Malformed),
    row("8.2.1", "a value with LF", || with(&[("x", "y\nevil: 1")]), Malformed),
    row("8.2.1", "a value with CR", || with(&[("x", "y\rz")]), Malformed),
    row("8.2.1", "a value with NUL", || with(&[("x", "y\0z")]), Malformed),
    row("8.2.1", "a value with DEL", || with(&[("x", "y\x7fz")]), Malformed),
    row("8.2.1", "a value that begins with a space", || fine(&[("x", " y")]), Status(400)),
    row("8.2.1", "a value that ends with a tab", || fine(&[("x", "y\t")]), Status(400)),
    row("8.2.2", "connection", || with(&[("connection", "close")]), Malformed),
    row("8.2.2", "proxy-connection", || with(&[("proxy-connection", "close")]), Malformed),
    row("8.2.2", "keep-alive", || with(&[("keep-alive", "timeout=5")]), Malformed),
    row(
        "8.2.2",
        "transfer-encoding (H2.TE)",
        || with(&[("transfer-encoding", "chunked")]),
        Malformed,
    ),
    row(
        "8.2.2",
        "transfer-encoding with a body",
        || {
            upload(
                &[("transfer-encoding", "chunked")],
                &[b"0\r\n\r\nGET /never HTTP/1.1\r\n\r\n"],
                Some(&[]),
            )
        },
        Malformed,
    ),
    row("8.2.2", "upgrade", || with(&[("upgrade", "websocket")]), Malformed),
    row("8.2.2", "te of anything but trailers", || with(&[("te", "gzip")]), Malformed),
    row("8.2.2", "te of trailers", || fine(&[("te", "trailers")]), Status(200)),
    row(
        "8.2.3",
        "cookies in crumbs",
        || fine(&[("cookie", "a=1"), ("cookie", "b=2")]),
        Status(200),
    ),
    row(
        "8.3",
        "a pseudo-field after others",
        || {
            headers(
                1,
                1,
                &[
                    (":method", "GET"),
                    (":scheme", "https"),
                    (":authority", HOST),
                    ("x", "y"),
                    (":path", NEVER),
                ],
            )
        },
        Malformed,
    ),
    row("8.3", "a pseudo-field that is unknown", || pseudo(&[(":evil", "1")]), Malformed),
    row("8.3", "a pseudo-field of responses", || pseudo(&[(":status", "200")]), Malformed),
    row("8.3.1", "two methods", || pseudo(&[(":method", "POST")]), Malformed),
    row("8.3.1", "two schemes", || pseudo(&[(":scheme", "http")]), Malformed),
    row("8.3.1", "two paths", || pseudo(&[(":path", "/never/2")]), Malformed),
    row("8.3.1", "two authorities", || pseudo(&[(":authority", "blog.test")]), Malformed),
    row("8.3.1", "no method", || without(":method"), Malformed),
    row("8.3.1", "no scheme", || without(":scheme"), Malformed),
    row("8.3.1", "no path", || without(":path"), Malformed),
    row("8.3.1", "neither authority nor host", || without(":authority"), Malformed),
    row(
        "8.3.1",
        "host in place of the authority",
        || {
            headers(
                1,
                1,
                &[(":method", "GET"), (":scheme", "https"), (":path", "/"), ("host", HOST)],
            )
        },
        Status(200),
    ),
    row("8.3.1", "host and authority that differ", || with(&[("host", "blog.test")]), Malformed),
    row("8.3.1", "two hosts", || with(&[("host", HOST), ("host", HOST)]), Malformed),
    row("8.3.1", "an empty path", || asking("GET", HOST, ""), Malformed),
    row("8.3.1", "a path without a slash", || asking("GET", HOST, "never"), Malformed),
    row("8.3.1", "a path with a space", || asking("GET", HOST, "/never HTTP/1.1"), Malformed),
    row(
        "8.3.1",
        "a path with a line break",
        || asking("GET", HOST, "/never HTTP/1.1\r\nevil: 1"),
        Malformed,
    ),
    row("8.3.1", "a path with NUL", || asking("GET", HOST, "/never\0"), Malformed),
    row(
        "8.3.1",
        "a whole URI as a path",
        || asking("GET", HOST, "https://blog.test/never"),
        Malformed,
    ),
    row("8.3.1", "an asterisk without OPTIONS", || asking("GET", HOST, "*"), Malformed),
    row("8.3.1", "a method with a space", || asking("GET /never", HOST, "/"), Malformed),
    row("8.3.1", "a method with a line break", || asking("GET\r\n", HOST, NEVER), Malformed),
    row("8.3.1", "no method at all", || asking("", HOST, NEVER), Malformed),
    row("8.3.1", "an authority with a user", || asking("GET", "me@shop.test", NEVER), Malformed),
    row(
        "8.3.1",
        "an authority with a line break",
        || asking("GET", "shop.test\r\nevil: 1", NEVER),
        Malformed,
    ),
    row("8.3.1", "an authority with a path", || asking("GET", "shop.test/never", NEVER), Malformed),
    row(
        "8.3.1",
        "an authority of another service",
        || asking("GET", "blog.test", NEVER),
        Status(421),
    ),
    row(
        "8.5",
        "CONNECT",
        || headers(1, 1, &[(":method", "CONNECT"), (":authority", HOST)]),
        Status(405),
    ),
    row("8.5", "CONNECT with a path", || asking("CONNECT", HOST, NEVER), Malformed),
];

const HOST: &str = "shop.test";

/// What no origin may see.
const NEVER: &str = "/never";

fn asking(method: &str, host: &str, path: &str) -> Vec<u8> {
    headers(END_STREAM, 1, &request(method, host, path))
}

/// A GET with more fields.
fn with(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut all = request("GET", HOST, NEVER);
    all.extend(fields);
    headers(END_STREAM, 1, &all)
}

/// The same, but nothing is wrong with it.
fn fine(fields: &[(&'static str, &'static str)]) -> Vec<u8> {
    let mut all = request("GET", HOST, "/");
    all.extend(fields);
    headers(END_STREAM, 1, &all)
}

/// A GET with more pseudo-fields.
fn pseudo(fields: &[(&str, &str)]) -> Vec<u8> {
    with(fields)
}

/// A GET without one of its pseudo-fields.
fn without(name: &str) -> Vec<u8> {
    let mut fields = request("GET", HOST, NEVER);
    fields.retain(|(field, _)| *field != name);
    headers(END_STREAM, 1, &fields)
}

/// A POST in pieces; the stream ends with trailers, if there are any.
fn upload(fields: &[(&str, &str)], pieces: &[&[u8]], trailers: Option<&[(&str, &str)]>) -> Vec<u8> {
    // What never comes to its end can be seen to begin.
    let is_whole = trailers.is_some_and(|fields| !fields.is_empty());
    let path = if is_whole { "/count" } else { "/half" };
    let mut all: Vec<(&str, &str)> = request("POST", HOST, path);
    all.extend(fields);
    let mut bytes = headers(0, 1, &all);
    for piece in pieces {
        bytes.extend(frame(DATA, 0, 1, piece));
    }
    match trailers {
        Some([]) => bytes.extend(frame(DATA, END_STREAM, 1, &[])),
        Some(trailers) => bytes.extend(headers(END_STREAM, 1, trailers)),
        None => {}
    }
    bytes
}
