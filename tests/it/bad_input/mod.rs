//! What should not come in, from the network: a clear reason each, and the rest goes on.

mod descriptors;
mod files;

use std::net::SocketAddr;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::kit::TwoSites;
use crate::kit::proxy::log_line;
use crate::kit::within;

/// PX-5
#[tokio::test]
async fn plain_http_on_the_tls_port_is_answered_in_plain_words() {
    let street = TwoSites::start().await;
    for method in ["GET", "POST", "HEAD", "OPTIONS"] {
        let request = format!("{method} / HTTP/1.1\r\nhost: shop.test\r\n\r\n");
        let answer = raw(street.proxy.address("edge"), request.as_bytes(), End::Open).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{method}: {answer}");
        assert!(answer.to_ascii_lowercase().contains("https"), "{method}: {answer}");
    }
    street_counts(&street, "plain_http", 4.0).await;
    let line =
        log_line(&street.site, "plain HTTP", |line| line["error.type"] == "plain_http").await;
    assert_eq!(line["portcullis.virtual_service"], "edge");
    still_serves(&street).await;
}

/// PX-5
#[tokio::test]
async fn garbage_is_not_tls() {
    let street = TwoSites::start().await;
    let noise = b"\xff".repeat(70_000);
    for garbage in [&b"\x00\x01\x02\x03\x04\x05"[..], &noise, b"SSH-2.0-OpenSSH_9.2\r\n"] {
        raw(street.proxy.address("edge"), garbage, End::Open).await;
    }
    street_counts(&street, "not_tls", 3.0).await;
    still_serves(&street).await;
}

/// PX-5
#[tokio::test]
async fn a_record_that_holds_no_hello_is_refused_with_an_alert() {
    let street = TwoSites::start().await;
    // A handshake record with a message of an unknown type; one with a hello of two bytes.
    for record in [
        &b"\x16\x03\x01\x00\x08\x63\x00\x00\x04\x00\x00\x00\x00"[..],
        b"\x16\x03\x01\x00\x06\x01\x00\x00\x02\x03\x03",
    ] {
        let answer = raw(street.proxy.address("edge"), record, End::Open).await;
        assert_eq!(answer.first(), Some(&0x15), "an alert record: {answer:02x?}");
    }
    still_serves(&street).await;
}

/// PX-5
#[tokio::test]
async fn a_hello_cut_anywhere_ends_with_a_reason() {
    let street = TwoSites::start().await;
    let hello = street.client("shop.test").hello();
    let cuts: Vec<usize> = (1..hello.len()).step_by(37).collect();
    for cut in &cuts {
        raw(street.proxy.address("edge"), &hello[..*cut], End::Closed).await;
    }
    let times = cuts.len() as f64;
    let all = [("virtual_service", "edge")];
    street.proxy.metric_becomes("portcullis_tls_handshake_failures_total", &all, times).await;
    street_counts(&street, "eof", times).await;
    log_line(&street.site, "a cut hello", |line| line["error.type"] == "eof").await;
    still_serves(&street).await;
}

/// PX-5
#[tokio::test]
async fn a_hello_that_never_ends_is_timed_out() {
    let street = TwoSites::with("[timeouts]\nclient_hello = \"300ms\"\ndrain = \"5s\"").await;
    let hello = street.client("shop.test").hello();
    raw(street.proxy.address("edge"), &hello[..hello.len() / 2], End::Open).await;
    raw(street.proxy.address("edge"), b"", End::Open).await;
    street_counts(&street, "timeout", 2.0).await;
    still_serves(&street).await;
}

/// PX-5
#[tokio::test]
async fn a_hello_in_many_pieces_is_one_hello() {
    let street = TwoSites::start().await;
    let hello = street.client("shop.test").hello();
    let body = &hello[5..];
    // As TCP segments of a few bytes, and as TLS records of a few bytes (RFC 8446, section 5.1).
    let mut records = Vec::new();
    for piece in body.chunks(100) {
        records.extend_from_slice(&[0x16, 3, 1, 0, piece.len() as u8]);
        records.extend_from_slice(piece);
    }
    for stream in [hello.clone(), records] {
        let mut tcp = TcpStream::connect(street.proxy.address("edge")).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        for piece in stream.chunks(61) {
            tcp.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut first = [0; 6];
        within("a server hello", tcp.read_exact(&mut first)).await.unwrap();
        assert_eq!((first[0], first[5]), (0x16, 2), "a server hello: {first:02x?}");
    }
}

/// PX-5
#[tokio::test]
async fn a_damaged_hello_never_stops_the_proxy() {
    let street = TwoSites::start().await;
    let hello = street.client("shop.test").hello();
    let mut clients = tokio::task::JoinSet::new();
    for position in (0..hello.len()).step_by(11) {
        for damage in [0x01, 0x80, 0xff] {
            let mut damaged = hello.clone();
            damaged[position] ^= damage;
            let address = street.proxy.address("edge");
            clients.spawn(async move { raw(address, &damaged, End::Closed).await });
        }
        while clients.len() > 32 {
            clients.join_next().await.expect("one").unwrap();
        }
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    still_serves(&street).await;
}

/// PX-5: half a handshake is no handshake, and is let go.
#[tokio::test]
async fn a_handshake_that_never_ends_is_timed_out() {
    let street = TwoSites::with("[timeouts]\nhandshake = \"400ms\"\ndrain = \"5s\"").await;
    let hello = street.client("shop.test").hello();
    raw(street.proxy.address("edge"), &hello, End::Open).await;
    street_counts(&street, "timeout", 1.0).await;
    still_serves(&street).await;
}

/// Whether the client closes its side after what it said.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Closed,
    Open,
}

/// Says something over TCP and reads until the proxy closes the connection.
async fn raw(address: SocketAddr, bytes: &[u8], end: End) -> Vec<u8> {
    let mut answer = Vec::new();
    let talking = async {
        let mut tcp = TcpStream::connect(address).await?;
        // Where the proxy has closed already, what it said is still there to read.
        let _ = tcp.write_all(bytes).await;
        if end == End::Closed {
            let _ = tcp.shutdown().await;
        }
        tcp.read_to_end(&mut answer).await
    };
    let _ = within("the end of a raw connection", talking).await;
    answer
}

async fn street_counts(street: &TwoSites, reason: &str, times: f64) {
    let labels = [("virtual_service", "edge"), ("reason", reason)];
    let counter = "portcullis_tls_handshake_failures_total";
    street.proxy.metric_becomes(counter, &labels, times).await;
}

async fn still_serves(street: &TwoSites) {
    let visit = street.client("shop.test").visit().await.unwrap();
    assert_eq!(visit.body, "hello from shop");
}
