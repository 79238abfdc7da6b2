//! Reloads under load: a constant flow of requests, certificates and configuration replaced in turn.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use tokio::time;

use crate::bench::Bench;
use crate::contender::Contender;
use crate::load::Load;
use crate::load::Requests;
use crate::load::Work;
use crate::load::http1;
use crate::load::target::Protocol;
use crate::origin;
use crate::results::Measure;
use crate::results::Unit;
use crate::running;
use crate::running::Running;
use crate::scenario::idle::mib;
use crate::site::KeyKind;
use crate::site::Site;

/// All reloads on one proxy.
pub async fn sample(bench: &Bench, contender: &Contender) -> Result<Vec<Measure>> {
    let running = Running::start(bench, contender, &bench.sites).await?;
    let load = start_load(&running, &bench.sites)?;
    time::sleep(bench.sizes.warm_up).await;
    let memory_before = running.tree.memory();
    let mut reloads = Reloads {
        bench,
        running: &running,
        sites: bench.sites.clone(),
        added: bench.authority.issue("added", KeyKind::P256)?,
    };
    let mut times = Vec::new();
    let mut memory_half_way = memory_before;
    for turn in 0..bench.sizes.reloads {
        if turn == bench.sizes.reloads / 2 {
            memory_half_way = memory_at_rest(&running).await;
        }
        times.push(reloads.reload(turn).await?.as_secs_f64() * 1e3);
        time::sleep(BETWEEN).await;
    }
    let memory_after = memory_at_rest(&running).await;
    let first_failure = load.first_failure();
    let done = load.stop().await;
    time::sleep(LOG_FLUSH).await;
    let log_lines = running.log_lines();
    running.stop().await;
    if let Some(failure) = first_failure {
        eprintln!("reloads {}: first failure: {failure}", contender.name);
    }
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).copied().context("no reload")?;
    Ok(vec![
        Measure::fact("Reloads under load: failed requests", Unit::Count, done.failed as f64),
        Measure::fact("Reloads under load: answered requests", Unit::Count, done.units as f64),
        Measure::fact(
            "Reloads under load: HTTP/2 streams refused and repeated",
            Unit::Count,
            done.repeated as f64,
        ),
        Measure::cost("Reload under load: until it is served", Unit::Milliseconds, median),
        Measure::fact("Reloads under load: memory before the first", Unit::Mib, mib(memory_before)),
        Measure::fact("Reloads under load: memory half way", Unit::Mib, mib(memory_half_way)),
        Measure::fact("Reloads under load: memory after the last", Unit::Mib, mib(memory_after)),
        Measure::detail("reloads", Unit::Count, times.len() as f64),
        Measure::detail("log lines", Unit::Count, log_lines? as f64),
    ])
}

/// Under the load, when what a reload has replaced had time to go.
async fn memory_at_rest(running: &Running<'_>) -> u64 {
    time::sleep(REST).await;
    running.tree.memory()
}

/// Pauses keep the flow constant, and give connections moments in which they are idle.
fn start_load(running: &Running<'_>, sites: &[Site]) -> Result<Load> {
    let mut load = Load::new();
    for site in sites {
        let request = http1::Request::get(&site.domain, origin::SMALL);
        let http1 = Work::Http1(Requests { pause: PAUSE, ..Requests::of(request) });
        let http2 = Work::Http2 { body: origin::SMALL, streams: 4, pause: PAUSE };
        load.add(&running.target(site, Protocol::Http1)?, &http1, 8);
        load.add(&running.target(site, Protocol::Http2)?, &http2, 2);
    }
    Ok(load)
}

struct Reloads<'a> {
    bench: &'a Bench,
    running: &'a Running<'a>,
    sites: Vec<Site>,
    /// A third site, which comes and goes.
    added: Site,
}

impl Reloads<'_> {
    /// Even turns replace a certificate that is in use, odd turns add or remove a site. Returns how
    /// long it took until new handshakes showed it.
    async fn reload(&mut self, turn: u32) -> Result<Duration> {
        if turn.is_multiple_of(2) {
            let site = self.sites.first_mut().context("no site")?;
            let target = self.running.target(site, Protocol::Http1)?;
            self.bench.authority.renew(site)?;
            self.running.reload_certificate();
            return running::wait_for_certificate(&target, site, LIMIT).await;
        }
        let target = self.running.target(&self.added, Protocol::Http1)?;
        let is_added = turn % 4 == 1;
        let mut sites = self.sites.clone();
        if is_added {
            sites.push(self.added.clone());
        }
        self.running.write_configuration(&sites)?;
        self.running.reload();
        // Without its own, the first site's certificate is the answer to its name.
        let expected = if is_added { &self.added } else { sites.first().context("no site")? };
        running::wait_for_certificate(&target, expected, LIMIT).await
    }
}

const PAUSE: Duration = Duration::from_millis(2);
const BETWEEN: Duration = Duration::from_millis(50);
const REST: Duration = Duration::from_secs(3);
/// Logs are buffered for up to a second.
const LOG_FLUSH: Duration = Duration::from_millis(1500);
const LIMIT: Duration = Duration::from_secs(15);
