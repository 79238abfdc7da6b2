//! One measured window of load on one proxy.

use std::time::Duration;
use std::time::Instant;

use anyhow::Result;
use tokio::time;

use crate::bench::Bench;
use crate::load::Load;
use crate::load::counters::Totals;
use crate::process;
use crate::running::Running;

/// What happened in a window.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub wall: Duration,
    /// CPU time of all processes of the proxy.
    pub proxy: Duration,
    /// CPU time of the generator and of the origin.
    pub generator: Duration,
    pub done: Totals,
}

impl Window {
    /// Warms up, then measures; the metrics are scraped once a second.
    pub async fn of(bench: &Bench, running: &Running<'_>, load: Load) -> Result<Self> {
        time::sleep(bench.sizes.warm_up).await;
        let scraping = scrape_for(running, bench.sizes.window);
        let (window, ()) = Self::during(running, load, scraping).await?;
        Ok(window)
    }

    /// Measures a load while something else is done, and ends it.
    pub async fn during<T>(
        running: &Running<'_>,
        load: Load,
        other: impl Future<Output = Result<T>>,
    ) -> Result<(Self, T)> {
        let before = Snapshot::take(running, &load);
        let other = other.await;
        let after = Snapshot::take(running, &load);
        let failure = load.first_failure();
        load.stop().await;
        time::sleep(SETTLE).await;
        let other = other?;
        let done = Totals {
            units: after.done.units - before.done.units,
            bytes: after.done.bytes - before.done.bytes,
            failed: after.done.failed - before.done.failed,
            repeated: after.done.repeated - before.done.repeated,
        };
        if let Some(failure) = failure {
            // A few are noise of the machine; more would be measuring something else.
            anyhow::ensure!(done.failed * 1000 <= done.units, "{} failed: {failure}", done.failed);
        }
        anyhow::ensure!(done.units > 0 || done.bytes > 0, "no work was done");
        let window = Self {
            wall: after.at - before.at,
            proxy: after.proxy.saturating_sub(before.proxy),
            generator: after.generator.saturating_sub(before.generator),
            done,
        };
        Ok((window, other))
    }

    /// Units in a second.
    pub fn rate(&self) -> f64 {
        self.done.units as f64 / self.wall.as_secs_f64()
    }

    /// CPU time of the proxy for one unit, in microseconds.
    pub fn cost(&self) -> f64 {
        self.proxy.as_secs_f64() / self.done.units as f64 * 1e6
    }

    /// Per cent of the window in which the proxy used its CPU.
    pub fn proxy_busy(&self) -> f64 {
        100.0 * self.proxy.as_secs_f64() / self.wall.as_secs_f64()
    }

    /// The same for the generator and the origin.
    pub fn generator_busy(&self) -> f64 {
        100.0 * self.generator.as_secs_f64() / self.wall.as_secs_f64()
    }
}

/// Scrapes the metrics once a second for as long as the window is.
pub async fn scrape_for(running: &Running<'_>, window: Duration) -> Result<()> {
    let began = Instant::now();
    while began.elapsed() < window {
        time::sleep(Duration::from_secs(1)).await;
        running.scrape().await?;
    }
    Ok(())
}

struct Snapshot {
    at: Instant,
    proxy: Duration,
    generator: Duration,
    done: Totals,
}

impl Snapshot {
    fn take(running: &Running<'_>, load: &Load) -> Self {
        Self {
            at: Instant::now(),
            proxy: running.tree.cpu(),
            generator: process::own_cpu(),
            done: load.totals(),
        }
    }
}

/// For what a load leaves behind.
const SETTLE: Duration = Duration::from_millis(200);
