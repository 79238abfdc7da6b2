//! The result of a reload, as plain data.
//!
//! The admin address and the command line speak it as JSON.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use serde::Deserialize;
use serde::Serialize;

use crate::config::complaint::Complaint;
use crate::names::CertificateName;
use crate::runtime::fault::Fault;
use crate::runtime::plan;
use crate::runtime::plan::Plan;
use crate::telemetry::reload_metrics::ReloadResult;

/// The result of a reload: `POST /reload`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct ReloadReport {
    /// How it ended.
    pub outcome: ReloadOutcome,
    /// Number of the configuration in force after it.
    pub generation: u64,
    /// When it ended, Unix time in seconds.
    pub finished_at: u64,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// What is different; empty if refused.
    pub changes: Changes,
    /// What is wrong, if refused; what is doubtful, if not.
    pub complaints: Vec<ReloadComplaint>,
}

/// How a reload ended.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadOutcome {
    /// The new configuration is in force.
    Applied,
    /// It has errors, or something that it needs failed. The old one stays in force.
    Refused,
    /// Nothing in it differs from what is in force.
    #[default]
    Unchanged,
}

/// Names of what a reload changed.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Changes {
    /// `[virtual_service]`.
    pub virtual_services: NamesChanged,
    /// Addresses that are listened on.
    pub listeners: NamesChanged,
    /// `[hsm]`.
    pub hsms: NamesChanged,
    /// `[certificate]`: in the configuration or in its files.
    pub certificates: NamesChanged,
    /// `[tls_profile]`: in the configuration or in its files.
    pub tls_profiles: NamesChanged,
    /// `[pool]`.
    pub pools: NamesChanged,
    /// `[dns]`, for names that are resolved from now on.
    pub dns: bool,
    /// `[timeouts]` or `[limits]`, for connections that are accepted from now on.
    pub settings: bool,
    /// Keys that changed and need a restart, such as `workers`.
    pub restart_needed: Vec<String>,
}

/// Names that came, went or stayed with other content.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct NamesChanged {
    /// New ones.
    pub added: Vec<String>,
    /// Those with other content.
    pub changed: Vec<String>,
    /// Those that are gone.
    pub removed: Vec<String>,
}

impl ReloadReport {
    /// What a plan that was committed changed.
    pub fn of(plan: &Plan) -> Self {
        let changes = Changes {
            virtual_services: NamesChanged::of(&plan.virtual_services),
            listeners: NamesChanged::of(&plan.sockets),
            hsms: NamesChanged::of(&plan.hsms),
            certificates: NamesChanged::of(&plan.certificates),
            tls_profiles: NamesChanged::of(&plan.tls_profiles),
            pools: NamesChanged::of(&plan.pools),
            dns: !plan.dns_unchanged,
            settings: !plan.settings_unchanged,
            restart_needed: plan.next_start.iter().map(ToString::to_string).collect(),
        };
        let outcome =
            if changes.is_empty() { ReloadOutcome::Unchanged } else { ReloadOutcome::Applied };
        Self { outcome, changes, ..Self::default() }
    }

    /// Adds a certificate whose files had new material.
    pub fn certificate_replaced(&mut self, name: &CertificateName) {
        self.changes.certificates.changed.push(name.to_string());
        self.outcome = ReloadOutcome::Applied;
    }

    /// Notes when and how it ended.
    pub fn finish(&mut self, generation: u64, took: Duration) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.generation = generation;
        self.finished_at = now.as_secs();
        self.duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    }

    /// The same for the metrics.
    pub fn result(&self) -> ReloadResult {
        match self.outcome {
            ReloadOutcome::Applied => ReloadResult::Applied,
            ReloadOutcome::Refused => ReloadResult::Refused,
            ReloadOutcome::Unchanged => ReloadResult::Unchanged,
        }
    }

    /// Writes it to the operational messages.
    pub fn log(&self) {
        let ms = self.duration_us / 1000;
        match self.outcome {
            ReloadOutcome::Refused => {
                for complaint in &self.complaints {
                    tracing::error!("{}", complaint.one_line());
                }
                tracing::error!(
                    ms,
                    "reload refused: nothing changed, the old configuration serves"
                );
            }
            ReloadOutcome::Applied | ReloadOutcome::Unchanged => {
                for complaint in &self.complaints {
                    tracing::warn!("{}", complaint.one_line());
                }
                tracing::info!(ms, generation = self.generation, "reloaded: {}", self.changes);
            }
        }
    }
}

impl Changes {
    /// Whether everything stays as it was.
    pub fn is_empty(&self) -> bool {
        let kinds = self.kinds();
        let named = kinds.iter().any(|(_, names)| !names.is_empty());
        !named && !self.dns && !self.settings && self.restart_needed.is_empty()
    }

    fn kinds(&self) -> [(&'static str, &NamesChanged); 6] {
        [
            ("virtual services", &self.virtual_services),
            ("listeners", &self.listeners),
            ("groups of tokens", &self.hsms),
            ("certificates", &self.certificates),
            ("TLS profiles", &self.tls_profiles),
            ("pools", &self.pools),
        ]
    }
}

/// One line: `+1 ~2 virtual services (shop, blog, edge); ~1 certificates (shop_ec)`.
impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing changed");
        }
        let mut parts: Vec<String> = (self.kinds().into_iter())
            .filter(|(_, names)| !names.is_empty())
            .map(|(kind, names)| names.summary(kind))
            .collect();
        if self.dns {
            parts.push("DNS".to_owned());
        }
        if self.settings {
            parts.push("timeouts and limits".to_owned());
        }
        if !self.restart_needed.is_empty() {
            parts.push(format!("at the next start: {}", self.restart_needed.join(", ")));
        }
        f.write_str(&parts.join("; "))
    }
}

impl NamesChanged {
    fn of<K: fmt::Display + Ord>(changes: &plan::Changes<K>) -> Self {
        let names = |set: &BTreeSet<K>| set.iter().map(K::to_string).collect();
        Self {
            added: names(&changes.added),
            changed: names(&changes.replaced),
            removed: names(&changes.removed),
        }
    }

    fn summary(&self, kind: &str) -> String {
        let mut text = String::new();
        for (sign, names) in [('+', &self.added), ('~', &self.changed), ('-', &self.removed)] {
            if !names.is_empty() {
                text.push_str(&format!("{sign}{} ", names.len()));
            }
        }
        let all = || self.added.iter().chain(&self.changed).chain(&self.removed);
        let named: Vec<&str> = all().take(NAMED_IN_SUMMARY).map(String::as_str).collect();
        let more = if all().count() > named.len() { ", ..." } else { "" };
        format!("{text}{kind} ({}{more})", named.join(", "))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

/// One complaint about the configuration or what it names.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ReloadComplaint {
    /// `FILE:LINE:COLUMN` or a file, if it has a place.
    pub place: Option<String>,
    /// The sentence.
    pub message: String,
    /// The complaint as `check` prints it, with line and caret.
    pub rendered: String,
}

impl ReloadComplaint {
    /// For a log line: no caret, no second line.
    pub fn one_line(&self) -> String {
        match &self.place {
            Some(place) => format!("{place}: {}", self.message),
            None => self.message.clone(),
        }
    }
}

impl From<&Complaint> for ReloadComplaint {
    fn from(complaint: &Complaint) -> Self {
        Self {
            place: Some(complaint.place().to_string()),
            message: complaint.message().to_owned(),
            rendered: complaint.render(false),
        }
    }
}

impl From<&Fault> for ReloadComplaint {
    fn from(fault: &Fault) -> Self {
        let message = fault.to_string();
        Self { place: None, rendered: format!("error: {message}\n"), message }
    }
}

/// Enough to recognise one's own edit, short enough for one line with 10,000 changes.
const NAMED_IN_SUMMARY: usize = 5;
