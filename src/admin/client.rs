//! The other end for the command line: one request to the admin address of a running process.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use std::time::Instant;

use thiserror::Error;

use crate::config::admin::AdminListen;

/// A status code and a body.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body; JSON nearly everywhere.
    pub body: String,
}

/// Sends one request without a body and waits for the answer, `within` at most.
///
/// # Errors
/// When nobody listens there, nothing comes in time, or what comes is not HTTP.
pub fn call(
    listen: &AdminListen,
    method: &str,
    path: &str,
    within: Duration,
) -> Result<Answer, ClientError> {
    let deadline = Instant::now() + within;
    let host = match listen {
        AdminListen::Tcp(address) => address.to_string(),
        AdminListen::Unix(_) => "localhost".to_owned(),
    };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let bytes = match listen {
        AdminListen::Tcp(address) => TcpStream::connect_timeout(address, within)
            .map_err(|source| ClientError::Connect { address: host, source })
            .and_then(|stream| exchange(stream, &request, deadline, TcpStream::set_read_timeout))?,
        AdminListen::Unix(socket) => UnixStream::connect(socket)
            .map_err(|source| ClientError::Connect {
                address: format!("unix:{}", socket.display()),
                source,
            })
            .and_then(|stream| {
                exchange(stream, &request, deadline, UnixStream::set_read_timeout)
            })?,
    };
    parse(&bytes).ok_or(ClientError::NotHttp)
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error("cannot reach the admin address {address}: {source}; is portcullis running?")]
    Connect {
        /// The address.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// The connection broke.
    #[error("the connection to the admin address broke: {0}")]
    Io(#[source] io::Error),
    /// Something else listens there.
    #[error("what listens on the admin address does not answer in HTTP")]
    NotHttp,
    /// Nothing came in time.
    #[error("no answer from the admin address in time")]
    Timeout,
}

impl ClientError {
    /// One stable word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "admin_unreachable",
            Self::Io(_) => "admin_broken",
            Self::NotHttp => "admin_not_http",
            Self::Timeout => "admin_timeout",
        }
    }
}

type SetTimeout<S> = fn(&S, Option<Duration>) -> io::Result<()>;

/// The request fits any socket buffer, so only reading can wait.
fn exchange<S: Read + Write>(
    mut stream: S,
    request: &str,
    deadline: Instant,
    set_timeout: SetTimeout<S>,
) -> Result<Vec<u8>, ClientError> {
    stream.write_all(request.as_bytes()).map_err(ClientError::Io)?;
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ClientError::Timeout);
        }
        set_timeout(&stream, Some(left)).map_err(ClientError::Io)?;
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(bytes),
            Ok(_) if bytes.len() > MOST_BYTES => return Err(ClientError::NotHttp),
            Ok(more) => bytes.extend_from_slice(&chunk[..more]),
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                    return Err(ClientError::Timeout);
                }
                _ => return Err(ClientError::Io(error)),
            },
        }
    }
}

/// The admin address sends a length and closes; whatever came before the end was the body.
fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = str::from_utf8(&bytes[..end]).ok()?;
    let status = head.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?;
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map(|(_, value)| value.trim().parse::<usize>());
    let body = &bytes[end + 4..];
    if length.is_some_and(|length| length != Ok(body.len())) {
        return None;
    }
    Some(Answer { status, body: String::from_utf8_lossy(body).into_owned() })
}

/// More than the status of 10,000 services and certificates, or their metrics.
const MOST_BYTES: usize = 256 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn an_answer_that_is_cut_short_is_none() {
        let whole = b"HTTP/1.1 422 X\r\ncontent-length: 2\r\n\r\nab";
        assert_eq!(parse(whole), Some(Answer { status: 422, body: "ab".to_owned() }));
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]), None, "{length}");
        }
        assert_eq!(parse(b"SSH-2.0-OpenSSH\r\n\r\n"), None);
    }

    #[test]
    fn nobody_and_silence_are_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = AdminListen::Tcp(listener.local_addr().unwrap());
        let silent = call(&listen, "GET", "/livez", Duration::from_millis(50)).unwrap_err();
        assert_eq!(silent.reason(), "admin_timeout");
        drop(listener);
        let nobody = call(&listen, "GET", "/livez", Duration::from_secs(5)).unwrap_err();
        assert_eq!(nobody.reason(), "admin_unreachable");
        let none = AdminListen::Unix("/nowhere/a.sock".into());
        let error = call(&none, "GET", "/livez", Duration::from_secs(5)).unwrap_err();
        assert!(error.to_string().contains("unix:/nowhere/a.sock"), "{error}");
    }
}
