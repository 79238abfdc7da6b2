//! Handshakes in memory for tests: a client with a restricted offer, and what both sides saw.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::DigitallySignedStruct;
use rustls::HandshakeKind;
use rustls::SignatureScheme;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::UnixTime;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsConnector;

use crate::certificate::testing::Kind;
use crate::certificate::testing::testing;
use crate::config::tls_profile::Alpn;
use crate::config::tls_profile::CipherSuite;
use crate::config::tls_profile::ClientCertificate;
use crate::config::tls_profile::Group;
use crate::config::tls_profile::Preference;
use crate::config::tls_profile::TlsProfile;
use crate::config::tls_profile::TlsVersion;
use crate::tls::acceptor::Acceptor;
use crate::tls::acceptor::unix_now;
use crate::tls::choose::Negotiation;
use crate::tls::facts::TlsFacts;
use crate::tls::failure::HandshakeError;
use crate::tls::profile::Profile;
use crate::tls::read_hello::read_hello;
use crate::tls::reason::Reason;
use crate::tls::refusal::Refusal;
use crate::tls::ticket_secret::TicketSecret;
use crate::tls::tickets::Period;

pub(super) fn profile() -> TlsProfile {
    use CipherSuite as Suite;
    TlsProfile {
        name: "test".parse().unwrap(),
        versions: vec![TlsVersion::Tls12, TlsVersion::Tls13],
        cipher_suites: vec![
            Suite::Tls13Aes128GcmSha256,
            Suite::Tls13Aes256GcmSha384,
            Suite::Tls13Chacha20Poly1305Sha256,
            Suite::EcdheEcdsaAes128GcmSha256,
            Suite::EcdheRsaAes128GcmSha256,
            Suite::EcdheEcdsaAes256GcmSha384,
            Suite::EcdheRsaAes256GcmSha384,
            Suite::EcdheEcdsaChacha20Poly1305,
            Suite::EcdheRsaChacha20Poly1305,
        ],
        groups: vec![Group::X25519MlKem768, Group::X25519, Group::Secp256r1, Group::Secp384r1],
        alpn: vec![Alpn::Http2, Alpn::Http1],
        prefer: Preference::Ec,
        client_certificate: ClientCertificate::None,
        tickets: 1,
    }
}

pub(super) fn secret() -> TicketSecret {
    TicketSecret::from_bytes(&[7; 32], Period { seconds: 3600, keep: 1 }).unwrap()
}

pub(super) fn acceptor(profile: &TlsProfile, kinds: &[Kind]) -> Acceptor {
    service("shop", profile, kinds)
}

pub(super) fn service(name: &str, profile: &TlsProfile, kinds: &[Kind]) -> Acceptor {
    let profile = Profile::compile(profile).unwrap();
    let certificates = kinds.iter().map(|kind| testing().slot(*kind, -1, 30)).collect();
    let ticketer = secret().ticketer(&name.parse().unwrap(), profile.client_auth_digest());
    Acceptor::new(profile, certificates, ticketer).unwrap()
}

/// A client with a restricted offer; empty: everything.
#[derive(Clone, Debug, Default)]
pub(super) struct Client {
    pub(super) versions: Vec<TlsVersion>,
    pub(super) suites: Vec<u16>,
    pub(super) groups: Vec<u16>,
    pub(super) schemes: Vec<u16>,
    pub(super) alpn: Vec<&'static str>,
}

impl Client {
    /// None: rustls itself finds the restriction senseless.
    pub(super) fn config(&self) -> Option<ClientConfig> {
        let mut provider = aws_lc_rs::default_provider();
        if !self.suites.is_empty() {
            let find = |code: &u16| {
                provider
                    .cipher_suites
                    .iter()
                    .find(|suite| u16::from(suite.suite()) == *code)
                    .copied()
            };
            provider.cipher_suites = self.suites.iter().filter_map(find).collect();
        }
        if !self.groups.is_empty() {
            let find = |code: &u16| {
                aws_lc_rs::ALL_KX_GROUPS
                    .iter()
                    .find(|group| u16::from(group.name()) == *code)
                    .copied()
            };
            provider.kx_groups = self.groups.iter().filter_map(find).collect();
        }
        let versions: Vec<_> = rustls::ALL_VERSIONS
            .iter()
            .copied()
            .filter(|version| {
                let wanted = |ours: &TlsVersion| ours.code() == u16::from(version.version);
                self.versions.is_empty() || self.versions.iter().any(wanted)
            })
            .collect();
        let schemes = match self.schemes.is_empty() {
            true => provider.signature_verification_algorithms.supported_schemes(),
            false => self.schemes.iter().map(|code| SignatureScheme::from(*code)).collect(),
        };
        let provider = Arc::new(provider);
        let verifier = Arc::new(Trusting { provider: Arc::clone(&provider), schemes });
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .ok()?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.alpn_protocols = self.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Some(config)
    }
}

/// What both sides saw of a handshake.
pub(super) struct Seen {
    pub(super) predicted: Result<Negotiation, Refusal>,
    pub(super) server: Result<Box<TlsFacts>, HandshakeError>,
    pub(super) client: io::Result<ClientSeen>,
}

pub(super) struct ClientSeen {
    pub(super) certificate: Option<CertificateDer<'static>>,
    pub(super) kind: HandshakeKind,
}

impl Seen {
    /// The alert that the client read, by number.
    pub(super) fn alert(&self) -> Option<u8> {
        let error = self.client.as_ref().err()?.get_ref()?.downcast_ref::<rustls::Error>()?;
        match error {
            rustls::Error::AlertReceived(alert) => Some((*alert).into()),
            _ => None,
        }
    }

    pub(super) fn reason(&self) -> Option<Reason> {
        self.server.as_ref().err().map(HandshakeError::reason)
    }
}

pub(super) async fn shake(acceptor: &Acceptor, client: Arc<ClientConfig>) -> Seen {
    let (mut server_io, client_io) = tokio::io::duplex(256 * 1024);
    let name = ServerName::try_from("shop.example.com").unwrap();
    let client = async {
        let mut stream = TlsConnector::from(client).connect(name, client_io).await?;
        // Reading takes the tickets of TLS 1.3 in, and learns what became of a client certificate.
        let mut answer = [0; 2];
        stream.read_exact(&mut answer).await?;
        let connection = stream.get_ref().1;
        Ok(ClientSeen {
            certificate: connection.peer_certificates().map(|chain| chain[0].clone().into_owned()),
            kind: connection.handshake_kind().unwrap(),
        })
    };
    let server = async {
        let hello = read_hello(&mut server_io).await.unwrap();
        let predicted = acceptor.choose(&hello.offer, unix_now()).map(|chosen| chosen.negotiation);
        let chosen = acceptor.choose(&hello.offer, unix_now());
        let server = match acceptor.accept(server_io, &hello, chosen).await {
            Ok((mut stream, facts)) => {
                stream.write_all(b"ok").await.unwrap();
                stream.flush().await.unwrap();
                Ok(facts)
            }
            Err(error) => Err(error),
        };
        (predicted, server)
    };
    let (client, (predicted, server)) = tokio::join!(client, server);
    Seen { predicted, server, client }
}

pub(super) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let deadline = std::time::Duration::from_secs(20);
    runtime.block_on(async { tokio::time::timeout(deadline, future).await.expect("in time") })
}

/// Believes every certificate, and offers these schemes.
#[derive(Debug)]
struct Trusting {
    provider: Arc<CryptoProvider>,
    schemes: Vec<SignatureScheme>,
}

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}
