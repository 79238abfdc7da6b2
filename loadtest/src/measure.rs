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
    pub async fn measure(bench: &Bench, running: &Running<'_>, load: &Load) -> Result<Self> {
        time::sleep(bench.sizes.warm_up).await;
        let before = Snapshot::take(running, load);
        while before.at.elapsed() < bench.sizes.window {
            time::sleep(Duration::from_secs(1)).await;
            running.scrape().await?;
        }
        let after = Snapshot::take(running, load);
        Ok(Self {
            wall: after.at - before.at,
            proxy: after.proxy.saturating_sub(before.proxy),
            generator: after.generator.saturating_sub(before.generator),
            done: Totals {
                units: after.done.units - before.done.units,
                bytes: after.done.bytes - before.done.bytes,
                failed: after.done.failed - before.done.failed,
                repeated: after.done.repeated - before.done.repeated,
            },
        })
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
