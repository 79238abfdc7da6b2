//! Text to checked [`Config`]: what the operator wrote becomes what the program means.
//!
//! Each TOML table is one file here: its keys, the checked struct, and how one becomes the other. The
//! way of a configuration: [`files`] and [`syntax`] -> [`read`] and [`value`] (one table, one value) ->
//! [`raw`] (all tables of all files) -> [`family`], [`addresses`], [`token_keys`], [`references`]
//! (what must fit together) -> [`Config`]. Every step leaves its [`complaint`]s and goes on, so that an operator sees
//! all mistakes at once.
//!
//! Must not know rustls, hyper or tokio: a TLS profile is checked here as words and compiled in `tls`.

pub mod addresses;
pub mod admin;
pub mod balance;
pub mod build;
pub mod certificate;
pub mod cipher_suite;
pub mod client_certificate;
pub mod complaint;
pub mod dns;
pub mod endpoints;
#[cfg(test)]
mod example_tests;
pub mod family;
pub mod files;
pub mod header_edits;
pub mod health;
pub mod hsm;
pub mod http_words;
pub mod limits;
pub mod load;
#[cfg(test)]
mod load_tests;
pub mod log;
pub mod metrics;
pub mod mode;
pub mod networks;
pub mod no_pool;
pub mod pkcs11_uri;
pub mod policy;
pub mod pool;
pub mod pool_tls;
pub mod process;
pub mod queue;
pub mod rate_limit;
pub mod raw;
pub mod raw_virtual_service;
pub mod read;
pub mod redirect;
pub mod reference;
pub mod references;
pub mod render;
pub mod rule;
pub mod rule_action;
pub mod rules;
pub mod schema;
pub mod secret;
pub mod source;
pub mod suggest;
pub mod syntax;
pub mod tickets;
pub mod timeouts;
pub mod tls_profile;
pub mod tls_words;
pub mod token_keys;
pub mod units;
pub mod value;
pub mod variables;
pub mod virtual_service;
pub mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::names::CertificateName;
use crate::names::HsmName;
use crate::names::PoolName;
use crate::names::TlsProfileName;
use crate::names::VirtualServiceName;

pub use crate::config::load::Loaded;

/// A configuration in which every reference resolves and every value is in range.
///
/// Entries are behind `Arc` and compare by value: a reload keeps what compares equal.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Every file that was read, the main one first; all paths of this struct are absolute or
    /// relative to the directory of the file that names them, already joined.
    pub files: Vec<PathBuf>,
    /// Directories whose content decides what is included: a new file there is a change.
    pub include_directories: Vec<PathBuf>,
    /// Number of workers; fixed for the life of the process.
    pub workers: usize,
    /// Where the proxy keeps what must survive a restart.
    pub state_dir: PathBuf,
    /// `[admin]`
    pub admin: admin::Admin,
    /// `[dns]`
    pub dns: dns::Dns,
    /// `[limits]`
    pub limits: limits::Limits,
    /// `[log]`
    pub log: log::Log,
    /// `[metrics]`
    pub metrics: metrics::Metrics,
    /// `[process]`
    pub process: process::Process,
    /// `[tickets]`
    pub tickets: tickets::Tickets,
    /// `[timeouts]`
    pub timeouts: timeouts::Timeouts,
    /// `[watch]`
    pub watch: watch::Watch,
    /// `[virtual_service.NAME]`
    pub virtual_services: BTreeMap<VirtualServiceName, Arc<virtual_service::VirtualService>>,
    /// `[certificate.NAME]`
    pub certificates: BTreeMap<CertificateName, Arc<certificate::Certificate>>,
    /// `[hsm.NAME]`
    pub hsms: BTreeMap<HsmName, Arc<hsm::Hsm>>,
    /// Own profiles and the built-in ones that are in use.
    pub tls_profiles: BTreeMap<TlsProfileName, Arc<tls_profile::TlsProfile>>,
    /// `[pool.NAME]`
    pub pools: BTreeMap<PoolName, Arc<pool::Pool>>,
}

impl Config {
    /// This configuration as the successor of one that runs. What is equal in both is that of the one that
    /// runs, down to the whole: ten thousand entries are not held anew because one of them has changed.
    #[must_use]
    pub fn after(self, running: &Arc<Self>) -> Arc<Self> {
        if self == **running {
            return Arc::clone(running);
        }
        Arc::new(Self {
            virtual_services: kept(self.virtual_services, &running.virtual_services),
            certificates: kept(self.certificates, &running.certificates),
            hsms: kept(self.hsms, &running.hsms),
            tls_profiles: kept(self.tls_profiles, &running.tls_profiles),
            pools: kept(self.pools, &running.pools),
            ..self
        })
    }
}

type Entries<K, V> = BTreeMap<K, Arc<V>>;

fn kept<K: Clone + Ord, V: PartialEq>(
    wanted: Entries<K, V>,
    running: &Entries<K, V>,
) -> Entries<K, V> {
    let entries = wanted.into_iter().map(|(name, entry)| match running.get_key_value(&name) {
        Some((name, same)) if *same == entry => (name.clone(), Arc::clone(same)),
        _ => (name, entry),
    });
    entries.collect()
}
