//! From a path to a [`Config`], or to everything that is wrong with it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use toml::de::DeTable;

use crate::config::Config;
use crate::config::addresses;
use crate::config::complaint::Complaint;
use crate::config::complaint::Complaints;
use crate::config::dns::Dns;
use crate::config::family;
use crate::config::files;
use crate::config::files::Included;
use crate::config::policy::Policy;
use crate::config::pool::Pool;
use crate::config::pool::PoolTls;
use crate::config::pool::RawPool;
use crate::config::raw::Named;
use crate::config::raw::Raw;
use crate::config::read::Document;
use crate::config::references;
use crate::config::source::Located;
use crate::config::source::Place;
use crate::config::source::Source;
use crate::config::syntax;
use crate::config::tls_profile;
use crate::config::tls_profile::TlsProfile;
use crate::config::value::Value;
use crate::config::variables::Environment;
use crate::config::virtual_service::Forwarded;
use crate::config::virtual_service::HostCheck;
use crate::config::virtual_service::HttpRedirect;
use crate::config::virtual_service::Mode;
use crate::config::virtual_service::NoPool;
use crate::config::virtual_service::RawVirtualService;
use crate::config::virtual_service::Role;
use crate::config::virtual_service::Target;
use crate::config::virtual_service::VirtualService;
use crate::names::TlsProfileName;
use crate::names::VirtualServiceName;

/// A configuration that can be used, and what is probably not meant in it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What was meant.
    pub config: Config,
    /// Warnings alone.
    pub warnings: Complaints,
}

impl Config {
    /// Reads a file and all that it includes, with the environment of the process.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, warnings included, in the order of the files and their lines.
    pub fn load(path: &Path) -> Result<Loaded, Complaints> {
        let source = files::read(path, None)?;
        load(&source, &|name| std::env::var(name).ok())
    }

    /// Reads a text as if it stood in a file of this name, without an environment. Certificates and
    /// keys are named in a configuration but not read, so that they need not exist; files named by
    /// `include` are read.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn parse(name: &str, text: &str) -> Result<Loaded, Complaints> {
        Self::parse_with(name, text, &|_| None)
    }

    /// As [`Config::parse`], with an environment.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn parse_with(
        name: &str,
        text: &str,
        environment: Environment<'_>,
    ) -> Result<Loaded, Complaints> {
        load(&Arc::new(Source::new(name, text)), environment)
    }
}

fn load(main: &Arc<Source>, environment: Environment<'_>) -> Result<Loaded, Complaints> {
    let mut loading = Loading {
        environment,
        raw: Raw::default(),
        sources: Vec::new(),
        included: Included::default(),
        complaints: Complaints::default(),
        is_whole: true,
    };
    let directory = loading.add(main);
    loading.add_included();
    loading.finish(&directory)
}

struct Loading<'e> {
    environment: Environment<'e>,
    raw: Raw,
    sources: Vec<Arc<Source>>,
    included: Included,
    complaints: Complaints,
    /// Whether every file could be read: if not, a name that is missing may be in one that could not.
    is_whole: bool,
}

impl Loading<'_> {
    /// Adds a file, and returns the directory that it is in.
    fn add(&mut self, source: &Arc<Source>) -> PathBuf {
        let file = self.sources.len();
        let directory = source.path().parent().unwrap_or(Path::new("")).to_owned();
        self.sources.push(Arc::clone(source));
        let root = match DeTable::parse(source.text()) {
            Ok(root) => root,
            Err(error) => {
                self.is_whole = false;
                self.complaints.push(syntax::complaint(source, &error));
                return directory;
            }
        };
        let document = Document {
            source: Arc::clone(source),
            directory,
            environment: self.environment,
            complaints: RefCell::default(),
        };
        if let Some((key, value)) = root.get_ref().get_key_value("include") {
            if file == 0 {
                let value = Value::new(&document, "include", value);
                self.is_whole &= value.list(|entry| self.included.add(entry)).is_some();
            } else {
                let message = "`include` may stand in the main file only";
                let complaint = Complaint::error(document.place(key.span()), message);
                document
                    .complain(complaint.help("name the file in the `include` of the main file"));
            }
        }
        self.raw.add(&document, root.get_ref(), file);
        self.complaints.extend(document.complaints.into_inner());
        document.directory
    }

    /// A file that is named twice, by itself and through its directory, is read once.
    fn add_included(&mut self) {
        let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let files = std::mem::take(&mut self.included.files);
        let mut seen = HashMap::with_capacity(files.len());
        if !files.is_empty() {
            seen.insert(real(self.sources[0].path()), true);
        }
        for (path, place) in files {
            match seen.insert(real(&path), false) {
                None => match files::read(&path, Some(&place)) {
                    Ok(source) => {
                        self.add(&source);
                    }
                    Err(complaints) => {
                        self.is_whole = false;
                        self.complaints.extend(complaints);
                    }
                },
                Some(true) => {
                    let complaint = Complaint::error(place, "the main file includes itself");
                    self.complaints
                        .push(complaint.help("keep included files in a directory of their own"));
                }
                Some(false) => {}
            }
        }
    }

    fn finish(mut self, directory: &Path) -> Result<Loaded, Complaints> {
        if self.is_whole {
            if self.raw.virtual_services.is_empty() && self.complaints.errors() == 0 {
                self.complaints.push(nothing_to_serve(&self.sources[0]));
            }
            family::check(&self.raw, &mut self.complaints);
            addresses::check(&self.raw, &mut self.complaints);
            references::check(&self.raw, &mut self.complaints);
        }
        let order: HashMap<_, _> = self
            .sources
            .iter()
            .enumerate()
            .map(|(index, source)| (Arc::as_ptr(source), index))
            .collect();
        let sources = &order;
        self.complaints
            .sort(|place| sources.get(&Arc::as_ptr(place.source())).copied().unwrap_or(usize::MAX));
        if self.complaints.errors() > 0 {
            return Err(self.complaints);
        }
        let files = self.sources.iter().map(|source| source.path().to_owned()).collect();
        let config = build(self.raw, files, self.included.directories, directory);
        Ok(Loaded { config, warnings: self.complaints })
    }
}

fn nothing_to_serve(main: &Arc<Source>) -> Complaint {
    Complaint::error(
        Place::whole(main),
        "there is no virtual service, so there is nothing to serve",
    )
    .help(format!("the least that serves:\n{MINIMAL}"))
}

/// Without complaints, every field is either absent or good.
fn build(
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
        let log = content.log.good().map(|log| log.value.clone()).unwrap_or_default();
        virtual_services.insert(
            name.clone(),
            Arc::new(VirtualService {
                name: name.clone(),
                role: role(content),
                certificates: content.certificates.good().map(values).unwrap_or_default(),
                tls_profile: profile,
                target: target(content),
                host_check: content
                    .host_check
                    .good()
                    .map_or(HostCheck::Strict, |check| check.value),
                mode: Mode::Http,
                trusted_proxies: Vec::new(),
                forwarded: Forwarded::XForwarded,
                policy: Policy::default(),
                http_redirect: HttpRedirect::default(),
                log: log.application.as_ref().unwrap_or(&raw.log.application).for_service(name),
                log_sample: log.sample.unwrap_or(raw.log.sample),
            }),
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
        dns: Dns::default(),
        limits: raw.limits,
        log: raw.log,
        metrics: raw.metrics,
        tickets: raw.tickets,
        timeouts: raw.timeouts,
        watch: raw.watch,
        virtual_services,
        certificates: raw
            .certificates
            .into_iter()
            .filter_map(|(name, certificate)| Some((name, Arc::new(certificate.content?))))
            .collect(),
        tls_profiles,
        pools: raw
            .pools
            .into_iter()
            .filter_map(|(name, pool)| Some((name, Arc::new(build_pool(pool.content?)))))
            .collect(),
    }
}

fn values<T: Clone>(list: &Located<Vec<Located<T>>>) -> Vec<T> {
    list.value.iter().map(|entry| entry.value.clone()).collect()
}

/// Its own, or that of its parent, or `intermediate`.
fn profile_of(
    content: &RawVirtualService,
    services: &BTreeMap<VirtualServiceName, Named<RawVirtualService>>,
) -> TlsProfileName {
    let parent = content.parent.good().and_then(|parent| services.get(&parent.value));
    let inherited = parent.and_then(|parent| parent.content.as_ref()?.tls_profile.good());
    match content.tls_profile.good().or(inherited) {
        Some(profile) => profile.value.clone(),
        None => {
            tls_profile::INTERMEDIATE.parse().expect("the names of built-in profiles are names")
        }
    }
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
            proxy_protocol: Vec::new(),
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

const MINIMAL: &str = "[virtual_service.edge]
listen = [\"0.0.0.0:8443\"]
certificates = [\"site\"]
pool = \"site\"
[certificate.site]
chain = \"certs/site.pem\"
key = { file = \"certs/site.key\" }
[pool.site]
endpoints = [\"127.0.0.1:8080\"]";
