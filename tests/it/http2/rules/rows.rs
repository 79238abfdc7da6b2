//! Sections 4 to 6: frames and streams.

use super::Row;
use super::Then::Connection;
use super::Then::Status;
use super::Then::Stream;
use super::row;
use crate::kit::frames::*;

pub(super) const ROWS: &[Row] = &[
    row("4.1", "a frame of an unknown kind", || after(frame(0xbb, 0, 1, b"x")), Status(200)),
    row("4.1", "flags that mean nothing", || after(frame(PING, 0xfe, 0, &[1; 8])), Status(200)),
    row("4.1", "the reserved bit of a stream", || get(1 | 1 << 31, HOST, "/"), Status(200)),
    row("4.2", "DATA of the largest size", || post(frame(DATA, 1, 1, &[0; 1 << 14])), Status(200)),
    row(
        "4.2",
        "DATA of one byte more",
        || post(frame(DATA, 1, 1, &LARGE)),
        Connection(FRAME_SIZE_ERROR),
    ),
    row("4.2", "HEADERS too large", || frame(HEADERS, 5, 1, &LARGE), Connection(FRAME_SIZE_ERROR)),
    row(
        "4.2",
        "an unknown frame too large",
        || frame(0xbb, 0, 1, &LARGE),
        Connection(FRAME_SIZE_ERROR),
    ),
    row(
        "4.3",
        "an index that is not there",
        || frame(HEADERS, 5, 1, &[0xff, 0x7f]),
        Connection(COMPRESSION_ERROR),
    ),
    row("4.3", "index 0", || frame(HEADERS, 5, 1, &[0x80]), Connection(COMPRESSION_ERROR)),
    row(
        "4.3",
        "half a field",
        || frame(HEADERS, 5, 1, &field("abc", "def")[..5]),
        Connection(COMPRESSION_ERROR),
    ),
    row("4.3", "a block in two frames", || block_with(&[]), Status(200)),
    row(
        "4.3",
        "PING within a block",
        || block_with(&frame(PING, 0, 0, &[1; 8])),
        Connection(PROTOCOL_ERROR),
    ),
    row(
        "4.3",
        "DATA within a block",
        || block_with(&frame(DATA, 0, 1, b"x")),
        Connection(PROTOCOL_ERROR),
    ),
    row(
        "4.3",
        "HEADERS within a block",
        || block_with(&get(3, HOST, "/")),
        Connection(PROTOCOL_ERROR),
    ),
    row(
        "4.3",
        "an unknown frame within a block",
        || block_with(&frame(0xbb, 0, 1, b"x")),
        Connection(PROTOCOL_ERROR),
    ),
    row(
        "4.3",
        "CONTINUATION of another stream",
        || [begun(), frame(CONTINUATION, END_HEADERS, 3, &[])].concat(),
        Connection(PROTOCOL_ERROR),
    ),
    row("5.1", "DATA on an idle stream", || frame(DATA, 1, 1, b"x"), Connection(PROTOCOL_ERROR)),
    row(
        "5.1",
        "RST_STREAM on an idle stream",
        || number(RST_STREAM, 1, CANCEL),
        Connection(PROTOCOL_ERROR),
    ),
    row(
        "5.1",
        "WINDOW_UPDATE on an idle stream",
        || number(WINDOW_UPDATE, 1, 1),
        Connection(PROTOCOL_ERROR),
    ),
    row(
        "5.1",
        "PRIORITY on an idle stream",
        || [frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]), get(1, HOST, "/")].concat(),
        Status(200),
    ),
    row(
        "5.1",
        "DATA after the end of a request",
        || [get(1, HOST, "/held"), frame(DATA, 1, 1, b"x")].concat(),
        Stream(STREAM_CLOSED),
    ),
    row(
        "5.1",
        "HEADERS after the end of a request",
        || [get(1, HOST, "/held"), get(1, HOST, "/held")].concat(),
        Stream(STREAM_CLOSED),
    ),
    row(
        "5.1",
        "DATA after a reset",
        || [open("/held"), number(RST_STREAM, 1, CANCEL), frame(DATA, 1, 1, b"x")].concat(),
        Stream(STREAM_CLOSED),
    ),
    row(
        "5.1",
        "HEADERS after a reset",
        || [open("/held"), number(RST_STREAM, 1, CANCEL), get(1, HOST, "/never")].concat(),
        Connection(STREAM_CLOSED),
    ),
    row(
        "5.1",
        "WINDOW_UPDATE and RST_STREAM after a reset",
        || {
            let late = [number(WINDOW_UPDATE, 3, 1), number(RST_STREAM, 3, CANCEL)].concat();
            let reset = [get(3, HOST, "/held"), number(RST_STREAM, 3, CANCEL)].concat();
            [get(1, HOST, "/"), reset, late].concat()
        },
        Status(200),
    ),
    row("5.1.1", "an even stream", || get(2, HOST, "/never"), Connection(PROTOCOL_ERROR)),
    row(
        "5.1.1",
        "a stream below one that was opened",
        || [get(5, HOST, "/"), get(3, HOST, "/never")].concat(),
        Connection(PROTOCOL_ERROR),
    ),
    row(
        "5.3.1",
        "PRIORITY on itself",
        || [get(1, HOST, "/held"), frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 1])].concat(),
        Stream(PROTOCOL_ERROR),
    ),
    row("6.1", "DATA on stream 0", || frame(DATA, 1, 0, b"x"), Connection(PROTOCOL_ERROR)),
    row("6.1", "padded DATA", || post(frame(DATA, 9, 1, &[2, b'x', 0, 0])), Status(200)),
    row(
        "6.1",
        "padding longer than DATA",
        || post(frame(DATA, 9, 1, &[5, b'x'])),
        Connection(PROTOCOL_ERROR),
    ),
    row(
        "6.1",
        "padded DATA with nothing in it",
        || post(frame(DATA, 9, 1, &[])),
        Connection(FRAME_SIZE_ERROR),
    ),
    row("6.2", "HEADERS on stream 0", || get(0, HOST, "/never"), Connection(PROTOCOL_ERROR)),
    row(
        "6.2",
        "padded HEADERS with a priority",
        || {
            let payload = [&[2, 0, 0, 0, 0, 1][..], &get_block("/"), &[0, 0]].concat();
            frame(HEADERS, 5 | PADDED | WITH_PRIORITY, 1, &payload)
        },
        Status(200),
    ),
    row(
        "6.2",
        "padding longer than HEADERS",
        || frame(HEADERS, 5 | PADDED, 1, &[200, 0x82]),
        Connection(PROTOCOL_ERROR),
    ),
    row(
        "6.2",
        "HEADERS that depend on themselves",
        || {
            let payload = [&[0, 0, 0, 1, 1][..], &get_block("/never")].concat();
            frame(HEADERS, 5 | WITH_PRIORITY, 1, &payload)
        },
        Stream(PROTOCOL_ERROR),
    ),
    row(
        "6.3",
        "PRIORITY on stream 0",
        || frame(PRIORITY, 0, 0, &[0; 5]),
        Connection(PROTOCOL_ERROR),
    ),
    row(
        "6.3",
        "PRIORITY of four bytes",
        || [get(1, HOST, "/held"), frame(PRIORITY, 0, 1, &[0; 4])].concat(),
        Stream(FRAME_SIZE_ERROR),
    ),
    row(
        "6.4",
        "RST_STREAM on stream 0",
        || number(RST_STREAM, 0, CANCEL),
        Connection(PROTOCOL_ERROR),
    ),
    row(
        "6.4",
        "RST_STREAM of three bytes",
        || after(frame(RST_STREAM, 0, 1, &[0; 3])),
        Connection(FRAME_SIZE_ERROR),
    ),
    row("6.5", "SETTINGS on a stream", || frame(SETTINGS, 0, 1, &[]), Connection(PROTOCOL_ERROR)),
    row(
        "6.5",
        "an acknowledgement with a payload",
        || frame(SETTINGS, ACK, 0, &values(&[(1, 1)])),
        Connection(FRAME_SIZE_ERROR),
    ),
    row("6.5", "half a setting", || frame(SETTINGS, 0, 0, &[0; 3]), Connection(FRAME_SIZE_ERROR)),
    row("6.5.2", "ENABLE_PUSH of 2", || set(ENABLE_PUSH, 2), Connection(PROTOCOL_ERROR)),
    row(
        "6.5.2",
        "INITIAL_WINDOW_SIZE too large",
        || set(INITIAL_WINDOW_SIZE, 1 << 31),
        Connection(FLOW_CONTROL_ERROR),
    ),
    row(
        "6.5.2",
        "MAX_FRAME_SIZE too small",
        || set(MAX_FRAME_SIZE, 16_383),
        Connection(PROTOCOL_ERROR),
    ),
    row(
        "6.5.2",
        "MAX_FRAME_SIZE too large",
        || set(MAX_FRAME_SIZE, 1 << 24),
        Connection(PROTOCOL_ERROR),
    ),
    row("6.5.2", "a setting that nobody knows", || after(set(0xabcd, 1)), Status(200)),
    row(
        "6.6",
        "PUSH_PROMISE of a client",
        || after(frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])),
        Connection(PROTOCOL_ERROR),
    ),
    row("6.7", "PING on a stream", || frame(PING, 0, 1, &[0; 8]), Connection(PROTOCOL_ERROR)),
    row("6.7", "PING of six bytes", || frame(PING, 0, 0, &[0; 6]), Connection(FRAME_SIZE_ERROR)),
    row("6.7", "an answer to no PING", || after(frame(PING, ACK, 0, &[0; 8])), Status(200)),
    row("6.8", "GOAWAY on a stream", || frame(GOAWAY, 0, 1, &[0; 8]), Connection(PROTOCOL_ERROR)),
    row(
        "6.9",
        "WINDOW_UPDATE of 0 on a stream",
        || [get(1, HOST, "/held"), number(WINDOW_UPDATE, 1, 0)].concat(),
        Stream(PROTOCOL_ERROR),
    ),
    row("6.9", "WINDOW_UPDATE of 0", || number(WINDOW_UPDATE, 0, 0), Connection(PROTOCOL_ERROR)),
    row(
        "6.9",
        "WINDOW_UPDATE of three bytes",
        || frame(WINDOW_UPDATE, 0, 0, &[1; 3]),
        Connection(FRAME_SIZE_ERROR),
    ),
    row(
        "6.9.1",
        "a stream's window beyond the largest",
        || [get(1, HOST, "/held"), number(WINDOW_UPDATE, 1, 0x7fff_ffff)].concat(),
        Stream(FLOW_CONTROL_ERROR),
    ),
    row(
        "6.9.1",
        "the connection's window beyond the largest",
        || number(WINDOW_UPDATE, 0, 0x7fff_ffff),
        Connection(FLOW_CONTROL_ERROR),
    ),
    row(
        "6.9.2",
        "a setting that takes a window beyond the largest",
        || {
            let held = get(1, HOST, "/held");
            [held, number(WINDOW_UPDATE, 1, 1 << 20), set(INITIAL_WINDOW_SIZE, 0x7fff_ffff)]
                .concat()
        },
        Connection(FLOW_CONTROL_ERROR),
    ),
    row(
        "6.10",
        "CONTINUATION without HEADERS",
        || frame(CONTINUATION, 4, 1, &[]),
        Connection(PROTOCOL_ERROR),
    ),
    row(
        "6.10",
        "CONTINUATION on stream 0",
        || frame(CONTINUATION, 4, 0, &[]),
        Connection(PROTOCOL_ERROR),
    ),
    row(
        "6.10",
        "CONTINUATION after the end of a block",
        || after(frame(CONTINUATION, END_HEADERS, 1, &[])),
        Connection(PROTOCOL_ERROR),
    ),
];

const HOST: &str = "shop.test";

/// One byte more than SETTINGS_MAX_FRAME_SIZE.
static LARGE: [u8; (1 << 14) + 1] = [0; (1 << 14) + 1];

/// A whole request, and this after it.
fn after(bytes: Vec<u8>) -> Vec<u8> {
    [get(1, HOST, "/"), bytes].concat()
}

/// A request whose body is still to come.
fn open(path: &str) -> Vec<u8> {
    headers(0, 1, &request("POST", HOST, path))
}

/// A request, and this of its body.
fn post(body: Vec<u8>) -> Vec<u8> {
    [open("/count"), body].concat()
}

fn get_block(path: &str) -> Vec<u8> {
    block(&request("GET", HOST, path))
}

/// HEADERS without the end of their block.
fn begun() -> Vec<u8> {
    frame(HEADERS, END_STREAM, 1, &get_block("/"))
}

/// A block in two frames, and this between them.
fn block_with(between: &[u8]) -> Vec<u8> {
    [begun(), between.to_vec(), frame(CONTINUATION, END_HEADERS, 1, &field("x", "y"))].concat()
}

fn set(setting: u16, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &values(&[(setting, value)]))
}
