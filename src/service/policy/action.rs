//! What a rule does with a request that it matches, compiled.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::StatusCode;

use crate::config;
use crate::config::rule::PathMatch;
use crate::names::PoolName;
use crate::service::location::Location;
use crate::upstream::Pool;

/// What becomes of a request.
pub enum Action {
    /// The service's own pool or answer.
    Continue,
    /// To this pool.
    Pool(Arc<Pool>),
    /// To another place.
    Redirect(StatusCode, Location),
    /// Answered here.
    Respond {
        /// As it was written.
        status: StatusCode,
        /// May be empty.
        body: Bytes,
        /// Of the body.
        content_type: HeaderValue,
    },
}

/// How a path changes on its way to a pool.
#[derive(Debug, Eq, PartialEq)]
pub struct Rewrite {
    /// Slashes of the prefix that goes, so that it is found however it is spelled; `None`: the whole
    /// path goes.
    prefix: Option<usize>,
    with: Box<str>,
}

impl Action {
    /// Compiles an action. The configuration has been checked: a pool that is not there, a status or
    /// a field value that is none would be its mistake, answered with 500.
    pub fn compile(config: &config::rule::Action, pools: &BTreeMap<PoolName, Arc<Pool>>) -> Self {
        use config::rule::Action as Written;
        match config {
            Written::Continue => Self::Continue,
            Written::Pool(name) => match pools.get(name) {
                Some(pool) => Self::Pool(Arc::clone(pool)),
                None => Self::respond(500, "", ""),
            },
            Written::Redirect { status, location } => match Location::parse(location) {
                Ok(location) => Self::Redirect(status_of(*status), location),
                Err(_) => Self::respond(500, "", ""),
            },
            Written::Respond { status, body, content_type } => {
                Self::respond(*status, body, content_type)
            }
        }
    }

    fn respond(status: u16, body: &str, content_type: &str) -> Self {
        Self::Respond {
            status: status_of(status),
            body: Bytes::copy_from_slice(body.as_bytes()),
            content_type: HeaderValue::from_str(content_type)
                .ok()
                .filter(|value| !value.is_empty())
                .unwrap_or_else(|| HeaderValue::from_static("text/plain; charset=utf-8")),
        }
    }
}

impl Rewrite {
    /// Compiles what was written beside the path that a rule is for.
    pub fn compile(config: &config::rule::Rewrite, path: Option<&PathMatch>) -> Self {
        let prefix = match path {
            Some(PathMatch::Prefix(prefix)) => {
                let prefix = super::path::normalise(prefix)
                    .map_or_else(|_| prefix.clone(), |normal| normal.sent.into_owned());
                Some(prefix.trim_end_matches('/').matches('/').count())
            }
            Some(PathMatch::Exact(_)) | None => None,
        };
        let with = match config {
            config::rule::Rewrite::StripPrefix => "",
            config::rule::Rewrite::Replace(with) => with,
        };
        Self { prefix, with: with.into() }
    }

    /// The path for the endpoint. `path` is normal, and the rule has matched it.
    pub fn apply(&self, path: &str) -> String {
        let rest = match self.prefix {
            None => "",
            Some(slashes) => path.match_indices('/').nth(slashes).map_or("", |(at, _)| &path[at..]),
        };
        let with = if rest.is_empty() { &*self.with } else { self.with.trim_end_matches('/') };
        let path = format!("{with}{rest}");
        if path.starts_with('/') { path } else { format!("/{path}") }
    }
}

fn status_of(number: u16) -> StatusCode {
    StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Continue => f.write_str("Continue"),
            Self::Pool(pool) => f.debug_tuple("Pool").field(&pool.name).finish(),
            Self::Redirect(status, _) => f.debug_tuple("Redirect").field(status).finish(),
            Self::Respond { status, .. } => f.debug_tuple("Respond").field(status).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_taken_away_or_replaced() {
        let rewritten = |prefix: &str, with: Option<&str>, path: &str| {
            let config = match with {
                Some(with) => config::rule::Rewrite::Replace(with.into()),
                None => config::rule::Rewrite::StripPrefix,
            };
            let prefix = PathMatch::Prefix(prefix.into());
            Rewrite::compile(&config, Some(&prefix)).apply(path)
        };
        for (prefix, with, path, expected) in [
            ("/api", None, "/api", "/"),
            ("/api", None, "/api/", "/"),
            ("/api", None, "/api/x/y", "/x/y"),
            ("/api/", None, "/api/x", "/x"),
            ("/a/b", None, "/a/b/c", "/c"),
            ("/", None, "/x", "/x"),
            ("/api", Some("/v2"), "/api", "/v2"),
            ("/api", Some("/v2"), "/api/x", "/v2/x"),
            ("/api", Some("/v2/"), "/api/x", "/v2/x"),
            ("/api", Some("/"), "/api/x", "/x"),
            ("/", Some("/v2"), "/x", "/v2/x"),
            // Spelled in another way than the rule, and as long as it in segments.
            ("/a@b", Some("/v2"), "/a%40b/c", "/v2/c"),
        ] {
            assert_eq!(rewritten(prefix, with, path), expected, "{prefix} {with:?} {path}");
        }
        let exact = PathMatch::Exact("/old".into());
        let rewrite = config::rule::Rewrite::Replace("/new".into());
        assert_eq!(Rewrite::compile(&rewrite, Some(&exact)).apply("/old"), "/new");
    }
}
