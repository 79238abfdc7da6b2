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
use crate::names::TlsProfileName;
use crate::names::VirtualServiceName;

/// Without complaints, every field is either absent or good.
pub fn config(
    raw: Raw,
    files: Vec<PathBuf>,
    include_directories: Vec<PathBuf>,
    directory: &Path,
) -> Config {
    let mut virtual_services = BTreeMap::new();
    let mut tls_profiles: BTreeMap<_, _> = raw
        .tls_profiles
        .into_iter()
        .filter_map(|(name, profile)| Some((name, Arc::new(profile.content?))))
        .collect();
    for (name, service) in &raw.virtual_services {
        let Some(content) = &service.content else { continue };
        let profile = profile_of(content, &raw.virtual_services);
        if let Some(built_in) = TlsProfile::named(profile.as_str()) {
            tls_profiles.entry(profile.clone()).or_insert_with(|| Arc::new(built_in));
        }
        virtual_services.insert(
            name.clone(),
            Arc::new(virtual_service(name, content, profile, (&raw.virtual_services, &raw.log))),
        );
    }
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
            .filter_map(|(name, pool)| Some((name, Arc::new(build_pool(pool.content?)))))
            .collect(),
    }
}

fn certificates(
    raw: BTreeMap<CertificateName, Named<RawCertificate>>,
    hsms: &Hsms,
    world_readable: WorldReadableKeys,
) -> BTreeMap<CertificateName, Arc<Certificate>> {
    raw.into_iter()
        .filter_map(|(name, certificate)| {
            let RawCertificate { name: own, chain, key } = certificate.content?;
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
            KeySource::Token { hsm, key: key.key.value }
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

fn virtual_service(
    name: &VirtualServiceName,
    content: &RawVirtualService,
    tls_profile: TlsProfileName,
    (services, shared_log): (&Services, &Log),
) -> VirtualService {
    let log = content.log.good().map(|log| log.value.clone()).unwrap_or_default();
    VirtualService {
        name: name.clone(),
        role: role(content),
        certificates: content.certificates.good().map(values).unwrap_or_default(),
        tls_profile,
        target: target(content),
        host_check: content.host_check.good().map_or(HostCheck::Strict, |check| check.value),
        mode: content.mode(),
        handshakes: content.handshakes.good().map(|number| number.value),
        handshakes_per_second: content.handshakes_per_second.good().map(|number| number.value),
        tunnel_idle: content.tunnel_idle.good().map(|idle| idle.value),
        underscore_fields: content
            .underscore_fields
            .good()
            .map_or(UnderscoreFields::Drop, |fields| fields.value),
        trusted_proxies: trusted_proxies(content, services),
        forwarded: content
            .forwarded
            .good()
            .map_or(Forwarded::XForwarded, |forwarded| forwarded.value),
        policy: content.policy.policy.clone(),
        http_redirect: content
            .http_redirect
            .good()
            .map(|redirect| redirect.value.clone())
            .unwrap_or_default(),
        log: log.application.as_ref().unwrap_or(&shared_log.application).for_service(name),
        log_sample: log.sample.unwrap_or(shared_log.sample),
    }
}

fn values<T: Clone>(list: &Located<Vec<Located<T>>>) -> Vec<T> {
    list.value.iter().map(|entry| entry.value.clone()).collect()
}

/// Its own, or that of its parent, or `intermediate`.
fn profile_of(content: &RawVirtualService, services: &Services) -> TlsProfileName {
    let inherited = parent(content, services).and_then(|parent| parent.tls_profile.good());
    match content.tls_profile.good().or(inherited) {
        Some(profile) => profile.value.clone(),
        None => {
            tls_profile::INTERMEDIATE.parse().expect("the names of built-in profiles are names")
        }
    }
}

/// Its own, or those of its parent.
fn trusted_proxies(content: &RawVirtualService, services: &Services) -> Vec<IpNet> {
    let inherited = parent(content, services).and_then(|parent| parent.trusted_proxies.good());
    content.trusted_proxies.good().or(inherited).map(values).unwrap_or_default()
}

fn parent<'a>(
    content: &RawVirtualService,
    services: &'a Services,
) -> Option<&'a RawVirtualService> {
    services.get(&content.parent.good()?.value)?.content.as_ref()
}

fn role(content: &RawVirtualService) -> Role {
    match content.parent.good() {
        Some(parent) => Role::Child {
            parent: parent.value.clone(),
            domains: content.domains.good().map(values).unwrap_or_default(),
        },
        None => Role::Parent {
            listen: content.listen.good().map(values).unwrap_or_default(),
            redirect_http: content.redirect_http.good().map(values).unwrap_or_default(),
            strict_sni: content.strict_sni.good().is_some_and(|strict| strict.value),
            proxy_protocol: content.proxy_protocol.good().map(values).unwrap_or_default(),
        },
    }
}

fn target(content: &RawVirtualService) -> Target {
    match (content.pool.good(), content.no_pool.good()) {
        (Some(pool), _) => Target::Pool(pool.value.clone()),
        (None, Some(no_pool)) => Target::NoPool(no_pool.value.clone()),
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
