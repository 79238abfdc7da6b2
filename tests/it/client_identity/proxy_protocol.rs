//! Connections that begin with a PROXY protocol header, version 1 or 2.

use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::client_identity::House;
use crate::kit::far_end::ends;
use crate::kit::proxy::log_line;
use crate::kit::proxy::log_lines;
use crate::kit::within;

/// SPEC PX-3.
#[tokio::test]
async fn a_header_of_version_1_or_2_says_who_the_client_is() {
    for header in [V1.to_vec(), v2()] {
        let house = behind_balancer().await;
        let client = house.proxy.client("shop.test").saying_first(&[&header]);
        assert_eq!(client.visit().await.unwrap().body, "welcome");
        let seen = house.origin.last();
        assert_eq!(seen.header("x-forwarded-for"), "192.0.2.7");
        assert_eq!(seen.header("x-real-ip"), "192.0.2.7");
        assert_eq!(
            seen.header("x-forwarded-port"),
            "4443",
            "the port that the client connected to"
        );
        let line = house.request().await;
        assert_eq!(line["client.address"], "192.0.2.7");
        assert_eq!(line["client.port"], 40_000);
        assert_eq!(line["network.peer.address"], "127.0.0.1");
    }
}

/// SPEC PX-3.
#[tokio::test]
async fn a_header_may_come_in_pieces() {
    for header in [V1.to_vec(), v2()] {
        let house = behind_balancer().await;
        let pieces: Vec<&[u8]> = header.chunks(1).collect();
        let client = house.proxy.client("shop.test").saying_first(&pieces);
        assert_eq!(client.visit().await.unwrap().body, "welcome");
        assert_eq!(house.origin.last().header("x-forwarded-for"), "192.0.2.7");
    }
}

/// SPEC PX-3: what is read beyond the header belongs to the hello.
#[tokio::test]
async fn header_and_hello_may_come_in_one_packet() {
    for header in [V1.to_vec(), v2()] {
        let house = behind_balancer().await;
        let hello = house.proxy.client("shop.test").hello();
        // All of both, and all of the header with the beginning of the hello.
        for cut in [header.len() + hello.len(), header.len() + 3] {
            let all = [&*header, &*hello].concat();
            let mut tcp = house.connect().await;
            tcp.write_all(&all[..cut]).await.unwrap();
            tcp.write_all(&all[cut..]).await.unwrap();
            let mut record = [0; 1];
            within("an answer", tcp.read_exact(&mut record)).await.unwrap();
            assert_eq!(record, [22], "a handshake record: the ServerHello");
        }
    }
}

/// SPEC PX-3.
#[tokio::test]
async fn local_and_unknown_are_the_connections_own_addresses() {
    let local = [&SIGNATURE[..], &[0x20, 0, 0, 0]].concat();
    for header in [b"PROXY UNKNOWN\r\n".to_vec(), local] {
        let house = behind_balancer().await;
        let client = house.proxy.client("shop.test").saying_first(&[&header]);
        assert_eq!(client.visit().await.unwrap().body, "welcome");
        assert_eq!(house.origin.last().header("x-forwarded-for"), "127.0.0.1");
        assert!(house.request().await.get("network.peer.address").is_none());
    }
}

/// SPEC PX-3.
#[tokio::test]
async fn a_header_from_elsewhere_is_not_understood() {
    let house = House::with("proxy_protocol = [\"10.0.0.0/8\"]", "").await;
    let client = house.proxy.client("shop.test");
    client.clone().saying_first(&[V1]).visit().await.unwrap_err();
    house.counts("not_tls", 1.0).await;
    assert_eq!(client.visit().await.unwrap().body, "welcome", "and is not needed");
    assert_eq!(house.origin.last().header("x-forwarded-for"), "127.0.0.1");
}

/// SPEC PX-3.
#[tokio::test]
async fn without_a_header_there_is_no_service() {
    let house = behind_balancer().await;
    house.proxy.client("shop.test").visit().await.unwrap_err();
    house.counts("proxy_header_missing", 1.0).await;
    let line = house.failure().await;
    assert_eq!(line["error.type"], "proxy_header_missing");
    assert_eq!(line["portcullis.virtual_service"], "edge");
    assert_eq!(line["client.address"], "127.0.0.1");
}

/// SPEC PX-3.
#[tokio::test]
async fn a_malformed_header_is_refused() {
    let house = behind_balancer().await;
    let mut wrong_version = v2();
    wrong_version[12] = 0x31;
    for header in [&b"PROXY TCP4 192.0.2.7 1 2 3\r\n"[..], &wrong_version] {
        house.proxy.client("shop.test").saying_first(&[header]).visit().await.unwrap_err();
    }
    house.counts("proxy_header_malformed", 2.0).await;
    assert_eq!(house.failure().await["error.type"], "proxy_header_malformed");
}

/// SPEC PX-5.
#[tokio::test]
async fn a_header_has_a_deadline() {
    let house = House::with(TRUSTED, "[timeouts]\nclient_hello = \"100ms\"\n").await;
    let mut tcp = house.connect().await;
    tcp.write_all(&V1[..20]).await.unwrap();
    drop(ends(&mut tcp).await);
    house.counts("proxy_header_missing", 1.0).await;
}

/// SPEC VS-7: the health checks of a balancer connect and leave.
#[tokio::test]
async fn a_connection_without_a_byte_is_counted_and_not_logged() {
    let house = behind_balancer().await;
    drop(house.connect().await);
    house.counts("eof", 1.0).await;
    let client = house.proxy.client("shop.test").saying_first(&[V1]);
    client.visit().await.unwrap();
    house.request().await;
    assert!(log_lines(&house.site, "app.log").iter().all(|line| line["event"] != "tls"));
}

/// SPEC PX-3.
#[tokio::test]
async fn the_plain_listener_understands_headers_too() {
    let house = behind_balancer().await;
    let address = house.proxy.listening("redirect", "edge")[0];
    let request = b"GET /path HTTP/1.1\r\nhost: shop.test\r\nconnection: close\r\n\r\n";
    let ask = async |bytes: &[u8]| {
        let mut tcp = TcpStream::connect(address).await.unwrap();
        tcp.write_all(bytes).await.unwrap();
        let mut answer = String::new();
        let _ = within("an answer", tcp.read_to_string(&mut answer)).await;
        answer
    };
    let answer = ask(&[V1, request].concat()).await;
    assert!(answer.starts_with("HTTP/1.1 301"), "{answer}");
    let line = house.request().await;
    assert_eq!(line["client.address"], "192.0.2.7", "{line}");
    assert_eq!(ask(request).await, "", "nobody is answered who does not say who it is");
    house.counts("proxy_header_missing", 1.0).await;
}

/// RL-2: who is believed is part of the table.
#[tokio::test]
async fn a_reload_changes_who_sends_headers() {
    let house = behind_balancer().await;
    let config = house.site.read("portcullis.toml").replace(TRUSTED, "");
    house.site.replace("portcullis.toml", config);
    house.proxy.reload().await;
    assert_eq!(house.proxy.client("shop.test").visit().await.unwrap().body, "welcome");
}

async fn behind_balancer() -> House {
    House::with(TRUSTED, "").await
}

impl House {
    async fn connect(&self) -> TcpStream {
        let tcp = TcpStream::connect(self.proxy.address("edge")).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        tcp
    }

    async fn counts(&self, reason: &str, times: f64) {
        let labels = [("virtual_service", "edge"), ("reason", reason)];
        let counter = "portcullis_tls_handshake_failures_total";
        self.proxy.metric_becomes(counter, &labels, times).await;
    }

    pub(super) async fn request(&self) -> Value {
        log_line(&self.site, "a request", |line| line["event"] == "http").await
    }

    async fn failure(&self) -> Value {
        log_line(&self.site, "a failure", |line| line["event"] == "tls").await
    }
}

/// 192.0.2.7:40000 to 192.0.2.1:4443.
fn v2() -> Vec<u8> {
    let addresses = [192, 0, 2, 7, 192, 0, 2, 1, 0x9c, 0x40, 0x11, 0x5b];
    [&SIGNATURE[..], &[0x21, 0x11, 0, 12], &addresses].concat()
}

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 4443\r\n";

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

const TRUSTED: &str = "proxy_protocol = [\"127.0.0.0/8\"]";
