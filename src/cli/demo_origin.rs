//! The origins that are built into `portcullis demo`: they say who they are and what they were sent.

use std::convert::Infallible;
use std::fmt::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::thread;

use anyhow::Context;
use http_body_util::Full;
use hyper::Request;
use hyper::Response;
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net;
use tokio::runtime;

/// Starts an origin for each name, on one thread of their own, on ports from `port` on.
pub fn start<const N: usize>(
    names: [&'static str; N],
    port: u16,
) -> anyhow::Result<[SocketAddr; N]> {
    let mut addresses = [SocketAddr::from(([127, 0, 0, 1], 0)); N];
    let mut listeners = Vec::new();
    for (offset, name) in (0..).zip(names) {
        let port = if port == 0 { 0 } else { port.saturating_add(offset) };
        let listener = TcpListener::bind(("127.0.0.1", port)).with_context(|| {
            format!("the demo's origin `{name}` cannot listen on 127.0.0.1:{port}; --origin-port 0 takes a free port")
        })?;
        listener.set_nonblocking(true)?;
        addresses[usize::from(offset)] = listener.local_addr()?;
        listeners.push((name, listener));
    }
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("origins".to_owned()).spawn(move || {
        runtime.block_on(async {
            for (name, listener) in listeners {
                tokio::spawn(accept(name, listener));
            }
            std::future::pending::<()>().await;
        });
    })?;
    Ok(addresses)
}

async fn accept(name: &'static str, listener: TcpListener) {
    let Ok(listener) = net::TcpListener::from_std(listener) else { return };
    while let Ok((stream, _)) = listener.accept().await {
        let answer =
            service_fn(
                move |request| async move { Ok::<_, Infallible>(introduce(name, &request)) },
            );
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    }
}

fn introduce(name: &str, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let mut text = format!("Hello from {name}!\n\n{} {}\n", request.method(), request.uri());
    for (field, value) in request.headers() {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{field}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    Response::new(Full::new(Bytes::from(text)))
}
