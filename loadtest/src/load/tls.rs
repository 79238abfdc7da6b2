//! The TLS of the generator: AES-128-GCM and X25519, key shares that are used again, nothing verified.

use std::sync::Arc;

use anyhow::Result;
use rustls::ClientConfig;
use rustls::DigitallySignedStruct;
use rustls::SignatureScheme;
use rustls::SupportedCipherSuite;
use rustls::SupportedProtocolVersion;
use rustls::client::Resumption;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::aws_lc_rs;
use rustls::crypto::aws_lc_rs::cipher_suite;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::UnixTime;

use crate::load::key_share::SHARED_HYBRID;
use crate::load::key_share::SHARED_X25519;

/// What a client says that it can.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Offer {
    /// TLS 1.2 alone, with ECDHE.
    Tls12,
    /// TLS 1.3 alone.
    Tls13,
    /// TLS 1.3 with shares of X25519MLKEM768 and of X25519, as browsers send them.
    PostQuantum,
}

impl Offer {
    fn version(self) -> &'static SupportedProtocolVersion {
        match self {
            Self::Tls12 => &rustls::version::TLS12,
            Self::Tls13 | Self::PostQuantum => &rustls::version::TLS13,
        }
    }

    fn cipher_suites(self) -> Vec<SupportedCipherSuite> {
        match self {
            Self::Tls12 => vec![
                cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            ],
            Self::Tls13 | Self::PostQuantum => vec![cipher_suite::TLS13_AES_128_GCM_SHA256],
        }
    }

    fn groups(self) -> Vec<&'static dyn SupportedKxGroup> {
        match self {
            // Without P-256 among them, TLS 1.2 uses no certificate with such a key (RFC 8422, section 5.1.1).
            Self::Tls12 => vec![SHARED_X25519, aws_lc_rs::kx_group::SECP256R1],
            Self::Tls13 => vec![SHARED_X25519],
            Self::PostQuantum => vec![SHARED_HYBRID, SHARED_X25519],
        }
    }
}

/// A client that resumes nothing.
pub fn client(offer: Offer) -> Result<ClientConfig> {
    let provider = CryptoProvider {
        cipher_suites: offer.cipher_suites(),
        kx_groups: offer.groups(),
        ..aws_lc_rs::default_provider()
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[offer.version()])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustAll))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Verifies nothing: that work is the client's, not the proxy's.
#[derive(Debug)]
struct TrustAll;

impl ServerCertVerifier for TrustAll {
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
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PSS_SHA256]
    }
}
