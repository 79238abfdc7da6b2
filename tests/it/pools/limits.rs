//! What endpoints have in flight at most, and who waits.

use hyper::Method;

use super::Pool;
use super::counts;
use super::listed;
use super::origins;
use crate::kit::Reply;
use crate::kit::eventually;
use crate::kit::http::empty;
use crate::kit::within;

/// SPEC PX-2: N are served, one waits, the next is refused; whoever is done makes room.
#[tokio::test]
async fn what_does_not_fit_waits_and_what_may_not_wait_is_refused() {
    let two = origins::<2>().await;
    let keys = "limit = { in_flight = 2, queue = 1, queue_timeout = \"60s\" }";
    let pool = Pool::with(&listed(&two), keys).await;
    let mut http = pool.street.client("shop.test").http2().await;
    let mut begin =
        |path: &str| tokio::spawn(http.begin(http.head(Method::GET, path).body(empty()).unwrap()));
    let held: Vec<_> = (0..4).map(|_| begin("/held")).collect();
    eventually("four at the origins", async || (counts(&two) == [2, 2]).then_some(())).await;
    let waiting = begin("/");
    let label = [("pool", "shop")];
    pool.street.proxy.metric_becomes("portcullis_pool_queue_length", &label, 1.0).await;
    let refused = within("a refusal", begin("/")).await.unwrap().unwrap();
    let refused = Reply::collect(refused).await.unwrap();
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "1"));
    assert_eq!(pool.status(two[0].address).await, ("up".to_owned(), 1, 2));
    assert_eq!(counts(&two), [2, 2], "nobody was asked for more");
    two[1].release();
    let waited = within("who waited", waiting).await.unwrap().unwrap();
    assert_eq!(Reply::collect(waited).await.unwrap().text(), "1", "where there was room");
    pool.street.proxy.metric_becomes("portcullis_pool_queue_length", &label, 0.0).await;
    let reason = [("reason", "queue_full")];
    assert_eq!(pool.metric("portcullis_pool_rejections_total", &reason).await, 1.0);
    (0..2).for_each(|_| two.iter().for_each(|origin| origin.release()));
    for held in held {
        assert_eq!(within("a held answer", held).await.unwrap().unwrap().status(), 200);
    }
    // Over all workers: other connections find the room that these had.
    for _ in 0..4 {
        assert_eq!(pool.client().await.get("/").await.status, 200);
    }
}

/// SPEC PX-2, PX-5.
#[tokio::test]
async fn who_waits_too_long_is_refused() {
    let one = origins::<1>().await;
    let keys = "limit = { in_flight = 1, queue = 10, queue_timeout = \"100ms\" }";
    let pool = Pool::with(&listed(&one), keys).await;
    let mut http = pool.client().await;
    let held = http.begin(http.head(Method::GET, "/held").body(empty()).unwrap());
    let held = tokio::spawn(held);
    eventually("one at the origin", async || (counts(&one) == [1]).then_some(())).await;
    let mut other = pool.client().await;
    let reply = other.get("/").await;
    assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (503, "1"));
    let reason = [("reason", "queue_timeout")];
    assert_eq!(pool.metric("portcullis_pool_rejections_total", &reason).await, 1.0);
    one[0].release();
    within("a held answer", held).await.unwrap().unwrap();
    assert_eq!(other.get("/").await.text(), "0", "and the connection goes on");
}

/// SPEC PX-2.
#[tokio::test]
async fn a_client_that_leaves_the_queue_makes_room_in_it() {
    let one = origins::<1>().await;
    let keys = "limit = { in_flight = 1, queue = 1, queue_timeout = \"60s\" }";
    let pool = Pool::with(&listed(&one), keys).await;
    let mut http = pool.client().await;
    let held = tokio::spawn(http.begin(http.head(Method::GET, "/held").body(empty()).unwrap()));
    eventually("one at the origin", async || (counts(&one) == [1]).then_some(())).await;
    let mut leaves = pool.client().await;
    let waits = tokio::spawn(leaves.begin(leaves.head(Method::GET, "/").body(empty()).unwrap()));
    let label = [("pool", "shop")];
    pool.street.proxy.metric_becomes("portcullis_pool_queue_length", &label, 1.0).await;
    waits.abort();
    drop(leaves);
    pool.street.proxy.metric_becomes("portcullis_pool_queue_length", &label, 0.0).await;
    one[0].release();
    within("a held answer", held).await.unwrap().unwrap();
    assert_eq!(pool.client().await.get("/").await.text(), "0");
    assert_eq!(counts(&one), [2], "who left was not served");
}
