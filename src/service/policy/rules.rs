//! Which rule a request is for: the first one that matches (SPEC PX-4).

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::net::IpAddr;

use http::HeaderName;
use http::Method;

use crate::config::rule::HeaderMatch;
use crate::config::rule::Match;
use crate::config::rule::PathMatch;
use crate::message::Fields;
use crate::service::policy::access::Networks;
use crate::service::policy::path::normalise;

/// Finds the rule of a request. Paths are looked up by hash, so that many rules for many paths cost as
/// little as few; what has no path, and what paths do not decide, is compared in order.
#[derive(Debug, Default)]
pub struct Matcher {
    conditions: Box<[Conditions]>,
    exact: HashMap<Box<[u8]>, Numbers>,
    prefixes: HashMap<Box<[u8]>, Numbers>,
    /// Lengths of the prefixes: a path is cut at these and nowhere else.
    lengths: Box<[usize]>,
    /// Rules for any path.
    any: Numbers,
}

/// Rules in their order.
type Numbers = Vec<usize>;

/// What a rule looks at.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The path as [`normalise`] gives it for comparisons.
    pub path: &'a [u8],
    /// The method.
    pub method: &'a Method,
    /// The fields, as they would be sent on.
    pub fields: &'a Fields,
    /// Who asks.
    pub client: IpAddr,
}

/// All that a rule asks beside the path.
#[derive(Debug)]
struct Conditions {
    methods: Box<[Method]>,
    headers: Box<[(HeaderName, HeaderMatch)]>,
    clients: Option<Networks>,
    /// Something was written that no request can have; the configuration does not let it come here.
    is_impossible: bool,
}

impl Matcher {
    /// Compiles the rules of a service, in their order.
    pub fn compile<'a>(rules: impl Iterator<Item = &'a Match>) -> Self {
        let mut matcher = Self::default();
        let mut conditions = Vec::new();
        let mut lengths = BTreeSet::new();
        for (number, rule) in rules.enumerate() {
            conditions.push(Conditions::compile(rule));
            let (map, path) = match &rule.path {
                None => {
                    matcher.any.push(number);
                    continue;
                }
                Some(PathMatch::Exact(path)) => (&mut matcher.exact, path),
                Some(PathMatch::Prefix(path)) => (&mut matcher.prefixes, path),
            };
            // A path that no request may have matches none.
            let Ok(normal) = normalise(path) else { continue };
            let path: Box<[u8]> = normal.matched.into();
            if matches!(rule.path, Some(PathMatch::Prefix(_))) {
                lengths.insert(path.len());
            }
            map.entry(path).or_default().push(number);
        }
        matcher.conditions = conditions.into();
        matcher.lengths = lengths.into_iter().collect();
        matcher
    }

    /// Whether a path decides anything, so that it has to be in its normal form.
    pub fn has_paths(&self) -> bool {
        self.any.len() < self.conditions.len()
    }

    /// The first rule that matches.
    pub fn matches(&self, head: &Head<'_>) -> Option<usize> {
        let mut first = self.first_of(&self.any, head, usize::MAX);
        if let Some(numbers) = self.exact.get(head.path) {
            first = self.first_of(numbers, head, first);
        }
        for length in &self.lengths {
            let Some(prefix) = head.path.get(..*length) else { break };
            // `/api` goes no further than its segment; `/api/` has reached the end of one.
            let is_whole =
                prefix.ends_with(b"/") || matches!(head.path.get(*length), None | Some(b'/'));
            if let Some(numbers) = is_whole.then(|| self.prefixes.get(prefix)).flatten() {
                first = self.first_of(numbers, head, first);
            }
        }
        (first != usize::MAX).then_some(first)
    }

    /// The first of these that holds, if it comes before another one.
    fn first_of(&self, numbers: &[usize], head: &Head<'_>, before: usize) -> usize {
        let earlier = numbers.iter().copied().take_while(|number| *number < before);
        let mut holding = earlier.filter(|number| self.conditions[*number].hold(head));
        holding.next().unwrap_or(before)
    }
}

impl Conditions {
    fn compile(rule: &Match) -> Self {
        let methods: Option<Box<[_]>> =
            rule.methods.iter().map(|text| Method::from_bytes(text.as_bytes()).ok()).collect();
        let header =
            |(name, value): &(String, HeaderMatch)| Some((name.parse().ok()?, value.clone()));
        let headers: Option<Box<[_]>> = rule.headers.iter().map(header).collect();
        Self {
            is_impossible: methods.is_none() || headers.is_none(),
            methods: methods.unwrap_or_default(),
            headers: headers.unwrap_or_default(),
            clients: (!rule.clients.is_empty()).then(|| Networks::new(&rule.clients)),
        }
    }

    fn hold(&self, head: &Head<'_>) -> bool {
        !self.is_impossible
            && (self.methods.is_empty() || self.methods.contains(head.method))
            && self.headers.iter().all(|(name, wanted)| has(head.fields, name, wanted))
            && self.clients.as_ref().is_none_or(|clients| clients.contains(head.client))
    }
}

fn has(fields: &Fields, name: &HeaderName, wanted: &HeaderMatch) -> bool {
    match wanted {
        HeaderMatch::Present => fields.contains(name),
        HeaderMatch::Value(value) => {
            fields.get_all(name).any(|field| field.as_bytes() == value.as_bytes())
        }
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
