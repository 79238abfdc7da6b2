//! Loading many certificates at once.

use std::sync::Arc;

use crate::config::certificate::Certificate as Config;

/// Loads certificates on all cores; the outcomes come in the order of `configs`.
pub fn load_all<T: Send>(configs: &[Arc<Config>], load: impl Fn(&Config) -> T + Sync) -> Vec<T> {
    let load_share = |share: &[Arc<Config>]| share.iter().map(|config| load(config)).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    // A thread for a handful of certificates costs more than it saves.
    let share = configs.len().div_ceil(threads).max(MIN_SHARE);
    if configs.len() <= share {
        return load_share(configs);
    }
    std::thread::scope(|scope| {
        let load_share = &load_share;
        let threads: Vec<_> =
            configs.chunks(share).map(|share| scope.spawn(|| load_share(share))).collect();
        threads
            .into_iter()
            .flat_map(|thread| -> Vec<T> { thread.join().expect("loading does not panic") })
            .collect()
    })
}

const MIN_SHARE: usize = 16;
