//! Keeps web pages out: a page in the operator's browser can send requests to loopback.
//!
//! DNS rebinding gives a page's own name the address 127.0.0.1; the `Host` then is that name. A plain
//! cross-site request has the right `Host`, and an `Origin` that is not ours.

use std::net::IpAddr;

use http::Request;
use http::StatusCode;
use http::header;
use http::uri::Authority;

use crate::admin::answer;
use crate::admin::answer::Answer;

/// What the admin address is called.
#[derive(Clone, Copy, Debug)]
pub(super) enum Guard {
    /// A TCP address: `localhost`, any loopback address, or this one.
    Tcp(IpAddr),
    /// A socket file, which no browser reaches.
    Unix,
}

impl Guard {
    /// The refusal of a request that a web page may have made.
    pub(super) fn refuse<B>(&self, request: &Request<B>) -> Option<Answer> {
        let Self::Tcp(address) = self else { return None };
        let header = |name| request.headers().get(name);
        let host = header(header::HOST).and_then(|host| host.to_str().ok());
        let named = [host, request.uri().authority().map(Authority::as_str)];
        if host.is_none() || !named.iter().flatten().all(|name| is_ours(name, *address)) {
            return Some(answer::error(
                StatusCode::FORBIDDEN,
                "host",
                "the Host of the request is not the admin address",
            ));
        }
        // What a page of this very address would send has the same authority after the scheme.
        let origin =
            header(header::ORIGIN)?.to_str().ok().and_then(|origin| origin.split_once("://"));
        if origin.map(|(_, authority)| authority) == host {
            return None;
        }
        let message = "requests of web pages of other origins are refused";
        Some(answer::error(StatusCode::FORBIDDEN, "origin", message))
    }
}

fn is_ours(name: &str, address: IpAddr) -> bool {
    let Ok(authority) = name.parse::<Authority>() else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback() || ip == address,
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(host: Option<&str>, origin: Option<&str>) -> bool {
        let mut request = Request::get("/metrics");
        if let Some(host) = host {
            request = request.header(header::HOST, host);
        }
        if let Some(origin) = origin {
            request = request.header(header::ORIGIN, origin);
        }
        let guard = Guard::Tcp("127.0.0.1".parse().unwrap());
        guard.refuse(&request.body(()).unwrap()).is_some()
    }

    #[test]
    fn only_names_of_loopback_are_hosts() {
        for host in ["localhost", "LOCALHOST:9901", "127.0.0.1:9901", "127.8.8.8", "[::1]:9901"] {
            assert!(!refused(Some(host), None), "{host}");
        }
        for host in ["evil.example:9901", "10.0.0.1", "localhost.evil.example", "", "a b"] {
            assert!(refused(Some(host), None), "{host}");
        }
        assert!(refused(None, None));
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let host = Some("127.0.0.1:9901");
        assert!(!refused(host, Some("http://127.0.0.1:9901")));
        for origin in ["http://evil.example", "null", "http://127.0.0.1:8080"] {
            assert!(refused(host, Some(origin)), "{origin}");
        }
    }

    #[test]
    fn a_socket_file_needs_no_host() {
        assert!(Guard::Unix.refuse(&Request::get("/").body(()).unwrap()).is_none());
    }
}
