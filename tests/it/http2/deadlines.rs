//! A client of HTTP/2 that does not move is told so in time, wherever it stopped.

use serde_json::Value;

use super::is_counted;
use super::is_told;
use crate::kit::TwoSites;
use crate::kit::eventually;
use crate::kit::frames::*;
use crate::kit::proxy::log_line;
use crate::kit::proxy::log_lines;

type Half = (&'static str, fn() -> Vec<u8>);

/// Half of something, and silence.
const HALVES: &[Half] = &[
    ("half a block", || frame(HEADERS, END_STREAM, 1, &block(&request("GET", "shop.test", "/")))),
    ("half a frame", || get(1, "shop.test", "/")[..20].to_vec()),
    ("half a head of a frame", || get(1, "shop.test", "/")[..3].to_vec()),
    ("half a block after a request", || {
        [get(1, "shop.test", "/"), frame(HEADERS, END_STREAM, 3, &[])].concat()
    }),
    ("half a ping while a request is served", || {
        [get(1, "shop.test", "/held"), frame(PING, 0, 0, &[0; 8])[..12].to_vec()].concat()
    }),
];

/// SPEC PX-5: request head. What was begun may be sent again: the GOAWAY blames nobody.
#[tokio::test]
async fn half_of_something_ends_the_connection_in_time() {
    let street = TwoSites::with("[timeouts]\nrequest_head = \"300ms\"").await;
    for (number, (what, half)) in HALVES.iter().enumerate() {
        let mut frames = Frames::open(&street.client("shop.test")).await;
        frames.say(&half()).await;
        let heard = frames.until_closed().await;
        assert_eq!(heard.goaway, Some(NO_ERROR), "{what}: {heard:?}");
        is_told(&street, "request_head_timeout", (number + 1) as f64).await;
    }
}

/// SPEC PX-5: request head, however its bytes come.
#[tokio::test]
async fn a_head_that_comes_byte_by_byte_does_not_live_on_them() {
    let street = TwoSites::with("[timeouts]\nrequest_head = \"300ms\"").await;
    let mut frames = Frames::open(&street.client("shop.test")).await;
    let long = "d".repeat(8000);
    let mut fields = request("GET", "shop.test", "/");
    fields.push(("x-drip", &long));
    let bytes = headers(END_STREAM, 1, &fields);
    let mut dripping = bytes.iter();
    eventually("the end of a connection that drips", async || {
        let byte = *dripping.next().expect("bytes that are enough for a while");
        frames.try_say(&[byte]).await.is_err().then_some(())
    })
    .await;
    is_told(&street, "request_head_timeout", 1.0).await;
    assert!(street.shop.seen().is_empty());
}

/// SPEC PX-5: half a preface is no HTTP/2 yet, so that nothing can be said in it.
#[tokio::test]
async fn half_a_preface_ends_the_connection_in_time() {
    let street = TwoSites::with("[timeouts]\nrequest_head = \"300ms\"").await;
    let mut frames = Frames::silent(&street.client("shop.test")).await;
    frames.say(&PREFACE[..10]).await;
    assert!(frames.until_closed().await.is_closed);
    is_told(&street, "request_head_timeout", 1.0).await;
}

/// SPEC PX-5: the wait for the first request, and the wait for another.
#[tokio::test]
async fn a_connection_without_streams_is_left_and_pings_are_no_activity() {
    let keys = "[timeouts]\nrequest_head = \"300ms\"\nkeep_alive = \"300ms\"";
    let street = TwoSites::with(keys).await;
    let client = street.client("shop.test");
    let mut silent = Frames::silent(&client).await;
    assert!(silent.until_closed().await.is_closed, "not even a preface");
    let mut unasked = Frames::open(&client).await;
    assert_eq!(unasked.until_closed().await.goaway, Some(NO_ERROR), "no request");
    let mut frames = Frames::open(&client).await;
    frames.say(&get(1, "shop.test", "/")).await;
    let mut pongs = 0;
    loop {
        if frames.try_say(&frame(PING, 0, 0, &[1; 8])).await.is_err() {
            break;
        }
        let heard = frames.until("a pong", |heard| heard.pongs > 0 || heard.goaway.is_some()).await;
        if heard.is_closed || heard.goaway == Some(NO_ERROR) {
            break;
        }
        pongs += heard.pongs;
    }
    assert!(pongs > 0);
}

/// SPEC PX-5: request body.
#[tokio::test]
async fn a_body_that_stops_is_answered_408_and_never_whole_for_the_origin() {
    let street = TwoSites::with("[timeouts]\nrequest_body = \"300ms\"").await;
    let mut frames = Frames::open(&street.client("shop.test")).await;
    let mut fields = request("POST", "shop.test", "/count");
    fields.push(("content-length", "1000"));
    frames.say(&headers(0, 1, &fields)).await;
    frames.say(&frame(DATA, 0, 1, b"some")).await;
    let heard = frames.until("an answer", |heard| heard.ended.contains(&1)).await;
    assert_eq!(heard.statuses[&1], 408, "{heard:?}");
    let line = log_line(&street.site, "a slow body", |line| line["url.path"] == "/count").await;
    assert_eq!(line["error.type"], "request_body_timeout", "{line:#}");
    assert_eq!(line["http.response.status_code"], 408, "{line:#}");
    is_counted(&street, "request_body_timeout", 1.0).await;
    frames.say(&get(3, "shop.test", "/")).await;
    let heard = frames.until("another answer", |heard| heard.ended.contains(&3)).await;
    assert_eq!(heard.statuses[&3], 200, "the connection goes on: {heard:?}");
    assert_eq!(street.shop.whole(), ["/"], "no whole body there");
}

/// SPEC PX-5: request body, of which a little comes all the time. The first ten seconds say nothing.
#[tokio::test]
async fn a_body_that_trickles_is_answered_408() {
    let street = TwoSites::with("[limits]\nrequest_body_rate = \"1MiB\"").await;
    let mut frames = Frames::open(&street.client("shop.test")).await;
    frames.say(&headers(0, 1, &request("POST", "shop.test", "/count"))).await;
    eventually("a line about a body that trickles", async || {
        frames.say(&frame(DATA, 0, 1, &[b't'; 300])).await;
        let lines = log_lines(&street.site, "app.log");
        lines.iter().any(|line| line["error.type"] == "request_body_too_slow").then_some(())
    })
    .await;
    let heard = frames.until("an answer", |heard| heard.ended.contains(&1)).await;
    assert_eq!(heard.statuses[&1], 408, "{heard:?}");
    is_counted(&street, "request_body_too_slow", 1.0).await;
    assert!(street.shop.whole().is_empty(), "no whole body there");
}

/// SPEC PX-5: request body, when the response has begun already.
#[tokio::test]
async fn a_body_that_stops_after_the_response_began_resets_the_stream() {
    let street = TwoSites::with("[timeouts]\nrequest_body = \"300ms\"").await;
    let mut frames = Frames::open(&street.client("shop.test")).await;
    frames.say(&headers(0, 1, &request("POST", "shop.test", "/echo"))).await;
    frames.say(&frame(DATA, 0, 1, b"some")).await;
    let heard = frames.until("a reset", |heard| heard.resets.contains_key(&1)).await;
    assert_eq!((heard.statuses[&1], heard.data), (200, 4), "{heard:?}");
    let line = log_line(&street.site, "a slow body", |line| line["url.path"] == "/echo").await;
    assert_eq!(line["error.type"], "request_body_timeout", "{line:#}");
}

/// SPEC PX-5: a client that gives no room for a response is not waited for.
#[tokio::test]
async fn a_stream_without_window_is_reset_and_the_others_go_on() {
    let street = TwoSites::with("[timeouts]\nresponse_write = \"300ms\"").await;
    let client = street.client("shop.test");
    for (window, path) in [(0, "/bytes/100000"), (0, "/"), (1, "/"), (1000, "/bytes/20000")] {
        let settings = [(HEADER_TABLE_SIZE, 0), (INITIAL_WINDOW_SIZE, window)];
        let mut frames = Frames::open_with(&client, &settings).await;
        frames.say(&get(1, "shop.test", path)).await;
        let heard = frames.until("a reset", |heard| heard.resets.contains_key(&1)).await;
        assert_eq!((heard.resets[&1], heard.data), (CANCEL, window as usize), "{path}: {heard:?}");
        // With room everything goes.
        frames.say(&get(3, "shop.test", path)).await;
        frames.say(&number(WINDOW_UPDATE, 3, 1 << 20)).await;
        frames.say(&number(WINDOW_UPDATE, 0, 1 << 20)).await;
        let heard = frames.until("a response", |heard| heard.ended.contains(&3)).await;
        assert_eq!(heard.statuses[&3], 200, "{path}: {heard:?}");
    }
    let is_it = |line: &Value| line["error.type"] == "client_write_timeout";
    assert_eq!(log_line(&street.site, "no window", is_it).await["event"], "http");
    is_counted(&street, "client_write_timeout", 4.0).await;
}

/// SPEC PX-5: neither is one that gives no room for anything on its connection.
#[tokio::test]
async fn a_connection_without_window_loses_its_streams() {
    let street = TwoSites::with("[timeouts]\nresponse_write = \"300ms\"").await;
    let settings = [(HEADER_TABLE_SIZE, 0), (INITIAL_WINDOW_SIZE, 1 << 20)];
    let mut frames = Frames::open_with(&street.client("shop.test"), &settings).await;
    for stream in [1, 3, 5] {
        frames.say(&get(stream, "shop.test", "/bytes/100000")).await;
    }
    let heard = frames.until("three resets", |heard| heard.resets.len() == 3).await;
    assert!(heard.resets.values().all(|code| *code == CANCEL), "{heard:?}");
    assert_eq!(heard.data, 65_535, "what the window of a connection begins with");
}

/// SPEC PX-5: a client that does not even read.
#[tokio::test]
async fn a_connection_that_is_not_read_is_closed() {
    let street = TwoSites::with("[timeouts]\nresponse_write = \"300ms\"").await;
    let settings = [(HEADER_TABLE_SIZE, 0), (INITIAL_WINDOW_SIZE, 0x7fff_ffff)];
    let mut frames = Frames::open_with(&street.client("shop.test"), &settings).await;
    frames.say(&number(WINDOW_UPDATE, 0, 0x7000_0000)).await;
    frames.say(&get(1, "shop.test", "/bytes/100000000")).await;
    is_told(&street, "client_write_timeout", 1.0).await;
    let served = "portcullis_connections";
    let gone = async || (street.proxy.metric(served, &[]).await < 2.0).then_some(());
    eventually("the end of the connection", gone).await;
}
