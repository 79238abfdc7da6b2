//! Many certificates with a name each: start, memory, and what the replacement of one certificate costs.

use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use tokio::time;

use crate::bench::Bench;
use crate::contender::Contender;
use crate::load::latency;
use crate::load::latency::Client;
use crate::load::target::Protocol;
use crate::results::Measure;
use crate::results::Unit;
use crate::running;
use crate::running::Running;
use crate::scenario::idle::mib;
use crate::site::KeyKind;
use crate::site::Site;

/// The sites, made once and served by all proxies.
pub struct ManyCertificates {
    sites: Vec<Site>,
}

impl ManyCertificates {
    pub fn prepare(bench: &Bench) -> Result<Self> {
        eprintln!("making {} certificates", bench.sizes.certificates);
        let sites = (0..bench.sizes.certificates)
            .map(|number| bench.authority.issue(&format!("site{number:05}"), KeyKind::P256))
            .collect::<Result<_>>()?;
        Ok(Self { sites })
    }

    /// One start of one proxy.
    pub async fn sample(&mut self, bench: &Bench, contender: &Contender) -> Result<Vec<Measure>> {
        let running = Running::start(bench, contender, &self.sites).await?;
        wait_until_quiet(&running).await;
        let start_cpu = running.tree.cpu();
        let memory = running.tree.memory();

        let served = self.time_to_served(bench, &running).await?;
        wait_until_quiet(&running).await;
        let cpu_before = running.tree.cpu();
        let site = self.middle()?;
        bench.authority.renew(site)?;
        running.reload_certificate();
        let peak = wait_until_quiet(&running).await;
        let reload_cpu = running.tree.cpu().saturating_sub(cpu_before);
        let target = running.target(site, Protocol::Http1)?;
        running::wait_for_certificate(&target, site, LIMIT).await?;
        let memory_after = running.tree.memory();
        let neighbour = self.neighbour_of_a_reload(bench, &running).await?;
        let start_time = running.start_time.as_secs_f64();
        running.stop().await;
        let mut measures = vec![
            Measure::cost("Many certificates: start", Unit::Seconds, start_time),
            Measure::detail("CPU time of the start", Unit::Seconds, start_cpu.as_secs_f64()),
            Measure::cost("Many certificates: memory", Unit::Mib, mib(memory)),
            Measure::cost(
                "One certificate replaced: until it is served",
                Unit::Milliseconds,
                served.as_secs_f64() * 1e3,
            ),
            Measure::cost(
                "One certificate replaced: CPU time",
                Unit::Milliseconds,
                reload_cpu.as_secs_f64() * 1e3,
            ),
            Measure::cost(
                "One certificate replaced: peak memory",
                Unit::Mib,
                mib(peak.max(memory_after)),
            ),
            Measure::detail("memory after two reloads", Unit::Mib, mib(memory_after)),
            Measure::detail("certificates", Unit::Count, self.sites.len() as f64),
        ];
        measures.extend(neighbour);
        Ok(measures)
    }

    /// What one client's small requests take, without a reload and while one follows the other.
    async fn neighbour_of_a_reload(
        &mut self,
        bench: &Bench,
        running: &Running<'_>,
    ) -> Result<[Measure; 5]> {
        wait_until_quiet(running).await;
        let first = self.sites.first().context("no sites")?;
        let target = running.target(first, Protocol::Http1)?;
        let mut client = Client::connect(&target, 1, latency::BETWEEN).await?;
        let quiet = client.requests(bench.sizes.window).await?;
        let began = Instant::now();
        let replaced = async {
            // A single one may be over before the client has asked ten times.
            let mut count = 0;
            while count == 0 || began.elapsed() < bench.sizes.window {
                Box::pin(self.time_to_served(bench, running)).await?;
                count += 1;
                time::sleep(BETWEEN).await;
            }
            Ok(count)
        };
        let (during, replaced) = client.requests_beside(bench.sizes.window, replaced).await?;
        let (fact, cost, ms) = (Measure::fact, Measure::cost, Unit::Milliseconds);
        Ok([
            fact("Many certificates, no reload: median of a request", ms, quiet.median),
            fact("Many certificates, no reload: 99th percentile", ms, quiet.late),
            cost(
                "One certificate replaced again and again: median of a request",
                ms,
                during.median,
            ),
            cost("One certificate replaced again and again: 99th percentile", ms, during.late),
            Measure::detail("times that it was replaced", Unit::Count, f64::from(replaced)),
        ])
    }

    async fn time_to_served(&mut self, bench: &Bench, running: &Running<'_>) -> Result<Duration> {
        let site = self.middle()?;
        let target = running.target(site, Protocol::Http1)?;
        bench.authority.renew(site)?;
        running.reload_certificate();
        running::wait_for_certificate(&target, site, LIMIT).await
    }

    fn middle(&mut self) -> Result<&mut Site> {
        let middle = self.sites.len() / 2;
        self.sites.get_mut(middle).context("no sites")
    }
}

/// Waits until the proxy uses no CPU for a while; returns the most memory that was seen.
async fn wait_until_quiet(running: &Running<'_>) -> u64 {
    let deadline = Instant::now() + LIMIT;
    let mut peak = 0;
    let mut quiet = 0;
    let mut last = running.tree.cpu();
    while quiet < QUIET_STEPS && Instant::now() < deadline {
        time::sleep(STEP).await;
        peak = peak.max(running.tree.memory());
        let now = running.tree.cpu();
        quiet = if now.saturating_sub(last) < IDLE_CPU { quiet + 1 } else { 0 };
        last = now;
    }
    peak
}

const LIMIT: Duration = Duration::from_secs(120);
const STEP: Duration = Duration::from_millis(100);
/// A signal that comes before the last reload is really over may be lost.
const BETWEEN: Duration = Duration::from_millis(100);
const QUIET_STEPS: u32 = 10;
const IDLE_CPU: Duration = Duration::from_millis(2);
