//! What a plain listener answers for a virtual service, compiled from `http_redirect`.

use http::Method;
use http::StatusCode;

use crate::config;
use crate::service::location::Location;

/// What a request over plain HTTP is answered with.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum HttpRedirect {
    /// Sent to the same host, path and query over HTTPS.
    #[default]
    SameHost,
    /// Sent somewhere else.
    To {
        /// Where.
        location: Location,
        /// None: as [`permanent`] says.
        status: Option<StatusCode>,
    },
    /// 404.
    Refuse,
}

impl HttpRedirect {
    /// Compiles what was written. The configuration has been checked; a template that says nothing
    /// would be its mistake, and leads nobody anywhere.
    pub fn compile(config: &config::virtual_service::HttpRedirect) -> Self {
        use config::virtual_service::HttpRedirect as Written;
        match config {
            Written::SameHost => Self::SameHost,
            Written::Refuse => Self::Refuse,
            Written::To { location, status } => match Location::parse(location) {
                Ok(location) => {
                    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
                    Self::To { location, status }
                }
                Err(error) => {
                    tracing::error!(location, reason = error.reason(), "http_redirect: {error}");
                    Self::Refuse
                }
            },
        }
    }
}

/// The status of a redirect that is there to stay: 301 where nothing can be lost by it, and 308,
/// which keeps method and body, for all other methods (RFC 9110, sections 15.4.2 and 15.4.9).
pub fn permanent(method: &Method) -> StatusCode {
    match *method {
        Method::GET | Method::HEAD => StatusCode::MOVED_PERMANENTLY,
        _ => StatusCode::PERMANENT_REDIRECT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::virtual_service::HttpRedirect as Written;

    #[test]
    fn what_was_written_is_what_is_done() {
        assert_eq!(HttpRedirect::compile(&Written::SameHost), HttpRedirect::SameHost);
        assert_eq!(HttpRedirect::compile(&Written::Refuse), HttpRedirect::Refuse);
        let to = |location: &str, status| Written::To { location: location.to_owned(), status };
        let location = Location::parse("https://a.example{uri}").expect("a template");
        let expected = HttpRedirect::To { location, status: Some(StatusCode::FOUND) };
        assert_eq!(HttpRedirect::compile(&to("https://a.example{uri}", Some(302))), expected);
        assert_eq!(HttpRedirect::compile(&to("{nothing}", None)), HttpRedirect::Refuse);
    }

    #[test]
    fn only_what_has_no_body_may_lose_its_method() {
        assert_eq!(permanent(&Method::HEAD), StatusCode::MOVED_PERMANENTLY);
        assert_eq!(permanent(&Method::PUT), StatusCode::PERMANENT_REDIRECT);
    }
}
