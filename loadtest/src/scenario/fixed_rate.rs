//! Latency, and CPU time per request, where requests come at a fixed rate whatever the proxy does.

use anyhow::Context;
use anyhow::Result;

use crate::bench::Bench;
use crate::contender::Contender;
use crate::load::pace::Paced;
use crate::load::target::Protocol;
use crate::measure;
use crate::process;
use crate::results::Measure;
use crate::results::Unit;
use crate::running::Running;

/// Starts the proxy, and asks it at the rate.
pub async fn sample(bench: &Bench, contender: &Contender) -> Result<Vec<Measure>> {
    let running = Running::start(bench, contender, &bench.sites).await?;
    let site = bench.sites.first().context("no site")?;
    let target = running.target(site, Protocol::Http1)?;
    let mut clients = Paced::open(&target, CONNECTIONS).await?;
    clients.run(RATE, bench.sizes.warm_up).await?;

    let window = bench.sizes.window * WINDOWS;
    let (proxy_before, own_before) = (running.tree.cpu(), process::own_cpu());
    let scraping = measure::scrape_for(&running, window);
    let (latency, ()) = tokio::try_join!(clients.run(RATE, window), scraping)?;
    let proxy = running.tree.cpu().saturating_sub(proxy_before).as_secs_f64();
    let own = process::own_cpu().saturating_sub(own_before).as_secs_f64();
    running.stop().await;

    let asked = f64::from(RATE) * window.as_secs_f64();
    let busy = |cpu: f64| 100.0 * cpu / window.as_secs_f64();
    let (cost, detail, ms) = (Measure::cost, Measure::detail, Unit::Milliseconds);
    Ok(vec![
        cost("At 2,000 requests/s, 1 KiB over HTTP/1.1", Unit::Microseconds, proxy / asked * 1e6),
        cost("At 2,000 requests/s: median of a request", ms, latency.median),
        cost("At 2,000 requests/s: 99th percentile", ms, latency.late),
        cost("At 2,000 requests/s: 99.9th percentile", ms, latency.latest),
        detail("answered per second", Unit::PerSecond, latency.per_second),
        detail("proxy busy", Unit::PerCent, busy(proxy)),
        detail("load and origin busy", Unit::PerCent, busy(own)),
    ])
}

/// Requests per second: what each of the proxies serves with a fraction of its CPU.
const RATE: u32 = 2000;
const CONNECTIONS: usize = 64;
/// Longer than other scenarios, so that the 99.9th percentile is not that of a handful.
const WINDOWS: u32 = 3;
