//! A TLS 1.3 client that writes records itself, whatever is in them: what no library would send.

use rustls::ConnectionTrafficSecrets;
use rustls::ContentType;
use rustls::ProtocolVersion;
use rustls::SupportedCipherSuite;
use rustls::crypto::cipher::MessageEncrypter;
use rustls::crypto::cipher::OutboundChunks;
use rustls::crypto::cipher::OutboundPlainMessage;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::client::Client;
use super::within;

/// A connection after its handshake. What the proxy says is not deciphered.
pub(crate) struct Records {
    tcp: TcpStream,
    encrypter: Box<dyn MessageEncrypter>,
    sequence: u64,
}

impl Records {
    /// The handshake of a client, and no more of it than that.
    pub(crate) async fn of(client: Client) -> Self {
        let session = client.tls13().handshake().await.expect("a handshake");
        let (tcp, connection) = session.stream.into_inner();
        let Some(SupportedCipherSuite::Tls13(suite)) = connection.negotiated_cipher_suite() else {
            panic!("not TLS 1.3");
        };
        let secrets = connection.dangerous_extract_secrets().expect("the client allows it");
        let (sequence, secrets) = secrets.tx;
        let (ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = secrets
        else {
            panic!("a suite of our own");
        };
        Self { tcp, encrypter: suite.aead_alg.encrypter(key, iv), sequence }
    }

    /// The bytes of so many records with this in each of them.
    pub(crate) fn sealed(&mut self, kind: ContentType, content: &[u8], count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..count {
            let plain = OutboundPlainMessage {
                typ: kind,
                version: ProtocolVersion::TLSv1_2,
                payload: OutboundChunks::Single(content),
            };
            let sealed = self.encrypter.encrypt(plain, self.sequence).expect("encrypted");
            bytes.extend_from_slice(&sealed.encode());
            self.sequence += 1;
        }
        bytes
    }

    /// Writes; false: the proxy has had enough.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> bool {
        within("a write", self.tcp.write_all(bytes)).await.is_ok()
    }

    /// Waits until the proxy closes the connection.
    pub(crate) async fn ended(&mut self) {
        let mut rest = Vec::new();
        // What it was refused for may still be on its way when it closes: then there is a reset.
        let _ = within("the end of a connection", self.tcp.read_to_end(&mut rest)).await;
    }

    /// Waits until the proxy has said something more.
    pub(crate) async fn is_answered(&mut self) -> bool {
        let mut some = [0; 4096];
        within("an answer", self.tcp.read(&mut some)).await.is_ok_and(|count| count > 0)
    }
}
