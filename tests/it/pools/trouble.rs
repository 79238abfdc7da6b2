//! Endpoints that fail: who is left out, and what is sent again.

use super::Pool;
use super::counts;
use super::listed;
use super::origins;
use crate::kit::RawOrigin;
use crate::kit::eventually;
use crate::kit::raw_origin::unused_port;

/// SPEC PX-2: answers that break off count, statuses do not.
#[tokio::test]
async fn an_endpoint_whose_answers_break_off_is_left_out() {
    let good = origins::<1>().await;
    let cut = RawOrigin::answering(CUT_OFF).await;
    let both = format!("{}, \"{}\"", listed(&good), cut.endpoint());
    let pool = Pool::with(&both, "ejection = { failures = 2, duration = \"1h\" }").await;
    let mut broken = 0;
    while broken < 2 {
        broken += usize::from(pool.client().await.try_get("/").await.is_err());
    }
    assert_eq!(pool.metric("portcullis_endpoint_ejections_total", &[]).await, 1.0);
    assert_eq!(pool.status(cut.address).await.0, "ejected");
    let mut http = pool.client().await;
    for _ in 0..10 {
        assert_eq!(http.get("/status/500").await.status, 500, "not a failure of this kind");
    }
    assert_eq!(cut.heads().len(), 2);
    assert_eq!(pool.status(good[0].address).await.0, "up");
}

/// SPEC PX-2.
#[tokio::test]
async fn an_ejection_ends_by_itself() {
    let good = origins::<1>().await;
    let cut = RawOrigin::answering(CUT_OFF).await;
    let both = format!("{}, \"{}\"", listed(&good), cut.endpoint());
    let pool = Pool::with(&both, "ejection = { failures = 1, duration = \"1s\" }").await;
    eventually("two ejections of the same endpoint", async || {
        let mut http = Box::pin(pool.client()).await;
        // It fails where this is the endpoint's turn.
        let _ = http.try_get("/").await;
        let ejections = pool.metric("portcullis_endpoint_ejections_total", &[]).await;
        (ejections == 2.0).then_some(())
    })
    .await;
    assert_eq!(cut.heads().len(), 2);
}

/// SPEC PX-2: the last one is asked, whatever it did.
#[tokio::test]
async fn a_pool_of_one_is_never_left_without() {
    let cut = RawOrigin::answering(b"").await;
    let endpoint = format!("\"{}\"", cut.endpoint());
    let pool = Pool::with(&endpoint, "ejection = { failures = 1, duration = \"1h\" }").await;
    let mut http = pool.client().await;
    for _ in 0..5 {
        assert_eq!(http.get("/").await.status, 502);
    }
    assert_eq!(cut.heads().len(), 5, "and nothing is sent again to the same one");
    assert_eq!(pool.status(cut.address).await.0, "up");
}

/// SPEC PX-2: closed before any byte of a head: a GET is sent to another endpoint, a POST is not.
#[tokio::test]
async fn only_what_is_safe_is_sent_again() {
    let good = origins::<1>().await;
    let mute = RawOrigin::answering(b"").await;
    let both = format!("\"{}\", {}", mute.endpoint(), listed(&good));
    let pool = Pool::with(&both, "ejection = { failures = 0 }").await;
    let mut http = pool.client().await;
    for _ in 0..6 {
        assert_eq!(http.get("/").await.text(), "0");
    }
    let asked = mute.heads().len();
    assert!(asked >= 3, "{asked}");
    assert_eq!(pool.metric("portcullis_pool_retries_total", &[]).await, asked as f64);
    let before = counts(&good)[0];
    let mut refused = 0;
    for _ in 0..6 {
        refused += usize::from(http.post("/", "once").await.status == 502);
    }
    assert_eq!(refused, 3, "every second one meets the endpoint that says nothing");
    assert_eq!((mute.heads().len(), counts(&good)[0]), (asked + refused, before + 3));
}

/// SPEC PX-2: an outage is not made worse by asking twice for everything.
#[tokio::test]
async fn retries_end_where_the_budget_ends() {
    let good = origins::<1>().await;
    let mute = RawOrigin::answering(b"").await;
    let both = format!("\"{}\", {}", mute.endpoint(), listed(&good));
    let pool = Pool::with(&both, "ejection = { failures = 0 }\nretry_budget = 0.0").await;
    // One connection is one worker's; two workers share ten retries in ten seconds.
    let mut http = pool.client().await;
    let mut failures = 0;
    for _ in 0..200 {
        failures += usize::from(http.get("/").await.status == 502);
    }
    assert!(failures > 0, "at most five and one for each two seconds that this took");
    let exhausted = pool.metric("portcullis_pool_retry_budget_exhausted_total", &[]).await;
    assert_eq!(exhausted, failures as f64);
    let retries = pool.metric("portcullis_pool_retries_total", &[]).await;
    assert_eq!(retries + exhausted, mute.heads().len() as f64);
}

/// SPEC PX-2: one that cannot be connected to costs nobody an answer, a POST neither.
#[tokio::test]
async fn an_endpoint_that_is_gone_is_left_out_after_its_failures() {
    let good = origins::<2>().await;
    let gone = unused_port().await;
    let all = format!("\"127.0.0.1:{gone}\", {}", listed(&good));
    let pool = Pool::with(&all, "ejection = { failures = 1, duration = \"1h\" }").await;
    let mut http = pool.client().await;
    for _ in 0..20 {
        assert_eq!(http.post("/", "once").await.status, 200);
    }
    assert_eq!(counts(&good).iter().sum::<usize>(), 20);
    assert_eq!(pool.status(([127, 0, 0, 1], gone).into()).await.0, "ejected");
    let connects = pool.metric("portcullis_endpoint_connect_failures_total", &[]).await;
    assert_eq!(connects, 1.0, "once, and never again");
}

/// A response that says it is longer than it is.
const CUT_OFF: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this";
