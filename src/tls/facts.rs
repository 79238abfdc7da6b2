//! What is known about a connection after its handshake: for the log, the metrics and the request.

use std::time::Duration;

use rustls::HandshakeKind;
use rustls::ServerConnection;
use rustls::pki_types::CertificateDer;
use x509_parser::parse_x509_certificate;

use crate::certificate::error::Fingerprint;
use crate::config::tls_profile::Alpn;
use crate::config::tls_profile::CipherSuite;
use crate::config::tls_profile::Group;
use crate::key::KeyType;
use crate::names::CertificateName;
use crate::names::ServerName;
use crate::tls::choose::Negotiation;
use crate::tls::choose::Rule;

/// The facts of a finished handshake, as rustls did it.
#[derive(Clone, Debug)]
pub struct TlsFacts {
    /// What the client asked for.
    pub server_name: Option<ServerName>,
    /// `1.2` or `1.3`.
    pub version: &'static str,
    /// IANA's name.
    pub cipher: &'static str,
    /// IANA's name; empty for a resumed TLS 1.2 session, which exchanges no keys.
    pub group: &'static str,
    /// Whether the session's keys were exchanged with forward secrecy; there is nothing else here.
    pub pfs: bool,
    /// The chosen certificate.
    pub certificate: CertificateName,
    /// The kind of its key.
    pub key_type: KeyType,
    /// What decided on the certificate.
    pub rule: Rule,
    /// A session was resumed: the certificate was not sent.
    pub resumed: bool,
    /// What is spoken next. Without ALPN it is HTTP/1.1.
    pub alpn: Alpn,
    /// From the ClientHello read to the handshake finished.
    pub handshake: Duration,
    /// The client's certificate; after a resumption the one of the first handshake.
    pub client_certificate: Option<ClientCertificateFacts>,
    /// The certificate that was sent is out of date.
    pub expired: bool,
}

/// A verified client certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientCertificateFacts {
    /// The distinguished name (RFC 4514).
    pub subject: Box<str>,
    /// The first common name of the subject.
    pub common_name: Option<Box<str>>,
    /// Of the certificate's DER.
    pub fingerprint: Fingerprint,
}

impl ClientCertificateFacts {
    fn of(certificate: &CertificateDer<'_>) -> Self {
        let parsed = parse_x509_certificate(certificate).ok().map(|(_, parsed)| parsed);
        let subject = parsed.as_ref().map(|parsed| parsed.subject());
        let common_name = subject.and_then(|subject| subject.iter_common_name().next());
        Self {
            subject: subject.map(|subject| subject.to_string().into()).unwrap_or_default(),
            common_name: common_name.and_then(|name| Some(name.as_str().ok()?.into())),
            fingerprint: Fingerprint::of(certificate),
        }
    }
}

/// What a finished handshake is described with, beside the connection itself.
pub(super) struct Finished {
    pub(super) server_name: Option<ServerName>,
    pub(super) negotiation: Negotiation,
    pub(super) certificate: CertificateName,
    pub(super) handshake: Duration,
}

impl Finished {
    pub(super) fn facts(self, connection: &ServerConnection) -> TlsFacts {
        let Self { server_name, negotiation, certificate, handshake } = self;
        let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
        let suite = connection
            .negotiated_cipher_suite()
            .and_then(|suite| CipherSuite::from_code(suite.suite().into()))
            .unwrap_or(negotiation.cipher_suite);
        let group = connection
            .negotiated_key_exchange_group()
            .and_then(|group| Group::from_code(group.name().into()));
        let client = connection.peer_certificates().and_then(<[_]>::first);
        TlsFacts {
            server_name,
            version: suite.version().as_str(),
            cipher: suite.as_str(),
            group: group.map_or("", Group::as_str),
            pfs: true,
            certificate,
            key_type: negotiation.algorithm.key_type(),
            rule: negotiation.rule,
            resumed,
            alpn: match connection.alpn_protocol() {
                Some(b"h2") => Alpn::Http2,
                _ => Alpn::Http1,
            },
            handshake,
            client_certificate: client.map(ClientCertificateFacts::of),
            expired: negotiation.expired && !resumed,
        }
    }
}
