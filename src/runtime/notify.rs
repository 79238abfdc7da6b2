//! Says to the service manager what goes on (sd_notify(3)). Without one, it does nothing.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;
use std::os::unix::net::UnixDatagram;

use rustix::time::ClockId;
use rustix::time::clock_gettime;

/// What the service manager wants to know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// It serves, for the first time or again after a reload.
    Ready,
    /// A reload has begun; [`State::Ready`] ends it, however it went.
    Reloading,
    /// It drains.
    Stopping,
}

/// Tells the service manager, if there is one. That it cannot be told is no reason not to serve.
pub fn tell(state: State) {
    let Some(address) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(&address, &state.message()) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}

impl State {
    fn message(self) -> String {
        match self {
            Self::Ready => "READY=1".to_owned(),
            Self::Reloading => {
                let now = clock_gettime(ClockId::Monotonic);
                let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
                format!("RELOADING=1\nMONOTONIC_USEC={microseconds}")
            }
            Self::Stopping => "STOPPING=1".to_owned(),
        }
    }
}

fn send(address: &OsStr, message: &str) -> io::Result<()> {
    let address = match address.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(address)?,
    };
    let socket = UnixDatagram::unbound()?;
    // A service manager that does not read must not hold up a reload.
    socket.set_nonblocking(true)?;
    socket.send_to_addr(message.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_file_gets_the_message() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let mut buffer = [0; 128];
        for (state, begin) in
            [(State::Ready, "READY=1"), (State::Reloading, "RELOADING=1\nMONOTONIC_USEC=")]
        {
            send(path.as_os_str(), &state.message()).unwrap();
            let length = manager.recv(&mut buffer).unwrap();
            assert!(buffer[..length].starts_with(begin.as_bytes()));
        }
        drop(manager);
        assert!(send(path.as_os_str(), "READY=1").is_err());
        assert!(send(OsStr::new("@nobody-listens-here"), "READY=1").is_err());
    }
}
