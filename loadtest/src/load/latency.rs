//! One client that looks at its watch.

use std::cell::Cell;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use tokio::time;

use crate::load::http1::After;
use crate::load::kept;
use crate::load::patiently;
use crate::load::target;
use crate::load::target::Target;

/// How long what it does takes, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    pub median: f64,
    /// The 99th percentile; of a hundred or less, the longest.
    pub late: f64,
    /// The 99.9th percentile; of a thousand or less, the longest.
    pub latest: f64,
    /// How often it was done, pauses included.
    pub per_second: f64,
}

impl Latency {
    /// Of these times, that were taken within `wall`.
    pub fn of(mut times: Vec<Duration>, wall: Duration) -> Result<Self> {
        times.sort();
        let at = |per_mille: usize| {
            let time = times.get(times.len() * per_mille / 1000);
            time.map(|time| time.as_secs_f64() * 1e3).context("nothing was done")
        };
        let per_second = times.len() as f64 / wall.as_secs_f64();
        Ok(Self { median: at(500)?, late: at(990)?, latest: at(999)?, per_second })
    }

    /// Of new connections, one after the other.
    pub async fn of_handshakes(target: &Target, window: Duration) -> Result<Self> {
        let mut watch = Watch::start(window);
        while watch.is_running() {
            let asked = Instant::now();
            let stream = target.connect().await?;
            watch.note(asked);
            target::close(stream).await?;
            time::sleep(BETWEEN).await;
        }
        watch.latency()
    }
}

/// A client with kept connections, which take turns.
pub struct Client {
    target: Target,
    connections: Vec<kept::Connection>,
    /// Between an answer and the next request.
    pause: Duration,
}

impl Client {
    pub async fn connect(target: &Target, connections: usize, pause: Duration) -> Result<Self> {
        let mut opened = Vec::with_capacity(connections);
        for _ in 0..connections {
            opened.push(kept::Connection::open(target).await?);
        }
        Ok(Self { target: target.clone(), connections: opened, pause })
    }

    /// Of requests, one after the other.
    pub async fn requests(&mut self, window: Duration) -> Result<Latency> {
        let (latency, ()) = self.requests_beside(window, async { Ok(()) }).await?;
        Ok(latency)
    }

    /// The same for as long as something else takes, and for a window at least.
    pub async fn requests_beside<T>(
        &mut self,
        window: Duration,
        other: impl Future<Output = Result<T>>,
    ) -> Result<(Latency, T)> {
        let is_done = Cell::new(false);
        let other = async {
            let result = other.await;
            is_done.set(true);
            result
        };
        let measured = async {
            let mut watch = Watch::start(window);
            for turn in (0..self.connections.len()).cycle() {
                if is_done.get() && !watch.is_running() {
                    break;
                }
                let asked = Instant::now();
                self.exchange(turn).await?;
                watch.note(asked);
                if !self.pause.is_zero() {
                    time::sleep(self.pause).await;
                }
            }
            watch.latency()
        };
        tokio::try_join!(measured, other)
    }

    /// A proxy may end a connection that is idle, as one that is replaced does: then the client
    /// connects and asks again, and that takes it longer.
    async fn exchange(&mut self, turn: usize) -> Result<()> {
        let connection = self.connections.get_mut(turn).context("no connection")?;
        let after = match patiently(connection.exchange()).await {
            Ok(after) => after,
            Err(_) => {
                *connection = patiently(kept::Connection::open(&self.target)).await?;
                patiently(connection.exchange()).await?
            }
        };
        if after == After::Close {
            *connection = patiently(kept::Connection::open(&self.target)).await?;
        }
        Ok(())
    }
}

struct Watch {
    window: Duration,
    began: Instant,
    times: Vec<Duration>,
}

impl Watch {
    fn start(window: Duration) -> Self {
        Self { window, began: Instant::now(), times: Vec::new() }
    }

    fn is_running(&self) -> bool {
        self.began.elapsed() < self.window || self.times.len() < FEWEST
    }

    fn note(&mut self, asked: Instant) {
        self.times.push(asked.elapsed());
    }

    fn latency(self) -> Result<Latency> {
        let wall = self.began.elapsed();
        Latency::of(self.times, wall)
    }
}

/// What is slower than the window is long enough is waited for.
const FEWEST: usize = 10;
/// Between two connections.
pub const BETWEEN: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_hundred_or_less_the_longest_is_the_99th_percentile() {
        let times = (1..=100).rev().map(Duration::from_millis).collect();
        let latency = Latency::of(times, Duration::from_secs(2)).unwrap();
        let shown = (latency.median, latency.late, latency.latest, latency.per_second);
        assert_eq!(shown, (51.0, 100.0, 100.0, 50.0));
        assert!(Latency::of(Vec::new(), Duration::from_secs(1)).is_err());
    }
}
