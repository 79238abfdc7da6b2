//! What clients notice of others: latency without and with a crowd beside them.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use tokio::time;

use crate::bench::Bench;
use crate::contender::Contender;
use crate::load::Load;
use crate::load::Requests;
use crate::load::Work;
use crate::load::crowd::Crowd;
use crate::load::http1;
use crate::load::latency;
use crate::load::latency::Client;
use crate::load::latency::Latency;
use crate::load::target::Protocol;
use crate::load::target::Target;
use crate::measure::Window;
use crate::origin;
use crate::results::Measure;
use crate::results::Unit;
use crate::running::Running;

/// Requests of one client, while a thousand others are slow in every way there is.
pub async fn beside_slow_clients(bench: &Bench, contender: &Contender) -> Result<Vec<Measure>> {
    let running = Running::start(bench, contender, &bench.sites).await?;
    let (own, other) = sites(bench, &running)?;
    let mut client = Client::connect(&own, 1, latency::BETWEEN).await?;
    let quiet = client.requests(bench.sizes.window).await?;
    let crowd = Crowd::of_slow_clients(&other, SLOW_CLIENTS);
    time::sleep(GATHERING).await;
    let crowded = client.requests(bench.sizes.window).await?;
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

/// Requests of one light client of a proxy with two workers, whose connections are on either, while a
/// few connections beside it carry very many streams.
pub async fn beside_heavy_connections(
    bench: &Bench,
    contender: &Contender,
) -> Result<Vec<Measure>> {
    let contender = contender.with_workers(2);
    let running = Running::start(bench, &contender, &bench.sites).await?;
    let site = bench.sites.first().context("no site")?;
    let target = running.target(site, Protocol::Http2)?;
    let mut client = Client::connect(&target, LIGHT_CONNECTIONS, latency::BETWEEN).await?;
    let quiet = client.requests(bench.sizes.window).await?;
    let mut load = Load::new();
    let heavy = Work::Http2 { body: origin::SMALL, streams: HEAVY_STREAMS, pause: Duration::ZERO };
    load.add(&target, &heavy, HEAVY_CONNECTIONS);
    time::sleep(bench.sizes.warm_up).await;
    let beside = client.requests(bench.sizes.window);
    let (window, beside) = Window::during(&running, load, beside).await?;
    running.stop().await;
    let (fact, cost, ms) = (Measure::fact, Measure::cost, Unit::Milliseconds);
    Ok(vec![
        fact("2 workers, a light HTTP/2 client alone: median of a request", ms, quiet.median),
        fact("2 workers, a light HTTP/2 client alone: 99th percentile", ms, quiet.late),
        cost("The same beside 4 connections with 100 streams each: median", ms, beside.median),
        cost(
            "The same beside 4 connections with 100 streams each: 99th percentile",
            ms,
            beside.late,
        ),
        Measure::detail("requests of the heavy ones", Unit::PerSecond, window.rate()),
        Measure::detail("proxy busy", Unit::PerCent, window.proxy_busy()),
        Measure::detail("load and origin busy", Unit::PerCent, window.generator_busy()),
    ])
}

/// Small requests, while one client downloads and one uploads at a steady 10 MiB/s.
pub async fn beside_bodies(bench: &Bench, contender: &Contender) -> Result<Vec<Measure>> {
    let running = Running::start(bench, contender, &bench.sites).await?;
    let site = bench.sites.first().context("no site")?;
    let target = running.target(site, Protocol::Http1)?;
    let mut client = Client::connect(&target, 1, latency::BETWEEN).await?;
    let quiet = client.requests(bench.sizes.window).await?;
    let mut load = Load::new();
    let (download, upload) =
        (http1::Request::get(&site.domain, origin::LARGE), http1::Request::upload(&site.domain));
    for request in [download, upload] {
        let bytes_per_second = Some(BODY_RATE);
        let work = Work::Http1(Requests { bytes_per_second, ..Requests::of(request) });
        load.add(&target, &work, 1);
    }
    time::sleep(bench.sizes.warm_up).await;
    let beside = client.requests(bench.sizes.window);
    let (window, beside) = Window::during(&running, load, beside).await?;
    running.stop().await;
    let (fact, cost, ms) = (Measure::fact, Measure::cost, Unit::Milliseconds);
    let moved = window.done.bytes as f64 / window.wall.as_secs_f64() / 1_048_576.0;
    Ok(vec![
        fact("Small requests, nobody else there: median", ms, quiet.median),
        fact("Small requests, nobody else there: 99th percentile", ms, quiet.late),
        cost("Small requests beside a body of 10 MiB/s each way: median", ms, beside.median),
        cost("Small requests beside a body of 10 MiB/s each way: 99th percentile", ms, beside.late),
        Measure::detail("MiB per second of both bodies", Unit::PerSecond, moved),
        Measure::detail("proxy busy", Unit::PerCent, window.proxy_busy()),
        Measure::detail("load and origin busy", Unit::PerCent, window.generator_busy()),
    ])
}

/// The site that is measured, and the one that the crowd is at.
fn sites(bench: &Bench, running: &Running<'_>) -> Result<(Target, Target)> {
    let [own, other] = bench.sites.as_slice() else { anyhow::bail!("two sites are needed") };
    Ok((running.target(own, Protocol::Http1)?, running.target(other, Protocol::Http1)?))
}

const SLOW_CLIENTS: usize = 1000;
const FLOODING_CLIENTS: usize = 64;
const LIGHT_CONNECTIONS: usize = 8;
const HEAVY_CONNECTIONS: usize = 4;
/// As many as all proxies allow on one connection.
const HEAVY_STREAMS: usize = 100;
/// Bytes per second.
const BODY_RATE: u32 = 10 * 1024 * 1024;
/// Until all of a crowd have connected.
const GATHERING: Duration = Duration::from_secs(3);
