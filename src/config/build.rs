//! The last step: from tables without complaints to a [`Config`], with what is inherited and what is
//! left out filled in.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use ipnet::IpNet;

use crate::config::Config;
use crate::config::certificate::Certificate;
use crate::config::certificate::KeySource;
use crate::config::certificate::RawCertificate;
use crate::config::certificate::RawKeySource;
use crate::config::hsm::Hsm;
use crate::config::log::Log;
use crate::config::pool::Pool;
use crate::config::pool::PoolTls;
use crate::config::pool::RawPool;
use crate::config::process::WorldReadableKeys;
use crate::config::raw::Named;
use crate::config::raw::Raw;
use crate::config::raw_virtual_service::RawVirtualService;
use crate::config::source::Located;
use crate::config::tls_profile;
use crate::config::tls_profile::TlsProfile;
use crate::config::token_keys;
use crate::config::token_keys::Hsms;
use crate::config::virtual_service::Forwarded;
use crate::config::virtual_service::HostCheck;
use crate::config::virtual_service::NoPool;
use crate::config::virtual_service::Role;
use crate::config::virtual_service::Target;
use crate::config::virtual_service::UnderscoreFields;
use crate::config::virtual_service::VirtualService;
use crate::names::CertificateName;
use crate::names::HsmName;
use crate::names::PoolName;
use crate::names::TlsProfileName;
use crate::names::VirtualServiceName;

/// Without complaints, every field is either absent or good. What is written is given up as it is taken over.
pub fn config(
    raw: Raw,
    files: Vec<PathBuf>,
    include_directories: Vec<PathBuf>,
    directory: &Path,
) -> Config {
    let others = Others {
        parents: &parents(&raw.virtual_services),
        certificates: &raw.certificates,
        pools: &raw.pools,
        log: &raw.log,
    };
    let services = raw.virtual_services.into_iter().filter_map(|(name, service)| {
        let service = virtual_service(&name, *service.content?, &others);
        Some((name, Arc::new(service)))
    });
    let virtual_services: BTreeMap<_, _> = services.collect();
    let tls_profiles = tls_profiles(raw.tls_profiles, &virtual_services);
    Config {
        files,
        include_directories,
        workers: raw
            .workers
            .unwrap_or_else(|| thread::available_parallelism().map_or(1, Into::into)),
        state_dir: raw.state_dir.unwrap_or_else(|| directory.join("state")),
        admin: raw.admin,
        dns: raw.dns,
        limits: raw.limits,
        log: raw.log,
        metrics: raw.metrics,
        certificates: certificates(raw.certificates, &raw.hsms, raw.process.world_readable_keys),
        hsms: hsms(raw.hsms, raw.process.world_readable_keys),
        process: raw.process,
        tickets: raw.tickets,
        timeouts: raw.timeouts,
        watch: raw.watch,
        virtual_services,
        tls_profiles,
        pools: raw
            .pools
            .into_iter()
            .filter_map(|(name, pool)| Some((name, Arc::new(build_pool(*pool.content?)))))
            .collect(),
    }
}

/// Own profiles, and the built-in ones that are in use.
fn tls_profiles(
    own: BTreeMap<TlsProfileName, Named<TlsProfile>>,
    services: &BTreeMap<VirtualServiceName, Arc<VirtualService>>,
) -> BTreeMap<TlsProfileName, Arc<TlsProfile>> {
    let own = own.into_iter();
    let mut profiles: BTreeMap<_, _> =
        own.filter_map(|(name, profile)| Some((name, Arc::new(*profile.content?)))).collect();
    for VirtualService { tls_profile, .. } in services.values().map(|service| &**service) {
        if profiles.contains_key(tls_profile) {
            continue;
        }
        if let Some(built_in) = TlsProfile::named(tls_profile.as_str()) {
            profiles.insert(tls_profile.clone(), Arc::new(built_in));
        }
    }
    profiles
}

fn certificates(
    raw: BTreeMap<CertificateName, Named<RawCertificate>>,
    hsms: &Hsms,
    world_readable: WorldReadableKeys,
) -> BTreeMap<CertificateName, Arc<Certificate>> {
    raw.into_iter()
        .filter_map(|(name, certificate)| {
            let RawCertificate { name: own, chain, key } = *certificate.content?;
            let key = key_source(key, hsms)?;
            Some((name, Arc::new(Certificate { name: own, chain, key, world_readable })))
        })
        .collect()
}

fn key_source(raw: RawKeySource, hsms: &Hsms) -> Option<KeySource> {
    Some(match raw {
        RawKeySource::File { path, passphrase } => KeySource::File { path, passphrase },
        RawKeySource::Token(key) => {
            let hsm = token_keys::group(&key, hsms).ok()?.clone();
            KeySource::Token { hsm, key: Box::new(key.key.value) }
        }
    })
}

fn hsms(raw: Hsms, world_readable: WorldReadableKeys) -> BTreeMap<HsmName, Arc<Hsm>> {
    raw.into_iter()
        .filter_map(|(name, hsm)| {
            Some((name, Arc::new(Hsm { world_readable, ..hsm.content?.hsm })))
        })
        .collect()
}

/// What a service is put together with, besides what it says itself.
struct Others<'a> {
    parents: &'a BTreeMap<VirtualServiceName, Inherited>,
    certificates: &'a BTreeMap<CertificateName, Named<RawCertificate>>,
    pools: &'a BTreeMap<PoolName, Named<RawPool>>,
    log: &'a Log,
}

/// What children have from their parent unless they say otherwise.
struct Inherited {
    tls_profile: TlsProfileName,
    trusted_proxies: Vec<IpNet>,
}

fn parents(services: &Services) -> BTreeMap<VirtualServiceName, Inherited> {
    let written = services.iter().filter_map(|(name, one)| Some((name, one.content.as_ref()?)));
    let parents = written.filter(|(_, content)| content.parent.is_absent());
    let inherited = |content: &RawVirtualService| Inherited {
        tls_profile: content.tls_profile.good().map_or_else(intermediate, |one| one.value.clone()),
        trusted_proxies: content.trusted_proxies.good().map(values).unwrap_or_default(),
    };
    parents.map(|(name, content)| (name.clone(), inherited(content))).collect()
}

fn intermediate() -> TlsProfileName {
    tls_profile::INTERMEDIATE.parse().expect("the names of built-in profiles are names")
}

fn virtual_service(
    name: &VirtualServiceName,
    content: RawVirtualService,
    others: &Others<'_>,
) -> VirtualService {
    let mode = content.mode();
    let log = content.log.value().unwrap_or_default();
    let parent = content.parent.good().map(|parent| &parent.value);
    let inherited = parent.and_then(|parent| others.parents.get(parent));
    let tls_profile = || inherited.map(|parent| parent.tls_profile.clone());
    let proxies = || inherited.map(|parent| parent.trusted_proxies.clone());
    let own_proxies = content.trusted_proxies.good().map(values);
    let certificates = content.certificates.value().unwrap_or_default().into_iter();
    VirtualService {
        name: name.clone(),
        certificates: certificates.map(|one| same(&one.value, others.certificates)).collect(),
        tls_profile: (content.tls_profile.value().or_else(tls_profile))
            .unwrap_or_else(intermediate),
        target: target(content.pool.value(), content.no_pool.value(), others.pools),
        host_check: content.host_check.or(HostCheck::Strict),
        mode,
        handshakes: content.handshakes.value(),
        handshakes_per_second: content.handshakes_per_second.value(),
        tunnel_idle: content.tunnel_idle.value(),
        underscore_fields: content.underscore_fields.or(UnderscoreFields::Drop),
        trusted_proxies: own_proxies.or_else(proxies).unwrap_or_default(),
        forwarded: content.forwarded.or(Forwarded::XForwarded),
        policy: content.policy.policy,
        http_redirect: content.http_redirect.value().unwrap_or_default(),
        log: log.application.as_ref().unwrap_or(&others.log.application).for_service(name),
        log_sample: log.sample.unwrap_or(others.log.sample),
        role: match content.parent.value() {
            Some(parent) => Role::Child {
                parent: same(&parent, others.parents),
                domains: content.domains.good().map(values).unwrap_or_default().into(),
            },
            None => Role::Parent {
                listen: content.listen.good().map(values).unwrap_or_default(),
                redirect_http: content.redirect_http.good().map(values).unwrap_or_default(),
                strict_sni: content.strict_sni.or(false),
                proxy_protocol: content.proxy_protocol.good().map(values).unwrap_or_default(),
            },
        },
    }
}

fn values<T: Clone>(list: &Located<Vec<Located<T>>>) -> Vec<T> {
    list.value.iter().map(|entry| entry.value.clone()).collect()
}

/// A name as the table has it that it leads to: those who name one share it.
fn same<N: Clone + Ord, T>(name: &N, entries: &BTreeMap<N, T>) -> N {
    entries.get_key_value(name).map_or(name, |(known, _)| known).clone()
}

fn target(
    pool: Option<PoolName>,
    no_pool: Option<NoPool>,
    pools: &BTreeMap<PoolName, Named<RawPool>>,
) -> Target {
    match (pool, no_pool) {
        (Some(pool), _) => Target::Pool(same(&pool, pools)),
        (None, Some(no_pool)) => Target::NoPool(no_pool),
        (None, None) => Target::NoPool(NoPool::Close),
    }
}

fn build_pool(raw: RawPool) -> Pool {
    let tls = raw.tls.good().map(|tls| PoolTls {
        server_name: tls.value.server_name.clone(),
        ca: tls.value.ca.clone(),
        certificate: tls.value.certificate.as_ref().map(|certificate| certificate.value.clone()),
        verify: tls.value.verify,
    });
    Pool { tls, ..raw.pool }
}

type Services = BTreeMap<VirtualServiceName, Named<RawVirtualService>>;
