//! Tests of a pool without connections: who gets a place in flight, who waits, and what a reload keeps.

use super::*;
use crate::config::metrics::Metrics;
use crate::config::queue::Limit;
use crate::telemetry::catalog::Family;
use crate::upstream::pick::Picked;
use crate::upstream::pick::Wish;
use std::time::Duration;

struct Kit {
    recorder: Recorder,
    pool: Arc<Pool>,
    config: config::pool::Pool,
}

fn endpoint(port: u16, weight: u32) -> config::pool::Endpoint {
    config::pool::Endpoint { address: format!("127.0.0.1:{port}").parse().unwrap(), weight }
}

impl Kit {
    fn new(endpoints: Vec<config::pool::Endpoint>, limit: Option<Limit>) -> Self {
        let buckets = Metrics { request_buckets: vec![1.0], handshake_buckets: vec![1.0] };
        let recorder = Recorder::new(&buckets);
        let mut config = config::pool::Pool::new("shop".parse().unwrap(), endpoints);
        config.limit = limit;
        let sizes = Sizes { workers: 2, response_head: 1 << 16 };
        let pool = Pool::new(&config, None, &recorder, sizes);
        Self { recorder, pool, config }
    }

    /// Two endpoints with one place in flight each, and a queue of two.
    fn narrow() -> Self {
        let limit = Limit { in_flight: 1, queue: 2, queue_timeout: Duration::from_secs(5) };
        Self::new(vec![endpoint(1, 1), endpoint(2, 1)], Some(limit))
    }

    async fn pick(&self) -> Result<Picked, UpstreamError> {
        self.pool.pick(&mut self.pool.members.snapshot(), &Wish::default()).await
    }

    fn spawn(&self) -> tokio::task::JoinHandle<Result<Picked, UpstreamError>> {
        let pool = Arc::clone(&self.pool);
        tokio::spawn(async move { pool.pick(&mut pool.members.snapshot(), &Wish::default()).await })
    }

    fn metric(&self, family: Family, reason: Option<&'static str>) -> f64 {
        let mut labels = vec![("pool", "shop")];
        labels.extend(reason.map(|reason| ("reason", reason)));
        self.recorder.value(family, &labels).unwrap_or_default()
    }

    /// Lets everybody who can go on do so, until they wait.
    async fn settle(&self, waiting: usize) {
        while self.pool.waiting() != waiting {
            tokio::task::yield_now().await;
        }
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert_eq!(self.pool.waiting(), waiting);
    }
}

/// PX-2
#[tokio::test(start_paused = true)]
async fn who_finds_no_room_waits_in_turn() {
    let kit = Kit::narrow();
    let (first, second) = (kit.pick().await.unwrap(), kit.pick().await.unwrap());
    let third = kit.spawn();
    kit.settle(1).await;
    let fourth = kit.spawn();
    kit.settle(2).await;
    assert_eq!(kit.metric(Family::PoolQueue, None), 2.0);
    let place = second.place;
    drop(second);
    let third = third.await.unwrap().unwrap();
    assert_eq!(third.place, place);
    kit.settle(1).await;
    assert!(!fourth.is_finished());
    drop(first);
    fourth.await.unwrap().unwrap();
    assert_eq!(kit.metric(Family::PoolQueue, None), 0.0);
}

/// PX-2
#[tokio::test(start_paused = true)]
async fn a_full_queue_and_a_long_wait_are_refused() {
    let kit = Kit::narrow();
    let _held = (kit.pick().await.unwrap(), kit.pick().await.unwrap());
    let waiting = (kit.spawn(), kit.spawn());
    kit.settle(2).await;
    let error = kit.pick().await.unwrap_err();
    assert_eq!((error.reason(), error.retry_after()), ("queue_full", Some(1)));
    for waiting in [waiting.0, waiting.1] {
        let error = waiting.await.unwrap().unwrap_err();
        assert_eq!((error.reason(), error.status().as_u16()), ("queue_timeout", 503));
    }
    assert_eq!(kit.metric(Family::PoolRejections, Some("queue_full")), 1.0);
    assert_eq!(kit.metric(Family::PoolRejections, Some("queue_timeout")), 2.0);
    assert_eq!(kit.pool.waiting(), 0);
}

/// PX-2
#[tokio::test(start_paused = true)]
async fn who_leaves_frees_its_place_in_the_queue_and_wakes_the_next() {
    let kit = Kit::narrow();
    let (held, _other) = (kit.pick().await.unwrap(), kit.pick().await.unwrap());
    let leaves = kit.spawn();
    kit.settle(1).await;
    let stays = kit.spawn();
    kit.settle(2).await;
    // Told that there is room, and gone before it could take it.
    drop(held);
    leaves.abort();
    stays.await.unwrap().unwrap();
    assert!(leaves.await.unwrap_err().is_cancelled());
}

/// PX-2
#[tokio::test(start_paused = true)]
async fn several_places_at_once_are_all_used() {
    let kit = Kit::narrow();
    let (first, second) = (kit.pick().await.unwrap(), kit.pick().await.unwrap());
    let waiting = [kit.spawn(), kit.spawn()];
    kit.settle(2).await;
    drop((first, second));
    let [third, fourth] = waiting;
    let both = (third.await.unwrap().unwrap(), fourth.await.unwrap().unwrap());
    assert_ne!(both.0.place, both.1.place);
}

/// PX-2
#[tokio::test(start_paused = true)]
async fn a_new_endpoint_and_one_that_is_up_again_take_who_waits() {
    let mut kit = Kit::narrow();
    kit.pool.endpoints()[1].standing.checked(false);
    let _held = kit.pick().await.unwrap();
    let waiting = kit.spawn();
    kit.settle(1).await;
    kit.pool.endpoints()[1].standing.checked(true);
    let _held_too = waiting.await.unwrap().unwrap();
    let waiting = kit.spawn();
    kit.settle(1).await;
    kit.config.endpoints.push(endpoint(3, 1));
    kit.pool.update(&kit.config, None);
    assert_eq!(waiting.await.unwrap().unwrap().place, 2);
}

/// PX-2
#[tokio::test(start_paused = true)]
async fn nobody_waits_for_endpoints_that_are_down() {
    let mut kit = Kit::narrow();
    let probe = config::health::Probe::Tcp;
    kit.config.health = Some(config::health::HealthCheck {
        probe,
        interval: Duration::from_millis(1500),
        jitter_permille: 100,
        timeout: Duration::from_secs(2),
        rise: 3,
        fall: 3,
        port: None,
    });
    kit.pool.update(&kit.config, None);
    let _held = (kit.pick().await.unwrap(), kit.pick().await.unwrap());
    let waiting = kit.spawn();
    kit.settle(1).await;
    for endpoint in kit.pool.endpoints() {
        endpoint.standing.checked(false);
    }
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!((error.reason(), error.retry_after()), ("no_endpoint", Some(5)));
    assert_eq!(kit.pick().await.unwrap_err().reason(), "no_endpoint");
}

/// PX-2: thousands of requests on four threads, more than fit, and none forgotten.
#[test]
fn no_wake_up_is_lost_between_threads() {
    let limit = Limit { in_flight: 2, queue: 1000, queue_timeout: Duration::from_secs(20) };
    let kit = Kit::new(vec![endpoint(1, 1), endpoint(2, 1)], Some(limit));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.unwrap().block_on(async {
                    let tasks: Vec<_> = (0..50)
                        .map(|_| {
                            let pool = Arc::clone(&kit.pool);
                            tokio::spawn(async move {
                                for _ in 0..20 {
                                    let mut members = pool.members.snapshot();
                                    let picked = pool.pick(&mut members, &Wish::default()).await;
                                    let picked = picked.unwrap();
                                    tokio::task::yield_now().await;
                                    let standing = &members.endpoints[picked.place].standing;
                                    assert!(standing.in_flight() <= 2);
                                }
                            })
                        })
                        .collect();
                    for task in tasks {
                        task.await.unwrap();
                    }
                });
            });
        }
    });
    assert_eq!(kit.pool.waiting(), 0);
    assert!(kit.pool.endpoints().iter().all(|endpoint| endpoint.standing.in_flight() == 0));
}

/// PX-2
#[tokio::test(start_paused = true)]
async fn an_update_keeps_what_is_the_same_and_changes_weights_in_place() {
    let mut kit = Kit::new(vec![endpoint(1, 1), endpoint(2, 1)], None);
    let before = kit.pool.endpoints();
    let _held = kit.pick().await.unwrap();
    kit.config.endpoints = vec![endpoint(2, 0), endpoint(1, 5), endpoint(3, 1)];
    kit.config.slow_start = Duration::from_secs(30);
    kit.pool.update(&kit.config, None);
    let after = kit.pool.endpoints();
    assert!(Arc::ptr_eq(&before[0], &after[1]) && Arc::ptr_eq(&before[1], &after[0]));
    let seen = after.iter().map(|endpoint| {
        let standing = &endpoint.standing;
        (standing.weight(), standing.state().as_str(), standing.in_flight())
    });
    assert_eq!(seen.collect::<Vec<_>>(), [(0, "draining", 0), (5, "up", 1), (1, "slow_start", 0)]);
    // Other connections, the same endpoint: what is known of it stays.
    after[1].standing.checked(false);
    kit.config.idle_connections = 1;
    kit.pool.update(&kit.config, None);
    let anew = kit.pool.endpoints();
    assert!(!Arc::ptr_eq(&anew[1], &after[1]) && anew[1].standing.is_down());
}
