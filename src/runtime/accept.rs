//! The accept loop of one socket on one worker. It ends when it is told to, and for no other reason.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use tokio::net;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::oneshot;
use tokio::time;

use crate::names::ClientAddr;
use crate::runtime::connection;
use crate::runtime::plan::Purpose;
use crate::service::listener::Listener;

/// What every accepted connection of a socket needs.
#[derive(Debug)]
pub struct Acceptance {
    /// The parent's listener: the table and the metrics of accepted connections.
    pub listener: Arc<Listener>,
    /// TLS, or the plain redirect.
    pub purpose: Purpose,
    /// One permit for each client connection of the process.
    pub connections: Arc<Semaphore>,
}

/// Dropping it ends the loop, after what the kernel has queued has been accepted.
#[derive(Debug)]
pub struct Stop {
    _told_by_drop: oneshot::Sender<()>,
}

/// Starts to accept on this worker's runtime.
pub fn start(listener: TcpListener, acceptance: Arc<Acceptance>) -> io::Result<Stop> {
    let socket = net::TcpListener::from_std(listener)?;
    let (stop, stopped) = oneshot::channel();
    tokio::spawn(accept_until(stopped, socket, acceptance));
    Ok(Stop { _told_by_drop: stop })
}

async fn accept_until(
    mut stopped: oneshot::Receiver<()>,
    socket: net::TcpListener,
    acceptance: Arc<Acceptance>,
) {
    loop {
        // The permit comes first: what cannot be served stays in the kernel's queue, where it
        // costs no descriptor.
        let next = async {
            let permit = permit(&acceptance).await;
            (socket.accept().await, permit)
        };
        tokio::select! {
            biased;
            _ = &mut stopped => break,
            (accepted, permit) = next => match accepted {
                Ok((stream, client)) => begin(stream, ClientAddr(client), &acceptance, permit),
                Err(error) => recover(&error, &acceptance).await,
            },
        }
    }
    finish_queue(&socket, &acceptance);
}

async fn permit(acceptance: &Acceptance) -> OwnedSemaphorePermit {
    let connections = || Arc::clone(&acceptance.connections);
    if let Ok(permit) = connections().try_acquire_owned() {
        return permit;
    }
    acceptance.listener.metrics.rejected("connection_limit");
    connections().acquire_owned().await.expect("the semaphore is never closed")
}

fn begin(
    stream: TcpStream,
    client: ClientAddr,
    acceptance: &Acceptance,
    permit: OwnedSemaphorePermit,
) {
    let listener = Arc::clone(&acceptance.listener);
    listener.metrics.accepted();
    match acceptance.purpose {
        Purpose::Tls => {
            tokio::spawn(async move {
                connection::serve(stream, client, listener).await;
                drop(permit);
            });
        }
        Purpose::Redirect => {
            tokio::spawn(async move {
                connection::serve_plain(stream, client, listener).await;
                drop(permit);
            });
        }
    }
}

/// A connection that died in the queue is nobody's problem. Without descriptors or memory a loop
/// that tries again at once would only burn the CPU that could close something.
async fn recover(error: &io::Error, acceptance: &Acceptance) {
    use io::ErrorKind;
    if matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
    ) {
        return;
    }
    acceptance.listener.metrics.accept_failed(reason(error));
    tracing::warn!(virtual_service = %acceptance.listener.parent, %error, "cannot accept; trying again");
    time::sleep(ACCEPT_PAUSE).await;
}

fn reason(error: &io::Error) -> &'static str {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::MFILE | Errno::NFILE) => "no_descriptors",
        Some(Errno::NOBUFS | Errno::NOMEM) => "no_memory",
        _ => "other",
    }
}

/// The kernel resets connections that wait on a socket when it closes, so none may be left waiting.
fn finish_queue(socket: &net::TcpListener, acceptance: &Acceptance) {
    use std::task::Context;
    use std::task::Poll;
    use std::task::Waker;
    let mut context = Context::from_waker(Waker::noop());
    while let Ok(permit) = Arc::clone(&acceptance.connections).try_acquire_owned() {
        match socket.poll_accept(&mut context) {
            Poll::Ready(Ok((stream, client))) => {
                begin(stream, ClientAddr(client), acceptance, permit);
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => break,
        }
    }
}

/// Long enough for something to be closed, short enough that clients do not notice.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
