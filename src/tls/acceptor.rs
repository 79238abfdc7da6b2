//! Accepts TLS connections for one virtual service: its profile, its certificates, its ticket keys.

use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Instant;

use rustls::ServerConfig;
use thiserror::Error;

use crate::certificate::Certificate;
use crate::certificate::Material;
use crate::config::tls_profile::Alpn;
use crate::config::tls_profile::TlsVersion;
use crate::hsm::Group;
use crate::hsm::scheme::Way;
use crate::key::KeyType;
use crate::names::CertificateName;
use crate::tls::alert;
use crate::tls::alert::Alert;
use crate::tls::choose;
use crate::tls::choose::Candidate;
use crate::tls::choose::Negotiation;
use crate::tls::choose::ProfileFacts;
use crate::tls::choose::Signs;
use crate::tls::facts::Finished;
use crate::tls::facts::TlsFacts;
use crate::tls::failure::HandshakeError;
use crate::tls::hello::ClientHello;
use crate::tls::profile::Profile;
use crate::tls::read_hello::Hello;
use crate::tls::reason::Reason;
use crate::tls::refusal::Refusal;
use crate::tls::resolver;
use crate::tls::stream::TlsStream;
use crate::tls::tickets::Ticketer;
use crate::tls::transport::Transport;

/// What a virtual service needs for handshakes. Costs some 150 bytes until its first one.
#[derive(Debug)]
pub struct Acceptor {
    profile: Arc<Profile>,
    ticketer: Ticketer,
    slots: Box<[Slot]>,
    /// In place of the profile's, where its ALPN is not meant.
    facts: Option<Box<ProfileFacts>>,
    keeps_client_certificates: bool,
}

/// What was chosen for a client, before anything is sent.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// What will happen.
    pub negotiation: Negotiation,
    /// The group of tokens that the key is in; None: it is here.
    pub group: Option<Arc<Group>>,
}

/// A certificate with the configuration in which it is the only one.
#[derive(Debug)]
struct Slot {
    certificate: Arc<Certificate>,
    /// Made at the first handshake: 10,000 idle children shall not pay for it.
    config: OnceLock<Arc<ServerConfig>>,
}

impl Acceptor {
    /// Puts the parts together. Slots that are still empty are served as soon as they hold something.
    pub fn new(
        profile: Arc<Profile>,
        certificates: Vec<Arc<Certificate>>,
        ticketer: Ticketer,
    ) -> Result<Self, AcceptorError> {
        let mut seen: Vec<(KeyType, &CertificateName)> = Vec::new();
        for certificate in &certificates {
            let Some(material) = certificate.material() else { continue };
            let key_type = material.facts.key_type();
            if let Some((_, first)) = seen.iter().find(|(other, _)| *other == key_type) {
                return Err(AcceptorError::SameKeyType {
                    key_type,
                    first: (*first).clone(),
                    second: certificate.name().clone(),
                });
            }
            seen.push((key_type, certificate.name()));
        }
        let slot = |certificate| Slot { certificate, config: OnceLock::new() };
        let slots = certificates.into_iter().map(slot).collect();
        Ok(Self { profile, ticketer, slots, facts: None, keeps_client_certificates: false })
    }

    /// For a service that does not speak HTTP: ALPN is offered only if the profile names protocols
    /// other than the default ones. A list that is written out and says the same as the default is
    /// the default.
    pub fn without_default_alpn(mut self) -> Self {
        let facts = self.profile.facts();
        if *facts.alpn == *DEFAULT_ALPN {
            self.facts = Some(Box::new(ProfileFacts { alpn: Vec::new(), ..facts.clone() }));
        }
        self
    }

    /// Whether the facts of a handshake have the client's whole certificate.
    pub fn keeping_client_certificates(mut self, keeps: bool) -> Self {
        self.keeps_client_certificates = keeps;
        self
    }

    /// The profile that governs the handshakes.
    pub fn profile(&self) -> &Arc<Profile> {
        &self.profile
    }

    /// The certificates, in the order of the configuration: what [`Negotiation::certificate`] counts.
    pub fn certificates(&self) -> impl Iterator<Item = &Arc<Certificate>> {
        self.slots.iter().map(|slot| &slot.certificate)
    }

    /// What would happen with a client that offers this, at this moment (Unix seconds). Sends nothing.
    pub fn choose(&self, offer: &ClientHello, now: i64) -> Result<Chosen, Refusal> {
        let mut candidates = Vec::with_capacity(self.slots.len());
        // Takes no room where there are none.
        let mut in_tokens = Vec::new();
        for (slot, Slot { certificate, .. }) in self.slots.iter().enumerate() {
            let Some(material) = certificate.material() else { continue };
            candidates.push(candidate(slot, &material));
            if let Some(token) = &material.token {
                in_tokens.push((slot, Arc::clone(token.key.group())));
            }
        }
        let facts = self.facts.as_deref().unwrap_or(self.profile.facts());
        let negotiation = match choose::negotiate(offer, facts, &candidates, now) {
            Err(refusal) if refusal.reason == Reason::SigningFailed && offer.offers_resumption => {
                // A session that is resumed needs no signature; one that is not will hear of it then.
                candidates.iter_mut().for_each(|candidate| candidate.signs = Signs::Fully);
                choose::negotiate(offer, facts, &candidates, now)?
            }
            chosen => chosen?,
        };
        let mut in_tokens = in_tokens.into_iter();
        let group = in_tokens.find(|(slot, _)| *slot == negotiation.certificate);
        let group = group.map(|(_, group)| group);
        Ok(Chosen { negotiation, group })
    }

    /// Finishes the handshake that a ClientHello began, as was chosen. Whoever is refused is told, and the
    /// connection is closed so that it hears it. Has no deadline of its own. The hello stays with the caller, who
    /// logs what was offered when this fails. Where a group was chosen, it blocks, and belongs on the group's lane.
    pub async fn accept<IO>(
        &self,
        mut io: IO,
        hello: &Hello,
        chosen: Result<Chosen, Refusal>,
    ) -> Result<(Box<TlsStream<IO>>, Box<TlsFacts>), HandshakeError>
    where
        IO: Transport,
    {
        let started = Instant::now();
        let negotiation = match chosen {
            Ok(chosen) => chosen.negotiation,
            Err(refusal) => {
                // The refusal is what counts; that the client is gone already changes nothing.
                let _ = alert::deliver(&mut io, &refusal.alert.record()).await;
                return Err(HandshakeError::Refused(refusal));
            }
        };
        let slot = &self.slots[negotiation.certificate];
        match TlsStream::accept(io, Arc::clone(self.config(slot)), &hello.bytes).await {
            Ok(stream) => {
                let finished = Finished {
                    server_name: hello.offer.server_name.clone(),
                    negotiation,
                    certificate: slot.certificate.name().clone(),
                    handshake: started.elapsed(),
                    keeps_client_certificate: self.keeps_client_certificates,
                };
                let facts = Box::new(finished.facts(stream.agreed()));
                // Boxed: every future that it goes through would have room for it twice.
                Ok((Box::new(stream), facts))
            }
            Err((error, mut io)) => {
                let error = HandshakeError::from(error);
                match &error {
                    // The library has written its alert.
                    HandshakeError::Library(_) => drop(alert::close(&mut io).await),
                    // The library has written its ServerHello, and behind it a client of TLS 1.3 understands
                    // nothing that is not encrypted, by keys that the library keeps.
                    HandshakeError::Signing(_) if negotiation.version == TlsVersion::Tls13 => {
                        drop(alert::close(&mut io).await);
                    }
                    HandshakeError::Signing(_) => {
                        let _ = alert::deliver(&mut io, &Alert::InternalError.record()).await;
                    }
                    HandshakeError::Io(_)
                    | HandshakeError::Refused(_)
                    | HandshakeError::TimedOut => {}
                }
                Err(error)
            }
        }
    }

    fn config<'a>(&self, slot: &'a Slot) -> &'a Arc<ServerConfig> {
        slot.config.get_or_init(|| {
            let mut config = self.profile.base().clone();
            config.cert_resolver = Arc::new(resolver::Slot(Arc::clone(&slot.certificate)));
            if let Some(facts) = &self.facts {
                config.alpn_protocols.retain(|_| !facts.alpn.is_empty());
            }
            // The base has a ticketer that makes none.
            if self.profile.tickets() > 0 {
                config.ticketer = Arc::new(self.ticketer.clone());
            }
            Arc::new(config)
        })
    }
}

/// Why certificates cannot be served together.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum AcceptorError {
    #[error(
        "the certificates {first} and {second} both have {key_type} keys; a virtual service has at most one \
         certificate of each key type"
    )]
    SameKeyType { key_type: KeyType, first: CertificateName, second: CertificateName },
}

impl AcceptorError {
    /// The stable word for logs, metrics and tests.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::SameKeyType { .. } => "same_key_type",
        }
    }
}

/// Seconds since 1970, as the chooser counts.
pub fn unix_now() -> i64 {
    use std::time::SystemTime;
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn candidate(slot: usize, material: &Material) -> Candidate {
    let facts = &material.facts;
    Candidate {
        slot,
        algorithm: facts.algorithm,
        not_before: facts.not_before,
        not_after: facts.not_after,
        signs: signs(material),
    }
}

fn signs(material: &Material) -> Signs {
    let Some(token) = &material.token else { return Signs::Fully };
    let ways = token.key.ways();
    match material.facts.key_type() {
        KeyType::Ec if ways.has(Way::Ecdsa) => Signs::Fully,
        KeyType::Ed25519 if ways.has(Way::Eddsa) => Signs::Fully,
        KeyType::Ec | KeyType::Ed25519 => Signs::NotNow,
        KeyType::Rsa => match (ways.has(Way::RsaPss), ways.has(Way::RsaPkcs1)) {
            (true, true) => Signs::Fully,
            (true, false) => Signs::PssOnly,
            (false, true) => Signs::Pkcs1Only,
            (false, false) => Signs::NotNow,
        },
    }
}

/// What a profile offers that does not say.
const DEFAULT_ALPN: &[Alpn] = &[Alpn::Http2, Alpn::Http1];
