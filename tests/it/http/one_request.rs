//! Whatever bytes a client sends: an origin sees no more requests than the proxy has taken for
//! requests, in whichever way the origin reads.
//!
//! Requests are made from a grammar of smuggling with a fixed seed, and sent as they are. What reached
//! the origin is read in several ways ([`Reader`]); each request that a reader sees must be one that the
//! proxy has passed on, by its log.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Semaphore;

use super::street_to;
use crate::kit::Client;
use crate::kit::Tape;
use crate::kit::eventually;
use crate::kit::proxy::log_lines;
use crate::kit::reader::Reader;
use crate::kit::reader::requests;

/// Enough for every choice of the grammar to meet most of the others.
const CASES: u64 = 800;

/// SPEC PX-1 (RFC 9112, section 11.2)
#[tokio::test]
async fn no_origin_sees_more_requests_than_the_proxy_accepted() {
    let tape = Tape::answering(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    // Those who promise more than they send are let go soon.
    let more = "[timeouts]\ndrain = \"5s\"\nrequest_head = \"300ms\"\nrequest_body = \"300ms\"\n\
                keep_alive = \"300ms\"";
    let keys = "first_byte_timeout = \"1s\"";
    let street = Box::pin(street_to(&tape.endpoint(), keys, more)).await;
    let places = Arc::new(Semaphore::new(16));
    let mut sending = Vec::new();
    for number in 0..CASES {
        let (client, places) = (street.client("shop.test"), Arc::clone(&places));
        sending.push(tokio::spawn(async move {
            let _place = places.acquire().await.expect("never closed");
            send(&client, number).await
        }));
    }
    let mut answers = 0;
    for sent in sending {
        answers += sent.await.expect("a case");
    }
    assert!(answers > CASES as usize / 2, "{answers} answers: hardly anything was understood");
    // Every exchange has ended, so that every line is on its way.
    let active = [("virtual_service", "shop")];
    street.proxy.metric_becomes("portcullis_http_requests_active", &active, 0.0).await;

    let read = [Reader::Strict, Reader::Chunks, Reader::FirstLength, Reader::LastLength];
    let received = tape.received();
    for reader in read {
        let mut seen = BTreeMap::new();
        for request in received.iter().flat_map(|bytes| requests(bytes, reader)) {
            *seen.entry(request.target).or_insert(0) += 1;
        }
        assert!(seen.len() > 20, "{reader:?} sees next to nothing");
        let is_accounted = async || {
            let accepted = accepted(&log_lines(&street.site, "app.log"));
            let more = seen.iter().find(|(path, count)| accepted.get(*path) < Some(*count));
            more.is_none().then_some(())
        };
        let what = format!("{reader:?}: {seen:?}");
        eventually(&what, is_accounted).await;
    }
}

/// How often each path was passed on.
fn accepted(lines: &[Value]) -> BTreeMap<String, usize> {
    let mut accepted = BTreeMap::new();
    for line in lines.iter().filter(|line| line["portcullis.endpoint"].is_string()) {
        let path = line["url.path"].as_str().expect("a path").to_owned();
        *accepted.entry(path).or_insert(0) += 1;
    }
    accepted
}

/// Sends a case and a last request behind it; how many answers there were.
async fn send(client: &Client, number: u64) -> usize {
    let mut choice = Choice(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut bytes = Vec::new();
    for place in 0..1 + choice.of(2) {
        bytes.extend_from_slice(&request(&mut choice, number, place));
    }
    let last =
        format!("GET /{number}/last HTTP/1.1\r\nhost: shop.test\r\nconnection: close\r\n\r\n");
    bytes.extend_from_slice(last.as_bytes());
    // Being cut off is an answer as well.
    let answer = client.say(&bytes).await.unwrap_or_default();
    answer.matches("HTTP/1.").count()
}

/// One request, in which something may be wrong, or seem so.
fn request(choice: &mut Choice, number: u64, place: usize) -> Vec<u8> {
    let inner = format!("GET /{number}/{place}/smuggled HTTP/1.1\r\nhost: shop.test\r\n\r\n");
    let length = inner.len();
    let path = format!("/{number}/{place}");
    let host = choice.mostly_first(&["host: shop.test", "Host:shop.test", "host: shop.test "]);
    let codings = [
        "",
        "transfer-encoding: chunked",
        "Transfer-Encoding: Chunked",
        "transfer-encoding : chunked",
        "transfer-encoding: xchunked",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: identity, chunked",
        "transfer-encoding:\tchunked",
        "transfer-encoding: \x0bchunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: cow",
        "transfer-encoding:\r\n chunked",
        "transfer_encoding: chunked",
        "x: y\rtransfer-encoding: chunked",
        "x: y\ntransfer-encoding: chunked",
        "transfer\0-encoding: chunked",
        "\u{feff}transfer-encoding: chunked",
        " transfer-encoding: chunked",
        "te: chunked",
        "connection: transfer-encoding\r\ntransfer-encoding: chunked",
    ];
    let coding = codings[choice.of(codings.len()) * choice.of(2)];
    let number_text = length.to_string();
    let lengths = [
        String::new(),
        format!("content-length: {number_text}"),
        "content-length: 0".to_owned(),
        "content-length: 5".to_owned(),
        format!("content-length: +{number_text}"),
        format!("content-length: 0{number_text}"),
        format!("content-length: {number_text}, {number_text}"),
        format!("content-length: 0\r\ncontent-length: {number_text}"),
        format!("content-length : {number_text}"),
        format!("content_length: {number_text}"),
        format!("content-length:\r\n {number_text}"),
        format!("x: y\ncontent-length: {number_text}"),
        format!("content-length: {number_text}\0"),
        format!("connection: content-length\r\ncontent-length: {number_text}"),
        "content-length: 0x10".to_owned(),
        format!("upgrade: websocket\r\nconnection: upgrade\r\ncontent-length: {number_text}"),
        "expect: 100-continue\r\ncontent-length: 5".to_owned(),
    ];
    let length_field = &lengths[choice.of(lengths.len()) * choice.of(2)];
    let end = choice.mostly_first(&["\r\n", "\n", "\r", "\r\r\n"]);
    let method = choice.mostly_first(&["POST", "GET", "HEAD", "OPTIONS", "G\0T"]);
    let version = choice.mostly_first(&["HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "http/1.1"]);
    let before = choice.mostly_first(&["", "\r\n", "\n", " "]);
    let mut text = format!("{before}{method} {path} {version}{end}{host}{end}");
    for field in [coding, length_field] {
        if !field.is_empty() {
            text.push_str(field);
            text.push_str(end);
        }
    }
    text.push_str(end);
    text.push_str(&body(choice, &inner));
    text.into_bytes()
}

fn body(choice: &mut Choice, inner: &str) -> String {
    let size = inner.len();
    match choice.of(12) {
        0 | 1 => String::new(),
        2 | 3 => inner.to_owned(),
        4 => format!("0\r\n\r\n{inner}"),
        5 => format!("{size:x}\r\n{inner}\r\n0\r\n\r\n"),
        6 => format!("{size:x};a=b\r\n{inner}\r\n0\r\nx: y\r\n\r\n"),
        7 => format!("0x{size:x}\r\n{inner}\r\n0\r\n\r\n"),
        8 => format!("{size:x}\n{inner}\n0\n\n"),
        9 => format!("{size:x} \r\n{inner}\r\n0;\n\r\n\r\n"),
        10 => format!("1\r\nZ\r\nQ\r\n\r\n{inner}"),
        _ => format!("{:x}\r\n{inner}0\r\n\r\n", size + 2),
    }
}

/// The same choices in every run: xorshift64 (Marsaglia).
struct Choice(u64);

impl Choice {
    fn of(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as usize % count
    }

    /// What is right, in most cases: one oddity hides another.
    fn mostly_first(&mut self, all: &[&'static str]) -> &'static str {
        match self.of(8) {
            0 => all[self.of(all.len())],
            _ => all[0],
        }
    }
}
