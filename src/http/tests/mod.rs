//! Requests over in-memory client connections to real loopback origins.

mod hosts;
mod http1;
mod http2;
mod lifetime;
mod lines;
mod requests;
mod responses;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::DuplexStream;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::config;
use crate::config::limits::Limits;
use crate::config::pool::Endpoint;
use crate::config::timeouts::Timeouts;
use crate::config::tls_profile::Alpn;
use crate::http::Connection;
use crate::http::Settings;
use crate::key::KeyType;
use crate::names::ClientAddr;
use crate::names::EndpointAddr;
use crate::service::Listener;
use crate::service::Target;
use crate::service::VirtualService;
use crate::service::fixture::recorder;
use crate::service::fixture::service;
use crate::service::fixture::table;
use crate::telemetry::listener_metrics::ListenerMetrics;
use crate::tls::choose::Rule;
use crate::tls::facts::TlsFacts;
use crate::upstream::Pool;
use crate::upstream::Sizes;

/// Fails the test if it takes longer than any of them should.
pub(super) async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), what).await.expect("in time")
}

/// An origin that does with each connection what it is told; knows how many there were.
pub(super) struct Origin {
    pub(super) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Origin {
    pub(super) async fn start<F, R>(serve: F) -> Self
    where
        F: Fn(usize, TcpStream) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(counter.fetch_add(1, Ordering::SeqCst), stream));
            }
        });
        Self { address, connections }
    }

    /// Answers every request with the same bytes and keeps its connections; a request has no body.
    pub(super) async fn answering(response: &'static str) -> Self {
        Self::start(move |_, mut stream| async move {
            while !read_head(&mut stream).await.is_empty() {
                stream.write_all(response.as_bytes()).await.expect("sent");
            }
        })
        .await
    }

    /// Answers every request with its own head as text, and closes.
    pub(super) async fn echoing() -> Self {
        Self::start(|_, mut stream| async move {
            let head = read_head(&mut stream).await;
            let response =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{head}", head.len());
            stream.write_all(response.as_bytes()).await.expect("sent");
        })
        .await
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A pool of these addresses with short limits.
pub(super) fn pool_config(addresses: &[SocketAddr]) -> config::pool::Pool {
    let endpoints = addresses
        .iter()
        .map(|address| Endpoint { address: EndpointAddr::Socket(*address), weight: 1 });
    config::pool::Pool {
        first_byte_timeout: Duration::from_secs(5),
        ..config::pool::Pool::new("app".parse().expect("a name"), endpoints.collect())
    }
}

pub(super) fn pool(config: &config::pool::Pool) -> Arc<Pool> {
    Pool::new(config, None, &recorder(), Sizes { workers: 1, response_head: 64 << 10 })
}

pub(super) fn settings() -> Settings {
    Settings {
        timeouts: Timeouts { keep_alive: Duration::from_secs(60), ..Timeouts::default() },
        // What is slow on a busy machine is no client that is too slow.
        limits: Limits { request_body_rate: 0, ..Limits::default() },
    }
}

/// A front with the child `shop` for `*.example.com`, and perhaps others.
pub(super) struct Front {
    pub(super) shop: Arc<VirtualService>,
    pub(super) others: Vec<Arc<VirtualService>>,
    pub(super) settings: Settings,
    pub(super) alpn: Alpn,
}

impl Front {
    pub(super) fn new(pool: &Arc<Pool>) -> Self {
        let mut shop = service("shop", &["*.example.com"]);
        shop.target = Target::Pool(Arc::clone(pool));
        Self::of(shop)
    }

    pub(super) fn to(origin: &Origin) -> Self {
        Self::new(&pool(&pool_config(&[origin.address])))
    }

    pub(super) fn of(shop: VirtualService) -> Self {
        Self { shop: Arc::new(shop), others: Vec::new(), settings: settings(), alpn: Alpn::Http1 }
    }

    /// A client connection that asked for `shop.example.com`; the proxy's end is a task.
    pub(super) fn connect(&self) -> DuplexStream {
        self.connect_with_task().0
    }

    /// The same, with the task.
    pub(super) fn connect_with_task(&self) -> (DuplexStream, JoinHandle<()>) {
        let (client, proxy) = tokio::io::duplex(1 << 16);
        (client, tokio::spawn(crate::http::serve(proxy, self.connection())))
    }

    pub(super) fn connection(&self) -> Connection {
        let mut children = self.others.clone();
        children.push(Arc::clone(&self.shop));
        let parent: crate::names::VirtualServiceName = "front".parse().expect("a name");
        Connection {
            client: ClientAddr(SocketAddr::from(([192, 0, 2, 7], 40_000))),
            peer: None,
            local: SocketAddr::from(([192, 0, 2, 1], 8443)),
            facts: Box::new(facts(self.alpn)),
            service: Arc::clone(&self.shop),
            listener: Arc::new(Listener::new(
                parent.clone(),
                Arc::new(table(service("front", &[]), &children)),
                ListenerMetrics::new(&recorder(), &parent),
            )),
            settings: Arc::new(self.settings.clone()),
        }
    }
}

fn facts(alpn: Alpn) -> TlsFacts {
    TlsFacts {
        server_name: Some("shop.example.com".parse().expect("a name")),
        version: "1.3",
        cipher: "TLS_AES_128_GCM_SHA256",
        group: "X25519",
        pfs: true,
        certificate: "P256".parse().expect("a name"),
        key_type: KeyType::Ec,
        rule: Rule::Preferred,
        resumed: false,
        alpn,
        agreed_alpn: Some(alpn),
        handshake: Duration::from_micros(1),
        client_certificate: None,
        expired: false,
    }
}

/// Sends a whole request over its own connection and reads until the proxy closes.
pub(super) async fn ask(front: &Front, request: &str) -> String {
    let mut client = front.connect();
    client.write_all(request.as_bytes()).await.expect("sent");
    let mut response = Vec::new();
    within(client.read_to_end(&mut response)).await.expect("read");
    String::from_utf8(response).expect("text")
}

/// Reads up to and including an empty line; what there is, if the other side closes before.
pub(super) async fn read_head<R: tokio::io::AsyncRead + Unpin>(stream: &mut R) -> String {
    read_until(stream, "\r\n\r\n").await
}

/// Reads byte by byte, so that nothing behind the end is taken.
pub(super) async fn read_until<R: tokio::io::AsyncRead + Unpin>(
    stream: &mut R,
    end: &str,
) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        match within(stream.read_u8()).await {
            Ok(byte) => text.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(text).expect("text")
}
