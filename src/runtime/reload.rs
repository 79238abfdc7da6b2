//! A reload from the operator's text to the report: read, plan and prepare, commit, refresh.
//!
//! SIGHUP, an edited file and the admin call all come here, so they cannot differ (SPEC RL-2).

use std::collections::BTreeMap;
use std::panic;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::certificate::Certificate;
use crate::certificate::MaterialWarning;
use crate::certificate::Validity;
use crate::config;
use crate::config::Config;
use crate::config::Loaded;
use crate::names::CertificateName;
use crate::runtime::commit;
use crate::runtime::fault::Fault;
use crate::runtime::plan::Plan;
use crate::runtime::prepare;
use crate::runtime::prepare::Tolerance;
use crate::runtime::refresh::Outcome;
use crate::runtime::refresh::Patience;
use crate::runtime::refresh::Refresh;
use crate::runtime::report::ReloadComplaint;
use crate::runtime::report::ReloadOutcome;
use crate::runtime::report::ReloadReport;
use crate::runtime::running::Process;
use crate::runtime::running::Running;
use crate::runtime::sources::Sources;
use crate::tls::acceptor::unix_now;

/// All that the control plane owns. It moves to a thread that may block while a reload works.
#[derive(Debug)]
pub struct State {
    /// The main configuration file.
    pub path: PathBuf,
    /// Set up once.
    pub process: Process,
    /// What runs.
    pub running: Running,
    /// What is known of certificate files.
    pub refresh: Refresh,
}

impl State {
    /// A process that serves nothing yet.
    pub fn new(path: PathBuf, process: Process) -> Self {
        Self { path, process, running: Running::default(), refresh: Refresh::default() }
    }

    /// What is in force.
    pub fn config(&self) -> Arc<Config> {
        let config = self.running.config.as_ref();
        Arc::clone(config.expect("the first configuration is put in force before anything asks"))
    }

    /// Puts the first configuration in force.
    pub fn first(&mut self, wanted: &Arc<Config>, tolerance: Tolerance) -> Result<(), Vec<Fault>> {
        let started = Instant::now();
        self.put_in_force(wanted, tolerance)?;
        self.process.reloads.started(started.elapsed());
        Ok(())
    }

    /// Reads the configuration again and puts it in force, or changes nothing and says why. With the report
    /// comes what the files of the configuration in force held when this began; those that it names now
    /// and did not before, what they held at its end.
    pub fn reload(&mut self) -> (ReloadReport, Sources) {
        let started = Instant::now();
        let before = Sources::of(&self.config());
        let mut report = surviving(|| match Config::load(&self.path) {
            Ok(loaded) => self.apply(loaded),
            Err(complaints) => ReloadReport {
                outcome: ReloadOutcome::Refused,
                complaints: complaints.iter().map(ReloadComplaint::from).collect(),
                ..ReloadReport::default()
            },
        });
        report.finish(self.running.generation, started.elapsed());
        let sources = Sources::of(&self.config()).since(before);
        self.process.reloads.finished(report.result(), report.generation, started.elapsed());
        (report, sources)
    }

    fn apply(&mut self, loaded: Loaded) -> ReloadReport {
        let wanted = loaded.config.after(&self.config());
        let mut complaints: Vec<_> = loaded.warnings.iter().map(ReloadComplaint::from).collect();
        match self.put_in_force(&wanted, Tolerance::Nothing) {
            Ok(plan) => {
                let names: Vec<CertificateName> = wanted.certificates.keys().cloned().collect();
                let looked_at = self.look_at(&names, Patience::Verdict);
                let mut report = ReloadReport::of(&plan);
                for (name, outcome) in looked_at {
                    match outcome {
                        Outcome::Replaced => report.certificate_replaced(&name),
                        Outcome::Broken(error) => {
                            let fault = Fault::Certificate(name, error);
                            complaints.push(ReloadComplaint::from(&fault));
                        }
                        Outcome::Same | Outcome::Waiting => {}
                    }
                }
                ReloadReport { complaints, ..report }
            }
            Err(faults) => ReloadReport {
                outcome: ReloadOutcome::Refused,
                complaints: faults.iter().map(ReloadComplaint::from).collect(),
                ..ReloadReport::default()
            },
        }
    }

    fn put_in_force(
        &mut self,
        wanted: &Arc<Config>,
        tolerance: Tolerance,
    ) -> Result<Plan, Vec<Fault>> {
        let prepared = prepare::prepare(wanted, &self.running, &self.process, tolerance)?;
        let plan = commit::commit(prepared, &mut self.running, &self.process, &mut self.refresh);
        self.process.certificate_reloads.retain(|name| wanted.certificates.contains_key(name));
        Ok(plan)
    }

    /// Looks at the files of these certificates and installs what is new. The names that changed,
    /// or should have, are given back with what became of them.
    pub fn look_at(
        &mut self,
        names: &[CertificateName],
        patience: Patience,
    ) -> BTreeMap<CertificateName, Outcome> {
        let mut outcomes = BTreeMap::new();
        for name in names {
            let Some((slot, config)) = self.slot(name) else { continue };
            // A panic here is a bug in reading one certificate: the others are looked at all the same.
            let look = AssertUnwindSafe(|| {
                self.refresh.look(&slot, &config, (&self.running.hsms, patience))
            });
            if let Some(outcome) = panic::catch_unwind(look).unwrap_or_default() {
                self.tell(name, &outcome);
                outcomes.insert(name.clone(), outcome);
            }
        }
        outcomes
    }

    fn slot(
        &self,
        name: &CertificateName,
    ) -> Option<(Arc<Certificate>, Arc<config::certificate::Certificate>)> {
        let config = self.running.config.as_ref()?.certificates.get(name)?;
        Some((Arc::clone(self.running.certificates.get(name)?), Arc::clone(config)))
    }

    fn tell(&self, name: &CertificateName, outcome: &Outcome) {
        match outcome {
            Outcome::Replaced => {
                tracing::info!(certificate = %name, "replaced: new handshakes use the new one");
                self.process.certificate_reloads.changed(name, true);
            }
            Outcome::Broken(error) => {
                let reason = error.reason();
                tracing::error!(certificate = %name, reason, "{error}; the old one goes on being served");
                self.process.certificate_reloads.changed(name, false);
            }
            Outcome::Same => tracing::debug!(certificate = %name, "touched, content unchanged"),
            Outcome::Waiting => {
                tracing::debug!(certificate = %name, "not usable yet: waiting for the rest");
            }
        }
    }

    /// What is probably not meant: names that no certificate covers, dates, readable keys.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (name, slot) in &self.running.certificates {
            let Some(material) = slot.material() else { continue };
            let said = material.warnings.iter().map(MaterialWarning::to_string);
            warnings.extend(said.map(|warning| format!("certificate `{name}`: {warning}")));
            let late = match material.facts.validity(unix_now()) {
                Validity::Good => continue,
                Validity::Expired => "it is expired: clients will refuse it",
                Validity::NotYetValid => "it is not valid yet: clients will refuse it",
            };
            warnings.push(format!("certificate `{name}`: {late}"));
        }
        for service in self.running.virtual_services.values() {
            warnings.extend(service.uncovered_domains().map(|domain| {
                format!("virtual service `{}`: no certificate of it covers {domain}", service.name)
            }));
        }
        warnings
    }
}

/// A panic while files are read is a bug, and no reason to stop serving: nothing that runs has been touched
/// before the commit, which cannot fail.
fn surviving(reload: impl FnOnce() -> ReloadReport) -> ReloadReport {
    panic::catch_unwind(AssertUnwindSafe(reload)).unwrap_or_else(|_| ReloadReport {
        outcome: ReloadOutcome::Refused,
        complaints: vec![ReloadComplaint::from(&Fault::Panic)],
        ..ReloadReport::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Multiplied by every service and certificate: there may be ten thousand.
    #[test]
    fn what_a_service_is_made_of_is_small() {
        use crate::certificate::Material;
        use crate::certificate::stamp::FileStamp;
        use crate::service::VirtualService;

        let sizes = [
            (
                "a service as it is checked",
                size_of::<config::virtual_service::VirtualService>(),
                320,
            ),
            ("a service as it runs", size_of::<VirtualService>(), 432),
            ("a certificate as it is checked", size_of::<config::certificate::Certificate>(), 104),
            ("a slot", size_of::<Certificate>(), 48),
            ("its material", size_of::<Material>(), 168),
            ("what is known of a file", size_of::<Option<FileStamp>>(), 48),
        ];
        for (what, size, most) in sizes {
            assert!(size <= most, "{what}: {size} bytes, not {most}");
        }
    }

    #[test]
    fn a_panic_in_a_reload_is_a_refusal() {
        let report = surviving(|| panic!("as this test wants it"));
        assert_eq!(report.outcome, ReloadOutcome::Refused);
        assert!(report.complaints[0].message.contains("bug"));
        assert_eq!(surviving(ReloadReport::default).outcome, ReloadOutcome::Unchanged);
    }
}
