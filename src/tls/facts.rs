//! What is known about a connection after its handshake: for the log, the metrics and the request.

use std::time::Duration;

use rustls::CommonState;
use rustls::HandshakeKind;
use rustls::pki_types::CertificateDer;
use x509_parser::parse_x509_certificate;

use crate::certificate::error::Fingerprint;
use crate::config::tls_profile::Alpn;
use crate::config::tls_profile::CipherSuite;
use crate::config::tls_profile::Group;
use crate::key::KeyType;
use crate::names::CertificateName;
use crate::names::ServerName;
use crate::telemetry::app_log::JsonLine;
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
    /// What ALPN agreed on; None: nothing, because one of the two did not offer it.
    pub agreed_alpn: Option<Alpn>,
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
    /// SHA-256 of the certificate's DER.
    pub fingerprint: Fingerprint,
    /// The certificate itself, where the service passes it on: a kilobyte for each connection.
    pub der: Option<CertificateDer<'static>>,
}

impl TlsFacts {
    /// The fields of a log line.
    pub fn render(&self, line: &mut JsonLine<'_>) {
        let client_certificate = self.client_certificate.as_ref();
        line.opt_str("tls.client.server_name", self.server_name.as_ref().map(|name| name.as_str()));
        line.str("tls.protocol.version", self.version);
        line.str("tls.cipher", self.cipher);
        line.opt_str("tls.curve", Some(self.group).filter(|group| !group.is_empty()));
        line.bool("tls.pfs", self.pfs);
        line.bool("tls.resumed", self.resumed);
        line.str("portcullis.certificate", self.certificate.as_str());
        line.str("portcullis.key_type", self.key_type.as_str());
        line.opt_str("tls.client.subject", client_certificate.map(|facts| &*facts.subject));
        let handshake = u64::try_from(self.handshake.as_micros()).unwrap_or(u64::MAX);
        line.u64("portcullis.duration_us.handshake", handshake);
    }
}

impl ClientCertificateFacts {
    fn of(certificate: &CertificateDer<'_>, keep: bool) -> Self {
        let parsed = parse_x509_certificate(certificate).ok().map(|(_, parsed)| parsed);
        let subject = parsed.as_ref().map(|parsed| parsed.subject());
        let common_name = subject.and_then(|subject| subject.iter_common_name().next());
        Self {
            subject: subject.map(|subject| subject.to_string().into()).unwrap_or_default(),
            common_name: common_name.and_then(|name| Some(name.as_str().ok()?.into())),
            fingerprint: Fingerprint::of(certificate),
            der: keep.then(|| certificate.clone().into_owned()),
        }
    }
}

/// What a finished handshake is described with, beside the connection itself.
pub(super) struct Finished {
    pub(super) server_name: Option<ServerName>,
    pub(super) negotiation: Negotiation,
    pub(super) certificate: CertificateName,
    pub(super) handshake: Duration,
    /// The client's certificate is wanted as a whole.
    pub(super) keeps_client_certificate: bool,
}

impl Finished {
    pub(super) fn facts(self, connection: &CommonState) -> TlsFacts {
        let Self { server_name, negotiation, certificate, handshake, keeps_client_certificate } =
            self;
        let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
        let suite = connection
            .negotiated_cipher_suite()
            .and_then(|suite| CipherSuite::from_code(suite.suite().into()))
            .unwrap_or(negotiation.cipher_suite);
        let group = connection
            .negotiated_key_exchange_group()
            .and_then(|group| Group::from_code(group.name().into()));
        let client = connection.peer_certificates().and_then(<[_]>::first);
        let agreed_alpn = match connection.alpn_protocol() {
            Some(b"h2") => Some(Alpn::Http2),
            Some(b"http/1.1") => Some(Alpn::Http1),
            _ => None,
        };
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
            alpn: agreed_alpn.unwrap_or(Alpn::Http1),
            agreed_alpn,
            handshake,
            client_certificate: client.map(|certificate| {
                ClientCertificateFacts::of(certificate, keeps_client_certificate)
            }),
            expired: negotiation.expired && !resumed,
        }
    }
}
