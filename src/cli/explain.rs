//! `portcullis explain`: who would get what, and which rule decided, by the code that serves.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use anyhow::bail;

use crate::cli::INVALID_CONFIGURATION;
use crate::config::Config;
use crate::config::virtual_service::Mode;
use crate::names::ServerName;
use crate::names::VirtualServiceName;
use crate::runtime::running::Tokens;
use crate::runtime::start;
use crate::service::Table;
use crate::service::Target;
use crate::service::VirtualService;
use crate::service::table::Matched;
use crate::tls::acceptor::unix_now;
use crate::tls::explain;
use crate::tls::hello::ClientHello;

/// The verb.
#[derive(Debug, clap::Args)]
pub struct Explain {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The server name that the client asks for; without one, what a client without SNI gets.
    server_name: Option<String>,
    /// The client: chrome, firefox, safari, curl, go, openssl_1_2, java8, android7, rsa_only, tls10.
    #[arg(long, value_name = "NAME", default_value = "chrome")]
    client: String,
    /// A captured ClientHello in hex instead of a built-in client; its own server name counts.
    #[arg(long, value_name = "FILE", conflicts_with = "client")]
    hello: Option<PathBuf>,
    /// The parent, where the configuration has several.
    #[arg(long, value_name = "NAME")]
    parent: Option<VirtualServiceName>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What `explain` found out; the JSON has the same words.
#[derive(Debug, serde::Serialize)]
struct Answer {
    server_name: Option<String>,
    client: String,
    offer: String,
    parent: String,
    matched: &'static str,
    virtual_service: Option<String>,
    mode: Option<&'static str>,
    outcome: Outcome,
}

#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// TLS is the endpoint's affair.
    PassedThrough {
        pool: String,
    },
    Refused {
        reason: &'static str,
        alert: &'static str,
        missing: String,
    },
    Served {
        certificate: String,
        key_type: String,
        version: String,
        cipher_suite: String,
        group: String,
        hello_retry: bool,
        alpn: Option<String>,
        expired: bool,
        rule: String,
    },
}

impl Explain {
    /// 0 where the client is served, 1 where it is refused.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let offer = self.offer()?;
        let loaded = match Config::load(&self.config) {
            Ok(loaded) => loaded,
            Err(complaints) => {
                eprint!("{}", complaints.render(false));
                return Ok(ExitCode::from(INVALID_CONFIGURATION));
            }
        };
        let state = start::rehearse(loaded.config, Tokens::Assume)?;
        let listeners = &state.running.listeners;
        let (parent, listener) = match &self.parent {
            Some(name) => listeners.get_key_value(name).context("there is no such parent")?,
            None if listeners.len() > 1 => bail!("several parents: name one with --parent"),
            None => listeners.first_key_value().context("the configuration has no parent")?,
        };
        let answer = self.explain(&offer, parent, &listener.table.snapshot());
        if self.json {
            println!("{}", serde_json::to_string_pretty(&answer)?);
        } else {
            answer.print();
        }
        Ok(match answer.outcome {
            Outcome::PassedThrough { .. } | Outcome::Served { .. } => ExitCode::SUCCESS,
            Outcome::Refused { .. } => ExitCode::FAILURE,
        })
    }

    fn offer(&self) -> anyhow::Result<ClientHello> {
        let name = self.server_name.as_deref().map(str::parse::<ServerName>).transpose();
        let name = name.context("this is not a server name")?;
        if let Some(file) = &self.hello {
            let text = fs::read_to_string(file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            let captured = explain::parse_hex(&text)?;
            return Ok(if name.is_some() {
                explain::with_server_name(captured, name)
            } else {
                captured
            });
        }
        let Some(client) = explain::client(&self.client) else {
            let known: Vec<_> = explain::CLIENTS
                .iter()
                .map(|(name, what)| format!("  {name:<12} {what}"))
                .collect();
            bail!("there is no client `{}`; there are:\n{}", self.client, known.join("\n"));
        };
        Ok(explain::with_server_name(client, name))
    }

    fn explain(&self, offer: &ClientHello, parent: &VirtualServiceName, table: &Table) -> Answer {
        let found = table.find(offer.server_name.as_ref());
        let refused_name = found.matched == Matched::Unknown && table.strict_sni;
        let outcome = if refused_name {
            refused(&crate::tls::refusal::Refusal::unrecognized_name())
        } else {
            outcome(found.service, offer)
        };
        Answer {
            server_name: offer.server_name.as_ref().map(ToString::to_string),
            client: match &self.hello {
                Some(file) => file.display().to_string(),
                None => self.client.clone(),
            },
            offer: offer.describe(),
            parent: parent.to_string(),
            matched: match found.matched {
                Matched::Absent => "no server name: the parent",
                Matched::Child => "a child owns this name",
                Matched::Unknown if refused_name => "no child owns this name: strict_sni refuses",
                Matched::Unknown => "no child owns this name: the parent",
            },
            virtual_service: (!refused_name).then(|| found.service.name.to_string()),
            mode: (!refused_name).then(|| found.service.mode_word()),
            outcome,
        }
    }
}

fn outcome(service: &Arc<VirtualService>, offer: &ClientHello) -> Outcome {
    if service.mode == Mode::Passthrough {
        let pool = match &service.target {
            Target::Pool(pool) => pool.name.to_string(),
            Target::NoPool(_) => String::new(),
        };
        return Outcome::PassedThrough { pool };
    }
    match service.tls.choose(offer, unix_now()).map(|chosen| chosen.negotiation) {
        Ok(chosen) => {
            let certificate = service.tls.certificates().nth(chosen.certificate);
            let material = certificate.and_then(|slot| slot.material());
            Outcome::Served {
                certificate: certificate.map(|slot| slot.name().to_string()).unwrap_or_default(),
                key_type: material.map(|m| m.facts.algorithm.to_string()).unwrap_or_default(),
                version: chosen.version.as_str().to_owned(),
                cipher_suite: chosen.cipher_suite.as_str().to_owned(),
                group: chosen.group.as_str().to_owned(),
                hello_retry: chosen.needs_hello_retry,
                alpn: chosen.alpn.map(|alpn| alpn.as_str().to_owned()),
                expired: chosen.expired,
                rule: chosen.rule.to_string(),
            }
        }
        Err(refusal) => refused(&refusal),
    }
}

fn refused(refusal: &crate::tls::refusal::Refusal) -> Outcome {
    Outcome::Refused {
        reason: refusal.reason.as_str(),
        alert: refusal.alert.name(),
        missing: refusal.missing.clone(),
    }
}

impl Answer {
    fn print(&self) {
        let row = |key: &str, value: &str| println!("{key:<16} {value}");
        row("server name", self.server_name.as_deref().unwrap_or("(none)"));
        row("client", &self.client);
        row("offers", &self.offer);
        row("parent", &self.parent);
        row("match", self.matched);
        row("virtual service", self.virtual_service.as_deref().unwrap_or("(none)"));
        row("mode", self.mode.unwrap_or("(none)"));
        match &self.outcome {
            Outcome::PassedThrough { pool } => {
                row("TLS", "is not ended here: it passes through as it came");
                row("pool", pool);
            }
            Outcome::Refused { reason, alert, missing } => {
                row("refused", &format!("{reason}, alert {alert}"));
                row("because", missing);
            }
            Outcome::Served {
                certificate,
                key_type,
                version,
                cipher_suite,
                group,
                hello_retry,
                alpn,
                expired,
                rule,
            } => {
                let expired = if *expired { ", EXPIRED" } else { "" };
                let retry = if *hello_retry { " (after a HelloRetryRequest)" } else { "" };
                row("certificate", &format!("{certificate} ({key_type}{expired})"));
                row("because", rule);
                row("version", &format!("TLS {version}"));
                row("suite", cipher_suite);
                row("group", &format!("{group}{retry}"));
                row("ALPN", alpn.as_deref().unwrap_or("(none)"));
            }
        }
    }
}
