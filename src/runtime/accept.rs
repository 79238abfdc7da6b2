//! The accept loop of one socket on one worker. It ends when it is told to, and for no other reason.

use std::io;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use pin_project_lite::pin_project;
use rustix::io::Errno;
use tokio::net;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time;

use crate::names::ClientAddr;
use crate::runtime::connection;
use crate::runtime::plan::Purpose;
use crate::runtime::proxy_header::Ends;
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
    let listens_on = socket.local_addr().ok().filter(|address| !address.ip().is_unspecified());
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
                Ok((stream, client)) => {
                    let ends = Ends::of(&stream, ClientAddr(client), listens_on);
                    begin(stream, ends, &acceptance, permit);
                }
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

fn begin(stream: TcpStream, ends: Ends, acceptance: &Acceptance, permit: OwnedSemaphorePermit) {
    let listener = Arc::clone(&acceptance.listener);
    listener.metrics.accepted();
    match acceptance.purpose {
        Purpose::Tls => drop(carry(connection::serve(stream, ends, listener), permit)),
        Purpose::Redirect => {
            drop(carry(connection::serve_plain(stream, ends, listener), permit));
        }
    }
}

/// A task of its own is where a panic ends: it takes the connection with it, and gives the permit back.
fn carry(
    connection: impl Future<Output = ()> + Send + 'static,
    permit: OwnedSemaphorePermit,
) -> JoinHandle<()> {
    tokio::spawn(Carried { connection, _permit: permit })
}

pin_project! {
    /// Not an `async` block: that would hold a connection twice, as what it captured and what it awaits.
    struct Carried<F> {
        #[pin]
        connection: F,
        _permit: OwnedSemaphorePermit,
    }
}

impl<F: Future<Output = ()>> Future for Carried<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.project().connection.poll(context)
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
    let mut context = Context::from_waker(Waker::noop());
    while let Ok(permit) = Arc::clone(&acceptance.connections).try_acquire_owned() {
        match socket.poll_accept(&mut context) {
            Poll::Ready(Ok((stream, client))) => {
                let ends = Ends::of(&stream, ClientAddr(client), None);
                begin(stream, ends, acceptance, permit);
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => break,
        }
    }
}

/// Long enough for something to be closed, short enough that clients do not notice.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::fixture;
    use crate::telemetry::catalog::Family;
    use crate::telemetry::service_metrics::ServiceMetrics;

    #[tokio::test]
    async fn a_panic_ends_its_connection_alone_and_gives_back_what_it_held() {
        let connections = Arc::new(Semaphore::new(2));
        let recorder = fixture::recorder();
        let metrics = ServiceMetrics::new(&recorder, &"shop".parse().unwrap());
        let active = || recorder.value(Family::ConnectionsActive, &[("virtual_service", "shop")]);
        let permit = || Arc::clone(&connections).try_acquire_owned().unwrap();

        let (told, waiting) = oneshot::channel::<()>();
        let other = carry(async { waiting.await.unwrap() }, permit());
        let open = metrics.connection_opened();
        assert_eq!(active(), Some(1.0));
        let broken = carry(
            async move {
                tokio::task::yield_now().await;
                assert!(size_of_val(&open) == usize::MAX, "a bug in a connection");
            },
            permit(),
        );
        assert!(broken.await.unwrap_err().is_panic());
        assert_eq!(active(), Some(0.0));
        assert_eq!(connections.available_permits(), 1, "the other one is open");
        told.send(()).unwrap();
        other.await.unwrap();
        assert_eq!(connections.available_permits(), 2);
    }
}
