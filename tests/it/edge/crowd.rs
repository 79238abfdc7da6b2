//! A crowd of slow clients of every kind at once: the others are served as if it were not there, and
//! each of its members is gone when its time is over.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::edge::stalled;
use crate::kit::Client;
use crate::kit::TwoSites;
use crate::kit::volume::VolumeOrigin;

/// SPEC PX-5
#[tokio::test]
async fn a_crowd_of_slow_clients_disturbs_nobody_and_goes_when_its_time_is_over() {
    let origin = VolumeOrigin::start(false, 1 << 30).await;
    let street = TwoSites::start().await;
    let toml = street.toml(DEADLINES).replace(&street.shop.endpoint(), &origin.address.to_string());
    street.site.configure(&toml);
    street.proxy.reload().await;
    let mut http1 = street.client("blog.test").http1().await;
    let mut http2 = street.client("blog.test").http2().await;
    assert_eq!((http1.get("/").await.status, http2.get("/").await.status), OK);
    let before = street.proxy.descriptors().await;

    let mut crowd = Crowd::default();
    for number in 0..OF_EACH_KIND {
        crowd.join(&street).await;
        assert_eq!((http1.get("/").await.status, http2.get("/").await.status), OK);
        if number % 8 == 0 {
            assert_eq!(street.client("blog.test").visit().await.unwrap().body, "hello from blog");
        }
    }
    let labels = [("virtual_service", "edge"), ("reason", "timeout")];
    let times = 3.0 * OF_EACH_KIND as f64;
    street.proxy.metric_becomes("portcullis_tls_handshake_failures_total", &labels, times).await;
    let labels = [("virtual_service", "shop")];
    street.proxy.metric_becomes("portcullis_connections_active", &labels, 0.0).await;
    // What is kept to spare: connections to endpoints, and pipes.
    street.proxy.descriptors_become(before + TO_SPARE).await;
    assert_eq!(street.client("blog.test").visit().await.unwrap().body, "hello from blog");
    drop(crowd);
}

/// Connections on which nothing more will happen, on this side.
#[derive(Default)]
struct Crowd {
    silent: Vec<TcpStream>,
    established: Vec<TlsStream<TcpStream>>,
    exchanging: Vec<TlsStream<TcpStream>>,
}

impl Crowd {
    /// One of each kind.
    async fn join(&mut self, street: &TwoSites) {
        let shop = street.client("shop.test");
        // No hello, half of one, and one with nothing after it.
        let address = street.proxy.address("edge");
        self.silent.push(TcpStream::connect(address).await.unwrap());
        let hello = shop.hello();
        let mut half = TcpStream::connect(address).await.unwrap();
        half.write_all(&hello[..hello.len() / 2]).await.unwrap();
        self.silent.push(half);
        self.silent.push(stalled(street, "shop.test").await);
        // No request, half of one, and, over HTTP/2, nothing but the preface.
        for (alpn, words) in [
            ("http/1.1", &b""[..]),
            ("http/1.1", b"GET / HTTP/1.1\r\nhost: shop.te"),
            ("h2", PREFACE),
        ] {
            self.established.push(establish(shop.clone().alpn(&[alpn]), words).await);
        }
        // An answer that is not read, and a body that does not end.
        for words in [
            &b"GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n"[..],
            b"POST / HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 9\r\n\r\nhalf",
        ] {
            self.exchanging.push(establish(shop.clone(), words).await);
        }
    }
}

async fn establish(client: Client, words: &[u8]) -> TlsStream<TcpStream> {
    let mut stream = client.handshake().await.unwrap().stream;
    stream.write_all(words).await.unwrap();
    stream.flush().await.unwrap();
    stream
}

/// Eight kinds of a client that does not move, or more.
const OF_EACH_KIND: usize = 24;

const TO_SPARE: usize = 16;

const OK: (hyper::StatusCode, hyper::StatusCode) = (hyper::StatusCode::OK, hyper::StatusCode::OK);

/// RFC 9113, section 3.4, with empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

const DEADLINES: &str = r#"
[timeouts]
client_hello = "2s"
handshake = "2s"
request_head = "2s"
request_body = "2s"
response_write = "2s"
keep_alive = "6s"
"#;
