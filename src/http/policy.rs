//! Where the policy of a service meets a request, and what is answered to it (SPEC PX-4). A service
//! without one costs a look at a pointer.

use std::borrow::Cow;

use bytes::Bytes;
use http::Uri;
use http::header;
use http::uri::PathAndQuery;
use http_body::Body;

use crate::http::answer;
use crate::http::error::ForwardError;
use crate::http::error::Rejection;
use crate::http::exchange::Exchange;
use crate::http::gate::AdmittedHost;
use crate::message::Fields;
use crate::message::Request;
use crate::message::Response;
use crate::service::VirtualService;
use crate::service::policy::Refusal;
use crate::service::policy::Rule;
use crate::service::policy::action::Action;
use crate::service::policy::path::Normalised;
use crate::service::policy::path::normalise;
use crate::service::policy::rules::Head;
use crate::upstream::Outgoing;
use crate::upstream::RequestBody;
use crate::upstream::UpstreamError;

/// Applies a service's policy to a request: refuses it, answers it, or makes of it what the endpoint
/// is to see. The rule that it is for is noted in the exchange.
///
/// Where rules look at paths, a path is sent on in the form in which they have seen it.
pub fn request(
    service: &VirtualService,
    outgoing: &mut Outgoing,
    exchange: &mut Exchange,
) -> Result<Option<Response<Bytes>>, ForwardError> {
    let Some(policy) = service.policy.as_deref() else { return Ok(None) };
    let from = exchange.client();
    if !policy.admits(from) {
        return Err(Refusal::Address.into());
    }
    let request = outgoing.request().ok_or(Rejection::Target)?;
    let uri = request.uri().clone();
    let path = match policy.looks_at_paths() {
        true => normalise(uri.path()).map_err(Refusal::BadPath)?,
        false => Normalised::as_it_is(uri.path()),
    };
    let (method, fields) = (request.method(), request.fields());
    let head = Head { path: &path.matched, method, fields, client: from };
    exchange.applies(policy.matches(&head));
    let rule = policy.rule(exchange.rule());
    policy.count(rule, from, exchange.began())?;
    if let Some(most) = policy.request_body(rule) {
        bound(request, most)?;
    }
    if let Some(response) = rule.and_then(|rule| answered(rule, exchange, &path.sent, &uri)) {
        return Ok(Some(response));
    }
    let path = match rule.and_then(|rule| rule.rewrite.as_ref()) {
        Some(rewrite) => Cow::Owned(rewrite.apply(&path.sent)),
        None => path.sent,
    };
    if path != uri.path() {
        *request.uri_mut() = with_path(&uri, &path).ok_or(Rejection::Target)?;
    }
    policy.edit_request(rule, request.fields_mut());
    Ok(None)
}

/// Puts an endpoint's response right, and edits it.
pub fn response(service: &VirtualService, exchange: &Exchange, fields: &mut Fields) {
    let Some(policy) = service.policy.as_deref() else { return };
    policy.put_right(exchange.host().map(AdmittedHost::value), fields);
    policy.promise_tls(fields);
    policy.edit_response(policy.rule(exchange.rule()), fields);
}

/// Dresses an answer of our own: a page where there is one for its status, and the same edits that a
/// response of an endpoint gets. An answer that was written with a body keeps that.
pub fn own(exchange: &Exchange, error: Option<&ForwardError>, response: &mut Response<Bytes>) {
    let Some(policy) = exchange.service().policy.as_deref() else { return };
    let status = response.status();
    let may_have_page = error.is_some() || (status.as_u16() >= 400 && response.body().is_empty());
    if let Some(page) = policy.pages.get(status.as_u16()).filter(|_| may_have_page) {
        *response.body_mut() = page.body.clone();
        response.fields_mut().insert(header::CONTENT_TYPE, page.content_type.clone());
    }
    // A promise is made for the host that was asked for: not where that is nobody's here.
    if !error.is_some_and(is_about_the_host) {
        policy.promise_tls(response.fields_mut());
    }
    policy.edit_response(policy.rule(exchange.rule()), response.fields_mut());
}

/// Dresses the answer to what is no request: there is neither a rule for it, nor a host to promise
/// anything for.
pub fn no_request(service: &VirtualService, response: &mut Response<Bytes>) {
    let Some(policy) = service.policy.as_deref() else { return };
    if let Some(page) = policy.pages.get(response.status().as_u16()) {
        *response.body_mut() = page.body.clone();
        response.fields_mut().insert(header::CONTENT_TYPE, page.content_type.clone());
    }
    policy.edit_response(policy.rule(None), response.fields_mut());
}

/// What went wrong upstream; nothing did where it was the request that was too large.
pub fn failure(exchange: &Exchange, error: UpstreamError) -> ForwardError {
    match exchange.has_overrun() {
        true => Refusal::BodyTooLarge.into(),
        false => error.into(),
    }
}

/// A length that was declared is judged by it; of any other body what comes is counted.
fn bound(request: &mut Request<RequestBody>, most: u64) -> Result<(), Refusal> {
    if request.body().size_hint().lower() > most {
        return Err(Refusal::BodyTooLarge);
    }
    request.body_mut().bound(most);
    Ok(())
}

fn answered(rule: &Rule, exchange: &Exchange, path: &str, uri: &Uri) -> Option<Response<Bytes>> {
    match &rule.action {
        Action::Continue | Action::Pool(_) => None,
        Action::Redirect(status, location) => {
            let host = exchange.host().map_or("", |host| host.host().name);
            Some(answer::redirect_to(*status, location.render(host, path, uri.query())))
        }
        Action::Respond { status, body, content_type } => {
            let mut response = answer::fixed(*status, body.clone());
            response.fields_mut().insert(header::CONTENT_TYPE, content_type.clone());
            Some(response)
        }
    }
}

/// The same target with another path; the query stays.
fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let text = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::from_maybe_shared(Bytes::from(text)).ok()?);
    Uri::from_parts(parts).ok()
}

fn is_about_the_host(error: &ForwardError) -> bool {
    matches!(
        error,
        ForwardError::HostMismatch
            | ForwardError::Rejected(Rejection::Host | Rejection::HostConflict)
    )
}
