//! Loading many certificates at once.

use std::sync::Arc;

use crate::certificate::Material;
use crate::certificate::MaterialError;
use crate::config::certificate::Certificate as Config;
use crate::hsm::Groups;
use crate::names::CertificateName;

/// The outcome of loading one certificate.
pub type Loaded = (CertificateName, Result<Material, MaterialError>);

/// Loads certificates on all cores; the outcomes come in the order of `configs`.
pub fn load_all(configs: &[Arc<Config>], groups: &Groups) -> Vec<Loaded> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    // A thread for a handful of certificates costs more than it saves.
    let share = configs.len().div_ceil(threads).max(MIN_SHARE);
    if configs.len() <= share {
        return load_share(configs, groups);
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            configs.chunks(share).map(|share| scope.spawn(|| load_share(share, groups))).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("loading does not panic"))
            .collect()
    })
}

fn load_share(configs: &[Arc<Config>], groups: &Groups) -> Vec<Loaded> {
    configs.iter().map(|config| (config.name.clone(), Material::load(config, groups))).collect()
}

const MIN_SHARE: usize = 16;
