//! What a reload would change: data in, data out. Reads no file and touches nothing that runs.
//!
//! Equality of checked configuration decides. What compares equal is kept, with its connections,
//! idle upstream connections, tickets and counters.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::config::Config;
use crate::config::certificate::KeySource;
use crate::config::virtual_service::Role;
use crate::config::virtual_service::VirtualService;
use crate::names::CertificateName;
use crate::names::HsmName;
use crate::names::ListenAddr;
use crate::names::PoolName;
use crate::names::TlsProfileName;
use crate::names::VirtualServiceName;

/// The difference between what runs and what the operator wrote.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// Groups of tokens. What compares equal keeps its sessions: no reload logs in again.
    pub hsms: Changes<HsmName>,
    /// Slots by name; *replaced* means that the table changed, or the group that has the key, not the file behind it.
    pub certificates: Changes<CertificateName>,
    /// Profiles, a changed CA or CRL file included.
    pub tls_profiles: Changes<TlsProfileName>,
    /// Pools, a changed CA or client certificate file included.
    pub pools: Changes<PoolName>,
    /// Services whose own table, profile or error pages changed.
    pub virtual_services: Changes<VirtualServiceName>,
    /// Sockets by address and purpose.
    pub sockets: Changes<Socket>,
    /// Whether `[dns]` is as it was; if not, names are resolved anew by what it says now.
    pub dns_unchanged: bool,
    /// Whether `[timeouts]` and `[limits]` are as they were.
    pub settings_unchanged: bool,
    /// Keys that take effect at the next start only.
    pub next_start: Vec<&'static str>,
}

/// What happens to the things of one kind.
#[derive(Debug, PartialEq)]
pub struct Changes<K> {
    /// New names.
    pub added: BTreeSet<K>,
    /// Names that stay and mean something else.
    pub replaced: BTreeSet<K>,
    /// Names that go.
    pub removed: BTreeSet<K>,
}

/// One listening address of a parent.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Socket {
    /// The parent that owns it.
    pub parent: VirtualServiceName,
    /// As configured.
    pub address: ListenAddr,
    /// What is spoken on it.
    pub purpose: Purpose,
}

/// What is spoken on a socket.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Purpose {
    /// Plain HTTP that answers with a redirect to HTTPS.
    Redirect,
    /// TLS.
    Tls,
}

/// Things whose files changed behind an unchanged table.
#[derive(Debug, Default)]
pub struct ChangedFiles {
    /// Profiles whose CA or CRL has other content than what is in use.
    pub tls_profiles: BTreeSet<TlsProfileName>,
    /// Pools whose CA or client certificate has other content than what is in use.
    pub pools: BTreeSet<PoolName>,
    /// Services whose error pages have other content than what is in use.
    pub virtual_services: BTreeSet<VirtualServiceName>,
}

impl Plan {
    /// Compares what runs (`None` at the start) with what is wanted.
    pub fn new(running: Option<&Config>, wanted: &Config, changed: &ChangedFiles) -> Self {
        let Some(running) = running else { return Self::from_nothing(wanted) };
        let tls_profiles = Changes::between(&running.tls_profiles, &wanted.tls_profiles)
            .with_replaced(&changed.tls_profiles);
        let own = Changes::between(&running.virtual_services, &wanted.virtual_services);
        let with_profile: BTreeSet<_> = (wanted.virtual_services.values())
            .filter(|service| {
                tls_profiles.replaced.contains(&service.tls_profile)
                    && running.virtual_services.contains_key(&service.name)
            })
            .map(|service| service.name.clone())
            .collect();
        let hsms = Changes::between(&running.hsms, &wanted.hsms);
        let in_other_groups: BTreeSet<_> = (wanted.certificates.values())
            .filter(|certificate| match &certificate.key {
                KeySource::Token { hsm, .. } => hsms.makes(hsm),
                KeySource::File { .. } => false,
            })
            .map(|certificate| certificate.name.clone())
            .collect();
        Self {
            certificates: Changes::between(&running.certificates, &wanted.certificates)
                .with_replaced(&in_other_groups),
            hsms,
            tls_profiles,
            pools: Changes::between(&running.pools, &wanted.pools).with_replaced(&changed.pools),
            virtual_services: own
                .with_replaced(&with_profile)
                .with_replaced(&changed.virtual_services),
            sockets: Changes::of_sets(&sockets_of(running), &sockets_of(wanted)),
            dns_unchanged: running.dns == wanted.dns,
            settings_unchanged: running.timeouts == wanted.timeouts
                && running.limits == wanted.limits,
            next_start: next_start(running, wanted),
        }
    }

    /// Whether what is wanted is what runs.
    pub fn is_empty(&self) -> bool {
        self.hsms.is_empty()
            && self.certificates.is_empty()
            && self.tls_profiles.is_empty()
            && self.pools.is_empty()
            && self.virtual_services.is_empty()
            && self.sockets.is_empty()
            && self.dns_unchanged
            && self.settings_unchanged
    }

    fn from_nothing(wanted: &Config) -> Self {
        Self {
            hsms: Changes::all_new(&wanted.hsms),
            certificates: Changes::all_new(&wanted.certificates),
            tls_profiles: Changes::all_new(&wanted.tls_profiles),
            pools: Changes::all_new(&wanted.pools),
            virtual_services: Changes::all_new(&wanted.virtual_services),
            sockets: Changes::of_sets(&BTreeSet::new(), &sockets_of(wanted)),
            dns_unchanged: false,
            settings_unchanged: false,
            next_start: Vec::new(),
        }
    }
}

impl<K: Clone + Ord> Changes<K> {
    fn between<V: PartialEq>(old: &BTreeMap<K, Arc<V>>, new: &BTreeMap<K, Arc<V>>) -> Self {
        let replaced =
            new.iter().filter(|(key, value)| old.get(key).is_some_and(|old| differ(old, value)));
        Self {
            added: new.keys().filter(|key| !old.contains_key(key)).cloned().collect(),
            replaced: replaced.map(|(key, _)| key.clone()).collect(),
            removed: old.keys().filter(|key| !new.contains_key(key)).cloned().collect(),
        }
    }

    fn of_sets(old: &BTreeSet<K>, new: &BTreeSet<K>) -> Self {
        Self {
            added: new.difference(old).cloned().collect(),
            replaced: BTreeSet::new(),
            removed: old.difference(new).cloned().collect(),
        }
    }

    fn all_new<V>(new: &BTreeMap<K, V>) -> Self {
        Self { added: new.keys().cloned().collect(), ..Self::default() }
    }

    /// Adds names that stay but whose files changed.
    fn with_replaced(mut self, changed: &BTreeSet<K>) -> Self {
        let stays = |key: &&K| !self.added.contains(key) && !self.removed.contains(key);
        let more: Vec<K> = changed.iter().filter(stays).cloned().collect();
        self.replaced.extend(more);
        self
    }

    /// Whether a name has to be made anew.
    pub fn makes(&self, key: &K) -> bool {
        self.added.contains(key) || self.replaced.contains(key)
    }
}

impl<K> Changes<K> {
    /// Whether everything of this kind is kept.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.replaced.is_empty() && self.removed.is_empty()
    }
}

impl<K> Default for Changes<K> {
    fn default() -> Self {
        Self { added: BTreeSet::new(), replaced: BTreeSet::new(), removed: BTreeSet::new() }
    }
}

impl Purpose {
    /// The word in logs and status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Redirect => "redirect",
            Self::Tls => "tls",
        }
    }
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// What is the same thing is not looked at.
fn differ<V: PartialEq>(old: &Arc<V>, new: &Arc<V>) -> bool {
    !Arc::ptr_eq(old, new) && old != new
}

/// The sockets that a configuration asks for.
pub fn sockets_of(config: &Config) -> BTreeSet<Socket> {
    config.virtual_services.values().flat_map(|service| sockets_of_service(service)).collect()
}

fn sockets_of_service(service: &VirtualService) -> Vec<Socket> {
    let Role::Parent { listen, redirect_http, .. } = &service.role else { return Vec::new() };
    let socket = |address: &ListenAddr, purpose| Socket {
        parent: service.name.clone(),
        address: *address,
        purpose,
    };
    let tls = listen.iter().map(|address| socket(address, Purpose::Tls));
    tls.chain(redirect_http.iter().map(|address| socket(address, Purpose::Redirect))).collect()
}

/// Threads, directories and doors are set up once.
fn next_start(running: &Config, wanted: &Config) -> Vec<&'static str> {
    let mut keys = Vec::new();
    if running.workers != wanted.workers {
        keys.push("workers");
    }
    if running.state_dir != wanted.state_dir {
        keys.push("state_dir");
    }
    if running.admin != wanted.admin {
        keys.push("admin");
    }
    if running.metrics != wanted.metrics {
        keys.push("metrics");
    }
    if running.limits.connections != wanted.limits.connections {
        keys.push("limits.connections");
    }
    if running.tickets != wanted.tickets {
        keys.push("tickets");
    }
    if running.process.user != wanted.process.user || running.process.group != wanted.process.group
    {
        keys.push("process.user and process.group");
    }
    if running.watch != wanted.watch {
        keys.push("watch");
    }
    if running.log.level != wanted.log.level || running.log.format != wanted.log.format {
        keys.push("log.level and log.format");
    }
    keys
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
