//! What TLS lets a client send for ever, and hellos that are too much: refused or survived, at a price
//! that does not grow, while the others are served.

use rustls::ContentType;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::edge::first_byte;
use crate::edge::stalled;
use crate::kit::Client;
use crate::kit::Http;
use crate::kit::TwoSites;
use crate::kit::command::run;
use crate::kit::records::Records;
use crate::kit::within;

/// SPEC PX-5: each of them asks for an answer, and costs a derivation of keys.
#[tokio::test]
async fn a_flood_of_key_updates_is_cut() {
    let mut others = Others::start().await;
    let session = others.client().tls13().handshake().await.unwrap();
    let mut stream = session.stream;
    let flood = async {
        for _ in 0..10_000 {
            let refreshed = stream.get_mut().1.refresh_traffic_keys();
            if refreshed.is_err() || stream.flush().await.is_err() {
                return;
            }
        }
        let _ = stream.read(&mut [0]).await;
    };
    within("a flood of key updates", flood).await;
    let end = within("the end", stream.read(&mut [0])).await;
    assert!(end.is_err() || end.is_ok_and(|count| count == 0), "it is cut");
    others.are_served().await;
}

/// SPEC PX-5: records with nothing in them are no progress.
#[tokio::test]
async fn a_flood_of_empty_records_is_survived_and_gains_no_time() {
    let mut others = Others::with("[timeouts]\nrequest_head = \"1s\"").await;
    let mut records = Records::of(others.client()).await;
    for _ in 0..20 {
        let empty = records.sealed(ContentType::ApplicationData, b"", 2_000);
        if !records.write(&empty).await {
            break;
        }
    }
    records.ended().await;
    others.are_served().await;
    // And who has a request to make behind some of them is served.
    let mut records = Records::of(others.client()).await;
    let empty = records.sealed(ContentType::ApplicationData, b"", 100);
    let request = b"GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n";
    let request = records.sealed(ContentType::ApplicationData, request, 1);
    assert!(records.write(&empty).await && records.write(&request).await);
    assert!(records.is_answered().await);
}

/// SPEC PX-5
#[tokio::test]
async fn a_flood_of_warning_alerts_is_cut() {
    let mut others = Others::start().await;
    let mut records = Records::of(others.client()).await;
    // RFC 8446, section 6.1: user_canceled, which is followed by close_notify, or should be.
    let alerts = records.sealed(ContentType::Alert, &[1, 90], 10_000);
    records.write(&alerts).await;
    records.ended().await;
    others.are_served().await;
}

/// SPEC PX-5: there may be one of them, for the sake of old middle boxes (RFC 8446, appendix D.4).
#[tokio::test]
async fn a_flood_of_change_cipher_specs_is_cut() {
    let mut others = Others::start().await;
    let change = [20, 3, 3, 0, 1, 1].repeat(10_000);
    let mut within_handshake = stalled(&others.street, "shop.test").await;
    assert_eq!(first_byte(&mut within_handshake).await, Some(22));
    let _ = within("the flood", within_handshake.write_all(&change)).await;
    let mut rest = Vec::new();
    let _ = within("the end", within_handshake.read_to_end(&mut rest)).await;
    let labels = [("virtual_service", "edge"), ("reason", "protocol_violation")];
    let failures = "portcullis_tls_handshake_failures_total";
    others.street.proxy.metric_becomes(failures, &labels, 1.0).await;
    let mut after_handshake = Records::of(others.client()).await;
    after_handshake.write(&change).await;
    after_handshake.ended().await;
    others.are_served().await;
}

/// SPEC PX-5: there is no second handshake on a connection of TLS 1.2.
#[tokio::test]
async fn a_renegotiation_is_not_begun() {
    let mut others = Others::start().await;
    let mut command = Command::new("openssl");
    let address = others.street.proxy.address("edge").to_string();
    command.args(["s_client", "-connect", &address, "-servername", "shop.test", "-tls1_2"]);
    let text = run(command, "R\nR\nR\n").await.text();
    assert!(text.contains("RENEGOTIATING"), "{text}");
    assert!(text.contains("no renegotiation"), "{text}");
    others.are_served().await;
}

/// SPEC PX-5: more than any client has to say.
#[tokio::test]
async fn a_huge_hello_is_refused_and_one_of_many_extensions_is_read() {
    let mut others = Others::start().await;
    let hello = others.client().hello();
    for (extensions, answer) in [(3_000, HANDSHAKE), (20_000, ALERT)] {
        let mut tcp = TcpStream::connect(others.street.proxy.address("edge")).await.unwrap();
        let _ = tcp.write_all(&in_records(&with_extensions(&hello, extensions), 1 << 14)).await;
        assert_eq!(first_byte(&mut tcp).await, Some(answer), "{extensions}");
    }
    others.are_served().await;
}

/// SPEC PX-5: the smallest pieces that there can be, of TCP and of TLS.
#[tokio::test]
async fn hellos_in_the_smallest_pieces_are_survived() {
    let mut others = Others::start().await;
    let hello = others.client().hello();
    let mut tcp = TcpStream::connect(others.street.proxy.address("edge")).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    for byte in in_records(&hello[5..], 1) {
        tcp.write_all(&[byte]).await.unwrap();
    }
    assert_eq!(first_byte(&mut tcp).await, Some(HANDSHAKE));
    // As many pieces as a hello can have, of many clients at once.
    let mut clients = Vec::new();
    for _ in 0..50 {
        let address = others.street.proxy.address("edge");
        let pieces = in_records(&with_extensions(&hello, 12_000), 1);
        clients.push(tokio::spawn(async move {
            let mut tcp = TcpStream::connect(address).await.unwrap();
            let _ = tcp.write_all(&pieces).await;
            let mut first = [0];
            tcp.read(&mut first).await.map(|_| first[0])
        }));
    }
    for client in clients {
        let end = within("the end", client).await.unwrap();
        assert!(end.is_err() || end.is_ok_and(|first| first == ALERT), "refused");
    }
    others.are_served().await;
}

/// Two connections that were there before, and what the proxy occupied then.
struct Others {
    street: TwoSites,
    http1: Http,
    http2: Http,
    memory: u64,
}

impl Others {
    async fn start() -> Self {
        Self::with("").await
    }

    async fn with(more: &str) -> Self {
        let street = Box::pin(TwoSites::with(more)).await;
        let http1 = Box::pin(street.client("blog.test").http1()).await;
        let http2 = Box::pin(street.client("shop.test").http2()).await;
        let memory = street.proxy.resident();
        Self { street, http1, http2, memory }
    }

    /// Of the service that is attacked.
    fn client(&self) -> Client {
        self.street.client("shop.test")
    }

    async fn are_served(&mut self) {
        for http in [&mut self.http1, &mut self.http2] {
            assert_eq!(http.get("/").await.status, 200);
        }
        assert_eq!(self.client().visit().await.unwrap().body, "hello from shop");
        let more = self.street.proxy.resident().saturating_sub(self.memory);
        assert!(more < FLAT, "{more} bytes more");
    }
}

/// The handshake message of a hello with as many more extensions, which nobody knows.
fn with_extensions(hello: &[u8], count: u16) -> Vec<u8> {
    let message = &hello[5..];
    // Behind version and random: a session id, suites, compression, and then the extensions.
    let session = 4 + 34;
    let suites = session + 1 + usize::from(message[session]);
    let length = |at: usize| usize::from(u16::from_be_bytes([message[at], message[at + 1]]));
    let compression = suites + 2 + length(suites);
    let at = compression + 1 + usize::from(message[compression]);
    let more = (0..count).flat_map(|number| {
        let [high, low] = (0x4000 + number).to_be_bytes();
        [high, low, 0, 0]
    });
    let extensions: Vec<u8> = message[at + 2..].iter().copied().chain(more).collect();
    let mut body = message[4..at].to_vec();
    body.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
    body.extend_from_slice(&extensions);
    let [_, bytes @ ..] = (body.len() as u32).to_be_bytes();
    [&[1][..], &bytes, &body].concat()
}

fn in_records(message: &[u8], size: usize) -> Vec<u8> {
    let records = message.chunks(size).flat_map(|piece| {
        let [high, low] = (piece.len() as u16).to_be_bytes();
        [&[22, 3, 1, high, low], piece].concat()
    });
    records.collect()
}

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;

/// More than buffers and threads need, and less than any of the floods sends.
const FLAT: u64 = 24 << 20;
