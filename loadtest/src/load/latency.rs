//! One client that looks at its watch.

use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use tokio::time;

use crate::load::counters::Counters;
use crate::load::http1;
use crate::load::target;
use crate::load::target::Target;
use crate::origin;

/// How long what it does takes, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    pub median: f64,
    /// The 99th percentile; of a hundred or less, the longest.
    pub late: f64,
    /// How often it was done, pauses included.
    pub per_second: f64,
}

impl Latency {
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

    /// Of requests on a kept connection, with a pause between them.
    pub async fn of_requests(target: &Target, window: Duration, pause: Duration) -> Result<Self> {
        let request = http1::Request::get(&target.domain, origin::SMALL);
        let counters = Counters::default();
        let mut connection = http1::Connection::new(target.connect().await?);
        let mut watch = Watch::start(window);
        while watch.is_running() {
            let asked = Instant::now();
            if connection.exchange(&request, &counters).await? == http1::After::Close {
                connection = http1::Connection::new(target.connect().await?);
            }
            watch.note(asked);
            if !pause.is_zero() {
                time::sleep(pause).await;
            }
        }
        watch.latency()
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

    fn latency(mut self) -> Result<Latency> {
        let per_second = self.times.len() as f64 / self.began.elapsed().as_secs_f64();
        self.times.sort();
        let at = |part: usize| {
            let time = self.times.get(self.times.len() * part / 100);
            time.map(|time| time.as_secs_f64() * 1e3).context("nothing was done")
        };
        Ok(Latency { median: at(50)?, late: at(99)?, per_second })
    }
}

/// What is slower than the window is long enough is waited for.
const FEWEST: usize = 10;
/// Between two connections.
pub const BETWEEN: Duration = Duration::from_millis(2);
