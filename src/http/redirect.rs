//! The plain listener: it sends clients to HTTPS, as the service that owns the host wants it, and
//! serves nothing itself.
//!
//! `strict-transport-security` is not for responses over plain HTTP (RFC 6797, section 7.2), so none
//! of a service's response fields are added here.

use std::convert::Infallible;
use std::future::ready;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::header;
use http_body_util::Full;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::time::Instant;

use crate::http::activity::Activity;
use crate::http::answer;
use crate::http::error::ForwardError;
use crate::http::gate;
use crate::http::gate::AdmittedHost;
use crate::http::http1;
use crate::http::http1::Finish;
use crate::http::incident::Incident;
use crate::http::plain_line::PlainClient;
use crate::http::plain_line::PlainExchange;
use crate::message::Request;
use crate::message::Response;
use crate::names::ClientAddr;
use crate::service::Listener;
use crate::service::Table;
use crate::service::VirtualService;
use crate::service::host::Host;
use crate::service::http_redirect;
use crate::service::http_redirect::HttpRedirect;
use crate::service::location::Location;
use crate::service::settings::Settings;
use crate::upstream::RequestBody;

/// A connection of a plain listener.
#[derive(Clone, Debug)]
pub struct PlainConnection {
    /// Where the client is.
    pub client: ClientAddr,
    /// Who really connected, where a PROXY protocol header said that it is not the client.
    pub peer: Option<IpAddr>,
    /// Where it was accepted: its table says who owns a host.
    pub listener: Arc<Listener>,
    /// The parent; when it is retired, connections leave.
    pub service: Arc<VirtualService>,
    /// The same bounds as on the TLS side.
    pub settings: Arc<Settings>,
}

/// Serves a plain connection until it closes.
pub async fn serve<IO>(io: IO, connection: PlainConnection)
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let activity = Arc::new(Activity::new());
    let PlainConnection { client, peer, listener, service, settings } = &connection;
    let client = PlainClient::new(*client, *peer);
    let retirement = &service.retirement;
    let bounds = http1::Bounds { activity: &activity, settings, retirement, dressed_by: None };
    let on_request = |mut request: Request<RequestBody>| {
        activity.exchange_began();
        let began = Instant::now();
        let has_body = !http_body::Body::is_end_stream(request.body());
        // Of now, not of when the client connected: a reload may have given the host to another.
        let Answer { by, host, reason, mut response, closes } =
            answer(&mut request, &listener.table.current(), &listener.same_host.current());
        if closes || has_body || retirement.is_retired() {
            response.fields_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        client.record(&by, &PlainExchange { request: &request, host, reason, began }, &response);
        activity.exchange_ended();
        ready(Ok::<_, Infallible>(response.map(Full::new)))
    };
    let finish = http1::serve(io, bounds, on_request).await;
    let incident = match &finish {
        // Only an answer of the proxy itself comes from here, and none of them switches.
        Finish::Closed | Finish::Switched(..) => return,
        Finish::HeadTimeout => Incident::HeadTimeout,
        Finish::Malformed(bad) => Incident::Malformed(*bad),
        Finish::Stalled => Incident::WriteTimeout,
    };
    incident.record(service, || client.facts());
}

/// What a request is answered with, and in whose name.
struct Answer {
    by: Arc<VirtualService>,
    host: Option<AdmittedHost>,
    reason: Option<&'static str>,
    response: Response<Bytes>,
    closes: bool,
}

fn answer<B>(request: &mut Request<B>, table: &Table, same_host: &Location) -> Answer {
    let admitted = match gate::admit(request) {
        Ok(admitted) => admitted.host,
        Err(rejection) => {
            let error = ForwardError::Rejected(rejection);
            return Answer {
                by: Arc::clone(table.parent()),
                host: None,
                reason: Some(error.reason()),
                response: answer::error(&error),
                closes: error.closes(),
            };
        }
    };
    let host = admitted.host();
    let child = table.sibling(&host.normalised());
    let by = Arc::clone(child.unwrap_or_else(|| table.parent()));
    let reserved = request.uri().path().starts_with(ACME_CHALLENGES);
    // There is no HTTPS to go to: the handshake would be refused.
    let is_unknown = child.is_none() && table.strict_sni;
    let (reason, response) = match &by.http_redirect {
        _ if reserved => (None, answer::not_found()),
        _ if is_unknown => (Some("unknown_host"), answer::not_found()),
        HttpRedirect::Refuse => (None, answer::not_found()),
        HttpRedirect::SameHost => (None, redirect(request, host, same_host, None)),
        HttpRedirect::To { location, status } => (None, redirect(request, host, location, *status)),
    };
    Answer { by, host: Some(admitted), reason, response, closes: false }
}

fn redirect<B>(
    request: &Request<B>,
    host: Host<'_>,
    location: &Location,
    status: Option<http::StatusCode>,
) -> Response<Bytes> {
    let (path, query) = (request.uri().path(), request.uri().query());
    let status = status.unwrap_or_else(|| http_redirect::permanent(request.method()));
    answer::redirect_to(status, location.render(host.name, path, query))
}

/// RFC 8555, section 8.3: a CA asks here over plain HTTP, and what it finds must be ours to say.
const ACME_CHALLENGES: &str = "/.well-known/acme-challenge/";

#[cfg(test)]
mod tests {
    use http::Method;
    use http::StatusCode;

    use super::*;
    use crate::service::fixture;

    /// `shop` wants the default, `old` is somewhere else, `inner` is not told about.
    fn table(strict: bool) -> Table {
        let shop = fixture::service("shop", &["shop.example", "*.shop.example"]);
        let mut old = fixture::service("old", &["old.example"]);
        old.http_redirect = HttpRedirect::To {
            location: Location::parse("https://new.example/from/{host}{uri}").expect("a template"),
            status: Some(StatusCode::FOUND),
        };
        let mut inner = fixture::service("inner", &["inner.shop.example"]);
        inner.http_redirect = HttpRedirect::Refuse;
        let children = [shop, old, inner].map(Arc::new);
        let mut table = fixture::table(fixture::service("front", &[]), &children);
        table.strict_sni = strict;
        table
    }

    fn ask_table(table: &Table, method: Method, host: &str, target: &str) -> Answer {
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.uri_mut() = target.parse().expect("a target");
        request.fields_mut().insert(header::HOST, host.parse().expect("a value"));
        answer(&mut request, table, &Location::same_host(8443))
    }

    fn ask(method: Method, host: &str, target: &str) -> (String, u16, String) {
        let answer = ask_table(&table(false), method, host, target);
        let location = answer.response.fields().get("location");
        let location = location.map_or("", |value| value.to_str().expect("text"));
        (answer.by.name.to_string(), answer.response.status().as_u16(), location.to_owned())
    }

    fn is(by: &str, status: u16, location: &str) -> (String, u16, String) {
        (by.to_owned(), status, location.to_owned())
    }

    #[test]
    fn each_host_is_answered_as_its_owner_wants() {
        let get = |host, target| ask(Method::GET, host, target);
        assert_eq!(
            get("A.shop.example.:8080", "/p?q=1"),
            is("shop", 301, "https://A.shop.example.:8443/p?q=1")
        );
        assert_eq!(
            get("old.example", "/p?q=1"),
            is("old", 302, "https://new.example/from/old.example/p?q=1")
        );
        assert_eq!(get("inner.shop.example", "/"), is("inner", 404, ""));
        assert_eq!(get("other.example", "/"), is("front", 301, "https://other.example:8443/"));
        assert_eq!(get("[::1]", "/"), is("front", 301, "https://[::1]:8443/"));
        assert_eq!(
            get("shop.example", "http://shop.example/p"),
            is("shop", 301, "https://shop.example:8443/p")
        );
    }

    #[test]
    fn a_method_with_a_body_keeps_it() {
        let (_, status, _) = ask(Method::POST, "shop.example", "/");
        assert_eq!(status, 308);
        let (_, status, location) = ask(Method::OPTIONS, "shop.example", "*");
        assert_eq!((status, &*location), (308, "https://shop.example:8443/"));
    }

    #[test]
    fn the_port_of_https_is_left_out() {
        let rendered = Location::same_host(443).render("a.example", "/", None);
        assert_eq!(rendered, "https://a.example/");
    }

    #[test]
    fn challenges_of_acme_are_never_redirected() {
        for host in ["shop.example", "old.example", "other.example"] {
            let (_, status, location) = ask(Method::GET, host, "/.well-known/acme-challenge/x");
            assert_eq!((status, &*location), (404, ""), "{host}");
        }
        let (_, status, _) = ask(Method::GET, "shop.example", "/.well-known/security.txt");
        assert_eq!(status, 301);
    }

    #[test]
    fn a_strict_parent_sends_nobody_where_the_handshake_would_be_refused() {
        let answer = ask_table(&table(true), Method::GET, "other.example", "/");
        assert_eq!(answer.response.status(), StatusCode::NOT_FOUND);
        assert_eq!(answer.reason, Some("unknown_host"));
        assert_eq!(answer.by.name.as_str(), "front");
        let answer = ask_table(&table(true), Method::GET, "shop.example", "/");
        assert_eq!(answer.response.status(), StatusCode::MOVED_PERMANENTLY);
    }

    #[test]
    fn a_host_that_is_none_is_not_redirected_to() {
        let answer = ask_table(&table(false), Method::GET, "evil@example.com", "/");
        assert_eq!(answer.response.status(), StatusCode::BAD_REQUEST);
        assert!(!answer.response.fields().contains("location"));
        assert_eq!((answer.reason, answer.closes), (Some("bad_host"), true));
        assert_eq!(answer.by.name.as_str(), "front");
    }
}
