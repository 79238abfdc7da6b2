//! Listening sockets: one for each worker on the same address, bound before anything is committed.
//!
//! The kernel spreads new connections over the sockets of an address (SO_REUSEPORT), so workers
//! share no accept queue.

use std::io;
use std::net::SocketAddr;
use std::net::TcpListener;

use socket2::Domain;
use socket2::Protocol;
use socket2::SockAddr;
use socket2::Type;
use thiserror::Error;

use crate::names::ListenAddr;

/// The sockets of one address, one for each worker. Dropping it closes them.
#[derive(Debug)]
pub struct Bound {
    /// The address that clients connect to; the port is real where 0 was configured.
    pub address: SocketAddr,
    /// In the order of the workers.
    pub per_worker: Vec<TcpListener>,
}

impl Bound {
    /// Takes a socket that is bound already. Its queue is one, and all workers accept from it.
    pub fn passed(listener: TcpListener, workers: usize) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let mut per_worker = Vec::with_capacity(workers);
        for _ in 1..workers {
            per_worker.push(listener.try_clone()?);
        }
        per_worker.push(listener);
        Ok(Self { address, per_worker })
    }

    /// Binds an address `workers` times. `shared` says that this process listens there already
    /// (the address moves from one parent to another).
    pub fn bind(address: ListenAddr, workers: usize, shared: bool) -> Result<Self, BindError> {
        let failed = |source| BindError { address, source };
        if !shared {
            refuse_if_taken(address.0).map_err(failed)?;
        }
        let first = listen(address.0).map_err(failed)?;
        let actual = first.local_addr().map_err(failed)?;
        let mut per_worker = vec![first];
        for _ in 1..workers {
            per_worker.push(listen(actual).map_err(failed)?);
        }
        Ok(Self { address: actual, per_worker })
    }
}

/// An address that could not be bound.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {source}{}", hint(.source))]
pub struct BindError {
    /// As configured.
    pub address: ListenAddr,
    /// What the system says.
    pub source: io::Error,
}

fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => "; another process has this address: `ss -ltnp` shows which",
        io::ErrorKind::AddrNotAvailable => "; no interface of this machine has this address",
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need root, CAP_NET_BIND_SERVICE or socket activation"
        }
        _ => "",
    }
}

/// SO_REUSEPORT would let a second process of the same user share the address in silence, and
/// half of the clients would reach the wrong one. A socket without it finds out.
fn refuse_if_taken(address: SocketAddr) -> io::Result<()> {
    stream_socket(address)?.bind(&SockAddr::from(address))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = stream_socket(address)?;
    socket.set_reuse_port(true)?;
    // Inherited by accepted sockets, which saves a system call for each connection.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn stream_socket(address: SocketAddr) -> io::Result<socket2::Socket> {
    let socket =
        socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // "[::]:443" beside "0.0.0.0:443" is two addresses, as an operator writes them.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    Ok(socket)
}

/// Connections that wait for `accept`; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn any_port() -> ListenAddr {
        "127.0.0.1:0".parse().expect("an address")
    }

    #[test]
    fn every_worker_gets_a_socket_on_the_same_port() {
        let bound = Bound::bind(any_port(), 3, false).expect("a free port");
        let ports: Vec<_> = bound.per_worker.iter().map(|s| s.local_addr().unwrap()).collect();
        assert_eq!(ports, vec![bound.address; 3]);
    }

    #[test]
    fn an_address_in_use_is_named_with_what_to_do() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = ListenAddr(taken.local_addr().unwrap());
        let error = Bound::bind(address, 1, false).expect_err("the port is taken").to_string();
        assert!(error.contains(&address.to_string()) && error.contains("ss -ltnp"), "{error}");
    }

    #[test]
    fn an_address_of_another_instance_is_not_shared_in_silence() {
        let other = Bound::bind(any_port(), 1, false).expect("a free port");
        assert!(Bound::bind(ListenAddr(other.address), 1, false).is_err());
        assert!(Bound::bind(ListenAddr(other.address), 1, true).is_ok());
    }
}
