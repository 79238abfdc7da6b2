//! The part of [`crate::runtime::prepare`] that reads certificates, and judges what was read.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::certificate::Certificate;
use crate::certificate::Material;
use crate::certificate::MaterialError;
use crate::certificate::store;
use crate::config;
use crate::hsm::Groups;
use crate::key::KeyType;
use crate::names::CertificateName;
use crate::runtime::fault::Fault;
use crate::runtime::plan::Plan;
use crate::runtime::prepare::Loaded;
use crate::runtime::prepare::Preparation;
use crate::runtime::prepare::Tolerance;
use crate::runtime::refresh::Stamps;

/// What became of a certificate, and the files just before they were read.
type Load = (CertificateName, Stamps, Result<Material, MaterialError>);

/// Slots of names that were not configured before.
pub(super) type NewSlots = BTreeMap<CertificateName, Arc<Certificate>>;

impl Preparation<'_> {
    /// The slots that are new, and what was read for those that are new or replaced.
    pub(super) fn certificates(&mut self, plan: &Plan, groups: &Groups) -> (NewSlots, Vec<Loaded>) {
        let read: Vec<Arc<config::certificate::Certificate>> = (self.wanted.certificates.iter())
            .filter(|(name, _)| plan.certificates.makes(name))
            .map(|(_, config)| Arc::clone(config))
            .collect();
        // What is written while it is read has another stamp afterwards.
        let loads = store::load_all(&read, |config| {
            (config.name.clone(), Stamps::of(config), Material::load(config, groups))
        });
        self.judge(&loads);

        let mut slots = Vec::new();
        let mut loaded = Vec::with_capacity(loads.len());
        for (name, stamps, material) in loads {
            let key_type = material.as_ref().ok().map(|material| material.facts.key_type());
            let replacement = if self.running.certificates.contains_key(&name) {
                material.ok()
            } else {
                let slot = Arc::new(Certificate::new(name.clone(), material));
                slots.push((name.clone(), slot));
                None
            };
            loaded.push(Loaded { name, stamps, key_type, replacement });
        }
        (slots.into_iter().collect(), loaded)
    }

    /// A wanted slot: a new one, or the one that runs.
    pub(super) fn slot(&self, made: &NewSlots, name: &CertificateName) -> Arc<Certificate> {
        let running = || &self.running.certificates[name];
        Arc::clone(made.get(name).unwrap_or_else(running))
    }

    fn judge(&mut self, loads: &[Load]) {
        let some_loaded = loads.iter().any(|(_, _, material)| material.is_ok());
        for (name, _, material) in loads {
            let (error, is_loaded) = match material {
                Ok(material) => match material.unproven() {
                    Some(error) => (MaterialError::Token(error.clone()), true),
                    None => continue,
                },
                Err(error) => (error.clone(), some_loaded),
            };
            let fault = Fault::Certificate(name.clone(), error.clone());
            if self.tolerance == Tolerance::EmptySlots && is_loaded {
                tracing::error!(certificate = %name, reason = error.reason(), "{fault}");
            } else {
                self.faults.push(fault);
            }
        }
    }

    /// A service has at most one certificate of each key type (SPEC DUAL).
    pub(super) fn check_key_types(&mut self, plan: &Plan, materials: &[Loaded]) {
        let read: BTreeMap<&CertificateName, KeyType> =
            (materials.iter()).filter_map(|one| Some((&one.name, one.key_type?))).collect();
        let running =
            |name| Some(self.running.certificates.get(name)?.material()?.facts.key_type());
        let touched: BTreeSet<_> = plan.certificates.replaced.iter().collect();
        for (name, service) in &self.wanted.virtual_services {
            let concerned = plan.virtual_services.makes(name)
                || service.certificates.iter().any(|used| touched.contains(used));
            if !concerned {
                continue;
            }
            let mut first_of: BTreeMap<KeyType, &CertificateName> = BTreeMap::new();
            for used in &service.certificates {
                let Some(key_type) = read.get(used).copied().or_else(|| running(used)) else {
                    continue;
                };
                if let Some(first) = first_of.insert(key_type, used) {
                    self.faults.push(Fault::SameKeyType {
                        virtual_service: name.clone(),
                        key_type,
                        certificates: [first.clone(), used.clone()],
                    });
                }
            }
        }
    }
}
