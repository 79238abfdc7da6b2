//! A listener's table: from a server name to the child that owns it, or to the parent (SPEC VS-2 to VS-4).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::names::DomainPattern;
use crate::names::ServerName;
use crate::service::VirtualService;
use crate::service::settings::Settings;

/// The children of one parent by the names they own.
///
/// An exact name wins over every wildcard. Among wildcards the one with the longest fixed part wins;
/// of two that are equally long, one that is fixed at its end (`*.example.com`) goes before one that
/// is fixed at its start (`www.example.*`), and `*.example.com` before `.example.com`. Order in the
/// file plays no role. A look-up hashes once per label and allocates nothing.
#[derive(Debug)]
pub struct Table {
    parent: Arc<VirtualService>,
    /// Names that no child owns are refused instead of served by the parent (SPEC VS-4).
    pub strict_sni: bool,
    /// Who begins connections with a PROXY protocol header; nobody else may.
    pub proxy_protocol: Box<[IpNet]>,
    /// The bounds of connections that are accepted from now on.
    pub settings: Arc<Settings>,
    exact: HashMap<Arc<str>, Arc<VirtualService>>,
    apexes: HashMap<Arc<str>, Apex>,
    stems: HashMap<Arc<str>, Arc<VirtualService>>,
}

/// What was found for a server name.
#[derive(Debug)]
pub struct Found<'table> {
    /// The child, or the parent.
    pub service: &'table Arc<VirtualService>,
    /// Why this one.
    pub matched: Matched,
}

/// Why a service was selected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Matched {
    /// The client sent no server name: the parent.
    Absent,
    /// A child owns the name.
    Child,
    /// No child owns the name: the parent.
    Unknown,
}

/// The owners of `*.apex` and `.apex`.
#[derive(Debug, Default)]
struct Apex {
    below: Option<Arc<VirtualService>>,
    apex_and_below: Option<Arc<VirtualService>>,
}

impl Table {
    /// Compiles the table. The configuration has been checked: no pattern occurs twice among the
    /// children. If one did, the first child given would keep it.
    pub fn new(
        parent: Arc<VirtualService>,
        children: &[Arc<VirtualService>],
        strict_sni: bool,
        settings: Arc<Settings>,
    ) -> Self {
        let mut table = Self {
            parent,
            strict_sni,
            proxy_protocol: Box::default(),
            settings,
            exact: HashMap::new(),
            apexes: HashMap::new(),
            stems: HashMap::new(),
        };
        for child in children {
            for pattern in &*child.domains {
                table.enter(pattern, child);
            }
        }
        table
    }

    /// With the addresses whose connections begin with a PROXY protocol header.
    pub fn expecting_proxy_protocol_from(self, networks: &[IpNet]) -> Self {
        Self { proxy_protocol: networks.into(), ..self }
    }

    /// Whether a connection from there must begin with a PROXY protocol header.
    pub fn expects_proxy_protocol(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.proxy_protocol.iter().any(|network| network.contains(&peer))
    }

    /// The service that a connection with this server name is given to.
    pub fn find(&self, name: Option<&ServerName>) -> Found<'_> {
        let Some(name) = name else {
            return Found { service: &self.parent, matched: Matched::Absent };
        };
        match self.child(name.as_str()) {
            Some(service) => Found { service, matched: Matched::Child },
            None => Found { service: &self.parent, matched: Matched::Unknown },
        }
    }

    /// The child that owns a host (lower case, no trailing dot, no port).
    pub fn sibling(&self, host: &str) -> Option<&Arc<VirtualService>> {
        self.child(host)
    }

    /// The parent.
    pub fn parent(&self) -> &Arc<VirtualService> {
        &self.parent
    }

    fn child(&self, name: &str) -> Option<&Arc<VirtualService>> {
        if let Some(child) = self.exact.get(name) {
            return Some(child);
        }
        let by_end = self.longest_apex(name);
        let by_start = self.longest_stem(name);
        match (by_end, by_start) {
            (Some((end, _)), Some((start, child))) if start > end => Some(child),
            (Some((_, child)), _) | (None, Some((_, child))) => Some(child),
            (None, None) => None,
        }
    }

    /// The longest apex that the name ends with, and who owns the name by it.
    fn longest_apex(&self, name: &str) -> Option<(usize, &Arc<VirtualService>)> {
        if self.apexes.is_empty() {
            return None;
        }
        if let Some(child) = self.apexes.get(name).and_then(|apex| apex.apex_and_below.as_ref()) {
            return Some((name.len(), child));
        }
        let dots = name.match_indices('.').filter(|(at, _)| *at > 0);
        dots.map(|(at, _)| &name[at + 1..]).find_map(|rest| {
            let apex = self.apexes.get(rest)?;
            let child = apex.below.as_ref().or(apex.apex_and_below.as_ref())?;
            Some((rest.len(), child))
        })
    }

    /// The longest stem that the name begins with, and its owner.
    fn longest_stem(&self, name: &str) -> Option<(usize, &Arc<VirtualService>)> {
        if self.stems.is_empty() {
            return None;
        }
        let dots = name.rmatch_indices('.').filter(|(at, _)| at + 1 < name.len());
        dots.map(|(at, _)| &name[..at])
            .find_map(|stem| self.stems.get(stem).map(|child| (stem.len(), child)))
    }

    fn enter(&mut self, pattern: &DomainPattern, child: &Arc<VirtualService>) {
        match pattern {
            DomainPattern::ApexAndBelow(apex) => {
                let entry = self.apexes.entry(Arc::clone(apex)).or_default();
                entry.apex_and_below.get_or_insert_with(|| Arc::clone(child));
            }
            DomainPattern::Below(apex) => {
                let entry = self.apexes.entry(Arc::clone(apex)).or_default();
                entry.below.get_or_insert_with(|| Arc::clone(child));
            }
            DomainPattern::Exact(name) => {
                self.exact.entry(Arc::clone(name)).or_insert_with(|| Arc::clone(child));
            }
            DomainPattern::Stem(stem) => {
                self.stems.entry(Arc::clone(stem)).or_insert_with(|| Arc::clone(child));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::service::fixture;
    use crate::service::fixture::service;

    fn table(children: &[(&str, &[&str])]) -> Table {
        let children: Vec<_> =
            children.iter().map(|(name, domains)| Arc::new(service(name, domains))).collect();
        fixture::table(service("front", &[]), &children)
    }

    fn found<'table>(table: &'table Table, name: &str) -> &'table str {
        let name: ServerName = name.parse().expect("a server name");
        table.find(Some(&name)).service.name.as_str()
    }

    #[test]
    fn longest_match_wins_and_exact_goes_first() {
        let table = table(&[
            ("apex", &[".example.com"]),
            ("star", &["*.example.com"]),
            ("deep", &["*.shop.example.com"]),
            ("exact", &["a.shop.example.com", "b.example.com."]),
            ("stem", &["www.example.*", "a.shop.example.co.*"]),
        ]);
        for (name, owner) in [
            ("example.com", "apex"),
            ("b.example.com", "exact"),
            ("c.example.com", "star"),
            ("shop.example.com", "star"),
            ("a.shop.example.com", "exact"),
            ("A.Shop.Example.COM.", "exact"),
            ("c.shop.example.com", "deep"),
            ("d.c.shop.example.com", "deep"),
            ("www.example.com", "star"),
            ("www.example.org", "stem"),
            ("www.example.co.uk", "stem"),
            ("a.shop.example.co.uk", "stem"),
            ("www.example", "front"),
            ("badexample.com", "front"),
            ("com", "front"),
        ] {
            assert_eq!(found(&table, name), owner, "{name}");
        }
    }

    #[test]
    fn no_name_and_unknown_names_are_the_parents() {
        let table = table(&[("shop", &["shop.example.com"])]);
        assert_eq!(table.find(None).matched, Matched::Absent);
        let unknown = "other.example.com".parse().expect("a server name");
        assert_eq!(table.find(Some(&unknown)).matched, Matched::Unknown);
        let known = "shop.example.com".parse().expect("a server name");
        assert_eq!(table.find(Some(&known)).matched, Matched::Child);
        assert!(table.sibling("other.example.com").is_none());
    }

    /// What the rules say, read off literally: the best of all patterns that match.
    fn naive<'a>(patterns: &'a [DomainPattern], name: &str) -> Option<&'a DomainPattern> {
        patterns.iter().filter(|pattern| pattern.matches(name)).max_by_key(
            |pattern| match pattern {
                DomainPattern::Exact(name) => (true, name.len(), 3),
                DomainPattern::Below(apex) => (false, apex.len(), 2),
                DomainPattern::ApexAndBelow(apex) => (false, apex.len(), 1),
                DomainPattern::Stem(stem) => (false, stem.len(), 0),
            },
        )
    }

    proptest! {
        #[test]
        fn the_table_agrees_with_a_naive_matcher(
            patterns in prop::collection::btree_set("(\\*\\.|\\.)?[ab](\\.[ab]){0,3}|[ab](\\.[ab]){0,2}\\.\\*", 1..12),
            names in prop::collection::vec("[ab](\\.[ab]){0,4}", 1..20),
        ) {
            let patterns: Vec<DomainPattern> =
                patterns.iter().map(|text| text.parse().expect("a pattern")).collect();
            let children: Vec<_> = patterns.iter().enumerate().map(|(number, pattern)| {
                Arc::new(service(&format!("child{number}"), &[&pattern.to_string()]))
            }).collect();
            let table = fixture::table(service("front", &[]), &children);
            for name in names {
                let expected = naive(&patterns, &name);
                let actual = table.sibling(&name).map(|child| &child.domains[0]);
                prop_assert_eq!(actual, expected, "{}", name);
            }
        }
    }
}
