//! What fits a `mode`: a stream has no requests (SPEC VS-11).

use crate::config::complaint::Complaint;
use crate::config::complaint::Complaints;
use crate::config::rate_limit::Counted;
use crate::config::raw::Raw;
use crate::config::raw_virtual_service::RawVirtualService;
use crate::config::read::Table;
use crate::config::source::Place;
use crate::config::virtual_service::Mode;

impl Mode {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Passthrough => "passthrough",
            Self::Tcp => "tcp",
        }
    }
}

/// Complains about keys of a table that mean nothing in its mode.
pub fn check_keys(table: &Table<'_>, service: &RawVirtualService) {
    let Some(mode) = service.mode.good().filter(|mode| mode.value != Mode::Http) else { return };
    let word = mode.value.as_str();
    let because = |complaint: Complaint| complaint.see(mode.place.clone(), RELAYED);
    for key in HTTP_KEYS {
        let Some(value) = table.value(key) else { continue };
        let message = format!("`{key}` means nothing with `mode = \"{word}\"`");
        let complaint = because(Complaint::error(value.key_place(), message));
        let help = format!("remove `{key}`, or `mode` for HTTP");
        table.document().complain(complaint.help(help));
    }
    let policy = service.policy.policy.as_deref();
    let counts_requests = policy
        .into_iter()
        .flat_map(|policy| &policy.rate_limits)
        .any(|limit| limit.counts == Counted::Requests);
    if let (true, Some(value)) = (counts_requests, table.value("rate_limits")) {
        let message = format!("requests are not counted with `mode = \"{word}\"`");
        let complaint = because(Complaint::error(value.key_place(), message));
        table
            .document()
            .complain(complaint.help("limit connections: `{ connections = \"20/s\" }`"));
    }
    let mut warned = vec!["trusted_proxies"];
    if mode.value == Mode::Passthrough {
        warned.push("certificates");
        if !service.parent.is_absent() {
            warned.push("tls_profile");
        }
    }
    for key in warned {
        let Some(value) = table.value(key) else { continue };
        let message = format!("`{key}` has no effect with `mode = \"{word}\"`");
        let label = if key == "trusted_proxies" { RELAYED } else { "TLS does not end here" };
        let complaint = Complaint::warning(value.key_place(), message);
        let complaint = complaint.see(mode.place.clone(), label);
        table.document().complain(complaint.help(format!("remove `{key}`")));
    }
}

/// Complains about streams that lead to pools which cannot do with them what they say.
pub fn check(raw: &Raw, complaints: &mut Complaints) {
    let services = raw.virtual_services.values().filter_map(|service| service.content.as_ref());
    for service in services {
        let Some(mode) = service.mode.good().filter(|mode| mode.value != Mode::Http) else {
            continue;
        };
        let Some(named) = service.pool.good() else { continue };
        let pool = raw.pools.get(&named.value).and_then(|pool| pool.content.as_ref());
        let Some(pool) = pool else { continue };
        let mut warn = |place: &Place, message: String, help: &str| {
            let complaint = Complaint::warning(named.place.clone(), message)
                .see(mode.place.clone(), RELAYED)
                .see(place.clone(), format!("in [pool.{}]", named.value));
            complaints.push(complaint.help(help));
        };
        if let Some(place) = pool.needs_requests() {
            let message = format!("the pool `{}` chooses endpoints by requests", named.value);
            let help = "make another pool for streams; `hash = \"client_address\"` binds clients without requests";
            warn(place, message, help);
        }
        if let (Mode::Passthrough, Some(place)) = (mode.value, pool.tls.place()) {
            let message =
                format!("the pool `{}` would wrap the TLS of clients in TLS again", named.value);
            let help = "remove `tls` from the pool, or write `mode = \"tcp\"`";
            warn(place, message, help);
        }
    }
}

const RELAYED: &str = "bytes are relayed, without a look at requests";

/// Keys that are about requests and answers.
const HTTP_KEYS: &[&str] = &[
    "host_check",
    "forwarded",
    "underscore_fields",
    "request_body",
    "request_headers",
    "response_headers",
    "hsts",
    "error_pages",
    "cookies",
    "rewrite_location",
    "client_certificate_headers",
    "rules",
    "no_pool",
];
