//! What clients notice of others: latency without and with a crowd beside them.

use std::time::Duration;

use anyhow::Result;
use tokio::time;

use crate::bench::Bench;
use crate::contender::Contender;
use crate::load::crowd::Crowd;
use crate::load::latency;
use crate::load::latency::Latency;
use crate::load::target::Protocol;
use crate::load::target::Target;
use crate::results::Measure;
use crate::results::Unit;
use crate::running::Running;

/// Requests of one client, while a thousand others are slow in every way there is.
pub async fn beside_slow_clients(bench: &Bench, contender: &Contender) -> Result<Vec<Measure>> {
    let running = Running::start(bench, contender, &bench.sites).await?;
    let (own, other) = sites(bench, &running)?;
    let quiet = Latency::of_requests(&own, bench.sizes.window, latency::BETWEEN).await?;
    let crowd = Crowd::of_slow_clients(&other, SLOW_CLIENTS);
    time::sleep(GATHERING).await;
    let crowded = Latency::of_requests(&own, bench.sizes.window, latency::BETWEEN).await?;
    drop(crowd);
    running.stop().await;
    Ok(vec![
        Measure::fact("Median of a request, nobody else there", Unit::Milliseconds, quiet.median),
        Measure::cost(
            "Median of a request beside 1,000 slow clients",
            Unit::Milliseconds,
            crowded.median,
        ),
        Measure::detail("99th percentile, nobody else there", Unit::Milliseconds, quiet.late),
        Measure::detail("99th percentile beside them", Unit::Milliseconds, crowded.late),
    ])
}

/// Handshakes at one site, while another is asked for as many as it can make.
pub async fn beside_a_flood(bench: &Bench, contender: &Contender) -> Result<Vec<Measure>> {
    let running = Running::start(bench, contender, &bench.sites).await?;
    let (own, other) = sites(bench, &running)?;
    let quiet = Latency::of_handshakes(&own, bench.sizes.window).await?;
    let crowd = Crowd::of_handshakes(&other, FLOODING_CLIENTS)?;
    time::sleep(GATHERING).await;
    let flooded = Latency::of_handshakes(&own, bench.sizes.window).await?;
    drop(crowd);
    running.stop().await;
    Ok(vec![
        Measure::fact("Median of a handshake, nobody else there", Unit::Milliseconds, quiet.median),
        Measure::cost(
            "Median of a handshake beside a flood of them at another site",
            Unit::Milliseconds,
            flooded.median,
        ),
        Measure::detail("99th percentile, nobody else there", Unit::Milliseconds, quiet.late),
        Measure::detail("99th percentile beside it", Unit::Milliseconds, flooded.late),
    ])
}

/// The site that is measured, and the one that the crowd is at.
fn sites(bench: &Bench, running: &Running<'_>) -> Result<(Target, Target)> {
    let [own, other] = bench.sites.as_slice() else { anyhow::bail!("two sites are needed") };
    Ok((running.target(own, Protocol::Http1)?, running.target(other, Protocol::Http1)?))
}

const SLOW_CLIENTS: usize = 1000;
const FLOODING_CLIENTS: usize = 64;
/// Until all of a crowd have connected.
const GATHERING: Duration = Duration::from_secs(3);
