//! The signing lane: where handshakes are made whose key is in a token.
//!
//! rustls signs inside the call that reads the ClientHello, and a token may take half a second for it. So
//! the whole handshake is made here, on threads that may block, whichever call of it signs; workers never
//! wait. What has not begun can be given up: a handshake waits for its place as a future, not as a thread.

use std::cell::Cell;
use std::future::Future;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::pin::pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use tokio::runtime::Builder;
use tokio::runtime::Runtime;
use tokio::sync::AcquireError;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// The lane of one group. Other groups have their own: one that hangs takes no thread of another.
#[derive(Debug)]
pub struct Lane {
    /// `None` where nobody shakes hands, and while it is dropped.
    runtime: Option<Runtime>,
    /// One permit for each handshake on the lane, whatever it does.
    admission: Arc<Semaphore>,
    places: Places,
}

/// The right to block: one permit for each handshake that may.
#[derive(Clone, Debug)]
struct Places {
    /// For those that have not begun.
    first: Arc<Semaphore>,
    /// For those that come back to sign after a second hello: whoever has begun does not queue behind the crowd.
    again: Arc<Semaphore>,
}

/// When a handshake signs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signs {
    /// With the second hello of the client, after a HelloRetryRequest.
    Later,
    /// With its first hello; what follows only reads and writes.
    Now,
}

/// A handshake that there is room for.
#[derive(Debug)]
pub struct Admitted<'a> {
    lane: &'a Lane,
    permit: OwnedSemaphorePermit,
}

/// Too many wait already.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Full;

/// The lane was closed, or the handshake panicked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ended;

impl Lane {
    /// A lane on which so many handshakes may block, and so many more may wait.
    ///
    /// # Errors
    /// The system gives no threads.
    pub fn start(name: &str, places: usize, waiting: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            // One more than may block: timers, those who give up and those who only read and write are looked after.
            .worker_threads(2 * places + 1)
            .thread_name(format!("hsm-{name}"))
            .on_thread_start(|| ON_LANE.set(true))
            .enable_time()
            .build()?;
        Ok(Self {
            runtime: Some(runtime),
            admission: Arc::new(Semaphore::new(places + waiting)),
            places: Places::new(places),
        })
    }

    /// A lane on which nothing is done.
    pub fn closed() -> Self {
        Self { runtime: None, admission: Arc::new(Semaphore::new(0)), places: Places::new(0) }
    }

    /// Lets a handshake in, if there is room for one more.
    ///
    /// # Errors
    /// Too many wait already.
    pub fn admit(&self) -> Result<Admitted<'_>, Full> {
        let permit = Arc::clone(&self.admission).try_acquire_owned().map_err(|_| Full)?;
        Ok(Admitted { lane: self, permit })
    }
}

impl Admitted<'_> {
    /// Does some work on the lane; dropped, it gives up what has not begun.
    ///
    /// # Errors
    /// It was not finished, for no reason of its own.
    pub async fn run<F>(self, work: impl FnOnce(Place) -> F) -> Result<F::Output, Ended>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let Self { lane, permit } = self;
        let Some(runtime) = &lane.runtime else { return Err(Ended) };
        let work = work(Place { places: lane.places.clone(), state: Waits::Outside });
        let mut work = AbortOnDrop(runtime.spawn(async move {
            let _permit = permit;
            work.await
        }));
        poll_fn(|cx| Pin::new(&mut work.0).poll(cx)).await.map_err(|_| Ended)
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // The last reference may go on a worker, which must not wait for threads that hang.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Places {
    fn new(count: usize) -> Self {
        let permits = || Arc::new(Semaphore::new(count));
        Self { first: permits(), again: permits() }
    }
}

/// Whether this thread may wait for a token.
pub fn is_here() -> bool {
    ON_LANE.get()
}

/// One handshake's right to block.
#[derive(Debug)]
pub struct Place {
    places: Places,
    state: Waits,
}

enum Waits {
    Inside {
        /// Given back when it is dropped.
        _place: OwnedSemaphorePermit,
    },
    Outside,
    Waiting(Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>),
}

/// It was not worth waiting any longer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GaveUp;

impl Place {
    /// Waits for a place, unless something else comes first; a place that there is at once goes before it.
    ///
    /// # Errors
    /// The other came first.
    pub async fn comes_before(&mut self, other: impl Future<Output = ()>) -> Result<(), GaveUp> {
        let mut other = pin!(other);
        poll_fn(|cx| match self.poll_first(cx) {
            Poll::Ready(()) => Poll::Ready(Ok(())),
            Poll::Pending => other.as_mut().poll(cx).map(|()| Err(GaveUp)),
        })
        .await
    }

    /// Works; signs only while it holds a place, and gives it back whenever the work waits for the network: a
    /// client that is slow with its answer keeps nobody else from signing.
    pub async fn holding<F: Future>(mut self, signs: Signs, work: F) -> F::Output {
        let mut work = pin!(work);
        let mut has_begun = false;
        poll_fn(|cx| {
            match (has_begun, signs) {
                (false, _) => ready!(self.poll_first(cx)),
                (true, Signs::Later) => ready!(self.poll_again(cx)),
                (true, Signs::Now) => {}
            }
            has_begun = true;
            let done = work.as_mut().poll(cx);
            self.state = Waits::Outside;
            done
        })
        .await
    }

    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.state.poll(cx, &self.places.first)
    }

    fn poll_again(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.state.poll(cx, &self.places.again)
    }
}

impl Waits {
    fn poll(&mut self, cx: &mut Context<'_>, places: &Arc<Semaphore>) -> Poll<()> {
        loop {
            match self {
                Self::Inside { .. } => return Poll::Ready(()),
                Self::Outside => {
                    *self = Self::Waiting(Box::pin(Arc::clone(places).acquire_owned()));
                }
                Self::Waiting(place) => {
                    let place = ready!(place.as_mut().poll(cx)).expect("places are never closed");
                    *self = Self::Inside { _place: place };
                }
            }
        }
    }
}

impl std::fmt::Debug for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Inside { .. } => "Inside",
            Self::Outside => "Outside",
            Self::Waiting(_) => "Waiting",
        })
    }
}

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

thread_local! {
    static ON_LANE: Cell<bool> = const { Cell::new(false) };
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::future::ready;
    use std::sync::Barrier;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_is_done_on_the_lane_may_block() {
        let lane = Lane::start("test", 1, 8).unwrap();
        assert!(!is_here());
        let there =
            lane.admit().unwrap().run(|place| place.holding(Signs::Now, async { is_here() })).await;
        assert_eq!(there, Ok(true));
    }

    #[tokio::test]
    async fn one_more_than_may_wait_is_refused_at_once() {
        let lane = Lane::start("test", 1, 1).unwrap();
        let mut first = Box::pin(lane.admit().unwrap().run(|_| pending::<()>()));
        let _second = lane.admit().unwrap();
        let begun = poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx).is_pending())).await;
        assert!(begun, "it has no end");
        assert_eq!(lane.admit().err(), Some(Full));
        drop(first);
        // What was given up makes room as soon as the lane has noticed.
        while lane.admit().is_err() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn whoever_leaves_while_it_waits_costs_no_work() {
        let lane = Lane::start("test", 1, 8).unwrap();
        let barrier = Arc::new(Barrier::new(2));
        let blocks = Arc::clone(&barrier);
        let (began, begun) = oneshot::channel();
        let mut blocking = Box::pin(lane.admit().unwrap().run(|place| {
            place.holding(Signs::Now, async move {
                began.send(()).unwrap();
                blocks.wait();
            })
        }));
        tokio::select! {
            biased;
            _ = &mut blocking => unreachable!("it waits for the barrier"),
            begun = begun => begun.unwrap(),
        }
        let left = lane
            .admit()
            .unwrap()
            .run(|mut place| async move {
                match place.comes_before(ready(())).await {
                    Ok(()) => place.holding(Signs::Now, async { "worked" }).await,
                    Err(GaveUp) => "left",
                }
            })
            .await;
        assert_eq!(left, Ok("left"));
        barrier.wait();
        assert_eq!(blocking.await, Ok(()));
    }

    #[tokio::test]
    async fn whoever_waits_for_the_network_holds_no_place() {
        let lane = Lane::start("test", 1, 8).unwrap();
        let (answer, slow) = oneshot::channel::<()>();
        let mut stalled =
            Box::pin(lane.admit().unwrap().run(|place| place.holding(Signs::Later, slow)));
        tokio::select! {
            biased;
            _ = &mut stalled => unreachable!("nobody has answered"),
            done = lane.admit().unwrap().run(|place| place.holding(Signs::Now, ready(7))) => {
                assert_eq!(done, Ok(7));
            }
        }
        answer.send(()).unwrap();
        assert_eq!(stalled.await, Ok(Ok(())));
    }

    /// One place, taken; what has begun before goes on all the same.
    #[tokio::test]
    async fn whoever_has_begun_does_not_queue_behind_those_who_have_not() {
        for signs in [Signs::Now, Signs::Later] {
            let lane = Lane::start("test", 1, 8).unwrap();
            let (answer, slow) = oneshot::channel::<()>();
            let mut begun = Box::pin(lane.admit().unwrap().run(|place| place.holding(signs, slow)));
            let (entered, inside) = oneshot::channel();
            let barrier = Arc::new(Barrier::new(2));
            let blocks = Arc::clone(&barrier);
            let blocking = lane.admit().unwrap().run(|place| {
                place.holding(Signs::Now, async move {
                    entered.send(()).unwrap();
                    blocks.wait();
                })
            });
            let mut blocking = Box::pin(blocking);
            // In this order: the first has begun and waits when the second takes the place.
            tokio::select! {
                biased;
                _ = &mut begun => unreachable!("nobody has answered"),
                _ = &mut blocking => unreachable!("it waits for the barrier"),
                inside = inside => inside.unwrap(),
            }
            answer.send(()).unwrap();
            assert_eq!(begun.await, Ok(Ok(())));
            barrier.wait();
            assert_eq!(blocking.await, Ok(()));
        }
    }
}
