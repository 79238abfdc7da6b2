//! The recipe: one request, from its head to the head of its response.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::StatusCode;
use http::Version;
use http::header;

use crate::config::virtual_service::NoPool;
use crate::http::answer;
use crate::http::body::ResponseBody;
use crate::http::client_side::ClientSide;
use crate::http::error::ForwardError;
use crate::http::error::Rejection;
use crate::http::exchange::Exchange;
use crate::http::fields;
use crate::http::gate;
use crate::http::gate::Admitted;
use crate::http::identity::Identity;
use crate::http::policy;
use crate::http::websocket;
use crate::message::Fields;
use crate::message::Request;
use crate::message::Response;
use crate::service::Target;
use crate::service::VirtualService;
use crate::service::host::Owner;
use crate::upstream::Hearing;
use crate::upstream::Manner;
use crate::upstream::Outgoing;
use crate::upstream::RequestBody;
use crate::upstream::Switch;
use crate::upstream::UpstreamBody;
use crate::upstream::UpstreamError;

/// Serves one request; whatever happens, there is a response.
pub async fn respond(
    client: Arc<ClientSide>,
    request: Request<RequestBody>,
    hearing: Option<Hearing>,
) -> Response<ResponseBody> {
    let mut exchange = Exchange::begin(Arc::clone(&client), &request);
    let mut outgoing = Outgoing::new(request);
    outgoing.hearing = hearing;
    let (error, mut response) = match route(&client, &mut outgoing, &mut exchange).await {
        Ok(Routed::Upstream(response)) => {
            exchange.answered(response.status().as_u16());
            (None, response.map(|body| ResponseBody::upstream(body, exchange)))
        }
        Ok(Routed::Own(mut response)) => {
            policy::own(&exchange, None, &mut response);
            exchange.answered(response.status().as_u16());
            (None, response.map(|text| ResponseBody::own(text, exchange)))
        }
        Ok(Routed::Switched(response, switch)) => {
            exchange.answered(response.status().as_u16());
            (None, response.map(|()| ResponseBody::switching(switch, exchange)))
        }
        Err(error) => {
            exchange.refused(&error);
            let mut response = answer::error(&error);
            policy::own(&exchange, Some(&error), &mut response);
            if exchange.is_grpc() {
                response = answer::to_grpc(response.status());
            }
            exchange.answered(response.status().as_u16());
            (Some(error), response.map(|text| ResponseBody::own(text, exchange)))
        }
    };
    let closes = error.is_some_and(|error| error.closes());
    let leaves = closes || client.service().retirement.is_retired();
    if client.is_http1() && leaves && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.fields_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

enum Routed {
    Own(Response<Bytes>),
    Switched(Response<()>, Switch),
    Upstream(Response<UpstreamBody>),
}

/// Whose request it is, and what that service does with it.
async fn route(
    client: &ClientSide,
    outgoing: &mut Outgoing,
    exchange: &mut Exchange,
) -> Result<Routed, ForwardError> {
    let service = prepare(client, outgoing, exchange)?;
    if let Some(response) = policy::request(&service, outgoing, exchange)? {
        return Ok(Routed::Own(response));
    }
    let Some(pool) = service.pool(exchange.rule()) else {
        return no_pool(&service.target).map(Routed::Own);
    };
    exchange.asks();
    let key = websocket_key(outgoing);
    let source = client.source(exchange.client());
    let answered = pool.forward(outgoing, source, &mut exchange.trace).await;
    let mut response = answered.map_err(|error| policy::failure(exchange, error))?;
    let switch = response.body_mut().take_switch();
    if switch.is_some() && !is_agreed(response.fields(), key.as_ref()) {
        return Err(policy::failure(exchange, UpstreamError::BadSwitch));
    }
    fields::prepare_response(response.fields_mut());
    policy::response(&service, exchange, response.fields_mut());
    // An HTTP/1.0 endpoint does not make this an HTTP/1.0 response.
    *response.version_mut() = Version::HTTP_11;
    if let Some(switch) = switch {
        websocket::switch(response.fields_mut());
        return Ok(Routed::Switched(response.map(|_| ()), switch));
    }
    Ok(Routed::Upstream(response))
}

/// Checks the request, finds its owner, and makes of its head what an endpoint is to see.
fn prepare(
    client: &ClientSide,
    outgoing: &mut Outgoing,
    exchange: &mut Exchange,
) -> Result<Arc<VirtualService>, ForwardError> {
    let request = outgoing.request().ok_or(Rejection::Target)?;
    let Admitted { host, has_underscores } = gate::admit(request)?;
    exchange.for_host(host.clone());
    match client.owner(host.host()) {
        Owner::Mine => exchange.served_by(None),
        Owner::Sibling(sibling) => exchange.served_by(Some(sibling)),
        Owner::Nobody => return Err(ForwardError::HostMismatch),
    }
    exchange.receives(request.body().progress());
    let service = Arc::clone(exchange.service());
    if has_underscores {
        gate::settle_underscores(request.fields_mut(), service.underscore_fields)?;
    }
    if websocket::is_extended_connect(request) {
        websocket::from_extended_connect(request);
    }
    let is_websocket = websocket::is_asked_for(request);
    let fields = request.fields_mut();
    exchange.comes_from(client.said_by(fields, &service));
    fields::prepare_request(fields, client, &service, exchange.forwarding(), host.value());
    exchange.identified(Identity::establish(fields, exchange.is_sampled()));
    if is_websocket {
        websocket::switch(fields);
        outgoing.manner = Manner::WebSocket;
    } else if exchange.is_grpc() {
        outgoing.manner = Manner::Grpc;
    }
    Ok(service)
}

/// What the answer to a WebSocket's client of HTTP/2 depends on: it sends no key and checks no answer,
/// so that the proxy does both. A client of HTTP/1.1 does so itself.
fn websocket_key(outgoing: &mut Outgoing) -> Option<HeaderValue> {
    if outgoing.manner != Manner::WebSocket {
        return None;
    }
    let request = outgoing.request().filter(|request| request.version() == Version::HTTP_2)?;
    request.fields().get(header::SEC_WEBSOCKET_KEY).cloned()
}

fn is_agreed(fields: &Fields, key: Option<&HeaderValue>) -> bool {
    websocket::is_agreed(fields) && key.is_none_or(|key| websocket::accepts(fields, key))
}

/// SPEC VS-8. `close` has closed the connection before there was a request, except one that came
/// over a sibling's.
fn no_pool(target: &Target) -> Result<Response<Bytes>, ForwardError> {
    match target {
        Target::NoPool(NoPool::Close) | Target::Pool(_) => Err(ForwardError::NoPool),
        Target::NoPool(NoPool::Respond { status, body }) => {
            Ok(answer::fixed(status_of(*status), Bytes::from(body.clone())))
        }
        Target::NoPool(NoPool::Redirect { status, location }) => {
            Ok(answer::redirect(status_of(*status), location))
        }
    }
}

/// The configuration has been checked; a status out of range would be its mistake.
fn status_of(number: u16) -> StatusCode {
    StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
