//! The socket of the admin address: TCP, or a socket file that only its owner may use.

use std::fs;
use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::pin::Pin;
use std::process;
use std::task::Context;
use std::task::Poll;

use socket2::Domain;
use socket2::SockAddr;
use socket2::Socket as Socket2;
use socket2::Type;
use thiserror::Error;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

use crate::admin::guard::Guard;
use crate::config::admin::AdminListen;
use crate::runtime::inherited::Inherited;

/// A socket that is open and not yet served. Dropping it closes it and removes its file.
#[derive(Debug)]
pub struct AdminListener(Socket);

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener, SocketAddr),
    Unix(UnixListener, SocketFile),
}

impl AdminListener {
    /// Opens the socket.
    ///
    /// # Errors
    /// When the address is in use by a process that lives, or cannot be had. The socket file of a
    /// process that is dead is replaced.
    pub fn bind(listen: &AdminListen) -> Result<Self, AdminError> {
        match listen {
            AdminListen::Tcp(address) => {
                let bound = TcpListener::bind(address).and_then(|listener| {
                    listener.set_nonblocking(true)?;
                    let actual = listener.local_addr()?;
                    Ok(Self(Socket::Tcp(listener, actual)))
                });
                bound.map_err(|source| AdminError::Bind { address: address.to_string(), source })
            }
            AdminListen::Unix(path) => {
                check_free(path)?;
                bind_file(path)
                    .map_err(|source| AdminError::Bind { address: in_words(path), source })
            }
        }
    }

    /// The socket that the service manager passed for this address, if it did. A socket file then is its own:
    /// it made it, with the mode that it was told, and removes it.
    pub fn passed(listen: &AdminListen, inherited: &mut Inherited) -> Option<Self> {
        Some(Self(match listen {
            AdminListen::Tcp(address) => Socket::Tcp(inherited.tcp(*address)?, *address),
            AdminListen::Unix(path) => {
                let file = SocketFile { path: path.clone(), inode: None };
                Socket::Unix(inherited.unix(path)?, file)
            }
        }))
    }

    /// The address that it has: `IP:PORT`, the port never 0, or `unix:PATH`.
    pub fn address(&self) -> AdminListen {
        match &self.0 {
            Socket::Tcp(_, address) => AdminListen::Tcp(*address),
            Socket::Unix(_, file) => AdminListen::Unix(file.path.clone()),
        }
    }

    pub(super) fn guard(&self) -> Guard {
        match &self.0 {
            Socket::Tcp(_, address) => Guard::Tcp(address.ip()),
            Socket::Unix(..) => Guard::Unix,
        }
    }

    pub(super) fn into_tokio(self) -> io::Result<Listener> {
        Ok(match self.0 {
            Socket::Tcp(listener, _) => Listener::Tcp(tokio::net::TcpListener::from_std(listener)?),
            Socket::Unix(listener, file) => {
                Listener::Unix(tokio::net::UnixListener::from_std(listener)?, file)
            }
        })
    }
}

/// The socket while it is served.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(tokio::net::TcpListener),
    Unix(
        tokio::net::UnixListener,
        #[expect(dead_code, reason = "removes the file at the end")] SocketFile,
    ),
}

impl Listener {
    pub(super) async fn accept(&self) -> io::Result<Stream> {
        Ok(match self {
            Self::Tcp(listener) => Stream::Tcp(listener.accept().await?.0),
            Self::Unix(listener, _) => Stream::Unix(listener.accept().await?.0),
        })
    }
}

/// A connection of either kind.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Why the admin address cannot be opened.
#[derive(Debug, Error)]
pub enum AdminError {
    /// The system refuses it.
    #[error("cannot listen on the admin address {address}: {source}")]
    Bind {
        /// The address.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// A process answers on the socket file.
    #[error("the admin socket {} belongs to a process that runs; stop it, or name another one", .0.display())]
    InUse(PathBuf),
    /// Something else is where the socket file should be.
    #[error("{} is there and is not a socket; remove it, or name another admin socket", .0.display())]
    NotSocket(PathBuf),
}

impl AdminError {
    /// One stable word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Bind { .. } => "admin_bind",
            Self::InUse(_) => "admin_in_use",
            Self::NotSocket(_) => "admin_not_socket",
        }
    }
}

/// Removes the file at the end, unless another process has put its own there.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// `None`: it is not this process that removes it.
    inode: Option<u64>,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| Some(found.ino()) == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn check_free(path: &Path) -> Result<(), AdminError> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => Err(AdminError::NotSocket(path.to_owned())),
        Ok(_) if UnixStream::connect(path).is_ok() => Err(AdminError::InUse(path.to_owned())),
        // Whatever else is wrong with the path is said by `bind`.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Nobody can connect before it listens, and by then its mode is right, whatever the umask made of it. Made
/// beside its place and moved there, it replaces the socket file of a dead process in one step.
fn bind_file(path: &Path) -> io::Result<AdminListener> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", process::id()));
    let beside = PathBuf::from(beside);
    let _ = fs::remove_file(&beside);
    let socket = Socket2::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(&beside)?)?;
    let moved = fs::set_permissions(&beside, Permissions::from_mode(0o600))
        .and_then(|()| socket.listen(BACKLOG))
        .and_then(|()| socket.set_nonblocking(true))
        .and_then(|()| fs::symlink_metadata(&beside))
        .and_then(|found| fs::rename(&beside, path).map(|()| found.ino()));
    match moved {
        Ok(inode) => {
            let file = SocketFile { path: path.to_owned(), inode: Some(inode) };
            Ok(AdminListener(Socket::Unix(socket.into(), file)))
        }
        Err(error) => {
            let _ = fs::remove_file(&beside);
            Err(error)
        }
    }
}

/// More than may be served at a time.
const BACKLOG: i32 = 128;

fn in_words(path: &Path) -> String {
    format!("unix:{}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_of_a_dead_process_is_replaced_and_a_live_one_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        let listen = AdminListen::Unix(path.clone());
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "std leaves the file, as a dead process does");
        let first = AdminListener::bind(&listen).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(AdminListener::bind(&listen).unwrap_err().reason(), "admin_in_use");
        drop(first);
        assert!(!path.exists());
    }

    #[test]
    fn another_kind_of_file_is_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("precious");
        fs::write(&path, "text").unwrap();
        let error = AdminListener::bind(&AdminListen::Unix(path.clone())).unwrap_err();
        assert_eq!(error.reason(), "admin_not_socket");
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
    }

    #[test]
    fn an_address_in_use_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = AdminListener::bind(&AdminListen::Tcp(address)).unwrap_err();
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = AdminListener::bind(&AdminListen::Unix("/nowhere/a.sock".into())).unwrap_err();
        assert!(error.to_string().contains("unix:/nowhere/a.sock"), "{error}");
    }
}
