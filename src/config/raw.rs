//! What all files together say, before names are looked up: well formed, but not yet consistent.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::path::PathBuf;
use std::str::FromStr;

use toml::Spanned;
use toml::de::DeString;
use toml::de::DeTable;
use toml::de::DeValue;

use crate::config::admin::Admin;
use crate::config::admin::AdminListen;
use crate::config::certificate::RawCertificate;
use crate::config::complaint::Complaint;
use crate::config::dns::Dns;
use crate::config::hsm::RawHsm;
use crate::config::limits::Limits;
use crate::config::log::Log;
use crate::config::metrics::Metrics;
use crate::config::pool::RawPool;
use crate::config::process::Process;
use crate::config::raw_virtual_service::RawVirtualService;
use crate::config::read::Document;
use crate::config::schema;
use crate::config::source::Located;
use crate::config::source::Place;
use crate::config::suggest;
use crate::config::tickets::Tickets;
use crate::config::timeouts::Timeouts;
use crate::config::tls_profile;
use crate::config::tls_profile::TlsProfile;
use crate::config::value::Value;
use crate::config::watch::Watch;
use crate::names::CertificateName;
use crate::names::HsmName;
use crate::names::NameError;
use crate::names::PoolName;
use crate::names::TlsProfileName;
use crate::names::VirtualServiceName;

/// A named table.
#[derive(Debug)]
pub struct Named<T> {
    /// Where its name stands.
    pub place: Place,
    /// Which file that is, in the order of reading.
    pub file: usize,
    /// What it says; None where that is past reading. The name exists all the same. It is large, and a map
    /// moves what it holds.
    pub content: Option<Box<T>>,
}

/// All tables of all files.
#[derive(Debug, Default)]
pub struct Raw {
    /// `workers`
    pub workers: Option<usize>,
    /// `state_dir`
    pub state_dir: Option<PathBuf>,
    /// `[admin]`
    pub admin: Admin,
    /// Where `[admin]` names its address.
    pub admin_place: Option<Place>,
    /// `[dns]`
    pub dns: Dns,
    /// `[limits]`
    pub limits: Limits,
    /// `[log]`
    pub log: Log,
    /// `[metrics]`
    pub metrics: Metrics,
    /// `[process]`
    pub process: Process,
    /// `[tickets]`
    pub tickets: Tickets,
    /// `[timeouts]`
    pub timeouts: Timeouts,
    /// Where `[timeouts]` says how long a handshake may take.
    pub handshake_place: Option<Place>,
    /// `[watch]`
    pub watch: Watch,
    /// `[virtual_service.NAME]`
    pub virtual_services: BTreeMap<VirtualServiceName, Named<RawVirtualService>>,
    /// `[certificate.NAME]`
    pub certificates: BTreeMap<CertificateName, Named<RawCertificate>>,
    /// `[hsm.NAME]`
    pub hsms: BTreeMap<HsmName, Named<RawHsm>>,
    /// `[tls_profile.NAME]`
    pub tls_profiles: BTreeMap<TlsProfileName, Named<TlsProfile>>,
    /// `[pool.NAME]`
    pub pools: BTreeMap<PoolName, Named<RawPool>>,
    /// What exists once, and where it stands.
    once: BTreeMap<&'static str, Place>,
}

impl Raw {
    /// Adds what a file says. `include` is left to the caller, who knows whether this is the main file.
    /// Each table is given up when it has been read: of ten thousand there are never two forms at once.
    pub fn add(&mut self, document: &Document<'_>, root: DeTable<'_>, file: usize) {
        for (key, value) in root {
            let name: &str = key.get_ref();
            let known = schema::TOP.iter().map(|key| key.name);
            let known = known.chain(schema::TABLES.iter().map(|table| table.word));
            let Some(word) = known.clone().find(|word| *word == name) else {
                let known: Vec<&str> = known.collect();
                let place = document.place(key.span());
                let help = suggest::for_key(name, "", &known);
                let complaint = Complaint::error(place, format!("unknown key or table `{name}`"));
                document.complain(complaint.maybe_help(help));
                continue;
            };
            let reading = Reading { document, file, word, key };
            match word {
                "virtual_service" => {
                    reading.named(value, &mut self.virtual_services, RawVirtualService::read);
                }
                "certificate" => {
                    reading.named(value, &mut self.certificates, RawCertificate::read);
                }
                "hsm" => reading.named(value, &mut self.hsms, RawHsm::read),
                "tls_profile" => reading.named(value, &mut self.tls_profiles, read_profile),
                "pool" => reading.named(value, &mut self.pools, RawPool::read),
                _ => self.add_once(word, &reading.value(&value)),
            }
        }
    }

    fn add_once(&mut self, word: &'static str, value: &Value<'_>) {
        if word == "include" {
            return;
        }
        if let Some(first) = self.once.get(word) {
            let complaint =
                Complaint::error(value.key_place(), format!("`{word}` stands in two files"))
                    .label("again")
                    .see(first.clone(), "first here")
                    .help("keep one of them: what holds for the whole process is said once");
            value.document().complain(complaint);
            return;
        }
        self.once.insert(word, value.key_place());
        match word {
            "workers" => {
                self.workers = value.integer(1..=MOST_WORKERS).map(|number| number as usize)
            }
            "state_dir" => self.state_dir = value.path(),
            "admin" => {
                self.admin = Admin::read(value).unwrap_or_default();
                self.admin_place = Some(value.entry_place("listen"));
            }
            "dns" => self.dns = Dns::read(value).unwrap_or_default(),
            "limits" => self.limits = Limits::read(value).unwrap_or_default(),
            "log" => self.log = Log::read(value).unwrap_or_default(),
            "metrics" => self.metrics = Metrics::read(value).unwrap_or_default(),
            "process" => self.process = Process::read(value).unwrap_or_default(),
            "tickets" => self.tickets = Tickets::read(value).unwrap_or_default(),
            "timeouts" => {
                self.timeouts = Timeouts::read(value).unwrap_or_default();
                self.handshake_place = Some(value.entry_place("handshake"));
            }
            "watch" => self.watch = Watch::read(value).unwrap_or_default(),
            _ => {}
        }
    }

    /// The TCP address of the admin listener, and where it is said.
    pub fn admin_address(&self) -> Option<(std::net::SocketAddr, Option<&Place>)> {
        match self.admin.listen {
            AdminListen::Tcp(address) => Some((address, self.admin_place.as_ref())),
            AdminListen::Unix(_) => None,
        }
    }
}

/// What stands under one key of a file, on its way into the maps.
struct Reading<'a> {
    document: &'a Document<'a>,
    file: usize,
    word: &'static str,
    key: Spanned<DeString<'a>>,
}

impl Reading<'_> {
    fn value<'v>(&'v self, value: &'v Spanned<DeValue<'v>>) -> Value<'v> {
        Value::new(self.document, self.word, value).with_key(self.key.span())
    }

    fn named<N, T>(
        &self,
        value: Spanned<DeValue<'_>>,
        into: &mut BTreeMap<N, Named<T>>,
        read: impl Fn(&Located<N>, &Value<'_>) -> Option<T>,
    ) where
        N: FromStr<Err = NameError> + Ord + Clone + std::fmt::Display,
    {
        if !value.get_ref().is_table() {
            let help = format!("write one table for each, with its name: [{}.NAME]", self.word);
            self.value(&value).wrong_type_help("a table of named tables", Some(help));
        }
        let DeValue::Table(entries) = value.into_inner() else { return };
        for (name, entry) in entries {
            let place = self.document.place(name.span());
            let name = match parse_name::<N>(name.get_ref()) {
                Ok(name) => name,
                Err(why) => {
                    let message = format!("`{}` cannot be a name: {why}", name.get_ref());
                    let help = "a name has letters, digits, `_`, `-` and `.`, and begins with a letter or a digit";
                    self.document.complain(Complaint::error(place, message).help(help));
                    continue;
                }
            };
            let entry = self.value(&entry);
            if entry.entries().is_none() {
                self.complain_bare(&name.to_string(), place);
                continue;
            }
            let name = Located { value: name, place: place.clone() };
            let content = read(&name, &entry).map(Box::new);
            match into.entry(name.value.clone()) {
                Slot::Vacant(slot) => {
                    slot.insert(Named { place, file: self.file, content });
                }
                Slot::Occupied(first) => {
                    let message = format!("[{}.{}] stands in two files", self.word, name.value);
                    let complaint = Complaint::error(place, message)
                        .label("again")
                        .see(first.get().place.clone(), "first here")
                        .help("remove one of them, or give it another name");
                    self.document.complain(complaint);
                }
            }
        }
    }

    /// `[pool] endpoints = ..`: the name was forgotten.
    fn complain_bare(&self, name: &str, place: Place) {
        let word = self.word;
        let is_key = schema::keys_of(word).any(|key| key.name == name);
        let (message, help) = if is_key {
            let message = format!("`{name}` stands in [{word}], which has no name");
            (message, format!("give the table a name: [{word}.shop]"))
        } else {
            let message = format!("`{name}` in [{word}] is not a table");
            (message, format!("write [{word}.{name}] and its keys below it"))
        };
        self.document.complain(Complaint::error(place, message).help(help));
    }
}

/// A name becomes a file name and a label: a leading dot would hide it, a leading hyphen look like an
/// option.
fn parse_name<N: FromStr<Err = NameError>>(text: &str) -> Result<N, NameError> {
    match text.chars().next() {
        Some(first @ ('.' | '-')) => Err(NameError::Character(first)),
        _ => text.parse(),
    }
}

fn read_profile(name: &Located<TlsProfileName>, value: &Value<'_>) -> Option<TlsProfile> {
    if tls_profile::BUILT_IN.contains(&name.value.as_str()) {
        let message = format!("the TLS profile `{}` is built in and cannot be changed", name.value);
        let complaint = Complaint::error(name.place.clone(), message);
        value
            .document()
            .complain(complaint.help("give yours another name, and name that in the services"));
    }
    TlsProfile::read(name, value)
}

/// More threads than any host has cores.
const MOST_WORKERS: u64 = 1024;
