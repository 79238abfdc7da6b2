//! Bodies that are larger than anybody's memory, for readers that are slower than writers.
//!
//! A gibibyte in one direction and version: without optimisation it takes six seconds over HTTP/1.1,
//! and fifteen over HTTP/2. Elsewhere a quarter of it shows the same, sixteen times over.

use std::time::Duration;
use std::time::Instant;

use hyper::Method;

use super::street_to;
use crate::kit::Http;
use crate::kit::Reply;
use crate::kit::TwoSites;
use crate::kit::http::empty;
use crate::kit::volume::A_LITTLE;
use crate::kit::volume::VolumeOrigin;
use crate::kit::volume::read;
use crate::kit::volume::volume;

/// SPEC PX-1: back-pressure, so that a slow client costs a bounded amount of memory.
#[tokio::test]
async fn a_download_of_a_gibibyte_to_a_slow_client_over_http1() {
    download(false, GIBIBYTE).await;
}

/// SPEC PX-1: back-pressure, so that a slow client costs a bounded amount of memory.
#[tokio::test]
async fn a_large_download_to_a_slow_client_over_http2() {
    download(true, QUARTER).await;
}

/// SPEC PX-1: back-pressure, so that a slow endpoint costs a bounded amount of memory.
#[tokio::test]
async fn a_large_upload_to_a_slow_endpoint_over_http1() {
    upload(false, QUARTER).await;
}

/// SPEC PX-1: back-pressure, so that a slow endpoint costs a bounded amount of memory.
#[tokio::test]
async fn a_large_upload_to_a_slow_endpoint_over_http2() {
    upload(true, QUARTER).await;
}

async fn download(http2: bool, length: u64) {
    let Haul { origin, street, mut http, before } = Box::pin(Haul::start(http2, length)).await;
    let request = http.head(Method::GET, "/volume").body(empty()).unwrap();
    let mut response = http.start(request).await.unwrap();
    let first = patiently(read(response.body_mut(), A_LITTLE)).await.unwrap();
    let taken = origin.taken.stands_still().await;
    assert!(taken < length, "nobody waits for the client");
    let grown = street.proxy.resident().saturating_sub(before);
    assert!(grown < BOUND, "{grown} bytes for {taken} that the endpoint was rid of");

    let began = Instant::now();
    let rest = patiently(read(response.body_mut(), u64::MAX)).await.unwrap();
    println!("{length} bytes down in {:?}, {grown} bytes of memory", began.elapsed());
    assert_eq!(first + rest, length);
    let grown = street.proxy.resident().saturating_sub(before);
    assert!(grown < BOUND, "{grown} bytes in the end");
}

async fn upload(http2: bool, length: u64) {
    let Haul { origin, street, mut http, before } = Box::pin(Haul::start(http2, 0)).await;
    let (body, sent) = volume(length);
    let request = http.head(Method::POST, "/volume").body(body).unwrap();
    let answer = tokio::spawn(http.begin(request));
    let taken = sent.stands_still().await;
    assert!(taken < length, "nobody waits for the endpoint");
    let grown = street.proxy.resident().saturating_sub(before);
    assert!(grown < BOUND, "{grown} bytes for {taken} that the client was rid of");

    let began = Instant::now();
    origin.go_on();
    let response = patiently(answer).await.unwrap().unwrap();
    let reply = Reply::collect(response).await.unwrap();
    println!("{length} bytes up in {:?}, {grown} bytes of memory", began.elapsed());
    assert_eq!((reply.status.as_u16(), reply.text()), (200, length.to_string()));
    let grown = street.proxy.resident().saturating_sub(before);
    assert!(grown < BOUND, "{grown} bytes in the end");
}

/// A connection through the proxy on which everything has happened once.
struct Haul {
    origin: VolumeOrigin,
    street: TwoSites,
    http: Http,
    /// What the proxy occupies, in bytes.
    before: u64,
}

impl Haul {
    /// The same version on both sides.
    async fn start(http2: bool, length: u64) -> Self {
        let origin = VolumeOrigin::start(http2, length).await;
        let keys = if http2 { "protocol = \"http2\"" } else { "protocol = \"http1\"" };
        let street = Box::pin(street_to(&origin.endpoint(), keys, "")).await;
        let client = street.client("shop.test");
        let mut http = if http2 { client.http2().await } else { client.http1().await };
        assert_eq!(http.get("/warm").await.text(), "warm");
        let before = street.proxy.resident();
        Self { origin, street, http, before }
    }
}

/// Longer than other deadlines: this much takes seconds, and on a busy machine more of them.
async fn patiently<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(180), future).await.expect("a body within minutes")
}

const GIBIBYTE: u64 = 1 << 30;

/// Of a gibibyte; still many times what any buffer on the way holds.
const QUARTER: u64 = GIBIBYTE / 4;

/// What the proxy may need for one body that waits: windows and buffers, and never the body.
const BOUND: u64 = 16 << 20;
