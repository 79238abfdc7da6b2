//! The admin address: metrics, health, status, reload, over loopback or a Unix socket.
//!
//! It runs on the control plane, apart from the workers. There is no login yet, so who may connect is
//! decided by the address: loopback, or a socket file of mode 0600; and a web page in the operator's
//! browser is kept out by its `Host` and `Origin`.
//!
//! | request | answer |
//! |---|---|
//! | `GET /metrics` | Prometheus text; `?virtual_service=NAME` and `?name[]=METRIC` choose |
//! | `GET /livez`, `GET /healthz` | 200 while the process answers |
//! | `GET /readyz` | 200, or 503 with reasons before it serves and while it drains |
//! | `GET /status` | what it serves, as JSON |
//! | `POST /reload` | 200 with what changed, 422 with what is wrong |
//! | `POST /log/reopen` | 202; the application log files are opened again |

mod answer;
pub mod client;
mod guard;
mod listen;

pub use listen::AdminError;
pub use listen::AdminListener;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tracing::debug;
use tracing::warn;

use crate::admin::guard::Guard;
use crate::runtime::report::ReloadReport;
use crate::runtime::status::Readiness;
use crate::runtime::status::Status;
use crate::telemetry::recorder::Recorder;

/// What the admin address shows and sets off; the runtime fills it in.
pub struct AdminState {
    /// The metrics.
    pub recorder: Recorder,
    /// Says what is served.
    pub status: Arc<dyn Fn() -> Status + Send + Sync>,
    /// Says whether traffic should come here.
    pub readiness: Arc<dyn Fn() -> Readiness + Send + Sync>,
    /// Takes requests for a reload; the result of that very reload comes back.
    pub reload: mpsc::Sender<oneshot::Sender<ReloadReport>>,
    /// Opens the files of the application log again.
    pub reopen_logs: Arc<dyn Fn() + Send + Sync>,
}

/// Serves the admin address until the future is dropped.
///
/// # Errors
/// When the socket cannot be given to the runtime. Failures of single connections are not errors.
pub async fn serve(listener: AdminListener, state: Arc<AdminState>) -> io::Result<()> {
    let guard = Arc::new(listener.guard());
    let listener = listener.into_tokio()?;
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let stream = match listener.accept().await {
            Ok(stream) => stream,
            Err(error) => {
                warn!(%error, "the admin address cannot accept a connection");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let Ok(permit) = connections.clone().try_acquire_owned() else {
            debug!("too many connections to the admin address");
            continue;
        };
        let (state, guard) = (state.clone(), guard.clone());
        tokio::spawn(async move {
            let connection = serve_connection(stream, &state, &guard);
            match tokio::time::timeout(CONNECTION_WITHIN, connection).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => debug!(%error, "a connection to the admin address failed"),
                Err(_) => debug!("a connection to the admin address took too long"),
            }
            drop(permit);
        });
    }
}

async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    state: &AdminState,
    guard: &Guard,
) -> Result<(), hyper::Error> {
    let service = service_fn(async |request| {
        Ok::<_, Infallible>(match guard.refuse(&request) {
            Some(refusal) => refusal,
            None => answer::answer(&request, state).await,
        })
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES)
        // One request for each connection: nothing idles, and one time limit covers everything.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

/// A scraper, a few probes and a person.
const CONNECTIONS: usize = 32;

/// The usual reason is too many open files.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

const HEAD_WITHIN: Duration = Duration::from_secs(5);

const HEAD_BYTES: usize = 16 * 1024;

/// Longer than a reload may take.
const CONNECTION_WITHIN: Duration = Duration::from_secs(90);

#[cfg(test)]
mod tests;
