//! `[[virtual_service.NAME.rules]]`: which requests, and what is done with them.

use ipnet::IpNet;

use crate::config::rate_limit::RateLimit;
use crate::names::PoolName;

/// One rule. Of a service's rules, the first that matches applies, and no other.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Which requests. All that is named must hold.
    pub matches: Match,
    /// What becomes of them.
    pub action: Action,
    /// How the path changes on its way to a pool.
    pub rewrite: Option<Rewrite>,
    /// After those of the service.
    pub request_headers: HeaderEdits,
    /// After those of the service.
    pub response_headers: HeaderEdits,
    /// Beside those of the service.
    pub rate_limits: Vec<RateLimit>,
    /// In place of that of the service.
    pub request_body: Option<u64>,
}

/// Which requests a rule is for; what is empty does not matter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Match {
    /// `path` or `path_prefix`
    pub path: Option<PathMatch>,
    /// `methods = ["GET", "HEAD"]`, as they are written on the wire.
    pub methods: Vec<String>,
    /// `headers = { x-beta = "1", x-debug = true }`; names in lower case.
    pub headers: Vec<(String, HeaderMatch)>,
    /// `clients = ["10.0.0.0/8"]`
    pub clients: Vec<IpNet>,
}

/// How a path is compared, after its normalisation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PathMatch {
    /// `path = "/login"`: this one.
    Exact(String),
    /// `path_prefix = "/api"`: this and everything below: `/api`, `/api/`, `/api/x`, not `/apiary`.
    Prefix(String),
}

/// How a field is compared.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HeaderMatch {
    /// `true`: it is there.
    Present,
    /// One of its values is this.
    Value(String),
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Nothing else than without the rule: the service's own pool or answer.
    Continue,
    /// `pool = "api"`
    Pool(PoolName),
    /// `redirect = "https://www.example.com{uri}"`, `status = 308`
    Redirect {
        /// 301, 302 (the default), 303, 307 or 308.
        status: u16,
        /// May have `{host}`, `{path}` and `{uri}` (path and query) in it.
        location: String,
    },
    /// `status = 404`, `body = "gone\n"`, `content_type = "text/plain; charset=utf-8"`
    Respond {
        /// 200 to 599.
        status: u16,
        /// May be empty.
        body: String,
        /// Default: plain text in UTF-8.
        content_type: String,
    },
}

/// How the path of a request changes; the query stays.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Rewrite {
    /// `rewrite = "/v2"` with `path_prefix`: in place of the prefix. With `path`: in place of it all.
    Replace(String),
    /// `strip_prefix = true`: without the `path_prefix` of the rule.
    StripPrefix,
}

/// `{ set = { x-a = "1" }, add = { x-b = "2" }, remove = ["x-c"] }`, in the order remove, set, add.
/// Names in lower case.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HeaderEdits {
    /// In place of all that are there.
    pub set: Vec<(String, String)>,
    /// Beside those that are there.
    pub add: Vec<(String, String)>,
    /// Gone.
    pub remove: Vec<String>,
}

impl HeaderEdits {
    /// Whether nothing is edited.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }
}
