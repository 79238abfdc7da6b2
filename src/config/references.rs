//! Names that one table says of another: certificates, profiles, pools and groups of tokens, and who is used at
//! all.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::collections::HashSet;
use std::fmt::Display;
use std::hash::Hash;

use crate::config::complaint::Complaint;
use crate::config::complaint::Complaints;
use crate::config::raw::Named;
use crate::config::raw::Raw;
use crate::config::source::Located;
use crate::config::suggest;
use crate::config::tls_profile;
use crate::config::token_keys;

/// Checks that every name leads somewhere, and that everything is used.
pub fn check(raw: &Raw, complaints: &mut Complaints) {
    let mut certificates = Kind::new("certificate", &raw.certificates, &[]);
    let mut profiles = Kind::new("tls_profile", &raw.tls_profiles, tls_profile::BUILT_IN);
    let mut pools = Kind::new("pool", &raw.pools, &[]);
    let mut hsms = Kind::new("hsm", &raw.hsms, &[]);
    for service in raw.virtual_services.values().filter_map(|service| service.content.as_ref()) {
        for certificate in service.certificates.good().into_iter().flat_map(|list| &list.value) {
            certificates.refer(certificate, complaints);
        }
        if let Some(profile) = service.tls_profile.good() {
            profiles.refer(profile, complaints);
        }
        if let Some(pool) = service.pool.good() {
            pools.refer(pool, complaints);
        }
        for pool in &service.policy.pools {
            pools.refer(pool, complaints);
        }
    }
    for pool in raw.pools.values().filter_map(|pool| pool.content.as_ref()) {
        let tls = pool.tls.good();
        if let Some(certificate) = tls.and_then(|tls| tls.value.certificate.as_ref()) {
            certificates.refer(certificate, complaints);
        }
    }
    for certificate in raw.certificates.values().filter_map(|one| one.content.as_ref()) {
        let Some(key) = certificate.token_key() else { continue };
        match &key.hsm {
            Some(hsm) => hsms.refer(hsm, complaints),
            None => hsms.used.extend(token_keys::group(key, &raw.hsms).ok()),
        }
    }
    if complaints.errors() > 0 {
        // What looks unused may be used by what could not be read.
        return;
    }
    certificates.complain_unused(complaints);
    profiles.complain_unused(complaints);
    pools.complain_unused(complaints);
    hsms.complain_unused(complaints);
}

/// One kind of table, and which of them were named.
struct Kind<'a, N, T> {
    word: &'static str,
    entries: &'a BTreeMap<N, Named<T>>,
    built_in: &'static [&'static str],
    used: HashSet<&'a N>,
}

impl<'a, N: Borrow<str> + Display + Eq + Hash + Ord, T> Kind<'a, N, T> {
    fn new(
        word: &'static str,
        entries: &'a BTreeMap<N, Named<T>>,
        built_in: &'static [&'static str],
    ) -> Self {
        Self { word, entries, built_in, used: HashSet::with_capacity(entries.len()) }
    }

    fn refer(&mut self, name: &'a Located<N>, complaints: &mut Complaints) {
        if self.entries.contains_key::<N>(&name.value) {
            self.used.insert(&name.value);
            return;
        }
        let text = name.value.borrow();
        if self.built_in.contains(&text) {
            return;
        }
        // Looking for the nearest of ten thousand names takes time: not for thousands of mistakes.
        let names = self.entries.keys().map(Borrow::borrow).chain(self.built_in.iter().copied());
        let names = names.take(if complaints.len() < MAX_SUGGESTIONS { usize::MAX } else { 0 });
        let help = suggest::did_you_mean(text, names);
        let help = help.unwrap_or_else(|| {
            format!("add [{word}.{text}], or name one that exists", word = self.word)
        });
        let message = format!("{} `{text}` does not exist", self.words());
        let label = format!("no [{}.{text}]", self.word);
        complaints.push(Complaint::error(name.place.clone(), message).label(label).help(help));
    }

    fn complain_unused(&self, complaints: &mut Complaints) {
        for (name, entry) in self.entries {
            if !self.used.contains::<N>(name) && !self.built_in.contains(&name.borrow()) {
                let message = format!("{} `{name}` is not used", self.words());
                let user = if self.word == "hsm" {
                    "the key of a certificate"
                } else {
                    "a virtual service"
                };
                let help = format!("name it in {user}, or remove [{}.{name}]", self.word);
                complaints.push(Complaint::warning(entry.place.clone(), message).help(help));
            }
        }
    }

    fn words(&self) -> &'static str {
        match self.word {
            "tls_profile" => "the TLS profile",
            "pool" => "the pool",
            "hsm" => "the group of tokens",
            _ => "the certificate",
        }
    }
}

const MAX_SUGGESTIONS: usize = 100;
