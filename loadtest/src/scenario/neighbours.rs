//! What clients notice of others: latency without and with a crowd beside them.

use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use tokio::time;

use crate::bench::Bench;
use crate::contender::Contender;
use crate::load::counters::Counters;
use crate::load::crowd::Crowd;
use crate::load::http1;
use crate::load::target;
use crate::load::target::Protocol;
use crate::load::target::Target;
use crate::origin;
use crate::results::Measure;
use crate::results::Unit;
use crate::running::Running;

/// Requests of one client, while a thousand others are slow in every way there is.
pub async fn beside_slow_clients(bench: &Bench, contender: &Contender) -> Result<Vec<Measure>> {
    let running = Running::start(bench, contender, &bench.sites).await?;
    let (own, other) = sites(bench, &running)?;
    let quiet = requests(bench, &own).await?;
    let crowd = Crowd::of_slow_clients(&other, SLOW_CLIENTS);
    time::sleep(GATHERING).await;
    let crowded = requests(bench, &own).await?;
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
    let quiet = handshakes(bench, &own).await?;
    let crowd = Crowd::of_handshakes(&other, FLOODING_CLIENTS)?;
    time::sleep(GATHERING).await;
    let flooded = handshakes(bench, &own).await?;
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

/// In milliseconds.
struct Latency {
    median: f64,
    late: f64,
}

async fn requests(bench: &Bench, target: &Target) -> Result<Latency> {
    let request = http1::Request::get(&target.domain, "/1k", origin::SMALL);
    let counters = Counters::default();
    let mut connection = http1::Connection::new(target.connect().await?);
    let (began, mut times) = (Instant::now(), Vec::new());
    while began.elapsed() < bench.sizes.window {
        let asked = Instant::now();
        if connection.exchange(&request, &counters).await? == http1::After::Close {
            connection = http1::Connection::new(target.connect().await?);
        }
        times.push(asked.elapsed());
        time::sleep(BETWEEN).await;
    }
    latency(times)
}

async fn handshakes(bench: &Bench, target: &Target) -> Result<Latency> {
    let (began, mut times) = (Instant::now(), Vec::new());
    while began.elapsed() < bench.sizes.window {
        let asked = Instant::now();
        let stream = target.connect().await?;
        times.push(asked.elapsed());
        target::close(stream).await?;
        time::sleep(BETWEEN).await;
    }
    latency(times)
}

fn latency(mut times: Vec<Duration>) -> Result<Latency> {
    times.sort();
    let at = |part: usize| times.get(times.len() * part / 100).map(|time| time.as_secs_f64() * 1e3);
    Ok(Latency {
        median: at(50).context("nothing was done")?,
        late: at(99).context("nothing was done")?,
    })
}

const SLOW_CLIENTS: usize = 1000;
const FLOODING_CLIENTS: usize = 64;
/// Until all of a crowd have connected.
const GATHERING: Duration = Duration::from_secs(3);
const BETWEEN: Duration = Duration::from_millis(2);
