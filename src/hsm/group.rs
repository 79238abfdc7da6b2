//! A group of tokens that hold the same keys: its threads, its lane, and what is asked of it.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use rustls::SignatureScheme;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use thiserror::Error;

use crate::config::hsm::Hsm;
use crate::config::pkcs11_uri::KeySelector;
use crate::hsm::board::At;
use crate::hsm::dispatcher::Dispatcher;
use crate::hsm::dispatcher::Verdict;
use crate::hsm::key::TokenKey;
use crate::hsm::lane::Lane;
use crate::hsm::request::Answer;
use crate::hsm::request::SignError;
use crate::hsm::scheme::Ways;
use crate::hsm::session;
use crate::hsm::signing_key::SigningKey;
use crate::hsm::trouble::Class;
use crate::hsm::trouble::Trouble;
use crate::key::Algorithm;
use crate::names::HsmName;
use crate::telemetry::hsm_metrics::HsmMetrics;
use crate::telemetry::hsm_metrics::LaneHandshake;
use crate::telemetry::hsm_metrics::Refused;
use crate::telemetry::recorder::Recorder;

/// A group that runs. Dropped, its threads end when they have finished what they do.
#[derive(Debug)]
pub struct Group {
    dispatcher: Arc<Dispatcher>,
    lane: Lane,
}

/// The public half of a key, as its certificate has it.
#[derive(Clone, Copy, Debug)]
pub struct PublicKey<'a> {
    /// Its kind.
    pub algorithm: Algorithm,
    /// The SubjectPublicKeyInfo, DER.
    pub info: &'a [u8],
    /// The bit string in it.
    pub bits: &'a [u8],
}

/// A member, as status shows it.
#[derive(Clone, Debug)]
pub struct MemberStatus {
    /// As configured.
    pub name: String,
    /// Whether it can be counted on.
    pub is_up: bool,
    /// How long it has been so.
    pub since: Duration,
    /// Why it is not up.
    pub trouble: Option<Trouble>,
}

/// Why a key cannot be used.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{}", self.sentences())]
pub struct KeyError {
    hsm: HsmName,
    /// As a PKCS#11 URI.
    key: String,
    /// What is the matter with each member.
    troubles: Vec<(String, Trouble)>,
    /// A token was asked, and the answer is no; else none could be asked.
    is_wrong: bool,
}

impl Group {
    /// Starts the threads; they connect by themselves.
    ///
    /// # Errors
    /// The system gives no threads.
    pub fn start(config: &Arc<Hsm>, recorder: &Recorder) -> io::Result<Arc<Self>> {
        let members = config.members.iter().map(|member| member.name.as_str());
        let metrics = HsmMetrics::new(recorder, &config.name, members);
        let sessions = config.members.len() * config.sessions;
        // While one signature is made, the rest of another handshake can be.
        let places = (2 * sessions).min(MOST_PLACES);
        let lane = Lane::start(config.name.as_str(), places, config.queue)?;
        let dispatcher = Arc::new(Dispatcher::new(Arc::clone(config), metrics));
        // Dropped on the way, it ends the threads that there are.
        let group = Arc::new(Self { dispatcher: Arc::clone(&dispatcher), lane });
        for (member, about) in config.members.iter().enumerate() {
            for session in 0..config.sessions {
                let here = Arc::clone(&dispatcher);
                let thread = thread::Builder::new().name(format!("hsm-{}-{session}", about.name));
                thread.spawn(move || session::run(&here, At { member, session }))?;
            }
        }
        Ok(group)
    }

    /// A group that is asked nothing: it has no sessions, and its keys count as able to sign.
    pub fn assumed(config: &Arc<Hsm>, recorder: &Recorder) -> Arc<Self> {
        let members = config.members.iter().map(|member| member.name.as_str());
        let metrics = HsmMetrics::new(recorder, &config.name, members);
        let dispatcher = Dispatcher::assumed(Arc::clone(config), metrics);
        Arc::new(Self { dispatcher: Arc::new(dispatcher), lane: Lane::closed() })
    }

    /// The name in the configuration.
    pub fn name(&self) -> &HsmName {
        &self.dispatcher.config.name
    }

    /// The group as configured.
    pub fn config(&self) -> &Arc<Hsm> {
        &self.dispatcher.config
    }

    /// Where the handshakes of its keys are made.
    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    /// Counts a handshake on the lane until the guard goes.
    pub fn handshake(&self) -> LaneHandshake {
        self.dispatcher.metrics.handshake()
    }

    /// Counts a handshake that the lane had no room for.
    pub fn refused_for_queue(&self) -> SignError {
        self.dispatcher.metrics.refused(Refused::QueueFull);
        SignError::QueueFull { hsm: self.name().to_string() }
    }

    /// Counts a handshake that could not begin to sign in time: one that has waited for so long had better
    /// make room for those who still can be served.
    pub fn refused_for_time(&self) -> SignError {
        self.dispatcher.metrics.refused(Refused::Late);
        SignError::Late { hsm: self.name().to_string() }
    }

    /// A key of the group for a certificate. Nobody has looked for it yet.
    pub fn key(self: &Arc<Self>, selector: &KeySelector, public: PublicKey<'_>) -> SigningKey {
        let members = &self.config().members;
        let key = TokenKey::new(selector.clone(), public.algorithm, public.bits, members);
        let key = Arc::new(key);
        self.dispatcher.add(&key);
        let info = SubjectPublicKeyInfoDer::from(public.info.to_vec());
        SigningKey::new(Arc::clone(self), key, info)
    }

    /// Has a key prove itself; gives what should be put right at members that do not matter now. Blocks.
    ///
    /// # Errors
    /// Nobody could prove it, or somebody has another key in its place.
    pub fn prove(&self, key: &SigningKey) -> Result<Vec<(String, Trouble)>, KeyError> {
        if self.dispatcher.is_assumed() {
            return Ok(Vec::new());
        }
        let verdicts = self.dispatcher.prove(key.token_key());
        let proven = verdicts.iter().any(|(_, verdict)| verdict.is_ok());
        let troubles: Vec<_> = (verdicts.into_iter())
            .filter_map(|(index, verdict): Verdict| {
                Some((self.config().members[index].name.clone(), verdict.err()?))
            })
            .collect();
        let is_key = |(_, trouble): &(String, Trouble)| trouble.class() == Class::Key;
        let is_wrong = |(_, trouble): &(String, Trouble)| {
            trouble.class() == Class::Key && *trouble != Trouble::KeyMissing
        };
        let is_wrong = troubles.iter().any(is_wrong) || (!proven && troubles.iter().all(is_key));
        if proven && !is_wrong {
            return Ok(troubles);
        }
        Err(self.key_error(key.key(), troubles, is_wrong))
    }

    /// How a key could sign right now; takes no lock.
    pub fn ways_of(&self, key: &TokenKey) -> Ways {
        self.dispatcher.ways_of(key)
    }

    /// Why a key cannot sign right now; `None`: it can.
    pub(super) fn problem_of(&self, key: &TokenKey) -> Option<KeyError> {
        if self.ways_of(key) != Ways::default() {
            return None;
        }
        let members = self.config().members.iter().zip(self.dispatcher.members()).enumerate();
        let troubles = members.filter(|(_, (member, _))| key.may_be_in(member)).map(
            |(index, (member, standing))| {
                let trouble =
                    if standing.is_up() { key.trouble(index) } else { standing.trouble() };
                (member.name.clone(), trouble.unwrap_or(Trouble::NotAsked))
            },
        );
        Some(self.key_error(key, troubles.collect(), false))
    }

    /// Signs; blocks.
    pub(super) fn sign(
        &self,
        key: &Arc<TokenKey>,
        scheme: SignatureScheme,
        message: &[u8],
    ) -> Answer {
        self.dispatcher.sign(key, scheme, message)
    }

    /// The members, for status.
    pub fn members(&self) -> Vec<MemberStatus> {
        let members = self.config().members.iter().zip(self.dispatcher.members());
        let status = members.map(|(member, standing)| MemberStatus {
            name: member.name.clone(),
            is_up: standing.is_up(),
            since: standing.since().elapsed(),
            trouble: standing.trouble(),
        });
        status.collect()
    }

    /// Has the threads end when they have finished what they do.
    pub fn close(&self) {
        self.dispatcher.close();
    }

    /// Waits until the threads of a closed group have ended; says whether they have. One that hangs in its
    /// module cannot be ended.
    pub fn wait_until_ended(&self, deadline: Instant) -> bool {
        self.dispatcher.wait_until_ended(deadline)
    }

    fn key_error(
        &self,
        key: &TokenKey,
        troubles: Vec<(String, Trouble)>,
        is_wrong: bool,
    ) -> KeyError {
        KeyError { hsm: self.name().clone(), key: key.selector.to_string(), troubles, is_wrong }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.dispatcher.close();
    }
}

impl KeyError {
    /// The stable word for logs, metrics and tests: that of the first member.
    pub fn reason(&self) -> &'static str {
        self.troubles.first().map_or("hsm_no_member", |(_, trouble)| trouble.reason())
    }

    /// Whether the answer may be another one later, without anything being mended here.
    pub fn is_unreachable(&self) -> bool {
        !self.is_wrong
    }

    fn sentences(&self) -> String {
        let Self { hsm, key, troubles, .. } = self;
        let each = troubles.iter().map(|(member, trouble)| format!("{member}: {trouble}"));
        let each: Vec<String> = each.collect();
        format!("the key {key} in the group {hsm} cannot be used; {}", each.join("; "))
    }
}

/// Each is a thread that mostly waits.
const MOST_PLACES: usize = 256;
