//! One request through the proxy, whatever is spoken on either side.

mod deadlines_http1;
mod faults;
mod fields;
mod grpc;
mod hygiene;
mod nginx;
mod one_request;
mod origins;
mod pools;
mod redirects;
mod smuggling;
mod streaming;
mod troubles;
mod volume;
mod websocket;

use hyper::Method;
use hyper::Version;

use crate::kit::Http;
use crate::kit::Origin;
use crate::kit::TwoSites;
use crate::kit::http::empty;
use crate::kit::http::full;

/// PX-1
#[tokio::test]
async fn every_pair_of_protocols_carries_requests_and_bodies() {
    for mut crossing in Crossing::all().await {
        let what = crossing.what;
        let reply = crossing.http.get("/any?x=1&y=%20z").await;
        assert_eq!((reply.status.as_u16(), &*reply.text()), (200, "hello"), "{what}");
        let client = if what.starts_with("HTTP/2") { Version::HTTP_2 } else { Version::HTTP_11 };
        assert_eq!(reply.version, client, "{what}");
        let seen = crossing.origin.last();
        assert_eq!((&seen.method, &*seen.path), (&Method::GET, "/any?x=1&y=%20z"), "{what}");
        assert_eq!(seen.version, crossing.upstream, "{what}");
        let host = seen.authority.clone().unwrap_or_else(|| seen.header("host").to_owned());
        assert_eq!(host, "shop.test", "{what}");

        let reply = crossing.http.post("/echo", "some text").await;
        assert_eq!(reply.text(), "some text", "{what}");
        assert_eq!(crossing.origin.last().method, Method::POST, "{what}");
    }
}

/// PX-1
#[tokio::test]
async fn every_pair_of_protocols_carries_large_bodies() {
    for mut crossing in Crossing::all().await {
        let what = crossing.what;
        let body: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let reply = crossing.http.post("/echo", body.clone()).await;
        assert_eq!(reply.body.len(), body.len(), "{what}");
        assert!(reply.body == body, "{what}: same length, other bytes");
        let reply = crossing.http.get("/bytes/5000000").await;
        assert_eq!(reply.body.len(), 5_000_000, "{what}");
    }
}

/// PX-1
#[tokio::test]
async fn every_pair_of_protocols_carries_every_status() {
    for mut crossing in Crossing::all().await {
        for code in [200, 201, 204, 206, 301, 304, 400, 401, 404, 418, 500, 503, 599] {
            let reply = crossing.http.get(&format!("/status/{code}")).await;
            assert_eq!(reply.status.as_u16(), code, "{}", crossing.what);
            assert!(reply.body.is_empty(), "{} {code}", crossing.what);
        }
        assert_eq!(crossing.http.get("/").await.text(), "hello", "and goes on");
    }
}

/// PX-1
#[tokio::test]
async fn every_pair_of_protocols_answers_head_without_a_body() {
    for mut crossing in Crossing::all().await {
        let what = crossing.what;
        let head = crossing.http.head(Method::HEAD, "/bytes/1234").body(empty()).unwrap();
        let reply = crossing.http.send(head).await.unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(reply.status, 200, "{what}");
        assert_eq!(reply.header("content-length"), "1234", "{what}");
        assert!(reply.body.is_empty(), "{what}");
        assert_eq!(crossing.http.get("/").await.text(), "hello", "{what}: and goes on");
    }
}

/// PX-1
#[tokio::test]
async fn every_pair_of_protocols_carries_every_method() {
    for mut crossing in Crossing::all().await {
        for method in ["PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "QUERY"] {
            let method: Method = method.parse().unwrap();
            let request = crossing.http.head(method.clone(), "/echo").body(full("body")).unwrap();
            let reply = crossing.http.send(request).await.unwrap();
            assert_eq!(reply.text(), "body", "{} {method}", crossing.what);
            assert_eq!(crossing.origin.last().method, method, "{}", crossing.what);
        }
    }
}

/// PX-1: a hundred streams of one connection do not mix.
#[tokio::test]
async fn concurrent_streams_do_not_mix() {
    let street = TwoSites::start().await;
    let mut http = street.client("shop.test").http2().await;
    let mut begun = Vec::new();
    for number in 0..100 {
        let request = http.head(Method::POST, "/echo").body(full(format!("stream {number}")));
        begun.push(http.begin(request.unwrap()));
    }
    for (number, sending) in begun.into_iter().enumerate() {
        let response = crate::kit::within("a stream", sending).await.unwrap();
        let reply = crate::kit::Reply::collect(response).await.unwrap();
        assert_eq!(reply.text(), format!("stream {number}"));
    }
}

/// PX-1: requests of one kept connection, and idle connections to the origin used again.
#[tokio::test]
async fn connections_are_kept_on_both_sides() {
    let street = TwoSites::start().await;
    let mut http = street.client("shop.test").http1().await;
    for _ in 0..10 {
        assert_eq!(http.get("/").await.text(), "hello from shop");
    }
    assert_eq!(street.shop.seen().len(), 10);
    assert_eq!(street.shop.connections(), 1);
}

/// A connection of one protocol to a service whose pool speaks one protocol.
struct Crossing {
    what: &'static str,
    http: Http,
    origin: Origin,
    upstream: Version,
    street: TwoSites,
}

impl Crossing {
    /// The port that the client connected to.
    fn port(&self) -> u16 {
        self.street.proxy.address("edge").port()
    }

    /// All four.
    async fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for (what, http1_client, http1_origin) in [
            ("HTTP/1.1 to HTTP/1.1", true, true),
            ("HTTP/1.1 to HTTP/2", true, false),
            ("HTTP/2 to HTTP/1.1", false, true),
            ("HTTP/2 to HTTP/2", false, false),
        ] {
            // On the heap: the future of a whole street is large, and tests hold several.
            all.push(Box::pin(Self::between(what, http1_client, http1_origin)).await);
        }
        all
    }

    async fn between(what: &'static str, http1_client: bool, http1_origin: bool) -> Self {
        let (origin, protocol, upstream) = if http1_origin {
            (Origin::saying("hello").await, "http1", Version::HTTP_11)
        } else {
            (Origin::saying_over_http2("hello").await, "http2", Version::HTTP_2)
        };
        let street = street_with_pool(&origin, &format!("protocol = \"{protocol}\"")).await;
        let client = street.client("shop.test");
        let http = if http1_client { client.http1().await } else { client.http2().await };
        Self { what, http, origin, upstream, street }
    }
}

/// The two sites, but `shop` goes to a pool of this origin with these keys.
async fn street_with_pool(origin: &Origin, keys: &str) -> TwoSites {
    street_to(&origin.endpoint(), keys, "").await
}

/// The same for any endpoint, with more tables.
pub(crate) async fn street_to(endpoint: &str, keys: &str, more: &str) -> TwoSites {
    let street = TwoSites::with(more).await;
    let other = format!("[pool.shop]\nendpoints = [\"{endpoint}\"]\n{keys}\n");
    let toml = street.toml(more);
    let start = toml.find("[pool.shop]").unwrap();
    let end = toml.find("[pool.blog]").unwrap();
    street.site.configure(&format!("{}{other}\n{}", &toml[..start], &toml[end..]));
    street.proxy.reload().await;
    street
}
