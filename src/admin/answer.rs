//! From a request to an answer.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use http_body_util::Full;
use serde::Serialize;
use tokio::sync::oneshot;

use crate::admin::AdminState;
use crate::runtime::report::ReloadOutcome;
use crate::telemetry::exposition;
use crate::telemetry::exposition::Filter;

/// An answer with its whole body.
pub(super) type Answer = Response<Full<Bytes>>;

/// Answers a request that the guard let in. Bodies of requests are not read.
pub(super) async fn answer<B>(request: &Request<B>, state: &AdminState) -> Answer {
    let path = request.uri().path();
    let Some(allowed) = allowed_method(path) else {
        let message = format!("there is no {path} here; see {PATHS}");
        return error(StatusCode::NOT_FOUND, "not_found", &message);
    };
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    if method != allowed {
        let message = format!("{path} takes {allowed}");
        let mut answer = error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &message);
        let value = if *allowed == Method::GET { "GET, HEAD" } else { "POST" };
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(value));
        return answer;
    }
    match path {
        "/metrics" => {
            let text = state.recorder.render(&filter(request.uri().query().unwrap_or_default()));
            with_body(StatusCode::OK, exposition::CONTENT_TYPE, text)
        }
        "/readyz" => {
            let readiness = (state.readiness)();
            let ready =
                if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            json(ready, &readiness)
        }
        "/status" => json(StatusCode::OK, &(state.status)()),
        "/reload" => reload(state).await,
        "/log/reopen" => {
            (state.reopen_logs)();
            json(StatusCode::ACCEPTED, &serde_json::json!({ "reopening": true }))
        }
        _ => json(StatusCode::OK, &serde_json::json!({ "alive": true })),
    }
}

/// An answer that says what is wrong: `{"error": reason, "message": sentence}`.
pub(super) fn error(status: StatusCode, reason: &str, message: &str) -> Answer {
    json(status, &serde_json::json!({ "error": reason, "message": message }))
}

fn allowed_method(path: &str) -> Option<&'static Method> {
    match path {
        "/healthz" | "/livez" | "/metrics" | "/readyz" | "/status" => Some(&Method::GET),
        "/log/reopen" | "/reload" => Some(&Method::POST),
        _ => None,
    }
}

async fn reload(state: &AdminState) -> Answer {
    let (sender, receiver) = oneshot::channel();
    let result = tokio::time::timeout(RELOAD_WITHIN, async {
        state.reload.send(sender).await.ok()?;
        receiver.await.ok()
    });
    match result.await {
        Ok(Some(report)) if report.outcome == ReloadOutcome::Refused => {
            json(StatusCode::UNPROCESSABLE_ENTITY, &report)
        }
        Ok(Some(report)) => json(StatusCode::OK, &report),
        Ok(None) => {
            error(StatusCode::SERVICE_UNAVAILABLE, "draining", "the process is ending; no reload")
        }
        Err(_) => error(
            StatusCode::GATEWAY_TIMEOUT,
            "timeout",
            "the reload takes long; its result will be in /status",
        ),
    }
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_string(value) {
        Ok(mut text) => {
            text.push('\n');
            with_body(status, "application/json", text)
        }
        Err(error) => with_body(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error.to_string()),
    }
}

fn with_body(status: StatusCode, content_type: &'static str, text: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// Parameters that are not known are passed over, as scrapers add their own.
fn filter(query: &str) -> Filter {
    let mut filter = Filter::default();
    for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match &*decode(key) {
            "name[]" => filter.names.push(decode(value)),
            "virtual_service" => filter.virtual_services.push(decode(value)),
            _ => {}
        }
    }
    filter
}

/// Percent-decoding (RFC 3986, section 2.1); what is no escape stays as it is.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escape = (byte == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match escape.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

const PATHS: &str = "/metrics, /livez, /healthz, /readyz, /status, /reload, /log/reopen";

/// Ten thousand certificates from a slow disk are loaded in less.
const RELOAD_WITHIN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_decoded_and_unknown_parameters_passed_over() {
        let names = ["a", "b"].map(str::to_owned).to_vec();
        let services = vec!["shop".to_owned()];
        assert_eq!(
            filter("name[]=a&x=y&name%5B%5D=b&virtual_service=sh%6fp&&flag"),
            Filter { names, virtual_services: services }
        );
        assert_eq!(decode("%é%zz%4"), "%é%zz%4");
    }
}
