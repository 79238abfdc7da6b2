//! The middle of a reload: everything that can fail happens here, and dropping the result undoes it.
//!
//! Reads files, compiles profiles, loads keys, binds sockets. Nothing that runs is touched.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::certificate::Certificate;
use crate::certificate::Material;
use crate::config;
use crate::config::Config;
use crate::hsm::Group;
use crate::hsm::Groups;
use crate::key::KeyType;
use crate::names::CertificateName;
use crate::names::PoolName;
use crate::names::TlsProfileName;
use crate::names::VirtualServiceName;
use crate::runtime::error_pages::ErrorPages;
use crate::runtime::fault::Fault;
use crate::runtime::plan::ChangedFiles;
use crate::runtime::plan::Plan;
use crate::runtime::plan::Socket;
use crate::runtime::prepare_certificates::NewSlots;
use crate::runtime::refresh::Stamps;
use crate::runtime::running::Process;
use crate::runtime::running::Running;
use crate::runtime::running::RunningPool;
use crate::runtime::running::Tokens;
use crate::runtime::socket::BindError;
use crate::runtime::socket::Bound;
use crate::runtime::sources::Content;
use crate::runtime::sources::content;
use crate::service::Parts;
use crate::service::Target;
use crate::service::VirtualService;
use crate::service::policy::Policy;
use crate::telemetry::app_log::Sinks;
use crate::telemetry::service_metrics::ServiceMetrics;
use crate::tls::acceptor::Acceptor;
use crate::tls::client;
use crate::tls::profile::Profile;
use crate::upstream::Pool;
use crate::upstream::Sizes;

/// All that a commit needs. It holds sockets and keys that nobody uses yet.
#[derive(Debug)]
pub struct Prepared {
    /// What will be in force.
    pub config: Arc<Config>,
    /// What changes.
    pub plan: Plan,
    /// Every group of tokens that is wanted, old and new.
    pub hsms: Groups,
    /// New slots only.
    pub certificates: BTreeMap<CertificateName, Arc<Certificate>>,
    /// What was read for new and replaced slots.
    pub materials: Vec<Loaded>,
    /// Every profile that is wanted.
    pub tls_profiles: BTreeMap<TlsProfileName, Arc<Profile>>,
    /// Every pool that is wanted; replaced ones still have their old members.
    pub pools: BTreeMap<PoolName, RunningPool>,
    /// What the files of error pages hold.
    pub error_pages: ErrorPages,
    /// New and replaced services only.
    pub virtual_services: BTreeMap<VirtualServiceName, Arc<VirtualService>>,
    /// New sockets.
    pub sockets: Vec<(Socket, Bound)>,
}

/// A certificate that was read.
#[derive(Debug)]
pub struct Loaded {
    /// The slot.
    pub name: CertificateName,
    /// The files just before they were read.
    pub stamps: Stamps,
    /// `None` where nothing could be loaded, which only a start tolerates.
    pub key_type: Option<KeyType>,
    /// What a running slot gets with the commit. A new slot has it already.
    pub replacement: Option<Material>,
}

/// What a configuration may lack and still be put in force.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tolerance {
    /// Certificates, as long as one can be loaded: at the start one bad file must not keep 9,999
    /// sites dark.
    EmptySlots,
    /// Nothing: a reload changes nothing unless all of it is in order.
    Nothing,
}

/// Prepares what `wanted` needs and `running` does not have. All faults are collected.
pub fn prepare(
    wanted: &Arc<Config>,
    running: &Running,
    process: &Process,
    tolerance: Tolerance,
) -> Result<Prepared, Vec<Fault>> {
    let faults = Vec::new();
    let mut preparation = Preparation { wanted, running, process, tolerance, faults };
    let tls_profiles = preparation.tls_profiles();
    let pool_files = preparation.pool_files();
    let error_pages = preparation.error_pages();
    let changed = preparation.changed_files(&tls_profiles, &pool_files, &error_pages);
    let plan = Plan::new(running.config.as_deref(), wanted, &changed);

    let hsms = preparation.hsms(&plan);
    let (certificates, materials) = preparation.certificates(&plan, &hsms);
    preparation.check_key_types(&plan, &materials);
    let pool_clients = preparation.pool_clients(&pool_files, &certificates);
    if !preparation.faults.is_empty() {
        return Err(preparation.faults);
    }

    let pools = preparation.pools(&plan, &pool_clients, pool_files);
    let pool_of = pools.iter().map(|(name, running)| (name.clone(), Arc::clone(&running.pool)));
    let made = Made {
        certificates: &certificates,
        profiles: &tls_profiles,
        pools: &pool_of.collect(),
        error_pages: &error_pages,
    };
    let virtual_services = preparation.virtual_services(&plan, made);
    let sockets = preparation.sockets(&plan);
    if !preparation.faults.is_empty() {
        return Err(preparation.faults);
    }
    Ok(Prepared {
        config: Arc::clone(wanted),
        plan,
        hsms,
        certificates,
        materials,
        tls_profiles,
        pools,
        error_pages,
        virtual_services,
        sockets,
    })
}

pub(super) struct Preparation<'a> {
    pub(super) wanted: &'a Arc<Config>,
    pub(super) running: &'a Running,
    process: &'a Process,
    pub(super) tolerance: Tolerance,
    pub(super) faults: Vec<Fault>,
}

/// What services are put together from.
#[derive(Clone, Copy)]
struct Made<'a> {
    certificates: &'a NewSlots,
    profiles: &'a BTreeMap<TlsProfileName, Arc<Profile>>,
    pools: &'a BTreeMap<PoolName, Arc<Pool>>,
    error_pages: &'a ErrorPages,
}

impl Preparation<'_> {
    /// Starts the groups that are new or changed; dropped, their threads end.
    fn hsms(&mut self, plan: &Plan) -> Groups {
        let mut groups = Groups::new();
        for (name, config) in &self.wanted.hsms {
            let kept = self.running.hsms.get(name).filter(|_| !plan.hsms.makes(name));
            let recorder = &self.process.recorder;
            let group = match (kept, self.process.tokens) {
                (Some(kept), _) => Ok(Arc::clone(kept)),
                (None, Tokens::Use) => Group::start(config, recorder),
                (None, Tokens::Check) => {
                    let config = config::hsm::Hsm { sessions: 1, ..(**config).clone() };
                    Group::start(&Arc::new(config), recorder)
                }
                (None, Tokens::Assume) => Ok(Group::assumed(config, recorder)),
            };
            match group {
                Ok(group) => drop(groups.insert(name.clone(), group)),
                Err(error) => self.faults.push(Fault::Hsm(name.clone(), error)),
            }
        }
        groups
    }

    /// Compiles every profile, because its CA and CRL may have changed behind it, and keeps the
    /// running one where nothing did.
    fn tls_profiles(&mut self) -> BTreeMap<TlsProfileName, Arc<Profile>> {
        let mut profiles = BTreeMap::new();
        for (name, config) in &self.wanted.tls_profiles {
            match Profile::compile(config) {
                Ok(compiled) => {
                    let running = self.running.tls_profiles.get(name);
                    let kept = running.filter(|running| running.digest() == compiled.digest());
                    profiles.insert(name.clone(), kept.cloned().unwrap_or(compiled));
                }
                Err(error) => self.faults.push(Fault::TlsProfile(name.clone(), error)),
            }
        }
        profiles
    }

    /// What the TLS settings of each pool are made from: the content of its CA file.
    fn pool_files(&self) -> BTreeMap<PoolName, Content> {
        let pools = self.wanted.pools.iter();
        let ca = |pool: &config::pool::Pool| pool.tls.as_ref()?.ca.clone();
        pools.filter_map(|(name, pool)| Some((name.clone(), content(&ca(pool)?)))).collect()
    }

    fn changed_files(
        &self,
        profiles: &BTreeMap<TlsProfileName, Arc<Profile>>,
        pool_files: &BTreeMap<PoolName, Content>,
        error_pages: &ErrorPages,
    ) -> ChangedFiles {
        let running = self.running;
        let profiles = profiles.iter().filter(|(name, profile)| {
            running.tls_profiles.get(*name).is_some_and(|old| old.digest() != profile.digest())
        });
        let pools = pool_files.iter().filter(|(name, files)| {
            running.pools.get(*name).is_some_and(|old| old.files != **files)
        });
        ChangedFiles {
            tls_profiles: profiles.map(|(name, _)| name.clone()).collect(),
            pools: pools.map(|(name, _)| name.clone()).collect(),
            virtual_services: running.error_pages.changed(error_pages),
        }
    }

    /// The client side of each pool's TLS; kept where it means the same, because a pool keeps the
    /// connections of endpoints whose settings are the same.
    fn pool_clients(
        &mut self,
        files: &BTreeMap<PoolName, Content>,
        certificates: &NewSlots,
    ) -> BTreeMap<PoolName, Arc<ClientConfig>> {
        let mut clients = BTreeMap::new();
        for (name, config) in &self.wanted.pools {
            let Some(tls) = &config.tls else { continue };
            if let Some(kept) = self.kept_client(config, files.get(name).copied().flatten()) {
                clients.insert(name.clone(), kept);
                continue;
            }
            let certificate = tls.certificate.as_ref().map(|used| self.slot(certificates, used));
            match client::client_config(tls, config.protocol, certificate) {
                Ok(client) => drop(clients.insert(name.clone(), client)),
                Err(error) => self.faults.push(Fault::Pool(name.clone(), error)),
            }
        }
        clients
    }

    fn kept_client(
        &self,
        wanted: &config::pool::Pool,
        files: Content,
    ) -> Option<Arc<ClientConfig>> {
        let running = self.running.pools.get(&wanted.name)?;
        let config = self.running.config.as_ref()?.pools.get(&wanted.name)?;
        let is_same = config.tls == wanted.tls
            && config.protocol == wanted.protocol
            && running.files == files;
        running.client.clone().filter(|_| is_same)
    }

    fn pools(
        &self,
        plan: &Plan,
        clients: &BTreeMap<PoolName, Arc<ClientConfig>>,
        mut files: BTreeMap<PoolName, Content>,
    ) -> BTreeMap<PoolName, RunningPool> {
        let sizes = Sizes {
            workers: self.process.workers.len(),
            response_head: self.wanted.limits.response_head,
        };
        let mut pools = BTreeMap::new();
        for (name, config) in &self.wanted.pools {
            let running = self.running.pools.get(name);
            let kept = running.filter(|_| !plan.pools.added.contains(name));
            let pool = kept.map(|running| Arc::clone(&running.pool)).unwrap_or_else(|| {
                Pool::new(config, clients.get(name).cloned(), &self.process.recorder, sizes)
            });
            let files = files.remove(name).flatten();
            let client = clients.get(name).cloned();
            pools.insert(name.clone(), RunningPool { pool, client, files });
        }
        pools
    }

    fn virtual_services(
        &mut self,
        plan: &Plan,
        made: Made<'_>,
    ) -> BTreeMap<VirtualServiceName, Arc<VirtualService>> {
        let mut services = BTreeMap::new();
        let mut sinks = Sinks::new(&self.process.log);
        for (name, config) in &self.wanted.virtual_services {
            if !plan.virtual_services.makes(name) {
                continue;
            }
            let profile = Arc::clone(&made.profiles[&config.tls_profile]);
            let slots = config.certificates.iter().map(|used| self.slot(made.certificates, used));
            let ticketer = self.process.tickets.ticketer(name, profile.client_auth_digest());
            let tls = Acceptor::new(Arc::clone(&profile), slots.collect(), ticketer);
            let log = sinks.sink(&config.log, config.log_sample);
            let (tls, log) = match (tls, log) {
                (Ok(tls), Ok(log)) => (tls, log),
                (tls, log) => {
                    let certificates = tls.err().map(|error| Fault::Acceptor(name.clone(), error));
                    let log = log.err().map(|error| Fault::Log(name.clone(), error));
                    self.faults.extend(certificates.into_iter().chain(log));
                    continue;
                }
            };
            let parts = Parts {
                tls,
                all_handshakes: Arc::clone(&self.process.handshakes),
                target: self.target(config, made.pools),
                policy: policy(config, made),
                metrics: self.metrics(name),
                log,
            };
            let service = VirtualService::new(config, parts);
            services.insert(name.clone(), Arc::new(service));
        }
        services
    }

    fn target(
        &self,
        config: &config::virtual_service::VirtualService,
        pools: &BTreeMap<PoolName, Arc<Pool>>,
    ) -> Target {
        match &config.target {
            config::virtual_service::Target::NoPool(action) => Target::NoPool(action.clone()),
            config::virtual_service::Target::Pool(name) => Target::Pool(Arc::clone(&pools[name])),
        }
    }

    fn error_pages(&mut self) -> ErrorPages {
        let (pages, faults) = ErrorPages::read(self.wanted);
        self.faults.extend(faults);
        pages
    }

    fn metrics(&self, name: &VirtualServiceName) -> Arc<ServiceMetrics> {
        let running = self.running.metrics.get(name).cloned();
        running.unwrap_or_else(|| ServiceMetrics::new(&self.process.recorder, name))
    }

    fn sockets(&mut self, plan: &Plan) -> Vec<(Socket, Bound)> {
        let mut bound = Vec::new();
        if self.process.workers.is_empty() {
            // A rehearsal: nobody would accept.
            return bound;
        }
        for socket in &plan.sockets.added {
            let shared = self.running.sockets.keys().any(|open| open.address == socket.address);
            let workers = self.process.workers.len();
            let made = match self.process.passed(socket.address) {
                Some(listener) => Bound::passed(listener, workers)
                    .map_err(|source| BindError { address: socket.address, source }),
                None => Bound::bind(socket.address, workers, shared),
            };
            match made {
                Ok(sockets) => bound.push((socket.clone(), sockets)),
                Err(error) => self.faults.push(Fault::Bind(error)),
            }
        }
        bound
    }
}

fn policy(config: &config::virtual_service::VirtualService, made: Made<'_>) -> Option<Box<Policy>> {
    Policy::compile(config.policy.as_deref()?, made.pools, made.error_pages.of(&config.name))
}
