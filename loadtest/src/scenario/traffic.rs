//! Scenarios that load a running proxy and divide its CPU time by the work done.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;

use crate::bench::Bench;
use crate::bench::P256_SITE;
use crate::bench::RSA_SITE;
use crate::contender::Contender;
use crate::load::Load;
use crate::load::Work;
use crate::load::counters::Counters;
use crate::load::http1;
use crate::load::relay::Direction;
use crate::load::target;
use crate::load::target::Protocol;
use crate::load::target::Target;
use crate::load::tickets::Tickets;
use crate::measure::Window;
use crate::origin;
use crate::results::Measure;
use crate::results::Unit;
use crate::running::Running;
use crate::site::Site;

/// A load and the unit of its work.
pub struct Traffic {
    pub name: &'static str,
    pub title: &'static str,
    site: &'static str,
    task: Task,
    connections: usize,
}

/// What the connections of a load do.
#[derive(Clone, Copy)]
enum Task {
    Download,
    Handshakes,
    Http1,
    Http2,
    NewConnections,
    /// Of a stream that is passed through; the proxy may splice.
    Relay {
        direction: Direction,
        splices: bool,
    },
    ResumedConnections,
    ResumedHandshakes,
    Upload,
    WebSocket,
}

/// The loads, in the order of the table.
pub fn all() -> Vec<Traffic> {
    let traffic =
        |name, title, site, task, connections| Traffic { name, title, site, task, connections };
    vec![
        traffic("http1", "HTTP/1.1 keep-alive, 1 KiB", P256_SITE, Task::Http1, 32),
        traffic("http2", "HTTP/2, 1 KiB, 4 connections with 8 streams", P256_SITE, Task::Http2, 4),
        traffic("p256", "Full TLS 1.3 handshake, P-256", P256_SITE, Task::Handshakes, 16),
        traffic("rsa", "Full TLS 1.3 handshake, RSA-2048", RSA_SITE, Task::Handshakes, 16),
        traffic("resumed", "Resumed TLS 1.3 handshake", P256_SITE, Task::ResumedHandshakes, 16),
        traffic("new", "New connection with one request", P256_SITE, Task::NewConnections, 16),
        traffic(
            "resumed_request",
            "Resumed connection with one request",
            P256_SITE,
            Task::ResumedConnections,
            16,
        ),
        traffic("download", "Download of 10 MiB", P256_SITE, Task::Download, 4),
        traffic("upload", "Upload of 10 MiB", P256_SITE, Task::Upload, 4),
        traffic("websocket", "WebSocket, 1 KiB and its echo", P256_SITE, Task::WebSocket, 32),
        relay("passthrough_down", "Passthrough, 10 MiB down", Direction::Down, false),
        relay("passthrough_up", "Passthrough, 10 MiB up", Direction::Up, false),
        relay("splice_down", "The same down, HAProxy with splice-auto", Direction::Down, true),
        relay("splice_up", "The same up, HAProxy with splice-auto", Direction::Up, true),
    ]
}

fn relay(name: &'static str, title: &'static str, direction: Direction, splices: bool) -> Traffic {
    let task = Task::Relay { direction, splices };
    Traffic { name, title, site: P256_SITE, task, connections: 4 }
}

impl Traffic {
    /// The proxy as this load needs it, if there is such.
    pub fn configured(&self, contender: &Contender) -> Option<Contender> {
        match self.task {
            Task::Relay { splices, .. } => contender.as_relay(splices),
            _ => Some(contender.clone()),
        }
    }

    /// One round on one proxy.
    pub async fn sample(&self, bench: &Bench, running: &Running<'_>) -> Result<Vec<Measure>> {
        let site = bench
            .sites
            .iter()
            .find(|site| site.name == self.site)
            .with_context(|| format!("no site {}", self.site))?;
        let target = self.target(running, site).await?;
        let mut load = Load::new();
        load.add(&target, &self.work(site), self.connections);
        let log_before = running.log_size()?;
        let window = Window::of(bench, running, load).await?;
        if matches!(self.task, Task::Http1 | Task::Http2) {
            anyhow::ensure!(running.log_size()? > log_before, "nothing was written to its log");
        }
        self.measures(&window)
    }

    async fn target(&self, running: &Running<'_>, site: &Site) -> Result<Target> {
        match self.task {
            Task::Http2 => running.target(site, Protocol::Http2),
            Task::ResumedConnections | Task::ResumedHandshakes => {
                let tickets = Arc::new(Tickets::default());
                let target = Target::resuming(running.port(), &site.domain, Arc::clone(&tickets))?;
                self.stock_up(&target, site, &tickets).await?;
                Ok(target)
            }
            _ => running.target(site, Protocol::Http1),
        }
    }

    /// Collects tickets for all connections, and as many again for those that break off.
    async fn stock_up(&self, target: &Target, site: &Site, tickets: &Tickets) -> Result<()> {
        let wanted = self.connections * 2;
        for _ in 0..wanted {
            let mut connection = http1::Connection::new(target.connect().await?);
            connection.exchange(&small(site), &Counters::default()).await?;
            target::close(connection.into_stream()).await?;
        }
        let count = tickets.count();
        anyhow::ensure!(count >= wanted, "{count} session tickets after {wanted} connections");
        tickets.use_them();
        Ok(())
    }

    fn work(&self, site: &Site) -> Work {
        let kept = |request| Work::Http1 { request, pause: Duration::ZERO };
        match self.task {
            Task::Download => kept(http1::Request::get(&site.domain, "/10m", origin::LARGE)),
            Task::Upload => kept(http1::Request::upload(&site.domain)),
            Task::Http1 => kept(small(site)),
            Task::Http2 => Work::Http2 {
                path: "/1k",
                expected: origin::SMALL,
                streams: 8,
                pause: Duration::ZERO,
            },
            Task::Relay { direction, .. } => Work::Relay(direction),
            Task::WebSocket => Work::WebSocket,
            Task::Handshakes => Work::Handshake { resumed: false },
            Task::ResumedHandshakes => Work::Handshake { resumed: true },
            Task::NewConnections => Work::NewConnection { request: small(site), resumed: false },
            Task::ResumedConnections => Work::NewConnection { request: small(site), resumed: true },
        }
    }

    fn measures(&self, window: &Window) -> Result<Vec<Measure>> {
        let done = window.done;
        let is_bulk = matches!(self.task, Task::Download | Task::Relay { .. } | Task::Upload);
        let amount = if is_bulk { done.bytes } else { done.units };
        anyhow::ensure!(amount > 0, "no work was done");
        let (cost, rate) = if is_bulk {
            let cost = window.proxy.as_secs_f64() / amount as f64 * 1e9;
            let rate = amount as f64 / 1e6 / window.wall.as_secs_f64();
            (
                Measure::cost(self.title, Unit::SecondsPerGb, cost),
                Measure::detail("MB per second", Unit::PerSecond, rate),
            )
        } else {
            (
                Measure::cost(self.title, Unit::Microseconds, window.cost()),
                Measure::detail("per second", Unit::PerSecond, window.rate()),
            )
        };
        Ok(vec![
            cost,
            rate,
            Measure::detail("proxy busy", Unit::PerCent, window.proxy_busy()),
            Measure::detail("load and origin busy", Unit::PerCent, window.generator_busy()),
            Measure::detail("failed", Unit::Count, done.failed as f64),
        ])
    }
}

fn small(site: &Site) -> http1::Request {
    http1::Request::get(&site.domain, "/1k", origin::SMALL)
}
