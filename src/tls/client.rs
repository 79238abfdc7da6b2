//! TLS to the endpoints of a pool (SPEC VS-10): verified unless the operator says otherwise.

use std::sync::Arc;
use std::sync::OnceLock;

use rustls::ClientConfig;
use rustls::DigitallySignedStruct;
use rustls::RootCertStore;
use rustls::SignatureScheme;
use rustls::client::Resumption;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs;
use rustls::crypto::verify_tls12_signature;
use rustls::crypto::verify_tls13_signature;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::UnixTime;
use thiserror::Error;

use crate::certificate::Certificate;
use crate::config::pool::PoolProtocol;
use crate::config::pool::PoolTls;
use crate::config::tls_profile::Alpn;
use crate::tls::client_auth::ClientAuthError;
use crate::tls::client_auth::read_roots;
use crate::tls::resolver::Slot;

/// The configuration of a pool. `certificate` is the slot of `tls.certificate`; what is in it is presented
/// from the next handshake on.
pub fn client_config(
    tls: &PoolTls,
    protocol: PoolProtocol,
    certificate: Option<Arc<Certificate>>,
) -> Result<Arc<ClientConfig>, ClientError> {
    let provider = provider();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(ClientError::Library)?;
    let builder = if tls.verify {
        builder.with_root_certificates(roots(tls)?)
    } else {
        let unverified = Arc::new(Unverified(provider));
        builder.dangerous().with_custom_certificate_verifier(unverified)
    };
    let mut config = match certificate {
        Some(certificate) => builder.with_client_cert_resolver(Arc::new(Slot(certificate))),
        None => builder.with_no_client_auth(),
    };
    let alpn: &[Alpn] = match protocol {
        PoolProtocol::Auto => &[Alpn::Http2, Alpn::Http1],
        PoolProtocol::Http1 => &[Alpn::Http1],
        PoolProtocol::Http2 => &[Alpn::Http2],
    };
    config.alpn_protocols = alpn.iter().map(|alpn| alpn.as_str().as_bytes().to_vec()).collect();
    // Idle connections are kept, so sessions are seldom resumed; the default has room for 256.
    config.resumption = Resumption::in_memory_sessions(MAX_SESSIONS);
    Ok(Arc::new(config))
}

/// What is sent as server name and verified: the configured name, or the endpoint's own host.
pub fn server_name(tls: &PoolTls, host: &str) -> Result<ServerName<'static>, ClientError> {
    let name = tls.server_name.as_deref().unwrap_or(host);
    ServerName::try_from(name.to_owned()).map_err(|_| ClientError::ServerName(name.to_owned()))
}

/// Why TLS to a pool cannot be set up.
#[derive(Clone, Debug, Error, PartialEq)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum ClientError {
    #[error("{0}")]
    Ca(#[from] ClientAuthError),
    #[error("the TLS library does not accept the configuration: {0}")]
    Library(rustls::Error),
    #[error("{0:?} is no server name; expected a DNS name or an IP address")]
    ServerName(String),
    #[error("the system has no CA certificates; install ca-certificates, or name a `ca`")]
    SystemRoots,
}

impl ClientError {
    /// The stable word for logs, metrics and tests.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Ca(error) => error.reason(),
            Self::Library(_) => "tls_client_bad",
            Self::ServerName(_) => "server_name_bad",
            Self::SystemRoots => "no_system_roots",
        }
    }
}

fn roots(tls: &PoolTls) -> Result<Arc<RootCertStore>, ClientError> {
    match &tls.ca {
        Some(ca) => Ok(Arc::new(read_roots(ca, &mut Vec::new())?)),
        None => system_roots().ok_or(ClientError::SystemRoots),
    }
}

/// Read once: 150 certificates for each of many pools would be megabytes. A change of the system's store is
/// taken up by a restart.
fn system_roots() -> Option<Arc<RootCertStore>> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        // What of the store cannot be parsed is skipped, as every client does.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    });
    (!roots.is_empty()).then(|| Arc::clone(roots))
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(aws_lc_rs::default_provider())))
}

/// `verify = false`: any certificate will do, but the endpoint must have its key.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
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
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Some endpoints' worth.
const MAX_SESSIONS: usize = 32;
