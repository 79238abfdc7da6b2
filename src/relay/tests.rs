//! Streams between loopback sockets, and between a socket and something that cannot be spliced.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time;

use super::*;
use crate::config;
use crate::config::limits::Limits;
use crate::config::pool::Endpoint;
use crate::config::timeouts::Timeouts;
use crate::config::virtual_service::Mode;
use crate::names::EndpointAddr;
use crate::service::fixture;
use crate::telemetry::catalog::Family;
use crate::telemetry::recorder::Recorder;
use crate::upstream::Pool;
use crate::upstream::Sizes;

async fn within<T>(what: impl Future<Output = T>) -> T {
    time::timeout(Duration::from_secs(20), what).await.expect("in time")
}

/// A service in passthrough mode, an endpoint to accept on, and a client connection to it.
struct Street {
    recorder: Recorder,
    endpoint: TcpListener,
    service: Arc<VirtualService>,
    idle: Duration,
    unread: Duration,
}

impl Street {
    async fn new() -> Self {
        let recorder = fixture::recorder();
        let endpoint = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = EndpointAddr::Socket(endpoint.local_addr().expect("bound"));
        let config = config::pool::Pool::new(
            "app".parse().expect("a name"),
            vec![Endpoint { address, weight: 1 }],
        );
        let pool =
            Pool::new(&config, None, &recorder, Sizes { workers: 1, response_head: 1 << 16 });
        let mut service = fixture::service("shop", &["shop.example.com"]);
        service.metrics = crate::telemetry::service_metrics::ServiceMetrics::new(
            &recorder,
            &"shop".parse().expect("a name"),
        );
        service.mode = Mode::Passthrough;
        service.target = Target::Pool(pool);
        Self {
            recorder,
            endpoint,
            service: Arc::new(service),
            idle: Duration::from_secs(60),
            unread: Duration::from_secs(60),
        }
    }

    fn relay(&self, side: Side, first: &[u8]) -> JoinHandle<()> {
        let timeouts =
            Timeouts { tunnel_idle: self.idle, response_write: self.unread, ..Timeouts::default() };
        let connection = Connection {
            client: ClientAddr(SocketAddr::from(([192, 0, 2, 7], 40_000))),
            peer: None,
            local: SocketAddr::from(([192, 0, 2, 1], 8443)),
            server_name: None,
            facts: None,
            service: Arc::clone(&self.service),
            settings: Arc::new(Settings { timeouts, limits: Limits::default() }),
        };
        tokio::spawn(serve(side, first.to_vec(), connection))
    }

    /// Client, endpoint, and the task between them.
    async fn over_tcp(&self, first: &[u8]) -> (TcpStream, TcpStream, JoinHandle<()>) {
        let door = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = door.local_addr().expect("bound");
        let client = TcpStream::connect(address).await.expect("connected");
        let (accepted, _) = door.accept().await.expect("accepted");
        let task = self.relay(Side::Tcp(accepted), first);
        let (endpoint, _) = within(self.endpoint.accept()).await.expect("relayed");
        (client, endpoint, task)
    }

    fn failures(&self, reason: &'static str) -> Option<f64> {
        let labels = [("virtual_service", "shop"), ("reason", reason)];
        self.recorder.value(Family::StreamFailures, &labels)
    }

    fn bytes(&self) -> [Option<f64>; 2] {
        let labels = [("virtual_service", "shop")];
        [Family::ReceivedBytes, Family::SentBytes]
            .map(|family| self.recorder.value(family, &labels))
    }
}

/// Deterministic and without a period that a lost block could hide in.
fn pattern(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

async fn both_ways(
    client: impl AsyncRead + AsyncWrite + Unpin,
    endpoint: impl AsyncRead + AsyncWrite + Unpin,
    length: usize,
) -> (Vec<u8>, Vec<u8>) {
    let (there, back) = (pattern(length, 1), pattern(length, 2));
    let (mut client_reads, mut client_writes) = tokio::io::split(client);
    let (mut endpoint_reads, mut endpoint_writes) = tokio::io::split(endpoint);
    let (mut at_client, mut at_endpoint) = (Vec::new(), Vec::new());
    let (a, b, c, d) = within(async {
        tokio::join!(
            async {
                client_writes.write_all(&there).await?;
                client_writes.shutdown().await
            },
            async {
                endpoint_writes.write_all(&back).await?;
                endpoint_writes.shutdown().await
            },
            client_reads.read_to_end(&mut at_client),
            endpoint_reads.read_to_end(&mut at_endpoint),
        )
    })
    .await;
    a.and(b).and(c).and(d).expect("all of it");
    (at_client, at_endpoint)
}

/// SPEC VS-11.
#[tokio::test]
async fn megabytes_arrive_both_ways_as_they_were_sent() {
    let street = Street::new().await;
    let (client, endpoint, task) = street.over_tcp(b"first").await;
    let (at_client, at_endpoint) = both_ways(client, endpoint, 8 << 20).await;
    assert!(at_client == pattern(8 << 20, 2) && at_endpoint[..5] == *b"first");
    assert!(at_endpoint[5..] == pattern(8 << 20, 1));
    within(task).await.expect("no panic");
    let total = f64::from(8 << 20);
    assert_eq!(street.bytes(), [Some(total + 5.0), Some(total)]);
    assert_eq!(street.failures("client_closed"), None);
}

/// SPEC VS-11.
#[tokio::test]
async fn what_cannot_be_spliced_is_copied() {
    let street = Street::new().await;
    let (client, proxy) = tokio::io::duplex(10_000);
    let task = street.relay(Side::Other(Box::new(proxy)), b"");
    let (endpoint, _) = within(street.endpoint.accept()).await.expect("relayed");
    let (at_client, at_endpoint) = both_ways(client, endpoint, 3 << 20).await;
    assert!(at_client == pattern(3 << 20, 2) && at_endpoint == pattern(3 << 20, 1));
    within(task).await.expect("no panic");
}

/// SPEC VS-11.
#[tokio::test]
async fn either_side_may_finish_first_and_go_on_reading() {
    for client_first in [true, false] {
        let street = Street::new().await;
        let (client, endpoint, task) = street.over_tcp(b"").await;
        let (mut early, mut late) =
            if client_first { (client, endpoint) } else { (endpoint, client) };
        early.write_all(b"question").await.expect("sent");
        early.shutdown().await.expect("half-closed");
        let mut question = String::new();
        within(late.read_to_string(&mut question)).await.expect("the question and its end");
        late.write_all(b"answer").await.expect("sent");
        drop(late);
        let mut answer = String::new();
        within(early.read_to_string(&mut answer)).await.expect("the answer and its end");
        assert_eq!((&*question, &*answer), ("question", "answer"));
        within(task).await.expect("no panic");
        assert_eq!(street.failures("client_closed"), None);
        assert_eq!(street.failures("upstream_closed"), None);
    }
}

/// SPEC PX-5.
#[tokio::test]
async fn silence_in_both_directions_ends_a_stream() {
    let mut street = Street::new().await;
    street.idle = Duration::from_millis(50);
    let (mut client, mut endpoint, task) = street.over_tcp(b"").await;
    let mut nothing = Vec::new();
    within(client.read_to_end(&mut nothing)).await.expect("closed");
    within(endpoint.read_to_end(&mut nothing)).await.expect("closed");
    within(task).await.expect("no panic");
    assert_eq!(street.failures("tunnel_idle"), Some(1.0));
}

/// SPEC PX-5: what it says itself does not count, nor how long the stream may be silent.
#[tokio::test]
async fn a_client_that_takes_nothing_ends_the_stream_however_much_it_says() {
    for with_splice in [true, false] {
        let mut street = Street::new().await;
        street.unread = Duration::from_millis(200);
        let (client, endpoint, task) = if with_splice {
            street.over_tcp(b"").await
        } else {
            let (client, proxy) = tokio::io::duplex(1000);
            let task = street.relay(Side::Other(Box::new(proxy)), b"");
            let (endpoint, _) = within(street.endpoint.accept()).await.expect("relayed");
            let (near, mut far) = loopback().await;
            let (_reads, mut writes) = tokio::io::split(client);
            tokio::spawn(async move {
                // Never reads from the proxy.
                let _ = tokio::io::copy(&mut far, &mut writes).await;
                std::future::pending::<()>().await;
            });
            (near, endpoint, task)
        };
        let (mut reads, mut writes) = endpoint.into_split();
        let sending = tokio::spawn(async move {
            let bulk = pattern(64 << 10, 1);
            while writes.write_all(&bulk).await.is_ok() {}
        });
        let hearing = tokio::spawn(async move {
            let mut word = [0; 16];
            while reads.read(&mut word).await.is_ok_and(|count| count > 0) {}
        });
        let talking = tokio::spawn(talk(client));
        within(task).await.expect("no panic");
        assert_eq!(street.failures("client_write_timeout"), Some(1.0), "{with_splice}");
        within(async { (sending.await, hearing.await) }).await.0.expect("ended");
        talking.abort();
    }
}

/// Says a word now and then for ever, and does not listen.
async fn talk(mut client: TcpStream) {
    let mut words = time::interval(Duration::from_millis(20));
    loop {
        words.tick().await;
        if client.write_all(b"x").await.is_err() {
            return;
        }
    }
}

async fn loopback() -> (TcpStream, TcpStream) {
    let door = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let near = TcpStream::connect(door.local_addr().expect("bound")).await.expect("connected");
    (near, door.accept().await.expect("accepted").0)
}

/// SPEC PX-5: one direction has ended, and nothing moves in the other.
#[tokio::test]
async fn silence_ends_a_stream_that_is_half_closed() {
    for client_first in [true, false] {
        let mut street = Street::new().await;
        street.idle = Duration::from_millis(50);
        let (mut client, mut endpoint, task) = street.over_tcp(b"").await;
        if client_first { client.shutdown().await } else { endpoint.shutdown().await }
            .expect("half-closed");
        within(task).await.expect("no panic");
        assert_eq!(street.failures("tunnel_idle"), Some(1.0));
    }
}

/// SPEC VS-11: a service's own patience goes before everybody's.
#[tokio::test]
async fn a_service_says_how_long_its_streams_may_be_silent() {
    let mut street = Street::new().await;
    Arc::get_mut(&mut street.service).expect("the only one").tunnel_idle =
        Some(Duration::from_millis(50));
    let (_client, _endpoint, task) = street.over_tcp(b"").await;
    within(task).await.expect("no panic");
    assert_eq!(street.failures("tunnel_idle"), Some(1.0));
}

#[tokio::test]
async fn an_endpoint_that_refuses_is_the_reason() {
    let mut street = Street::new().await;
    let door = std::mem::replace(
        &mut street.endpoint,
        TcpListener::bind("127.0.0.1:0").await.expect("a port"),
    );
    drop(door);
    let (mut client, proxy) = tokio::io::duplex(100);
    within(street.relay(Side::Other(Box::new(proxy)), b"hello")).await.expect("no panic");
    assert_eq!(within(client.read(&mut [0])).await.expect("closed"), 0);
    assert_eq!(street.failures("connect_refused"), Some(1.0));
}

/// An upload that broke off must not look like one that is complete.
#[tokio::test]
async fn a_reset_of_the_client_is_a_reset_at_the_endpoint() {
    let street = Street::new().await;
    let (mut client, mut endpoint, task) = street.over_tcp(b"").await;
    client.write_all(b"half of").await.expect("sent");
    let mut half = [0; 7];
    within(endpoint.read_exact(&mut half)).await.expect("relayed");
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("set");
    drop(client);
    let end = within(endpoint.read(&mut half)).await;
    assert_eq!(end.map_err(|error| error.kind()), Err(std::io::ErrorKind::ConnectionReset));
    within(task).await.expect("no panic");
    assert_eq!(street.failures("client_closed"), Some(1.0));
}

#[tokio::test]
async fn a_reset_of_the_endpoint_ends_the_stream() {
    let street = Street::new().await;
    let (mut client, mut endpoint, task) = street.over_tcp(b"hello").await;
    within(endpoint.read_exact(&mut [0; 5])).await.expect("the stream has begun");
    socket2::SockRef::from(&endpoint).set_linger(Some(Duration::ZERO)).expect("set");
    drop(endpoint);
    let mut nothing = Vec::new();
    drop(within(client.read_to_end(&mut nothing)).await);
    within(task).await.expect("no panic");
    assert_eq!(street.failures("upstream_closed"), Some(1.0));
}

/// Multiplied by every idle stream.
#[tokio::test]
async fn the_task_of_a_stream_is_small() {
    let street = Street::new().await;
    let (_client, proxy) = tokio::io::duplex(100);
    let connection = Connection {
        client: ClientAddr(SocketAddr::from(([192, 0, 2, 7], 40_000))),
        peer: None,
        local: SocketAddr::from(([192, 0, 2, 1], 8443)),
        server_name: None,
        facts: None,
        service: Arc::clone(&street.service),
        settings: Arc::new(Settings { timeouts: Timeouts::default(), limits: Limits::default() }),
    };
    let task = serve(Side::Other(Box::new(proxy)), Vec::new(), connection);
    assert!(size_of_val(&task) <= 1536, "{} bytes", size_of_val(&task));
}
