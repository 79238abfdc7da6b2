//! Requests at a fixed rate, from a clock that does not wait for answers.
//!
//! Every request has a time at which it is due. It is sent then, or as soon as a connection is free,
//! and its latency counts from the time at which it was due: a proxy that stalls is charged for all
//! that had to wait meanwhile, and not only for the requests that it had.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use rustix::time::Itimerspec;
use rustix::time::TimerfdClockId;
use rustix::time::TimerfdFlags;
use rustix::time::TimerfdTimerFlags;
use rustix::time::Timespec;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time;

use crate::load::PATIENCE;
use crate::load::http1::After;
use crate::load::kept::Connection;
use crate::load::latency::Latency;
use crate::load::target::Target;

/// Connections that share a clock.
pub struct Paced {
    target: Target,
    connections: Vec<Connection>,
}

impl Paced {
    /// Connections that have served a request each.
    pub async fn open(target: &Target, count: usize) -> Result<Self> {
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            let mut connection = Connection::open(target).await?;
            connection.exchange().await?;
            connections.push(connection);
        }
        Ok(Self { target: target.clone(), connections })
    }

    /// Asks at this rate for as long as the window is, and waits for the answers, though not forever.
    pub async fn run(&mut self, per_second: u32, window: Duration) -> Result<Latency> {
        let timer = Timer::every(Duration::from_secs(1) / per_second)?;
        let schedule = Arc::new(Schedule {
            began: Instant::now(),
            interval: timer.interval,
            count: (window.as_secs_f64() * f64::from(per_second)) as usize,
            due: Semaphore::new(0),
            next: AtomicUsize::new(0),
        });
        let connections = self.connections.len();
        let mut clients = JoinSet::new();
        for connection in self.connections.drain(..) {
            let schedule = Arc::clone(&schedule);
            clients.spawn(ask(self.target.clone(), connection, schedule));
        }
        let ticking = Arc::clone(&schedule);
        thread::Builder::new()
            .name("clock".to_owned())
            .spawn(move || ticking.tick(&timer, connections))
            .context("cannot start the clock")?;
        let answered = async {
            let mut times = Vec::with_capacity(schedule.count);
            while let Some(client) = clients.join_next().await {
                let (connection, own) = client??;
                self.connections.push(connection);
                times.extend(own);
            }
            Ok::<_, anyhow::Error>(times)
        };
        let times = time::timeout(window + PATIENCE, answered)
            .await
            .context("the proxy did not keep up with the rate")??;
        Latency::of(times, schedule.began.elapsed())
    }
}

/// What one connection does: whatever is due next, until nothing is left.
async fn ask(
    target: Target,
    mut connection: Connection,
    schedule: Arc<Schedule>,
) -> Result<(Connection, Vec<Duration>)> {
    let mut times = Vec::new();
    while let Some(due) = schedule.next().await? {
        if connection.exchange().await? == After::Close {
            connection = Connection::open(&target).await?;
        }
        times.push(due.elapsed());
    }
    Ok((connection, times))
}

/// When which request is due.
struct Schedule {
    began: Instant,
    interval: Duration,
    count: usize,
    /// Requests that are due and that no connection has taken.
    due: Semaphore,
    next: AtomicUsize,
}

impl Schedule {
    /// Waits for the next request, and tells since when it is due; none: all are taken.
    async fn next(&self) -> Result<Option<Instant>> {
        self.due.acquire().await?.forget();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let after = self.interval * u32::try_from(number + 1)?;
        Ok((number < self.count).then(|| self.began + after))
    }

    /// Says what is due; after the last, that nothing is left, to each of the connections. Runs on a
    /// thread of its own.
    fn tick(&self, timer: &Timer, connections: usize) {
        let mut said = 0;
        while said < self.count {
            let Ok(expired) = timer.expired() else { return self.due.close() };
            let expired = expired.min(self.count - said);
            self.due.add_permits(expired);
            said += expired;
        }
        self.due.add_permits(connections);
    }
}

/// The runtime's own timer ticks once a millisecond, which is longer than a request takes.
struct Timer {
    interval: Duration,
    file: OwnedFd,
}

impl Timer {
    fn every(interval: Duration) -> Result<Self> {
        let file = rustix::time::timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
        let time = Timespec::try_from(interval)?;
        let times = Itimerspec { it_interval: time, it_value: time };
        rustix::time::timerfd_settime(&file, TimerfdTimerFlags::empty(), &times)?;
        Ok(Self { interval, file })
    }

    /// Waits until the interval has passed; how many times it has since the last answer.
    fn expired(&self) -> Result<usize> {
        let mut count = [0; 8];
        rustix::io::read(&self.file, &mut count)?;
        Ok(usize::try_from(u64::from_ne_bytes(count))?)
    }
}
