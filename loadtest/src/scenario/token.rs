//! Keys in a token: what a slow one costs the other sites, what its sessions carry, and what using one costs.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use tokio::time;

use crate::bench::Bench;
use crate::contender::Contender;
use crate::load::Load;
use crate::load::Work;
use crate::load::latency::Client;
use crate::load::latency::Latency;
use crate::load::target::Protocol;
use crate::load::target::Target;
use crate::measure::Window;
use crate::results::Measure;
use crate::results::Unit;
use crate::running::Running;

/// What is done with the token.
#[derive(Clone, Copy, Debug)]
pub enum Task {
    Isolation,
    Overhead,
    Sessions,
}

impl Task {
    /// Whether a proxy can take part; where something is missing for that, it is said.
    pub fn suits(self, contender: &Contender) -> bool {
        match self {
            Self::Isolation | Self::Overhead => contender.uses_tokens(),
            Self::Sessions => contender.has_sessions() && contender.uses_tokens(),
        }
    }

    /// One round on one proxy.
    pub async fn sample(self, bench: &Bench, contender: &Contender) -> Result<Vec<Measure>> {
        match self {
            Self::Isolation => isolation(bench, contender).await,
            Self::Overhead => overhead(bench, contender).await,
            Self::Sessions => sessions(bench, contender).await,
        }
    }
}

/// What a client of a site with its key on file notices of others, who want more than a slow token signs.
async fn isolation(bench: &Bench, contender: &Contender) -> Result<Vec<Measure>> {
    let contender = contender.with_token(&bench.token()?.slow(MANY_SESSIONS))?;
    let Sites { running, on_file, in_token } = Sites::start(bench, &contender).await?;
    let idle = Neighbour::measure(bench, &on_file).await?;
    let load = handshakes(&in_token, CROWD);
    time::sleep(GATHERING).await;
    let neighbour = Neighbour::measure(bench, &on_file);
    let (window, busy) = Window::during(&running, load, neighbour).await?;
    running.stop().await;
    let (fact, cost, detail) = (Measure::fact, Measure::cost, Measure::detail);
    let (latency, rate) = (Unit::Milliseconds, Unit::PerSecond);
    Ok(vec![
        fact("Key on file, token idle: median of a handshake", latency, idle.handshakes.median),
        cost("Key on file, token busy: median of a handshake", latency, busy.handshakes.median),
        fact(
            "Key on file, token idle: 99th percentile of handshakes",
            latency,
            idle.handshakes.late,
        ),
        cost(
            "Key on file, token busy: 99th percentile of handshakes",
            latency,
            busy.handshakes.late,
        ),
        fact("Key on file, token idle: median of a request", latency, idle.requests.median),
        cost("Key on file, token busy: median of a request", latency, busy.requests.median),
        fact("Key on file, token idle: requests on one connection", rate, idle.requests.per_second),
        fact("Key on file, token busy: requests on one connection", rate, busy.requests.per_second),
        fact("Handshakes through that token, 16 sessions, 20 ms", rate, window.rate()),
        detail("99th percentile of requests, token idle", latency, idle.requests.late),
        detail("99th percentile of requests, token busy", latency, busy.requests.late),
        detail("proxy busy", Unit::PerCent, window.proxy_busy()),
        detail("load and origin busy", Unit::PerCent, window.generator_busy()),
        detail("failed", Unit::Count, window.done.failed as f64),
    ])
}

/// What a slow token carries: with so many sessions it makes so many signatures at once.
async fn sessions(bench: &Bench, contender: &Contender) -> Result<Vec<Measure>> {
    let mut measures = Vec::new();
    for (sessions, title, busy) in SESSIONS {
        let contender = contender.with_token(&bench.token()?.slow(sessions))?;
        let Sites { running, in_token, .. } = Sites::start(bench, &contender).await?;
        let load = handshakes(&in_token, CROWD);
        time::sleep(GATHERING).await;
        let waiting = async {
            time::sleep(bench.sizes.window).await;
            Ok(())
        };
        let (window, ()) = Window::during(&running, load, waiting).await?;
        running.stop().await;
        measures.push(Measure::fact(title, Unit::PerSecond, window.rate()));
        measures.push(Measure::detail(busy, Unit::PerCent, window.proxy_busy()));
    }
    Ok(measures)
}

/// What a handshake costs with the key on file, and with such a key in a token that answers at once.
async fn overhead(bench: &Bench, contender: &Contender) -> Result<Vec<Measure>> {
    let contender = contender.with_token(&bench.token()?.quick(FEW_SESSIONS))?;
    let Sites { running, on_file, in_token } = Sites::start(bench, &contender).await?;
    let file = Window::of(bench, &running, handshakes(&on_file, CONNECTIONS)).await?;
    let token = Window::of(bench, &running, handshakes(&in_token, CONNECTIONS)).await?;
    let from_file = Latency::of_handshakes(&on_file, bench.sizes.window).await?;
    let from_token = Latency::of_handshakes(&in_token, bench.sizes.window).await?;
    running.stop().await;
    let (cost, detail) = (Measure::cost, Measure::detail);
    let (cpu, rate, latency) = (Unit::Microseconds, Unit::PerSecond, Unit::Milliseconds);
    Ok(vec![
        cost("Full TLS 1.3 handshake, P-256, key on file in the same proxy", cpu, file.cost()),
        cost("Full TLS 1.3 handshake, P-256, key in SoftHSM", cpu, token.cost()),
        cost("Median of one client's handshakes, key on file", latency, from_file.median),
        cost("Median of one client's handshakes, key in SoftHSM", latency, from_token.median),
        detail("per second, key on file", rate, file.rate()),
        detail("per second, key in SoftHSM", rate, token.rate()),
        detail("proxy busy, key on file", Unit::PerCent, file.proxy_busy()),
        detail("proxy busy, key in SoftHSM", Unit::PerCent, token.proxy_busy()),
        detail("99th percentile, key on file", latency, from_file.late),
        detail("99th percentile, key in SoftHSM", latency, from_token.late),
    ])
}

/// A proxy with two sites: the P-256 key of one is on file, that of the other in the token.
struct Sites<'a> {
    running: Running<'a>,
    on_file: Target,
    in_token: Target,
}

impl<'a> Sites<'a> {
    async fn start(bench: &Bench, contender: &'a Contender) -> Result<Self> {
        let on_file = bench.sites.first().context("no site")?;
        let sites = [on_file.clone(), bench.token()?.site.clone()];
        let running = Running::start(bench, contender, &sites).await?;
        let [on_file, in_token] = &sites;
        let on_file = running.target(on_file, Protocol::Http1)?;
        let in_token = running.target(in_token, Protocol::Http1)?;
        Ok(Self { running, on_file, in_token })
    }
}

/// What one client notices at a site.
struct Neighbour {
    handshakes: Latency,
    requests: Latency,
}

impl Neighbour {
    async fn measure(bench: &Bench, target: &Target) -> Result<Self> {
        let window = bench.sizes.window;
        let mut client = Client::connect(target, 1, Duration::ZERO).await?;
        Ok(Self {
            handshakes: Latency::of_handshakes(target, window).await?,
            requests: client.requests(window).await?,
        })
    }
}

fn handshakes(target: &Target, clients: usize) -> Load {
    let mut load = Load::new();
    load.add(target, &Work::Handshake { resumed: false }, clients);
    load
}

/// Sessions with a slow token, and the titles of what it carries with them.
const SESSIONS: [(u32, &str, &str); 3] = [
    (1, "Handshakes through a token of 20 ms, 1 session", "proxy busy, 1 session"),
    (4, "Handshakes through a token of 20 ms, 4 sessions", "proxy busy, 4 sessions"),
    (MANY_SESSIONS, "Handshakes through a token of 20 ms, 16 sessions", "proxy busy, 16 sessions"),
];
const MANY_SESSIONS: u32 = 16;
/// What Portcullis has when nothing is said.
const FEW_SESSIONS: u32 = 8;

/// More clients than a token has sessions.
const CROWD: usize = 64;
/// As many as the scenarios of handshakes with keys on file have.
const CONNECTIONS: usize = 16;
/// Until every client of a crowd waits for its signature.
const GATHERING: Duration = Duration::from_secs(3);
