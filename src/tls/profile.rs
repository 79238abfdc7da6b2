//! A TLS profile, compiled: the part of a rustls configuration that many virtual services share.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::SupportedCipherSuite;
use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::aws_lc_rs;
use rustls::server::NoServerSessionStorage;
use thiserror::Error;

use crate::certificate::error::Fingerprint;
use crate::config::tls_profile::CipherSuite;
use crate::config::tls_profile::Group;
use crate::config::tls_profile::TlsProfile;
use crate::config::tls_profile::TlsVersion;
use crate::names::TlsProfileName;
use crate::tls::choose::ProfileFacts;
use crate::tls::client_auth::ClientAuth;
use crate::tls::client_auth::ClientAuthError;
use crate::tls::resolver::Nothing;

/// A profile that handshakes can use.
#[derive(Debug)]
pub struct Profile {
    name: TlsProfileName,
    facts: ProfileFacts,
    tickets: u8,
    digest: Fingerprint,
    client_auth_digest: Fingerprint,
    files: Vec<PathBuf>,
    base: ServerConfig,
}

impl Profile {
    /// Reads the CA and the revocation list of the profile and builds what its services share.
    pub fn compile(profile: &TlsProfile) -> Result<Arc<Self>, ProfileError> {
        let provider = Arc::new(provider(profile));
        let client_auth = ClientAuth::load(&profile.client_certificate, &provider)
            .map_err(|error| ProfileError::ClientAuth { name: profile.name.clone(), error })?;
        let digest = digest(profile, &client_auth);
        let base = base(profile, provider, client_auth.verifier)
            .map_err(|error| ProfileError::Library { name: profile.name.clone(), error })?;
        Ok(Arc::new(Self {
            name: profile.name.clone(),
            facts: ProfileFacts::from(profile),
            tickets: profile.tickets,
            digest,
            client_auth_digest: client_auth.digest,
            files: client_auth.files,
            base,
        }))
    }

    /// The name in the configuration.
    pub fn name(&self) -> &TlsProfileName {
        &self.name
    }

    /// What the chooser needs to know.
    pub fn facts(&self) -> &ProfileFacts {
        &self.facts
    }

    /// Tickets sent after a full TLS 1.3 handshake; 0: sessions are not resumed at all.
    pub fn tickets(&self) -> u8 {
        self.tickets
    }

    /// Over everything that a client could notice, the contents of the files included, the name not.
    /// Services of equal digests treat a client alike.
    pub fn digest(&self) -> [u8; 32] {
        self.digest.0
    }

    /// Over the policy for client certificates alone; goes into the keys of tickets (SPEC TLS-2).
    pub fn client_auth_digest(&self) -> [u8; 32] {
        self.client_auth_digest.0
    }

    /// The files that were read: a change of one is a reason to compile again.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The shared configuration; it has no certificate and resumes nothing.
    pub(super) fn base(&self) -> &ServerConfig {
        &self.base
    }
}

/// Why a profile cannot be used.
#[derive(Clone, Debug, Error, PartialEq)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum ProfileError {
    #[error("TLS profile {name}: {error}")]
    ClientAuth { name: TlsProfileName, error: ClientAuthError },
    #[error("TLS profile {name}: the TLS library does not accept it ({error})")]
    Library { name: TlsProfileName, error: rustls::Error },
}

impl ProfileError {
    /// The stable word for logs, metrics and tests.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::ClientAuth { error, .. } => error.reason(),
            Self::Library { .. } => "tls_profile_bad",
        }
    }
}

fn base(
    profile: &TlsProfile,
    provider: Arc<CryptoProvider>,
    verifier: Option<Arc<dyn rustls::server::danger::ClientCertVerifier>>,
) -> Result<ServerConfig, rustls::Error> {
    let versions: Vec<_> =
        profile.versions.iter().map(|version| protocol_version(*version)).collect();
    let builder =
        ServerConfig::builder_with_provider(provider).with_protocol_versions(&versions)?;
    let mut config = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    }
    .with_cert_resolver(Arc::new(Nothing));
    config.alpn_protocols =
        profile.alpn.iter().map(|alpn| alpn.as_str().as_bytes().to_vec()).collect();
    // Our order, so that AES-GCM with hardware and the operator's wish decide, as with `prefer`.
    config.ignore_client_order = true;
    config.send_tls13_tickets = usize::from(profile.tickets);
    // Tickets carry the session. The default cache costs 32 KiB for each configuration, used or not.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

fn provider(profile: &TlsProfile) -> CryptoProvider {
    CryptoProvider {
        cipher_suites: profile.cipher_suites.iter().map(|suite| cipher_suite(*suite)).collect(),
        kx_groups: profile.groups.iter().map(|group| kx_group(*group)).collect(),
        ..aws_lc_rs::default_provider()
    }
}

fn protocol_version(version: TlsVersion) -> &'static SupportedProtocolVersion {
    match version {
        TlsVersion::Tls12 => &rustls::version::TLS12,
        TlsVersion::Tls13 => &rustls::version::TLS13,
    }
}

fn cipher_suite(suite: CipherSuite) -> SupportedCipherSuite {
    use aws_lc_rs::cipher_suite as suites;
    match suite {
        CipherSuite::Tls13Aes128GcmSha256 => suites::TLS13_AES_128_GCM_SHA256,
        CipherSuite::Tls13Aes256GcmSha384 => suites::TLS13_AES_256_GCM_SHA384,
        CipherSuite::Tls13Chacha20Poly1305Sha256 => suites::TLS13_CHACHA20_POLY1305_SHA256,
        CipherSuite::EcdheEcdsaAes128GcmSha256 => suites::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::EcdheEcdsaAes256GcmSha384 => suites::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::EcdheEcdsaChacha20Poly1305 => {
            suites::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        }
        CipherSuite::EcdheRsaAes128GcmSha256 => suites::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::EcdheRsaAes256GcmSha384 => suites::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::EcdheRsaChacha20Poly1305 => {
            suites::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
        }
    }
}

fn kx_group(group: Group) -> &'static dyn SupportedKxGroup {
    use aws_lc_rs::kx_group as groups;
    match group {
        Group::X25519MlKem768 => groups::X25519MLKEM768,
        Group::X25519 => groups::X25519,
        Group::Secp256r1 => groups::SECP256R1,
        Group::Secp384r1 => groups::SECP384R1,
    }
}

fn digest(profile: &TlsProfile, client_auth: &ClientAuth) -> Fingerprint {
    // The derived text of plain enums: any change of a value changes it, and it never leaves the process.
    let words = format!(
        "{:?}|{:?}|{:?}|{:?}|{:?}|{}|{}",
        profile.versions,
        profile.cipher_suites,
        profile.groups,
        profile.alpn,
        profile.prefer,
        profile.tickets,
        client_auth.digest
    );
    Fingerprint::of(words.as_bytes())
}
