//! All slots by name, and loading many certificates at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::certificate::Certificate;
use crate::certificate::Material;
use crate::certificate::MaterialError;
use crate::config::certificate::Certificate as Config;
use crate::names::CertificateName;

/// The slots, owned by the control plane; a snapshot goes to whoever lists them.
#[derive(Clone, Debug, Default)]
pub struct CertificateStore {
    slots: BTreeMap<CertificateName, Arc<Certificate>>,
}

impl CertificateStore {
    /// The slot of this name.
    pub fn find(&self, name: &CertificateName) -> Option<&Arc<Certificate>> {
        self.slots.get(name)
    }

    /// Adds a slot, or puts another one in its place.
    pub fn insert(&mut self, certificate: Arc<Certificate>) {
        self.slots.insert(certificate.name().clone(), certificate);
    }

    /// Takes a slot out; who still serves it keeps it.
    pub fn remove(&mut self, name: &CertificateName) -> Option<Arc<Certificate>> {
        self.slots.remove(name)
    }

    /// All slots, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Certificate>> {
        self.slots.values()
    }

    /// How many slots there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

/// The outcome of loading one certificate.
pub type Loaded = (CertificateName, Result<Material, MaterialError>);

/// Loads certificates on all cores; the outcomes come in the order of `configs`.
pub fn load_all(configs: &[Arc<Config>]) -> Vec<Loaded> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    // A thread for a handful of certificates costs more than it saves.
    let share = configs.len().div_ceil(threads).max(MIN_SHARE);
    if configs.len() <= share {
        return load_share(configs);
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            configs.chunks(share).map(|share| scope.spawn(|| load_share(share))).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("loading does not panic"))
            .collect()
    })
}

fn load_share(configs: &[Arc<Config>]) -> Vec<Loaded> {
    configs.iter().map(|config| (config.name.clone(), Material::load(config))).collect()
}

const MIN_SHARE: usize = 16;
