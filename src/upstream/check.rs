//! One health check of one endpoint: what is sent, and what is a good answer.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::StatusCode;
use http::Uri;
use http::header;
use http_body::Body;
use thiserror::Error;
use tokio::io::AsyncWriteExt;

use crate::config::health::HealthCheck;
use crate::config::health::Probe;
use crate::message::Request;
use crate::message::Response;
use crate::names::EndpointAddr;
use crate::upstream::body::RequestBody;
use crate::upstream::connect::Call;
use crate::upstream::dial::dial;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::error::BodyError;
use crate::upstream::error::UpstreamError;
use crate::upstream::incoming::Incoming;
use crate::upstream::opening;
use crate::upstream::outgoing::Outgoing;

/// Why a check is bad.
#[derive(Debug, Error)]
pub enum CheckError {
    /// The body of the answer broke off.
    #[error("the answer broke off: {0}")]
    Body(#[source] BodyError),
    /// The path or the host cannot be sent.
    #[error("the request of the check cannot be sent")]
    Request,
    /// A status that is none of the good ones.
    #[error("the answer is {0}")]
    Status(StatusCode),
    /// It took longer than `timeout`.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// No connection, or no answer on it.
    #[error("{0}")]
    Upstream(#[from] UpstreamError),
}

impl CheckError {
    /// One stable word: metric label and log field.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Body(_) => "check_body",
            Self::Request => "check_request",
            Self::Status(_) => "check_status",
            Self::Timeout(_) => "check_timeout",
            Self::Upstream(error) => error.reason(),
        }
    }
}

/// Checks an endpoint once.
///
/// # Errors
///
/// Why it is not as it should be.
pub async fn check(endpoint: &Arc<Endpoint>, check: &HealthCheck) -> Result<(), CheckError> {
    let probe = async {
        match &check.probe {
            Probe::Http { path, host, status } => {
                let answer = ask(endpoint, call(endpoint, check), path, host.as_deref()).await?;
                let code = answer.status().as_u16();
                if !status.iter().any(|(first, last)| (*first..=*last).contains(&code)) {
                    return Err(CheckError::Status(answer.status()));
                }
                read(answer.into_parts().1).await
            }
            Probe::Tcp => {
                let call = call(endpoint, check);
                let mut dialed = dial(&call.address).await?;
                let opening = call.opening.unwrap_or_default();
                Ok(dialed.write_all(&opening).await.map_err(UpstreamError::Connect)?)
            }
            Probe::Tls => {
                let call = call(endpoint, check);
                Ok(endpoint.connecting().open_bare(endpoint, call).await.map(drop)?)
            }
        }
    };
    tokio::time::timeout(check.timeout, probe)
        .await
        .unwrap_or(Err(CheckError::Timeout(check.timeout)))
}

/// A connection of its own for each check: that one can be made is half of what it is to show.
fn call(endpoint: &Endpoint, check: &HealthCheck) -> Call {
    let address = match (&endpoint.place.address, check.port) {
        (EndpointAddr::Socket(address), Some(port)) => {
            EndpointAddr::Socket(SocketAddr::new(address.ip(), port))
        }
        (address, _) => address.clone(),
    };
    let opening = endpoint.connecting().proxy_protocol.then(opening::for_ourselves);
    Call { address, alpn: None, opening }
}

async fn ask(
    endpoint: &Arc<Endpoint>,
    call: Call,
    path: &str,
    host: Option<&str>,
) -> Result<Response<Incoming>, CheckError> {
    let connecting = endpoint.connecting();
    let host = match host.or(connecting.server_name.as_deref()) {
        Some(host) => host.to_owned(),
        None => endpoint.place.host(),
    };
    // An address of IPv6 needs its brackets.
    let host = if host.contains("::") { format!("[{host}]") } else { host };
    let mut request = Request::new(RequestBody::Empty);
    *request.uri_mut() = Uri::try_from(path).map_err(|_| CheckError::Request)?;
    let host = HeaderValue::try_from(host).map_err(|_| CheckError::Request)?;
    request.fields_mut().insert(header::HOST, host);
    request.fields_mut().insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    let sender = connecting.open(endpoint, call).await?;
    // The connection goes with the answer, when that has been read.
    Ok(sender.send(&mut Outgoing::new(request)).await?)
}

/// Reads what comes, up to a bound: a page that breaks off is not a good answer, and one without an
/// end is.
async fn read(mut body: Incoming) -> Result<(), CheckError> {
    let mut left = MOST_BODY;
    loop {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(CheckError::Body)?;
        let Some(less) = left.checked_sub(frame.data_ref().map_or(0, |data| data.len())) else {
            return Ok(());
        };
        left = less;
    }
    if let Some(connection) = body.take_connection() {
        connection.close();
    }
    Ok(())
}

/// What checks call themselves.
const USER_AGENT: &str = "portcullis-health";

/// Bytes of an answer that are looked at.
const MOST_BODY: usize = 64 * 1024;
