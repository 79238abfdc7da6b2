//! Alerts that we write ourselves, and closing so that they arrive.

use std::io;
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;

/// The alerts of RFC 8446, section 6.2, that a refusal of ours can carry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Alert {
    /// A message that cannot be parsed.
    DecodeError = 50,
    /// Nothing in common that is acceptable.
    HandshakeFailure = 40,
    /// A field that contradicts another.
    IllegalParameter = 47,
    /// Something is wrong on our side.
    InternalError = 80,
    /// An extension that the version demands is not there.
    MissingExtension = 109,
    /// No protocol name in common (RFC 7301, section 3.2).
    NoApplicationProtocol = 120,
    /// No version in common.
    ProtocolVersion = 70,
    /// The server name is nobody's (RFC 6066, section 3).
    UnrecognizedName = 112,
}

impl Alert {
    /// The whole record of the fatal alert, unencrypted.
    pub const fn record(self) -> [u8; 7] {
        [0x15, 0x03, 0x03, 0x00, 0x02, FATAL, self as u8]
    }

    /// The name in the standard.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DecodeError => "decode_error",
            Self::HandshakeFailure => "handshake_failure",
            Self::IllegalParameter => "illegal_parameter",
            Self::InternalError => "internal_error",
            Self::MissingExtension => "missing_extension",
            Self::NoApplicationProtocol => "no_application_protocol",
            Self::ProtocolVersion => "protocol_version",
            Self::UnrecognizedName => "unrecognized_name",
        }
    }
}

/// Writes a last record and closes; see [`close`]. A client that takes nothing is not waited for.
pub async fn deliver<IO>(io: &mut IO, record: &[u8]) -> io::Result<()>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    tokio::time::timeout(MAX_LINGER, io.write_all(record)).await??;
    close(io).await
}

/// Closes so that what was written arrives: a socket that is closed with unread data sends a reset, and a reset
/// makes the client drop what it has not read yet. So: end our side, and read until the client ends its own.
pub async fn close<IO>(io: &mut IO) -> io::Result<()>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    tokio::time::timeout(MAX_LINGER, io.shutdown()).await??;
    let drain = async {
        let mut rest = [0; 512];
        let mut total = 0;
        while total < MAX_DRAIN {
            match io.read(&mut rest).await {
                Ok(0) | Err(_) => return,
                Ok(read) => total += read,
            }
        }
    };
    // Late or endless clients get their reset.
    let _ = tokio::time::timeout(MAX_LINGER, drain).await;
    Ok(())
}

const FATAL: u8 = 2;

/// A client answers an alert within a round trip; nobody gains by waiting longer.
const MAX_LINGER: Duration = Duration::from_secs(1);

/// More than a client has under way after its first flight.
const MAX_DRAIN: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_rustls() {
        for alert in [
            Alert::DecodeError,
            Alert::HandshakeFailure,
            Alert::IllegalParameter,
            Alert::InternalError,
            Alert::MissingExtension,
            Alert::NoApplicationProtocol,
            Alert::ProtocolVersion,
            Alert::UnrecognizedName,
        ] {
            let name = format!("{:?}", rustls::AlertDescription::from(alert as u8));
            assert_eq!(
                name.to_lowercase().replace('s', "z"),
                alert.name().replace('_', "").replace('s', "z")
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_reads_is_not_waited_for() {
        let (mut server, _client) = tokio::io::duplex(3);
        let record = Alert::UnrecognizedName.record();
        let delivered = deliver(&mut server, &record).await;
        assert_eq!(delivered.unwrap_err().kind(), io::ErrorKind::TimedOut);
        // It reads, but neither closes nor says anything.
        let (mut server, _client) = tokio::io::duplex(100);
        let began = tokio::time::Instant::now();
        deliver(&mut server, &record).await.unwrap();
        assert_eq!(began.elapsed(), MAX_LINGER);
    }

    #[tokio::test]
    async fn the_client_reads_the_alert_and_then_the_end() {
        let (mut server, mut client) = tokio::io::duplex(64);
        client.write_all(b"unread").await.unwrap();
        let client = async {
            let mut read = Vec::new();
            client.read_to_end(&mut read).await.unwrap();
            drop(client);
            read
        };
        let record = Alert::UnrecognizedName.record();
        let (delivered, read) = tokio::join!(deliver(&mut server, &record), client);
        delivered.unwrap();
        assert_eq!(read, [0x15, 3, 3, 0, 2, 2, 112]);
    }
}
