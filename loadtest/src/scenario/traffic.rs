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
use crate::load::Requests;
use crate::load::Work;
use crate::load::counters::Counters;
use crate::load::http1;
use crate::load::relay::Direction;
use crate::load::target;
use crate::load::target::Protocol;
use crate::load::target::Target;
use crate::load::tickets::Tickets;
use crate::load::tls::Offer;
use crate::measure::Window;
use crate::origin;
use crate::origin::Body;
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
    Handshakes(Offer),
    Http1(Body),
    Http2(Body),
    NewConnections,
    /// Of a stream that is passed through; the proxy may splice.
    Relay {
        direction: Direction,
        splices: bool,
    },
    ResumedConnections,
    ResumedHandshakes,
    /// A few requests on each connection.
    ShortConnections,
    Upload,
    WebSocket,
}

/// The loads, in the order of the table.
pub fn all() -> Vec<Traffic> {
    let of =
        |name, title, site, task, connections| Traffic { name, title, site, task, connections };
    let handshakes = |name, title, site, offer| of(name, title, site, Task::Handshakes(offer), 16);
    let (p256, rsa) = (P256_SITE, RSA_SITE);
    let resumed_request = "Resumed connection with one request";
    let short = "Request of 1 KiB, 256 connections with 8 requests each";
    vec![
        of("http1", "HTTP/1.1 keep-alive, 1 KiB", p256, Task::Http1(origin::SMALL), 32),
        of("http1_16k", "HTTP/1.1 keep-alive, 16 KiB", p256, Task::Http1(origin::MEDIUM), 32),
        of("http2", HTTP2_TITLES[0], p256, Task::Http2(origin::SMALL), 4),
        of("http2_16k", HTTP2_TITLES[1], p256, Task::Http2(origin::MEDIUM), 4),
        of("short", short, p256, Task::ShortConnections, 256),
        handshakes("p256", "Full TLS 1.3 handshake, P-256", p256, Offer::Tls13),
        handshakes("rsa", "Full TLS 1.3 handshake, RSA-2048", rsa, Offer::Tls13),
        handshakes("post_quantum", POST_QUANTUM_TITLE, p256, Offer::PostQuantum),
        handshakes("tls12_p256", "Full TLS 1.2 handshake, P-256", p256, Offer::Tls12),
        handshakes("tls12_rsa", "Full TLS 1.2 handshake, RSA-2048", rsa, Offer::Tls12),
        of("resumed", "Resumed TLS 1.3 handshake", p256, Task::ResumedHandshakes, 16),
        of("new", "New connection with one request", p256, Task::NewConnections, 16),
        of("resumed_request", resumed_request, p256, Task::ResumedConnections, 16),
        of("download", "Download of 10 MiB", p256, Task::Download, 4),
        of("upload", "Upload of 10 MiB", p256, Task::Upload, 4),
        of("websocket", "WebSocket, 1 KiB and its echo", p256, Task::WebSocket, 32),
        relay("passthrough_down", "Passthrough, 10 MiB down", Direction::Down, false),
        relay("passthrough_up", "Passthrough, 10 MiB up", Direction::Up, false),
        relay("splice_down", SPLICE_TITLES[0], Direction::Down, true),
        relay("splice_up", SPLICE_TITLES[1], Direction::Up, true),
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
        if matches!(self.task, Task::Http1(_) | Task::Http2(_)) {
            anyhow::ensure!(running.log_size()? > log_before, "nothing was written to its log");
        }
        let mut measures = self.measures(&window)?;
        if matches!(self.task, Task::Handshakes(Offer::PostQuantum)) {
            let stream = target.connect().await?;
            let agreed = f64::from(u8::from(target::is_post_quantum(&stream)));
            target::close(stream).await?;
            measures.push(Measure::detail("X25519MLKEM768 agreed on", Unit::Count, agreed));
        }
        Ok(measures)
    }

    async fn target(&self, running: &Running<'_>, site: &Site) -> Result<Target> {
        match self.task {
            Task::Handshakes(offer) => Target::offering(running.port(), &site.domain, offer),
            Task::Http2(_) => running.target(site, Protocol::Http2),
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
        let keeping = |request, most| Work::Http1(Requests { most, ..Requests::of(request) });
        let get = |body| http1::Request::get(&site.domain, body);
        match self.task {
            Task::Download => keeping(get(origin::LARGE), None),
            Task::Upload => keeping(http1::Request::upload(&site.domain), None),
            Task::Http1(body) => keeping(get(body), None),
            Task::ShortConnections => keeping(get(origin::SMALL), Some(FEW_REQUESTS)),
            Task::Http2(body) => Work::Http2 { body, streams: 8, pause: Duration::ZERO },
            Task::Relay { direction, .. } => Work::Relay(direction),
            Task::WebSocket => Work::WebSocket,
            Task::Handshakes(_) => Work::Handshake { resumed: false },
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
    http1::Request::get(&site.domain, origin::SMALL)
}

const HTTP2_TITLES: [&str; 2] =
    ["HTTP/2, 1 KiB, 4 connections with 8 streams", "HTTP/2, 16 KiB, 4 connections with 8 streams"];
const POST_QUANTUM_TITLE: &str = "Full TLS 1.3 handshake, X25519MLKEM768 offered";
const SPLICE_TITLES: [&str; 2] =
    ["Passthrough down, HAProxy with splice-auto", "Passthrough up, HAProxy with splice-auto"];
/// Requests of a connection that is not kept for long.
const FEW_REQUESTS: u32 = 8;
