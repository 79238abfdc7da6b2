//! Memory per idle connection: many connections that served one request each and stay open.

use std::sync::Arc;

use anyhow::Context;
use anyhow::Result;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time;

use crate::bench::Bench;
use crate::contender::Contender;
use crate::load::kept::Connection;
use crate::load::patiently;
use crate::load::target::Protocol;
use crate::load::target::Target;
use crate::results::Measure;
use crate::results::Unit;
use crate::running::Running;

/// Starts the proxy, opens the connections, waits, and looks at the memory.
pub async fn sample(
    bench: &Bench,
    contender: &Contender,
    protocol: Protocol,
) -> Result<Vec<Measure>> {
    let running = Running::start(bench, contender, &bench.sites).await?;
    let site = bench.sites.first().context("no site")?;
    let target = running.target(site, protocol)?;

    // What the first connections allocate once and for all is not the price of one more.
    drop(open(&target, FIRST).await?);
    time::sleep(bench.sizes.idle_wait).await;
    let before = running.tree.memory();
    let count = bench.sizes.connections as usize;
    let mut connections = open(&target, count).await?;
    time::sleep(bench.sizes.idle_wait).await;
    let after = running.tree.memory();

    for connection in connections.iter_mut().step_by(count.div_ceil(FIRST)) {
        connection.exchange().await.context("on an idle connection")?;
    }
    drop(connections);
    running.stop().await;
    let grown = after.saturating_sub(before) as f64;
    let title = match protocol {
        Protocol::Http1 => "Memory per idle connection",
        Protocol::Http2 => "Memory per idle HTTP/2 connection",
    };
    Ok(vec![
        Measure::cost(title, Unit::Kib, grown / count as f64 / 1024.0),
        Measure::detail("memory before the idle connections", Unit::Mib, mib(before)),
        Measure::detail("idle connections", Unit::Count, count as f64),
    ])
}

/// Bytes as MiB.
pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

async fn open(target: &Target, count: usize) -> Result<Vec<Connection>> {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut opening = JoinSet::new();
    for _ in 0..count {
        let place = Arc::clone(&places).acquire_owned().await?;
        let target = target.clone();
        opening.spawn(async move {
            let mut connection = patiently(Connection::open(&target)).await?;
            patiently(connection.exchange()).await?;
            connection.rest();
            drop(place);
            Ok::<_, anyhow::Error>(connection)
        });
    }
    let mut connections = Vec::with_capacity(count);
    while let Some(connection) = opening.join_next().await {
        connections.push(connection??);
    }
    Ok(connections)
}

const FIRST: usize = 50;
const AT_ONCE: usize = 16;
