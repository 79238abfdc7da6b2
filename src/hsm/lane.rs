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
    /// One permit for each that may block.
    places: Arc<Semaphore>,
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
            // One more than may block: timers and those who give up are looked after.
            .worker_threads(places + 1)
            .thread_name(format!("hsm-{name}"))
            .on_thread_start(|| ON_LANE.set(true))
            .enable_time()
            .build()?;
        Ok(Self {
            runtime: Some(runtime),
            admission: Arc::new(Semaphore::new(places + waiting)),
            places: Arc::new(Semaphore::new(places)),
        })
    }

    /// A lane on which nothing is done.
    pub fn closed() -> Self {
        let nothing = || Arc::new(Semaphore::new(0));
        Self { runtime: None, admission: nothing(), places: nothing() }
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
        let work = work(Place { places: Arc::clone(&lane.places), state: Waits::Outside });
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

/// Whether this thread may wait for a token.
pub fn is_here() -> bool {
    ON_LANE.get()
}

/// One handshake's right to block.
#[derive(Debug)]
pub struct Place {
    places: Arc<Semaphore>,
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
        poll_fn(|cx| match self.poll(cx) {
            Poll::Ready(()) => Poll::Ready(Ok(())),
            Poll::Pending => other.as_mut().poll(cx).map(|()| Err(GaveUp)),
        })
        .await
    }

    /// Works only while it holds a place, and gives it back whenever the work waits for the network: a
    /// client that is slow with its answer keeps nobody else from signing.
    pub async fn holding<F: Future>(mut self, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|cx| {
            ready!(self.poll(cx));
            let done = work.as_mut().poll(cx);
            self.state = Waits::Outside;
            done
        })
        .await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.state {
                Waits::Inside { .. } => return Poll::Ready(()),
                Waits::Outside => {
                    let place = Arc::clone(&self.places).acquire_owned();
                    self.state = Waits::Waiting(Box::pin(place));
                }
                Waits::Waiting(place) => {
                    let place = ready!(place.as_mut().poll(cx)).expect("places are never closed");
                    self.state = Waits::Inside { _place: place };
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
        let there = lane.admit().unwrap().run(|place| place.holding(async { is_here() })).await;
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
            place.holding(async move {
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
                    Ok(()) => place.holding(async { "worked" }).await,
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
        let mut stalled = Box::pin(lane.admit().unwrap().run(|place| place.holding(slow)));
        tokio::select! {
            biased;
            _ = &mut stalled => unreachable!("nobody has answered"),
            done = lane.admit().unwrap().run(|place| place.holding(ready(7))) => {
                assert_eq!(done, Ok(7));
            }
        }
        answer.send(()).unwrap();
        assert_eq!(stalled.await, Ok(Ok(())));
    }
}
