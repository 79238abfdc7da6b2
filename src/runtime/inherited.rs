//! Socket activation: listening sockets that the service manager opened and handed over (sd_listen_fds(3)).
//!
//! The process then needs no power to bind ports below 1024, and connections wait while it starts.

use std::io;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::path::PathBuf;

use rustix::io::FdFlags;
use rustix::io::fcntl_setfd;
use socket2::SockRef;
use socket2::Type;
use thiserror::Error;

/// Sockets that were handed over and that nobody has asked for yet. Dropping it closes them.
#[derive(Debug, Default)]
pub struct Inherited {
    tcp: Vec<(SocketAddr, TcpListener)>,
    unix: Vec<(PathBuf, UnixListener)>,
}

/// Why what was handed over cannot be used.
#[derive(Debug, Error)]
pub enum InheritedError {
    /// `LISTEN_PID` or `LISTEN_FDS` is no number, or names descriptors that are not there.
    #[error("socket activation: LISTEN_FDS or LISTEN_PID is not what a service manager sets")]
    Environment,
    /// The wrong kind.
    #[error(
        "socket activation: descriptor {descriptor} {what}; pass listening TCP or Unix sockets (ListenStream=)"
    )]
    Kind {
        /// Its number.
        descriptor: usize,
        /// What it is.
        what: &'static str,
    },
    /// The system says something else.
    #[error("socket activation: descriptor {descriptor}: {source}")]
    System {
        /// Its number.
        descriptor: usize,
        /// What it says.
        source: io::Error,
    },
}

impl Inherited {
    /// Takes over what was handed to this very process. To be called once, and before any file is opened.
    ///
    /// # Errors
    /// When a descriptor is not a listening socket: somebody has configured something else than they meant.
    pub fn take_over() -> Result<Self, InheritedError> {
        if !descriptors_are_open() {
            return Err(InheritedError::Environment);
        }
        let handed = sd_listen_fds::get().map_err(|_| InheritedError::Environment)?;
        Self::sort(handed.into_iter().map(|(_, descriptor)| descriptor.into_std()))
    }

    fn sort(descriptors: impl Iterator<Item = OwnedFd>) -> Result<Self, InheritedError> {
        let mut inherited = Self::default();
        for (descriptor, handed) in (FIRST..).zip(descriptors) {
            if let Some(what) = inherited
                .add(handed)
                .map_err(|source| InheritedError::System { descriptor, source })?
            {
                return Err(InheritedError::Kind { descriptor, what });
            }
        }
        Ok(inherited)
    }

    /// Says what is wrong with its kind.
    fn add(&mut self, handed: OwnedFd) -> io::Result<Option<&'static str>> {
        // Not for the programs that this process starts, of which there are none today.
        fcntl_setfd(&handed, FdFlags::CLOEXEC)?;
        let socket = SockRef::from(&handed);
        match socket.r#type() {
            Ok(Type::STREAM) => {}
            Ok(_) => return Ok(Some("is a socket of datagrams")),
            Err(_) => return Ok(Some("is not a socket")),
        }
        if !socket.is_listener()? {
            return Ok(Some("is a socket that does not listen"));
        }
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        if let Some(address) = address.as_socket() {
            // Inherited by accepted sockets.
            socket.set_tcp_nodelay(true)?;
            self.tcp.push((address, handed.into()));
        } else if let Some(path) = address.as_pathname() {
            self.unix.push((path.to_owned(), handed.into()));
        } else {
            return Ok(Some("has an address that has no place in the configuration"));
        }
        Ok(None)
    }

    /// The socket on this address; it is its owner's from here on.
    pub fn tcp(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let at = self.tcp.iter().position(|(bound, _)| *bound == address)?;
        Some(self.tcp.swap_remove(at).1)
    }

    /// The socket at this path.
    pub fn unix(&mut self, path: &Path) -> Option<UnixListener> {
        let at = self.unix.iter().position(|(bound, _)| bound == path)?;
        Some(self.unix.swap_remove(at).1)
    }

    /// Closes what the configuration has no use for, and says so: clients would wait there for ever.
    pub fn close_rest(&mut self) {
        let tcp = self.tcp.drain(..).map(|(address, _)| address.to_string());
        let unix = self.unix.drain(..).map(|(path, _)| format!("unix:{}", path.display()));
        for address in tcp.chain(unix) {
            tracing::warn!(
                address,
                "the service manager passed a socket that the configuration does not name; it is closed"
            );
        }
    }
}

/// What is not open must not be taken for ours: a file that is opened later would have its number.
fn descriptors_are_open() -> bool {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<usize>());
    match (number("LISTEN_PID"), number("LISTEN_FDS")) {
        (Some(Ok(pid)), Some(Ok(count))) if pid == std::process::id() as usize => {
            count <= MOST
                && (FIRST..FIRST + count)
                    .all(|fd| Path::new(&format!("/proc/self/fd/{fd}")).symlink_metadata().is_ok())
        }
        (Some(Err(_)), _) => false,
        _ => true,
    }
}

/// SD_LISTEN_FDS_START.
const FIRST: usize = 3;

/// More addresses than anybody listens on.
const MOST: usize = 1024;

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    fn sort<const N: usize>(descriptors: [OwnedFd; N]) -> Result<Inherited, InheritedError> {
        Inherited::sort(descriptors.into_iter())
    }

    #[test]
    fn sockets_are_found_by_their_address_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        let unix = UnixListener::bind(&path).unwrap();
        let mut inherited = sort([tcp.into(), unix.into()]).unwrap();
        let other = SocketAddr::from(([127, 0, 0, 2], address.port()));
        assert!(inherited.tcp(other).is_none());
        assert_eq!(inherited.tcp(address).unwrap().local_addr().unwrap(), address);
        assert!(inherited.tcp(address).is_none());
        assert!(inherited.unix(&path).is_some());
        inherited.close_rest();
    }

    #[test]
    fn other_kinds_are_refused_with_their_number() {
        let listener = || TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener().local_addr().unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let silent =
            socket2::Socket::new(socket2::Domain::for_address(address), Type::STREAM, None);
        let file = tempfile::tempfile().unwrap();
        for (wrong, what) in [
            (udp.into(), "datagrams"),
            (silent.unwrap().into(), "does not listen"),
            (file.into(), "not a socket"),
        ] {
            let error = sort([listener().into(), wrong]).unwrap_err().to_string();
            assert!(error.contains("descriptor 4") && error.contains(what), "{error}");
        }
    }
}
