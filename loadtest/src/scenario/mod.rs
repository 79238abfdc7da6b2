//! The scenarios: what is done to each proxy, and the rounds in which they take turns.

mod fixed_rate;
mod idle;
mod many_certificates;
mod neighbours;
mod reloads;
mod token;
mod traffic;

use anyhow::Result;

use crate::bench::Bench;
use crate::contender::Contender;
use crate::load::target::Protocol;
use crate::results::Measure;
use crate::results::Results;
use crate::running::Running;
use crate::scenario::many_certificates::ManyCertificates;
use crate::scenario::traffic::Traffic;
use crate::token::Token;

/// One scenario.
pub struct Scenario {
    /// For `--only` and JSON.
    pub name: &'static str,
    /// For `--list`.
    pub about: &'static str,
    kind: Kind,
}

enum Kind {
    /// Proxies run side by side, and are loaded in turn.
    Traffic(Traffic),
    Fresh(Fresh),
    ManyCertificates,
    Reloads,
    /// Proxies find the key of a site in a token.
    Token(token::Task),
}

/// A proxy is started for each sample.
enum Fresh {
    BesideAFlood,
    BesideBodies,
    BesideHeavyConnections,
    BesideSlowClients,
    FixedRate,
    Idle(Protocol),
}

impl Fresh {
    async fn sample(&self, bench: &Bench, contender: &Contender) -> Result<Vec<Measure>> {
        match self {
            Self::BesideAFlood => neighbours::beside_a_flood(bench, contender).await,
            Self::BesideBodies => neighbours::beside_bodies(bench, contender).await,
            Self::BesideHeavyConnections => {
                neighbours::beside_heavy_connections(bench, contender).await
            }
            Self::BesideSlowClients => neighbours::beside_slow_clients(bench, contender).await,
            Self::FixedRate => fixed_rate::sample(bench, contender).await,
            Self::Idle(protocol) => idle::sample(bench, contender, *protocol).await,
        }
    }
}

/// All scenarios, in the order of the table.
pub fn all() -> Vec<Scenario> {
    let mut scenarios: Vec<Scenario> = traffic::all()
        .into_iter()
        .map(|traffic| Scenario {
            name: traffic.name,
            about: traffic.title,
            kind: Kind::Traffic(traffic),
        })
        .collect();
    scenarios.extend([
        Scenario {
            name: "rate",
            about: "Latency and CPU time at 2,000 requests/s of 1 KiB that come whatever the proxy does",
            kind: Kind::Fresh(Fresh::FixedRate),
        },
        Scenario {
            name: "idle",
            about: "Memory per idle connection, HTTP/1.1",
            kind: Kind::Fresh(Fresh::Idle(Protocol::Http1)),
        },
        Scenario {
            name: "idle_http2",
            about: "Memory per idle connection, HTTP/2",
            kind: Kind::Fresh(Fresh::Idle(Protocol::Http2)),
        },
        Scenario {
            name: "crowd",
            about: "Latency of requests beside 1,000 slow clients",
            kind: Kind::Fresh(Fresh::BesideSlowClients),
        },
        Scenario {
            name: "flood",
            about: "Latency of handshakes at one site while another is flooded with them",
            kind: Kind::Fresh(Fresh::BesideAFlood),
        },
        Scenario {
            name: "heavy",
            about: "Latency of a light client of two workers beside connections with 100 streams",
            kind: Kind::Fresh(Fresh::BesideHeavyConnections),
        },
        Scenario {
            name: "bodies",
            about: "Latency of small requests beside a download and an upload at 10 MiB/s",
            kind: Kind::Fresh(Fresh::BesideBodies),
        },
        Scenario {
            name: "token_isolation",
            about: "What a site on file notices of a token of 20 ms under load",
            kind: Kind::Token(token::Task::Isolation),
        },
        Scenario {
            name: "token_sessions",
            about: "Handshakes per second through a token of 20 ms with 1, 4 and 16 sessions",
            kind: Kind::Token(token::Task::Sessions),
        },
        Scenario {
            name: "token_overhead",
            about: "Full TLS 1.3 handshake, P-256, key in SoftHSM and key on file",
            kind: Kind::Token(token::Task::Overhead),
        },
        Scenario {
            name: "certificates",
            about: "Many certificates and names: start, memory, reload of one certificate",
            kind: Kind::ManyCertificates,
        },
        Scenario {
            name: "reloads",
            about: "Reloads under load, with failed requests counted",
            kind: Kind::Reloads,
        },
    ]);
    scenarios
}

impl Scenario {
    /// Runs all rounds; a sample that fails is noted, and the others go on.
    pub async fn run(&self, bench: &Bench, contenders: &[Contender], results: &mut Results) {
        match &self.kind {
            Kind::Traffic(traffic) => {
                self.run_side_by_side(traffic, bench, contenders, results).await
            }
            Kind::ManyCertificates => match ManyCertificates::prepare(bench) {
                Ok(mut many) => {
                    for round in 0..bench.sizes.lifecycle_rounds as usize {
                        for contender in contenders {
                            let sample = many.sample(bench, contender).await;
                            self.note(results, contender, round, sample);
                        }
                    }
                }
                Err(error) => results.failures.push(format!("{}: {error:#}", self.name)),
            },
            Kind::Fresh(fresh) => {
                for round in 0..bench.sizes.lifecycle_rounds as usize {
                    for contender in contenders {
                        let sample = fresh.sample(bench, contender).await;
                        self.note(results, contender, round, sample);
                    }
                }
            }
            Kind::Reloads => {
                for contender in contenders {
                    let sample = reloads::sample(bench, contender).await;
                    self.note(results, contender, 0, sample);
                }
            }
            Kind::Token(task) => self.run_with_token(*task, bench, contenders, results).await,
        }
    }

    async fn run_with_token(
        &self,
        task: token::Task,
        bench: &Bench,
        contenders: &[Contender],
        results: &mut Results,
    ) {
        if let Some(missing) = Token::missing() {
            eprintln!("{} is left out: {missing}", self.name);
            return;
        }
        let suited: Vec<&Contender> =
            contenders.iter().filter(|contender| task.suits(contender)).collect();
        for round in 0..bench.sizes.lifecycle_rounds as usize {
            for contender in &suited {
                let sample = task.sample(bench, contender).await;
                self.note(results, contender, round, sample);
            }
        }
    }

    async fn run_side_by_side(
        &self,
        traffic: &Traffic,
        bench: &Bench,
        contenders: &[Contender],
        results: &mut Results,
    ) {
        let configured: Vec<Contender> =
            contenders.iter().filter_map(|contender| traffic.configured(contender)).collect();
        let mut started = Vec::new();
        for contender in &configured {
            match Running::start(bench, contender, &bench.sites).await {
                Ok(running) => started.push(running),
                Err(error) => self.note(results, contender, 0, Err(error)),
            }
        }
        for round in 0..bench.sizes.rounds as usize {
            for running in &started {
                let sample = traffic.sample(bench, running).await;
                self.note(results, running.contender, round, sample);
            }
        }
        for running in started {
            running.stop().await;
        }
    }

    fn note(
        &self,
        results: &mut Results,
        contender: &Contender,
        round: usize,
        sample: Result<Vec<Measure>>,
    ) {
        match sample {
            Ok(measures) => {
                let values: Vec<String> = measures
                    .iter()
                    .map(|measure| {
                        format!("{} {}", measure.title, measure.unit.format(measure.value))
                    })
                    .collect();
                eprintln!("{} {} {}: {}", self.name, round + 1, contender.name, values.join("; "));
                results.record(self.name, &contender.name, round, &measures);
            }
            Err(error) => {
                let failure = format!("{} {} {}: {error:#}", self.name, round + 1, contender.name);
                eprintln!("{failure}");
                results.failures.push(failure);
            }
        }
    }
}
