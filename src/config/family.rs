//! Parents and children: who may say what (SPEC VS-1), and which domains are whose (VS-3).

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::config::complaint::Complaint;
use crate::config::complaint::Complaints;
use crate::config::raw::Named;
use crate::config::raw::Raw;
use crate::config::raw_virtual_service::RawVirtualService;
use crate::config::read::Field;
use crate::config::source::Place;
use crate::config::suggest;
use crate::config::virtual_service::Mode;
use crate::names::DomainPattern;
use crate::names::VirtualServiceName;

/// Checks every virtual service by itself and against its parent.
pub fn check(raw: &Raw, complaints: &mut Complaints) {
    let mut services: Vec<_> = raw.virtual_services.iter().collect();
    services.sort_by_key(|(_, service)| (service.file, service.place.span().start));
    let mut family = Family { raw, complaints, seen: HashMap::new() };
    for (name, service) in services {
        let Some(content) = &service.content else { continue };
        if content.parent.is_absent() {
            family.check_parent(name, service, content);
        } else {
            family.check_child(name, service, content);
        }
        family.check_stream(name, content);
        family.check_both(content);
    }
}

struct Family<'a> {
    raw: &'a Raw,
    complaints: &'a mut Complaints,
    /// The domains of the children of each parent.
    seen: HashMap<(&'a VirtualServiceName, &'a DomainPattern), (&'a VirtualServiceName, &'a Place)>,
}

impl<'a> Family<'a> {
    fn check_parent(
        &mut self,
        name: &VirtualServiceName,
        service: &Named<RawVirtualService>,
        content: &RawVirtualService,
    ) {
        if let Some(domains) = content.domains.place() {
            let complaint = if content.listen.is_absent() {
                Complaint::error(domains.clone(), format!("`{name}` has `domains` but no `parent`"))
                    .help(format!(
                        "add `parent = \"{}\"`, the service that owns the sockets",
                        self.some_parent()
                    ))
            } else {
                Complaint::error(
                    domains.clone(),
                    format!("the parent `{name}` cannot have `domains`"),
                )
                .note("a parent serves every name that no child matches")
                .help(format!(
                    "move them to a child: [virtual_service.NAME] with `parent = \"{name}\"`"
                ))
            };
            self.complaints.push(complaint);
        }
        match &content.listen {
            Field::Absent if content.domains.is_absent() => {
                let complaint = match content.parent_key() {
                    Some((key, _)) => Complaint::error(
                        service.place.clone(),
                        format!("the parent `{name}` has `{key}` but no `listen`"),
                    ),
                    None => Complaint::error(
                        service.place.clone(),
                        format!("`{name}` is neither a parent nor a child"),
                    ),
                };
                self.complaints.push(
                    complaint.help("a parent needs `listen = [\"0.0.0.0:8443\"]`").help(
                        "a child needs `parent = \"NAME\"` and `domains = [\"shop.example.com\"]`",
                    ),
                );
            }
            Field::Good(listen) if listen.value.is_empty() => self.complaints.push(
                Complaint::error(
                    listen.place.clone(),
                    format!("the parent `{name}` listens nowhere"),
                )
                .help("name at least one address, such as \"0.0.0.0:8443\""),
            ),
            Field::Absent | Field::Bad(_) | Field::Good(_) => {}
        }
        if let Some(place) = content.host_check.place() {
            let message = "`host_check` has no effect on a parent, which serves any host";
            self.complaints
                .push(Complaint::warning(place.clone(), message).help("move it to the children"));
        }
        if let Some(place) = content.http_redirect.place() {
            let message = format!("the parent `{name}` cannot have `http_redirect`");
            let complaint = Complaint::error(place.clone(), message)
                .note("it says what a plain request for the domains of a child is answered with")
                .help("move it to the children, or remove it");
            self.complaints.push(complaint);
        }
        let is_strict = content.strict_sni.good().is_some_and(|strict| strict.value);
        let needs_none = is_strict || content.mode() == Mode::Passthrough;
        if has_no_certificates(content) && !content.listen.is_absent() && !needs_none {
            let message = format!("the parent `{name}` has no certificates");
            let complaint = Complaint::warning(service.place.clone(), message)
                .note("clients without a server name, or with one that no child matches, get `handshake_failure`")
                .help("add `certificates = [\"NAME\"]`, or `strict_sni = true` if that is meant");
            self.complaints.push(complaint);
        }
    }

    fn check_child(
        &mut self,
        name: &'a VirtualServiceName,
        service: &'a Named<RawVirtualService>,
        content: &'a RawVirtualService,
    ) {
        if let (Some((key, place)), Some(parent)) = (content.parent_key(), content.parent.place()) {
            let complaint =
                Complaint::error(place.clone(), format!("the child `{name}` cannot have `{key}`"))
                    .label("only a parent owns sockets")
                    .see(parent.clone(), "this makes it a child")
                    .help(format!("remove `{key}`, or remove `parent` and make it a parent"));
            self.complaints.push(complaint);
        }
        let parent = self.check_parent_of(name, content);
        match &content.domains {
            Field::Absent => self.complaints.push(
                Complaint::error(
                    service.place.clone(),
                    format!("the child `{name}` has no `domains`"),
                )
                .help("add the server names that lead to it: `domains = [\"shop.example.com\"]`"),
            ),
            Field::Good(domains) if domains.value.is_empty() => self.complaints.push(
                Complaint::error(
                    domains.place.clone(),
                    format!("the child `{name}` has no domain"),
                )
                .help("name at least one, such as \"shop.example.com\": nothing else leads to it"),
            ),
            Field::Bad(_) | Field::Good(_) => {}
        }
        if let Some(parent) = parent {
            self.check_domains(name, parent, content);
        }
        let ends_tls = content.mode() != Mode::Passthrough;
        if ends_tls && has_no_certificates(content) {
            let place = content.certificates.place().unwrap_or(&service.place);
            let complaint =
                Complaint::error(place.clone(), format!("the child `{name}` has no certificates"))
                    .note("the certificates of the parent are not used for it")
                    .help("add `certificates = [\"NAME\"]`, the name of a [certificate.NAME]");
            self.complaints.push(complaint);
        }
        let needs_pool = content.mode() == Mode::Http && content.no_pool.is_absent();
        if content.pool.is_absent() && needs_pool {
            let complaint =
                Complaint::error(service.place.clone(), format!("the child `{name}` has no pool"))
                    .note("a request to a child never goes to the pool of its parent")
                    .help("add `pool = \"NAME\"`")
                    .help("or say what to do without one: `no_pool = { status = 404 }`");
            self.complaints.push(complaint);
        }
    }

    /// Returns the parent, if it is one.
    fn check_parent_of(
        &mut self,
        name: &VirtualServiceName,
        content: &'a RawVirtualService,
    ) -> Option<&'a VirtualServiceName> {
        let named = content.parent.good()?;
        let Some((parent, found)) = self.raw.virtual_services.get_key_value(&named.value) else {
            let message = format!("the parent `{}` of `{name}` does not exist", named.value);
            let parents = self.raw.virtual_services.iter().filter(|(_, other)| is_parent(other));
            let help =
                suggest::did_you_mean(named.value.as_str(), parents.map(|(name, _)| name.as_str()));
            let help = help.unwrap_or_else(|| {
                format!(
                    "add [virtual_service.{}] with `listen`, or name another parent",
                    named.value
                )
            });
            let complaint = Complaint::error(named.place.clone(), message);
            self.complaints.push(complaint.label("no such virtual service").help(help));
            return None;
        };
        if parent == name {
            let message = format!("`{name}` names itself as its parent");
            let help =
                format!("name the service that owns the sockets, such as `{}`", self.some_parent());
            self.complaints.push(Complaint::error(named.place.clone(), message).help(help));
            return None;
        }
        let grandparent = found.content.as_ref().map(|content| &content.parent);
        if let Some((grandparent, Some(place))) = grandparent.map(|field| (field, field.place())) {
            let message = format!("`{parent}`, the parent of `{name}`, is itself a child");
            let help = match grandparent.good() {
                Some(owner) => format!("did you mean `parent = \"{}\"`?", owner.value),
                None => "name a service that has `listen`".to_owned(),
            };
            let complaint = Complaint::error(named.place.clone(), message)
                .see(place.clone(), "this makes it a child");
            self.complaints.push(complaint.help(help));
            return None;
        }
        Some(parent)
    }

    fn check_domains(
        &mut self,
        name: &'a VirtualServiceName,
        parent: &'a VirtualServiceName,
        content: &'a RawVirtualService,
    ) {
        let Some(domains) = content.domains.good() else { return };
        for domain in &domains.value {
            let first = self.seen.entry((parent, &domain.value));
            let first = match first {
                Entry::Vacant(slot) => {
                    slot.insert((name, &domain.place));
                    continue;
                }
                Entry::Occupied(first) => *first.get(),
            };
            let (owner, place) = first;
            let message = if owner == name {
                format!("the domain `{}` is named twice in `{name}`", domain.value)
            } else {
                format!("the domain `{}` belongs to `{owner}` and to `{name}`", domain.value)
            };
            let complaint = Complaint::error(domain.place.clone(), message)
                .label("again")
                .see(place.clone(), format!("first here, in `{owner}`"))
                .help("remove one: a name leads to one child of a parent (case and a last dot do not matter)");
            self.complaints.push(complaint);
        }
    }

    /// Bytes that are relayed must go somewhere.
    fn check_stream(&mut self, name: &VirtualServiceName, content: &RawVirtualService) {
        let Some(mode) = content.mode.good().filter(|mode| mode.value != Mode::Http) else {
            return;
        };
        if content.pool.is_absent() {
            let message = format!("`{name}` relays bytes, and has no pool");
            let complaint = Complaint::error(mode.place.clone(), message)
                .note("without HTTP there is no answer that the proxy could give by itself")
                .help("add `pool = \"NAME\"`");
            self.complaints.push(complaint);
        }
    }

    fn check_both(&mut self, content: &RawVirtualService) {
        if let (Some(pool), Some(no_pool)) = (content.pool.place(), content.no_pool.place()) {
            let complaint =
                Complaint::error(no_pool.clone(), "`pool` and `no_pool` exclude each other")
                    .see(pool.clone(), "requests go to this pool")
                    .help("remove one of them");
            self.complaints.push(complaint);
        }
        let Some(certificates) = content.certificates.good() else { return };
        if certificates.value.len() > KEY_TYPES {
            let message =
                format!("{} certificates for one virtual service", certificates.value.len());
            let complaint = Complaint::error(certificates.place.clone(), message)
                .note("a service has at most one for each key type: EC, RSA and Ed25519")
                .help("make a child for each set of names, with its own certificates");
            self.complaints.push(complaint);
            return;
        }
        for (index, certificate) in certificates.value.iter().enumerate() {
            let before = certificates.value[..index].iter();
            if let Some(first) = before.into_iter().find(|other| other.value == certificate.value) {
                let message = format!("the certificate `{}` is named twice", certificate.value);
                let complaint = Complaint::error(certificate.place.clone(), message).label("again");
                self.complaints
                    .push(complaint.see(first.place.clone(), "first here").help("remove one"));
                return;
            }
        }
    }

    fn some_parent(&self) -> &str {
        let mut parents = self.raw.virtual_services.iter().filter(|(_, other)| is_parent(other));
        parents.next().map_or("edge", |(name, _)| name.as_str())
    }
}

fn is_parent(service: &Named<RawVirtualService>) -> bool {
    service.content.as_ref().is_none_or(|content| content.parent.is_absent())
}

fn has_no_certificates(content: &RawVirtualService) -> bool {
    match &content.certificates {
        Field::Absent => true,
        Field::Bad(_) => false,
        Field::Good(certificates) => certificates.value.is_empty(),
    }
}

/// EC, RSA and Ed25519.
const KEY_TYPES: usize = 3;
